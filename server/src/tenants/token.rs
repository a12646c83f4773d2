//! Tokens and their hashes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// Prefix of tokens, by which scanners for leaked secrets recognize them.
const PREFIX: &str = "bsk_";
/// Random bytes in a token: too many to guess, so a single SHA-256 hides it well enough.
const ENTROPY: usize = 32;

/// Secret that authenticates a tenant's requests.
pub struct Token(SecretString);

/// SHA-256 of a token, the only form that is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TokenHash([u8; 32]);

impl Token {
    /// Generates a random token.
    ///
    /// # Errors
    /// Fails if the platform provides no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; ENTROPY];
        getrandom::getrandom(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into()))
    }

    /// Returns the token's text, which its owner sees once.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl TokenHash {
    /// Hashes the token that a request presents.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Compares two hashes in constant time.
    pub fn is(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }

    /// Returns the first digits as a short public id.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}..)", self.short())
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for TokenHash {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_hashes_tell_them_apart() {
        let (one, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), PREFIX.len() + 43);
        let hash = TokenHash::of(one.reveal());
        assert!(bool::from(hash.is(&TokenHash::of(one.reveal()))));
        assert!(!bool::from(hash.is(&TokenHash::of(other.reveal()))));
        assert!(!String::from(hash).contains(one.reveal()));
    }
}
