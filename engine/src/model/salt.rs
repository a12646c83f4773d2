//! Salts of model ids.

use super::ModelError;
use blindscore_protocol::random::EntropyError;

/// Secret salt of a model's id, so that the id can't confirm guesses of the weights. It stays in
/// the model file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salt(String);

impl Salt {
    /// Metadata entry in a model file.
    pub const ENTRY: &str = "salt";

    /// Returns the empty salt, for models with public weights.
    pub const fn none() -> Self {
        Self(String::new())
    }

    /// Generates a salt of 128 bits.
    ///
    /// # Errors
    /// If the platform provides no randomness.
    pub fn fresh() -> Result<Self, EntropyError> {
        let mut bytes = [0; 16];
        getrandom::getrandom(&mut bytes).map_err(EntropyError::from)?;
        Ok(Self(hex::encode(bytes)))
    }

    /// Parses the entry of a model file.
    pub(super) fn parse(text: &str) -> Result<Self, ModelError> {
        if text.len() != 32 || hex::decode(text).is_err() {
            return Err(ModelError::field(Self::ENTRY, "is not 32 hexadecimal digits"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text form, empty without a salt.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
