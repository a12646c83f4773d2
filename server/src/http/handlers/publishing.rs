//! `PUT` and `DELETE /v1/models/{model}`: operators publish models and remove them.

use crate::{
    http::{
        body::{Body, MediaType},
        error::ApiError,
        refusal::{BodyRefusal, PublishRefusal, Refusal, RemovalRefusal},
        state::{AppState, RefreshError},
    },
    library::{Library, LibraryError, Published},
    objects::StoreError,
    tenants::{Caller, Tenant},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, LOCATION},
    rt, web,
};
use blindscore_engine::model::{FileName, MOST_FILE, Model, ModelError, Registry};
use blindscore_protocol::{
    OCTET_STREAM,
    ids::ModelId,
    name::{ModelAddress, ModelName},
};
use bytes::Bytes;
use opentelemetry::context::FutureExt;
use serde::Serialize;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tracing::Instrument;
use utoipa::ToSchema;

/// HTTP methods of a model's path.
pub(crate) const METHODS: &str = "GET, HEAD, PUT, DELETE";
/// How long a request waits until other changes of the models are finished.
const TURN_TIMEOUT: Duration = Duration::from_secs(15);
/// `Retry-After` of a request whose wait timed out.
const TURN_RETRY: Duration = Duration::from_secs(5);
/// Longest name of a published model in bytes: with a version, it has to be the name of a file.
const MOST_NAME: usize = 200;

/// Response to a publication.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublishedModel {
    name: String,
    /// Version under which the model is served, counted from 1.
    version: u32,
    id: ModelId,
}

/// Publishes a model: 201 if it is new, 200 if the same file was already published.
///
/// `PUT /v1/models/churn@3` publishes version 3, and `PUT /v1/models/churn` the next version. The
/// model is checked before it is stored, and is served when the response is sent.
#[utoipa::path(
    put,
    path = "/v1/models/{model}",
    tag = "models",
    security(("token" = [])),
    params(("model" = String, Path, description = "Its name, or `name@version`", example = "churn@3")),
    request_body(content_type = "application/octet-stream", description = "A model file, as `blindscore import` writes it"),
    responses(
        (status = 200, description = "Already published", body = PublishedModel),
        (status = 201, description = "Published", body = PublishedModel),
        PublishRefusal,
        Refusal,
        BodyRefusal,
    )
)]
pub(crate) async fn put(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let address = editable(&state, &caller, &request)?;
    if Registry::is_bundled(&address.name) {
        return Err(ApiError::Forbidden(
            "this model is part of the server: give yours another name",
        ));
    }
    if MediaType::of(&request) != Some(MediaType::OctetStream) {
        return Err(ApiError::UnsupportedMediaType(OCTET_STREAM));
    }
    let limit = MOST_FILE as usize;
    let body = state
        .publishing
        .read(&caller.tenant, &request, payload, limit, |_| ());
    let body = body.await?;
    finished(publish(state, address, body)).await
}

/// Removes a version of a model, or all versions if the path names none.
#[utoipa::path(
    delete,
    path = "/v1/models/{model}",
    tag = "models",
    security(("token" = [])),
    params(("model" = String, Path, description = "Its name, or `name@version`", example = "churn@3")),
    responses(
        (status = 204, description = "Removed"),
        RemovalRefusal,
        Refusal,
    )
)]
pub(crate) async fn delete(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let address = editable(&state, &caller, &request)?;
    finished(remove(state, address)).await
}

/// Runs a change to its end even if the client disconnects, so that its memory stays accounted for.
/// Only a server stop ends it early.
async fn finished(
    change: impl Future<Output = Result<HttpResponse, ApiError>> + 'static,
) -> Result<HttpResponse, ApiError> {
    let done = rt::spawn(change.with_current_context().in_current_span()).await;
    done.unwrap_or(Err(ApiError::Internal("a change of the models panicked")))
}

async fn publish(
    state: web::Data<AppState>,
    address: ModelAddress,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    // One at a time: a model takes several times the memory of its file while it is checked.
    let mut library = turn(library(&state)?).await?;
    let model = checked(&address.name, body.bytes.clone()).await?;
    let id = model.descriptor().id;
    refresh(&state, &mut library, "nothing was published").await?;
    let served = state.models().registry.clone();
    // Refused before it is stored: a location with two models of one name can't be served at all.
    library
        .admits(&address.name, address.version, model, served)
        .await
        .map_err(|error| match error {
            LibraryError::Model(error) => ApiError::ModelRefused(error),
            error => unavailable(error),
        })?;
    let (published, version) = store(&library, &address, &body.bytes).await?;
    drop(body);
    refresh(&state, &mut library, "the model is stored but not served yet").await?;
    let served = ModelAddress {
        version: Some(version),
        ..address
    };
    let models = state.models();
    if models
        .registry
        .find(&served.to_string())
        .map(|model| model.descriptor().id)
        != Ok(id)
    {
        return Err(ApiError::ModelGone(served));
    }
    let mut response = match published {
        Published::New => {
            tracing::info!(model = %served, "model published");
            HttpResponse::Created()
        }
        Published::Already | Published::Taken => HttpResponse::Ok(),
    };
    response.insert_header((LOCATION, format!("/v1/models/{served}")));
    Ok(response.json(PublishedModel {
        name: served.name.into(),
        version,
        id,
    }))
}

