use super::ModelError;
use blindscore_protocol::random::EntropyError;

/// What a model's id is hashed with besides its content, so that the id doesn't help to check guesses of the weights. It stays in the model file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salt(String);

impl Salt {
    /// Name of the entry in a model file.
    pub const ENTRY: &str = "salt";

    /// None: for models whose weights everyone has.
    pub const fn none() -> Self {
        Self(String::new())
    }

    /// A fresh salt of 128 bits.
    ///
    /// # Errors
    /// If the platform gives no randomness.
    pub fn fresh() -> Result<Self, EntropyError> {
        let mut bytes = [0; 16];
        getrandom::getrandom(&mut bytes).map_err(EntropyError::from)?;
        Ok(Self(hex::encode(bytes)))
    }

    /// From a model file's entry.
    pub(super) fn parse(text: &str) -> Result<Self, ModelError> {
        if text.len() != 32 || hex::decode(text).is_err() {
            return Err(ModelError::field(Self::ENTRY, "is not 32 hexadecimal digits"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Its text form; empty for none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
