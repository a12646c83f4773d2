//! What a caller learns while work goes on.

/// Shows notes and progress to the user.
pub trait Progress: Send + Sync {
    /// Shows a line that stays, such as why a request is repeated.
    fn note(&self, text: &str);

    /// Begins a stage of work, which ends when the result is dropped.
    fn begin(&self, stage: Stage) -> Box<dyn Share>;
}

/// Work that takes long enough to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Making an evaluation key; its share is known.
    MakingKey,
    /// Uploading an evaluation key.
    UploadingKey,
    /// Uploading a model file.
    UploadingModel,
}

/// A stage of work that was begun.
pub trait Share {
    /// Sets the share that is done, from 0 to 1.
    fn set(&self, share: f64);
}

impl Stage {
    /// Returns a description for the user.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::MakingKey => "making the public key",
            Self::UploadingKey => "uploading the public key",
            Self::UploadingModel => "uploading the model",
        }
    }
}
