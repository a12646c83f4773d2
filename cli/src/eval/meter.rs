//! Measurement of encrypted answers: their errors, times and sizes.

use blindscore_client::{ClientKey, Scores};
use blindscore_engine::{PreparedKey, model::Model};
use blindscore_protocol::wire::{EvaluationKey, Query};
use serde::Serialize;
use std::time::Instant;

/// Number of keys generated, for the median of their times.
const KEYS: usize = 5;

/// Measurements. Times are medians in milliseconds.
#[derive(Serialize)]
pub(super) struct Measured {
    /// Largest difference between a decrypted and a plain score; nothing if only the label is sent.
    max_score_error: Option<f64>,
    /// Root mean square of these differences.
    rms_score_error: Option<f64>,
    keygen_ms: f64,
    encrypt_ms: f64,
    score_ms: f64,
    /// Number of threads that computed a score.
    score_threads: usize,
    decrypt_ms: f64,
    key_bytes: usize,
    query_bytes: usize,
    response_bytes: usize,
}

/// A model with a key of its own, through which rows are scored as a client and a server would.
pub(super) struct Meter<'m> {
    model: &'m Model,
    client: ClientKey,
    key: PreparedKey,
    key_bytes: usize,
    /// Differences between decrypted and plain scores.
    pub(super) errors: Vec<f64>,
    keygen: Vec<f64>,
    encrypt: Vec<f64>,
    score: Vec<f64>,
    decrypt: Vec<f64>,
}

impl<'m> Meter<'m> {
    /// Generates the key.
    pub(super) fn new(model: &'m Model) -> anyhow::Result<Self> {
        let mut keygen = vec![];
        let (client, blob) = loop {
            let (client, public) = timed(&mut keygen, || ClientKey::generate(model.parameters()))?;
            if keygen.len() == KEYS {
                break (client, public.to_blob().0);
            }
        };
        Ok(Self {
            model,
            client,
            key: PreparedKey::new(&EvaluationKey::from_blob(&blob)?),
            key_bytes: blob.len(),
            errors: vec![],
            keygen,
            encrypt: vec![],
            score: vec![],
            decrypt: vec![],
        })
    }

    /// Encrypts features, scores and decrypts them. `plain` are their scores in the clear.
    pub(super) fn answer(&mut self, features: &[f64], plain: &[f64]) -> anyhow::Result<Scores> {
        let (model, descriptor) = (self.model, self.model.descriptor());
        let query = timed(&mut self.encrypt, || self.client.encrypt(descriptor, features))?;
        let (id, response) = timed(&mut self.score, || -> anyhow::Result<_> {
            let format = model.parameters().query_format();
            let query = Query::from_blob(&query, format, descriptor.sent_features())?;
            Ok((query.id, model.engine().score(&query, &self.key)?.to_blob()))
        })?;
        let answer = timed(&mut self.decrypt, || {
            self.client.decrypt(descriptor, id, &response)
        })?;
        let errors = answer
            .scores
            .iter()
            .zip(plain)
            .map(|(score, plain)| score - plain);
        self.errors.extend(errors);
        Ok(answer)
    }

    /// Returns what was measured.
    pub(super) fn measured(self) -> Measured {
        let squares: f64 = self.errors.iter().map(|error| error * error).sum();
        let (sizes, sent) = (
            self.model.descriptor().sizes,
            self.model.descriptor().answer.is_scores(),
        );
        Measured {
            max_score_error: sent.then(|| self.errors.iter().map(|error| error.abs()).fold(0.0, f64::max)),
            rms_score_error: sent.then(|| (squares / self.errors.len() as f64).sqrt()),
            keygen_ms: median(self.keygen),
            encrypt_ms: median(self.encrypt),
            score_ms: median(self.score),
            score_threads: self.model.engine().threads(),
            decrypt_ms: median(self.decrypt),
            key_bytes: self.key_bytes,
            query_bytes: sizes.query,
            response_bytes: sizes.response,
        }
    }
}

impl Measured {
    /// Prints the measurements, one per line.
    pub(super) fn print(&self) {
        if let (Some(most), Some(rms)) = (self.max_score_error, self.rms_score_error) {
            println!("score error         {most:.2e} at most, {rms:.2e} rms");
        }
        println!(
            "keys                {:.2} ms, {} bytes to upload",
            self.keygen_ms, self.key_bytes
        );
        println!(
            "encrypt             {:.2} ms, {} bytes",
            self.encrypt_ms, self.query_bytes
        );
        println!("score               {:.2} ms", self.score_ms);
        println!(
            "decrypt             {:.2} ms, {} bytes",
            self.decrypt_ms, self.response_bytes
        );
        println!(
            "(times are medians; score: {} threads, all else: one)",
            self.score_threads
        );
    }
}

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    times.push(start.elapsed().as_secs_f64() * 1e3);
    result
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
