//! What the Open Inference Protocol asks about the server and its models.

use super::super::health;
use crate::{
    http::{
        error::ApiError,
        inference::{CONTENT_TYPE, DATATYPE, Failure, INPUT, NotReady, OUTPUT},
        state::AppState,
    },
    tenants::{Access, Caller},
};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Json},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The protocol's name for model files of this kind, `project_format`.
const PLATFORM: &str = "blindscore_safetensors";

/// Response of `GET /v2`.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ServerMetadata {
    name: &'static str,
    version: &'static str,
    /// Extensions of the protocol that the server has.
    extensions: [&'static str; 1],
}

/// Response of `GET /v2/health/live`.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Live {
    live: bool,
}

/// Response of `GET /v2/health/ready`. The specification has `live` here, KServe `ready`.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Ready {
    live: bool,
    ready: bool,
}

/// Response of `GET /v2/models/{model}/ready`.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelReady {
    name: String,
    ready: bool,
}

/// Response of `GET /v2/models/{model}`.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelMetadata {
    name: String,
    /// Versions that are served, oldest first, if the model has versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    versions: Vec<String>,
    platform: &'static str,
    #[schema(inline)]
    inputs: [Tensor; 1],
    #[schema(inline)]
    outputs: [Tensor; 1],
}

#[derive(Serialize, ToSchema)]
struct Tensor {
    name: &'static str,
    datatype: &'static str,
    shape: [i64; 1],
    #[schema(inline)]
    parameters: TensorParameters,
}

#[derive(Serialize, ToSchema)]
struct TensorParameters {
    /// What the strings in JSON contain.
    content_type: &'static str,
}

impl Tensor {
    fn of_blobs(name: &'static str) -> Self {
        Self {
            name,
            datatype: DATATYPE,
            shape: [-1],
            parameters: TensorParameters {
                content_type: CONTENT_TYPE,
            },
        }
    }
}

/// Names the server and the protocol's extensions that it has.
#[utoipa::path(
    get,
    path = "/v2",
    tag = "open inference protocol",
    responses((status = 200, description = "The server", body = ServerMetadata))
)]
pub(in crate::http) async fn server() -> Json<ServerMetadata> {
    Json(ServerMetadata {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        extensions: ["binary_tensor_data"],
    })
}

/// Reports that the process is running.
#[utoipa::path(
    get,
    path = "/v2/health/live",
    tag = "open inference protocol",
    responses((status = 200, description = "The process is running", body = Live))
)]
pub(in crate::http) async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// Reports whether the server can score, as `/readyz` does.
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    tag = "open inference protocol",
    responses((status = 200, description = "Ready", body = Ready), NotReady)
)]
pub(in crate::http) async fn ready(
    state: Data<AppState>,
    access: Data<Access>,
) -> Result<Json<Ready>, ApiError> {
    health::check(&state, &access).await?;
    Ok(Json(Ready {
        live: true,
        ready: true,
    }))
}

/// Describes a model's tensors.
#[utoipa::path(
    get,
    path = "/v2/models/{model}",
    tag = "open inference protocol",
    security(("token" = [])),
    params(("model" = String, Path, description = "Its name, or `name@version`", example = "mnist-linear")),
    responses((status = 200, description = "The model", body = ModelMetadata), Failure)
)]
pub(in crate::http) async fn model(
    state: Data<AppState>,
    _caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let models = state.models();
    models.named(&request)?;
    let name = name(&request);
    Ok(HttpResponse::Ok().json(ModelMetadata {
        versions: models
            .registry
            .versions(&name)
            .map(|version| version.to_string())
            .collect(),
        name,
        platform: PLATFORM,
        inputs: [Tensor::of_blobs(INPUT)],
        outputs: [Tensor::of_blobs(OUTPUT)],
    }))
}

/// Describes the tensors of a version of a model.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}",
    tag = "open inference protocol",
    security(("token" = [])),
    params(
        ("model" = String, Path, description = "Its name", example = "mnist-linear"),
        ("version" = String, Path, description = "Its version", example = "1"),
    ),
    responses((status = 200, description = "The model", body = ModelMetadata), Failure)
)]
pub(in crate::http) async fn model_version(
    state: Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    model(state, caller, request).await
}

/// Reports whether a model can be scored.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/ready",
    tag = "open inference protocol",
    security(("token" = [])),
    params(("model" = String, Path, description = "Its name, or `name@version`", example = "mnist-linear")),
    responses((status = 200, description = "Ready", body = ModelReady), Failure)
)]
pub(in crate::http) async fn model_ready(
    state: Data<AppState>,
    access: Data<Access>,
    _caller: Caller,
    request: HttpRequest,
) -> Result<Json<ModelReady>, ApiError> {
    state.models().named(&request)?;
    health::check(&state, &access).await?;
    Ok(Json(ModelReady {
        name: name(&request),
        ready: true,
    }))
}

/// Reports whether a version of a model can be scored.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}/ready",
    tag = "open inference protocol",
    security(("token" = [])),
    params(
        ("model" = String, Path, description = "Its name", example = "mnist-linear"),
        ("version" = String, Path, description = "Its version", example = "1"),
    ),
    responses((status = 200, description = "Ready", body = ModelReady), Failure)
)]
pub(in crate::http) async fn version_ready(
    state: Data<AppState>,
    access: Data<Access>,
    caller: Caller,
    request: HttpRequest,
) -> Result<Json<ModelReady>, ApiError> {
    model_ready(state, access, caller, request).await
}

/// Returns the model's name in the path.
fn name(request: &HttpRequest) -> String {
    request.match_info().get("model").unwrap_or_default().to_owned()
}