async fn remove(state: web::Data<AppState>, address: ModelAddress) -> Result<HttpResponse, ApiError> {
    let mut library = turn(library(&state)?).await?;
    let removable = library.removable(&address, state.models().registry.clone());
    let removable = removable.await.map_err(|error| match error {
        LibraryError::Model(error) => ApiError::ModelsBroken(format!(
            "nothing was removed, because the other models couldn't be served: {error}"
        )),
        error => unavailable(error),
    })?;
    let Some(files) = removable else {
        return Err(match Registry::is_bundled(&address.name) {
            true => ApiError::Forbidden("this model is part of the server and can't be removed"),
            false => ApiError::ModelNotFound,
        });
    };
    for file in &files {
        library.remove(file).await.map_err(unavailable)?;
    }
    tracing::info!(model = %address, "model removed");
    refresh(
        &state,
        &mut library,
        "the file is removed, but changes take effect only when all files can be served",
    )
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Returns the address in the path if the caller may change models.
fn editable(state: &AppState, caller: &Caller, request: &HttpRequest) -> Result<ModelAddress, ApiError> {
    if caller.tenant == Tenant::Anonymous {
        return Err(ApiError::Forbidden(
            "publishing and removing models needs an operator's token, and this server has no tokens: `blindscore-server token create TENANT --operator` makes one",
        ));
    }
    caller.must_operate()?;
    state.rate.check(&caller.tenant, 1)?;
    let conditions = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ];
    if conditions.iter().any(|name| request.headers().contains_key(name)) {
        return Err(ApiError::Malformed(
            "conditional requests are not supported here: send no If-Match, If-None-Match or If-Unmodified-Since".into(),
        ));
    }
    library(state)?;
    let text = request.match_info().get("model").unwrap_or_default();
    let address: ModelAddress = text
        .parse()
        .map_err(|error| ApiError::Malformed(format!("the path's last part is {error}")))?;
    if address.name.as_str().len() > MOST_NAME {
        return Err(ApiError::Malformed(format!(
            "the model's name may have at most {MOST_NAME} characters"
        )));
    }
    Ok(address)
}

fn library(state: &AppState) -> Result<&Mutex<Library>, ApiError> {
    state.model_library.as_ref().ok_or(ApiError::Forbidden(
        "this server has no location for models: its operator sets one with --models or --models-dir",
    ))
}

/// Waits until no other change of the models is in progress.
async fn turn(library: &Mutex<Library>) -> Result<MutexGuard<'_, Library>, ApiError> {
    let turn = tokio::time::timeout(TURN_TIMEOUT, library.lock()).await;
    turn.map_err(|_| ApiError::Busy {
        what: "the models are being loaded or changed",
        retry_after: TURN_RETRY,
    })
}

/// Returns an uploaded model, which the server can serve and which has this name.
async fn checked(name: &ModelName, content: Bytes) -> Result<Model, ApiError> {
    let model = web::block(move || Model::from_safetensors(&content)).await;
    let model = model
        .map_err(|_| ApiError::Internal("checking a model panicked"))?
        .map_err(ApiError::ModelRefused)?;
    let found = &model.descriptor().name;
    if found != name.as_str() {
        return Err(ApiError::ModelRefused(ModelError::other_name(
            found,
            name.as_str(),
        )));
    }
    Ok(model)
}

/// Stores a checked model, and returns its version. Without one in the address, that is the newest
/// if it has this content, so that a repeated request changes nothing, and the next otherwise.
async fn store(
    library: &Library,
    address: &ModelAddress,
    content: &Bytes,
) -> Result<(Published, u32), ApiError> {
    let file = |version| FileName {
        stem: address.name.to_string(),
        version: Some(version),
    };
    let failed = |error: StoreError| unavailable(error.into());
    if let Some(version) = address.version {
        return match library
            .publish(&file(version), content.clone())
            .await
            .map_err(failed)?
        {
            Published::Taken => Err(ApiError::ModelExists(address.clone())),
            published => Ok((published, version)),
        };
    }
    let newest = library
        .list()
        .await
        .map_err(unavailable)?
        .newest(&address.name)
        .unwrap_or(0);
    if newest > 0 && library.holds(&file(newest), content).await.map_err(failed)? {
        return Ok((Published::Already, newest));
    }
    // Another server may take the number at the same time.
    for version in newest.saturating_add(1)..=u32::MAX {
        match library
            .publish(&file(version), content.clone())
            .await
            .map_err(failed)?
        {
            Published::Taken => {}
            published => return Ok((published, version)),
        }
    }
    Err(ApiError::ModelExists(ModelAddress {
        name: address.name.clone(),
        version: Some(newest),
    }))
}

/// Serves the library as it is now. If that is impossible, the error begins with `done`, which says
/// what has been done so far.
async fn refresh(state: &AppState, library: &mut Library, done: &str) -> Result<(), ApiError> {
    let refreshed = state.refresh_models(library).await;
    match (refreshed, library.problem()) {
        (Ok(()), None) => Ok(()),
        (Ok(()) | Err(RefreshError::Library(LibraryError::Model(_))), Some(problem)) => {
            Err(ApiError::ModelsBroken(format!("{done}: {problem}")))
        }
        (Err(error), _) => Err(ApiError::Models(format!("{done}: {error}"))),
    }
}

fn unavailable(error: LibraryError) -> ApiError {
    match error {
        LibraryError::Panicked => ApiError::Internal("loading the models panicked"),
        LibraryError::Inconsistent(what) => ApiError::Internal(what),
        error => ApiError::Models(error.to_string()),
    }
}
