//! Environment variables with the prefix `BLINDSCORE_`, which all programs share.

/// Prefix of every variable.
pub const PREFIX: &str = "BLINDSCORE_";

/// Variables of the program `blindscore`. They may be set where a server starts, which refuses
/// variables that nobody knows.
pub const CLIENT_VARIABLES: [&str; 10] = [
    "BLINDSCORE_URL",
    "BLINDSCORE_MODEL",
    "BLINDSCORE_MODEL_ID",
    "BLINDSCORE_MODELS_DIR",
    "BLINDSCORE_MNIST_DIR",
    "BLINDSCORE_KEY",
    "BLINDSCORE_TOKEN",
    "BLINDSCORE_CA_CERT",
    "BLINDSCORE_TIMEOUT",
    "BLINDSCORE_MAX_WAIT",
];
