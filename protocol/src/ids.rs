//! Identifiers of keys and models.

use core::{fmt, str::FromStr};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Error for text that is not an identifier in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} lowercase hexadecimal digits")]
pub struct ParseIdError {
    expected: usize,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $pattern:literal) => {
        $(#[$doc])*
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, pattern = $pattern))]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Length of the identifier, in bytes.
            pub const BYTES: usize = $bytes;
            /// All-zero value, which means "none" in a header.
            pub const NONE: Self = Self([0; $bytes]);

            /// Returns the SHA-256 of `content`, truncated to the identifier's length.
            pub fn of(content: &[u8]) -> Self {
                Self::from_digest(&Sha256::digest(content).into())
            }

            /// Returns the identifier for a SHA-256 digest computed elsewhere.
            pub fn from_digest(digest: &[u8; 32]) -> Self {
                let mut bytes = [0; $bytes];
                bytes.copy_from_slice(&digest[..$bytes]);
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let error = ParseIdError { expected: 2 * $bytes };
                if text.len() != 2 * $bytes || text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(error);
                }
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| error)?;
                Ok(Self(bytes))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }
    };
}

identifier! {
    /// Id of a public key: the SHA-256 of its whole blob. Queries, responses and exported secret
    /// keys carry it.
    KeyId, 32, "^[0-9a-f]{64}$"
}

identifier! {
    /// Fingerprint of a model's content as clients see it; every query is bound to one.
    ModelId, 16, "^[0-9a-f]{32}$"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_strict() {
        let id = KeyId::of(b"blob");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "00",
            &id.to_string().to_uppercase(),
            &format!("{id}0"),
            &"zz".repeat(32),
        ] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad:?} was accepted");
        }
    }
}
