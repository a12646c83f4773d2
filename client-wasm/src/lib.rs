//! WebAssembly bindings of Blindscore's client. The npm package in `npm/` wraps them; nothing else
//! should call them. Empty unless built for `wasm32`.

#![cfg(target_arch = "wasm32")]
// wasm-bindgen exports every public item, wherever it is.
#![allow(unreachable_pub)]

mod host;

use blindscore_client::{
    Cell, ClientError, ClientKey, Encoder, EvaluationKeyGeneration, check_features, drawing,
};
use blindscore_protocol::{
    descriptor::{self, DESCRIPTOR_BYTES, ModelDescriptor, ModelPin},
    params::ParameterSet,
    wire::QueryId,
};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::ImageData;
use zeroize::Zeroizing;

/// A JavaScript `Error` with a `code`.
pub struct Thrown(js_sys::Error);

impl Thrown {
    fn new(code: &str, message: &str) -> Self {
        let error = js_sys::Error::new(message);
        // Setting a property of an object made here can't fail.
        let _ = js_sys::Reflect::set(&error, &"code".into(), &code.into());
        Self(error)
    }
}

impl From<ClientError> for Thrown {
    fn from(error: ClientError) -> Self {
        Self::new(error.code(), &error.to_string())
    }
}

impl From<Thrown> for JsValue {
    fn from(thrown: Thrown) -> Self {
        thrown.0.into()
    }
}

/// Parsed model descriptor, and the encoder of its records.
#[wasm_bindgen]
pub struct Model {
    model: descriptor::CheckedDescriptor,
    encoder: Encoder,
}

#[wasm_bindgen]
impl Model {
    /// Reads the JSON that the server sent, as the host's `JSON.parse` gives it.
    #[wasm_bindgen(constructor)]
    pub fn new(json: &JsValue) -> Result<Model, Thrown> {
        let descriptor = host::json(json).and_then(ModelDescriptor::from_json);
        let descriptor = descriptor.map_err(|problem| {
            Thrown::new(
                "unsupported_model",
                &format!("the model descriptor can't be read: {problem}"),
            )
        })?;
        let model: descriptor::CheckedDescriptor = descriptor.try_into().map_err(ClientError::from)?;
        Ok(Self {
            encoder: Encoder::new(&model.inputs),
            model,
        })
    }

    /// Returns the features of a record, given as one number per column, NaN if it is missing, and
    /// an array with the texts of the columns that have one.
    pub fn encode(&self, numbers: &[f64], texts: &Array) -> Result<Vec<f64>, Thrown> {
        let cell = |(number, text): (&f64, JsValue)| match text.as_string() {
            Some(text) => Cell::Text(text.into()),
            None if number.is_nan() => Cell::Missing,
            None => Cell::Number(*number),
        };
        let cells: Vec<Cell<'_>> = numbers.iter().zip(texts.iter()).map(cell).collect();
        let features = self.encoder.encode(&cells).map_err(ClientError::from)?;
        Ok(features.to_vec())
    }

    /// Refuses features that can't be encrypted for this model.
    pub fn check(&self, features: &[f64]) -> Result<(), Thrown> {
        Ok(check_features(&self.model.inputs, features)?)
    }

    /// Returns the size of a response in bytes, whatever the server claims.
    #[wasm_bindgen(js_name = responseBytes)]
    pub fn response_bytes(&self) -> usize {
        self.model.blob_sizes().response
    }

    /// Returns the maximum number of queries in one request.
    #[wasm_bindgen(js_name = queriesPerRequest)]
    pub fn queries_per_request(&self) -> usize {
        self.model.queries_per_request()
    }

    /// Describes how the model differs from an agreed one in what is agreed to.
    pub fn difference(&self, agreed: &Model) -> Option<String> {
        self.model.difference(&agreed.model)
    }

    /// Returns the pin: the model's id and a fingerprint of what is agreed to.
    pub fn pin(&self) -> String {
        self.model.pin().to_string()
    }
}

/// Pin of the exact model that a caller wants.
#[wasm_bindgen]
pub struct Pin(ModelPin);

#[wasm_bindgen]
impl Pin {
    /// Parses an id, with or without a fingerprint.
    #[wasm_bindgen(constructor)]
    pub fn new(text: &str) -> Result<Pin, Thrown> {
        match text.parse() {
            Ok(pin) => Ok(Self(pin)),
            Err(error) => Err(Thrown::new(
                "malformed_id",
                &format!("{text:?} pins no model: {error}"),
            )),
        }
    }

