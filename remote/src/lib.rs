//! The connection of Blindscore's native clients, the program `blindscore` and the Python package,
//! to a server: requests with retries, key files, and scoring that recovers from lost keys.
//!
//! Blocking, and safe to share between threads. Everything that a server sends is bounded in size
//! and made safe to show.
//!
//! ```no_run
//! use blindscore_remote::{Api, Cancel, Connection, Key, KeyPlace, Naming, Session};
//! # struct Quiet;
//! # impl blindscore_remote::Progress for Quiet {
//! #     fn note(&self, _: &str) {}
//! #     fn begin(&self, _: blindscore_remote::Stage) -> Box<dyn blindscore_remote::Share> {
//! #         Box::new(Done)
//! #     }
//! # }
//! # struct Done;
//! # impl blindscore_remote::Share for Done { fn set(&self, _: f64) {} }
//! # let progress = std::sync::Arc::new(Quiet);
//!
//! let connection = Connection::new("https://scores.example".parse()?, Naming::Options);
//! let api = Api::new(connection, progress)?;
//! let model = api.model(&"churn".parse()?, None)?;
//! let key = Key::open_or_create(&api, &KeyPlace::Default, &model)?;
//! let session = Session::new(model, key)?;
//! session.ensure_uploaded(&api)?;
//! let row = [39.0, 2.0, 1.0];
//! let scores = session.score(&api, &[Some(&row)], &Cancel::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod api;
mod cache;
mod cancel;
mod connection;
mod error;
mod http;
mod key;
mod keyfile;
mod progress;
mod roots;
mod session;
pub mod text;

pub use api::{Api, PublishedModel, Receipt, ServedModel};
pub use cancel::Cancel;
pub use connection::{Connection, Naming, ServerUrl, UrlError};
pub use error::{HttpError, RemoteError};
pub use key::Key;
pub use keyfile::KeyPlace;
pub use progress::{Progress, Share, Stage};
pub use session::{ScoreError, Session};
