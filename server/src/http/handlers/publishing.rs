//! `PUT` and `DELETE /v1/models/{model}`: operators publish models and remove them.

use crate::{
    http::{
        body::MediaType,
        error::ApiError,
        refusal::{BodyRefusal, PublishRefusal, Refusal},
        state::AppState,
    },
    library::{Library, LibraryError, Published, all_of},
    objects::StoreError,
    tenants::{Caller, Tenant},
};
use actix_web::{HttpRequest, HttpResponse, http::header::LOCATION, web};
use blindscore_engine::model::{FileName, Listing, MOST_FILE, Model, ModelError, Registry};
use blindscore_protocol::{
    OCTET_STREAM,
    ids::ModelId,
    name::{ModelAddress, ModelName},
};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

/// HTTP methods of a model's path.
pub(crate) const METHODS: &str = "GET, HEAD, PUT, DELETE";

/// Response to a publication.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublishedModel {
    name: String,
    /// Version under which the model is served, counted from 1.
    version: u32,
    id: ModelId,
}

/// Publishes a model: 201 if it is new, 200 if the same model was already published.
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
    let (library, address) = editable(&state, &caller, &request)?;
    if MediaType::of(&request) != Some(MediaType::OctetStream) {
        return Err(ApiError::UnsupportedMediaType(OCTET_STREAM));
    }
    let limit = MOST_FILE as usize;
    let body = state
        .publishing
        .read(&caller.tenant, &request, payload, limit, |_| ());
    let content = body.await?;
    check(&state, &address.name, content.bytes.clone()).await?;

    let mut library = library.lock().await;
    refresh(&state, &mut library, "nothing was published").await?;
    let (published, version) = store(&library, &address, &content.bytes).await?;
    refresh(&state, &mut library, "the model is stored but not served yet").await?;
    let served = ModelAddress {
        version: Some(version),
        ..address
    };
    let id = match state.models().registry.find(&served.to_string()) {
        Ok(model) => model.descriptor().id,
        Err(_) => {
            return Err(ApiError::Models(format!(
                "{served} was stored, and removed by someone else"
            )));
        }
    };
    let mut response = match published {
        Published::New => HttpResponse::Created(),
        Published::Already | Published::Taken => HttpResponse::Ok(),
    };
    tracing::info!(model = %served, "model published");
    response.insert_header((LOCATION, format!("/v1/models/{served}")));
    Ok(response.json(PublishedModel {
        name: served.name.into(),
        version,
        id,
    }))
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
        PublishRefusal,
        Refusal,
    )
)]
pub(crate) async fn delete(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (library, address) = editable(&state, &caller, &request)?;
    let mut library = library.lock().await;
    let listed = library.list().await.map_err(unavailable)?;
    let files = files(&address, &listed, &state.models().registry);
    if files.is_empty() {
        return Err(ApiError::ModelNotFound);
    }
    for file in &files {
        library
            .remove(file)
            .await
            .map_err(|error| unavailable(error.into()))?;
    }
    tracing::info!(model = %address, "model removed");
    refresh(&state, &mut library, "the model is removed but still served").await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Returns the library and the address in the path if the caller may change the model there.
fn editable<'s>(
    state: &'s AppState,
    caller: &Caller,
    request: &HttpRequest,
) -> Result<(&'s Mutex<Library>, ModelAddress), ApiError> {
    if caller.tenant == Tenant::Anonymous {
        return Err(ApiError::Forbidden(
            "models are changed with an operator's token, and this server has no tokens: `blindscore-server token create TENANT --operator` makes one",
        ));
    }
    caller.must_operate()?;
    state.rate.check(&caller.tenant, 1)?;
    let text = request.match_info().get("model").unwrap_or_default();
    let address: ModelAddress = text
        .parse()
        .map_err(|error| ApiError::Malformed(format!("the path's last part is {error}")))?;
    if Registry::is_bundled(&address.name) {
        return Err(ApiError::Forbidden(
            "this model is part of the server and can't be changed: give yours another name",
        ));
    }
    let library = state.library.as_ref().ok_or(ApiError::Forbidden(
        "this server has no place for models: its operator starts it with --models or --models-dir",
    ))?;
    Ok((library, address))
}

/// Checks that the server can serve an uploaded model, and that it has this name.
async fn check(state: &AppState, name: &ModelName, content: Bytes) -> Result<(), ApiError> {
    // As for uploaded keys: few at once.
    let _few = state
        .checks
        .acquire()
        .await
        .map_err(|_| ApiError::Internal("the server is stopping"))?;
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
    Ok(())
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
    let newest = library.list().await.map_err(unavailable)?.newest(&address.name);
    if let Some(newest) = newest
        && library.holds(&file(newest), content).await.map_err(failed)?
    {
        return Ok((Published::Already, newest));
    }
    // Another server may take the number at the same time.
    for version in newest.unwrap_or(0).saturating_add(1)..=u32::MAX {
        match library
            .publish(&file(version), content.clone())
            .await
            .map_err(failed)?
        {
            Published::Taken => {}
            published => return Ok((published, version)),
        }
    }
    Err(ApiError::Models(format!(
        "there are too many versions of {}",
        address.name
    )))
}

/// Returns the files to remove for an address.
fn files(address: &ModelAddress, listed: &Listing, served: &Registry) -> Vec<FileName> {
    match address.version {
        None => all_of(&address.name, listed, served),
        Some(_) => {
            let of_name = listed.named(address.name.as_str());
            of_name
                .filter(|file| file.version == address.version)
                .cloned()
                .collect()
        }
    }
}

/// Serves the library as it is now. If that is impossible, the error says so after `done`, what has
/// happened until then.
async fn refresh(state: &AppState, library: &mut Library, done: &str) -> Result<(), ApiError> {
    let refreshed = state.refresh_models(library).await;
    let problem = match (refreshed, library.problem()) {
        (Ok(()), None) => return Ok(()),
        // An earlier look at the same files has found it.
        (Ok(()), Some(problem)) => problem.to_owned(),
        (Err(error), _) => error.to_string(),
    };
    Err(ApiError::Models(format!("{done}: {problem}")))
}

fn unavailable(error: LibraryError) -> ApiError {
    ApiError::Models(error.to_string())
}