    /// Returns why a model is not the pinned one.
    pub fn refusal(&self, model: &Model) -> Option<String> {
        self.0.refusal(&model.model)
    }
}

/// A client's secret key.
#[wasm_bindgen]
pub struct SecretKey(ClientKey);

#[wasm_bindgen]
impl SecretKey {
    /// Generates a secret key, without a public key.
    pub fn generate(model: &Model) -> Result<SecretKey, Thrown> {
        let secret = ClientKey::generate_secret(model.model.parameters()).map_err(ClientError::from)?;
        Ok(Self(secret))
    }

    /// Reads an exported key. Takes a `Vec` so that this function owns the copy in WebAssembly's
    /// memory and can wipe it; a slice couldn't be wiped.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(bytes: Vec<u8>) -> Result<SecretKey, Thrown> {
        let bytes = Zeroizing::new(bytes);
        Ok(Self(ClientKey::from_bytes(&bytes)?))
    }

    /// Returns the exported form, in JavaScript's memory only: a `Vec` would leave a copy in
    /// WebAssembly's memory.
    #[wasm_bindgen(js_name = toBytes)]
    pub fn to_bytes(&self) -> Uint8Array {
        Uint8Array::from(self.0.to_bytes().as_slice())
    }

    /// Starts a new public key for this secret key.
    #[wasm_bindgen(js_name = startPublicKey)]
    pub fn start_evaluation_key(&self) -> Result<KeyGeneration, Thrown> {
        Ok(KeyGeneration(
            self.0.start_evaluation_key().map_err(ClientError::from)?,
        ))
    }

    /// Finishes the public key and returns its blob; the key id changes.
    #[wasm_bindgen(js_name = finishPublicKey)]
    pub fn finish_public_key(&mut self, generation: KeyGeneration) -> Vec<u8> {
        self.0.finish_evaluation_key(generation.0).1
    }

    /// Returns the id of the last public key made, in hexadecimal.
    #[wasm_bindgen(js_name = keyId)]
    pub fn key_id(&self) -> String {
        self.0.key_id().to_string()
    }

    /// Encrypts features into a query blob.
    pub fn encrypt(&self, model: &Model, features: &[f64]) -> Result<Vec<u8>, Thrown> {
        Ok(self.0.encrypt(&model.model, features)?)
    }

    /// Decrypts the response blob to a query blob into `[index, score 0, ..., probability 0, ...,
    /// value 0, ...]`. The index is -1 if the model doesn't decide between classes.
    pub fn decrypt(&self, model: &Model, query: &[u8], response: &[u8]) -> Result<Vec<f64>, Thrown> {
        let query = QueryId::of(query).map_err(ClientError::from)?;
        let scores = self.0.decrypt(&model.model, query, response)?;
        let mut flat = vec![scores.index().map_or(-1.0, |index| index as f64)];
        flat.extend(scores.scores);
        flat.extend(scores.probabilities);
        flat.extend(scores.values);
        Ok(flat)
    }
}

/// Public key that is being generated.
#[wasm_bindgen]
pub struct KeyGeneration(EvaluationKeyGeneration);

#[wasm_bindgen]
impl KeyGeneration {
    /// Generates `count` more groups of ciphertexts and returns the share that is done.
    pub fn advance(&mut self, count: usize) -> f64 {
        self.0.advance(count)
    }
}

/// Returns the maximum size of a model's descriptor as JSON, in bytes.
#[wasm_bindgen(js_name = descriptorBytes)]
pub fn descriptor_bytes() -> usize {
    DESCRIPTOR_BYTES
}

/// Returns the names of the parameter sets of earlier versions, whose keys can't be used any more.
#[wasm_bindgen(js_name = retiredParameterSets)]
pub fn retired_parameter_sets() -> Vec<String> {
    ParameterSet::RETIRED.map(str::to_owned).to_vec()
}

/// Converts ink of any size to 28x28 pixels like MNIST's. Returns nothing if there is no ink.
#[wasm_bindgen(js_name = normalizeDrawing)]
pub fn normalize_drawing(ink: &[u8], width: usize, height: usize) -> Option<Vec<u8>> {
    drawing::normalize(ink, width, height)
}

/// Does the same for a canvas, where ink is dark and opaque.
#[wasm_bindgen(js_name = normalizeImageData)]
pub fn normalize_image_data(image: &ImageData) -> Option<Vec<u8>> {
    let ink: Vec<u8> = image
        .data()
        .chunks_exact(4)
        .map(|rgba| drawing::ink([rgba[0], rgba[1], rgba[2], rgba[3]]))
        .collect();
    drawing::normalize(&ink, image.width() as usize, image.height() as usize)
}
