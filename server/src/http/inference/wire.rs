//! The JSON of an inference request.

use super::data::Data;
use blindscore_protocol::ids::KeyId;
use serde::Deserialize;
use utoipa::ToSchema;

/// Inference request of the Open Inference Protocol. Binary data may follow the JSON.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InferenceRequest)]
pub(in crate::http) struct WireRequest<'a> {
    /// Identifier, which the response repeats.
    #[schema(max_length = 1000)]
    pub(super) id: Option<String>,
    /// The model in the path.
    pub(super) model_name: Option<String>,
    /// The version that is served.
    pub(super) model_version: Option<String>,
    #[schema(inline)]
    pub(super) parameters: Option<RequestParameters>,
    /// The only input, `query`.
    #[serde(borrow)]
    #[schema(inline, min_items = 1, max_items = 1)]
    pub(super) inputs: Vec<Input<'a>>,
    /// The only output, `response`; it is also returned without being requested.
    #[schema(inline, max_items = 1)]
    pub(super) outputs: Option<Vec<Output>>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestParameters {
    /// Key that the queries were encrypted for; the header `Blindscore-Key` is as good.
    #[schema(value_type = Option<KeyId>)]
    pub(super) key_id: Option<String>,
    /// Whether outputs are binary unless they say otherwise.
    pub(super) binary_data_output: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input<'a> {
    #[schema(pattern = "^query$")]
    pub(super) name: String,
    /// `[n]` or `[n, 1]`.
    #[schema(min_items = 1, max_items = 2)]
    pub(super) shape: Vec<u64>,
    #[schema(pattern = "^BYTES$")]
    pub(super) datatype: String,
    #[schema(inline)]
    pub(super) parameters: Option<InputParameters>,
    /// Query blobs in base64; absent if they follow the JSON.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 64)]
    pub(super) data: Option<Data<'a>>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InputParameters {
    /// Length of the binary data after the JSON: each blob behind its length in four bytes, the
    /// lowest first.
    pub(super) binary_data_size: Option<u64>,
    #[schema(pattern = "^base64$")]
    pub(super) content_type: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    #[schema(pattern = "^response$")]
    pub(super) name: String,
    #[schema(inline)]
    pub(super) parameters: Option<OutputParameters>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputParameters {
    /// Whether the response blobs follow the JSON instead of standing in it as base64.
    pub(super) binary_data: Option<bool>,
}
