//! The thin layer that `wasm-bindgen` shows to JavaScript. The npm package's shell wraps it; nobody else should call it.

// wasm-bindgen exports what is public, from wherever it stands.
#![allow(unreachable_pub)]

use crate::{ClientError, ClientKey, drawing};
use blindscore_protocol::descriptor::ModelDescriptor;
use wasm_bindgen::prelude::*;
use web_sys::ImageData;

/// A JavaScript `Error` with a `code`.
fn throw(code: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    // Setting a property of an object made here can't fail.
    let _ = js_sys::Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

impl From<ClientError> for JsValue {
    fn from(error: ClientError) -> Self {
        throw(error.code(), &error.to_string())
    }
}

/// A parsed model descriptor.
#[wasm_bindgen]
pub struct Model(ModelDescriptor);

#[wasm_bindgen]
impl Model {
    /// Parses the JSON text that the server gave.
    #[wasm_bindgen(constructor)]
    pub fn new(json: &str) -> Result<Model, JsValue> {
        let descriptor: ModelDescriptor = serde_json::from_str(json).map_err(|error| {
            throw(
                "unsupported_model",
                &format!("the model descriptor can't be read: {error}"),
            )
        })?;
        descriptor.parse().map_err(ClientError::from)?;
        Ok(Self(descriptor))
    }
}

/// A secret key.
#[wasm_bindgen]
pub struct SecretKey(ClientKey);

#[wasm_bindgen]
impl SecretKey {
    /// A new secret key with its first public key.
    pub fn generate(model: &Model) -> Result<KeyPair, JsValue> {
        let set = model.0.parse().map_err(ClientError::from)?;
        let (key, public) = ClientKey::generate(set).map_err(ClientError::from)?;
        Ok(KeyPair {
            secret: Some(Self(key)),
            public: public.to_blob().0,
        })
    }

    /// Reads an exported key.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(bytes: &[u8]) -> Result<SecretKey, JsValue> {
        Ok(Self(ClientKey::from_bytes(bytes)?))
    }

    /// The exported form.
    #[wasm_bindgen(js_name = toBytes)]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }

    /// A new public key for this secret key; the key id changes.
    #[wasm_bindgen(js_name = renewPublicKey)]
    pub fn renew_public_key(&mut self) -> Result<Vec<u8>, JsValue> {
        Ok(self
            .0
            .renew_public_key(|_| ())
            .map_err(ClientError::from)?
            .to_blob()
            .0)
    }

    /// Id of the public key last made, in hexadecimal.
    #[wasm_bindgen(js_name = keyId)]
    pub fn key_id(&self) -> String {
        self.0.key_id().to_string()
    }

    /// A query blob.
    pub fn encrypt(&self, model: &Model, features: &[f64]) -> Result<Vec<u8>, JsValue> {
        Ok(self.0.encrypt(&model.0, features)?)
    }

    /// `[index, score 0, ..., probability 0, ...]` of a response blob.
    pub fn decrypt(&self, model: &Model, response: &[u8]) -> Result<Vec<f64>, JsValue> {
        let scores = self.0.decrypt(&model.0, response)?;
        let mut flat = vec![scores.index as f64];
        flat.extend(scores.scores);
        flat.extend(scores.probabilities);
        Ok(flat)
    }
}

/// What [`SecretKey::generate`] made.
#[wasm_bindgen]
pub struct KeyPair {
    secret: Option<SecretKey>,
    public: Vec<u8>,
}

#[wasm_bindgen]
impl KeyPair {
    /// The public key blob.
    #[wasm_bindgen(js_name = publicKey)]
    pub fn public_key(&self) -> Vec<u8> {
        self.public.clone()
    }

    /// The secret key; only the first call has it.
    #[wasm_bindgen(js_name = takeSecretKey)]
    pub fn take_secret_key(&mut self) -> Option<SecretKey> {
        self.secret.take()
    }
}

/// 28x28 pixels like MNIST's from ink of any size, or nothing if there is no ink.
#[wasm_bindgen(js_name = normalizeDrawing)]
pub fn normalize_drawing(ink: &[u8], width: usize, height: usize) -> Option<Vec<u8>> {
    drawing::normalize(ink, width, height)
}

/// The same from a canvas: ink is what is dark and opaque.
#[wasm_bindgen(js_name = normalizeImageData)]
pub fn normalize_image_data(image: &ImageData) -> Option<Vec<u8>> {
    let ink: Vec<u8> = image
        .data()
        .chunks_exact(4)
        .map(|rgba| drawing::ink([rgba[0], rgba[1], rgba[2], rgba[3]]))
        .collect();
    drawing::normalize(&ink, image.width() as usize, image.height() as usize)
}
