//! Measures how well the encrypted model agrees with the plain one on real rows.

use crate::{Calibration, ImportError};
use blindscore_client::{ClientKey, Scores, check_features};
use blindscore_engine::{PreparedKey, model::Model};
use blindscore_protocol::{
    descriptor::{ModelDescriptor, Task},
    wire::Query,
};
use std::time::{Duration, Instant};

/// Measured agreement of both models.
pub struct Agreement {
    /// Number of rows that were encrypted, scored and decrypted.
    pub rows: usize,
    /// Whether the scores decide between classes.
    pub decides: bool,
    /// Number of these rows for which both models decide alike.
    pub same_decision: usize,
    /// Largest difference between scores.
    pub largest_error: f64,
    /// Largest predicted standard deviation of these scores.
    pub deviation: f64,
    /// Number of calibration rows that clients would refuse.
    pub refused: usize,
    /// Number of calibration rows that clients would accept.
    pub accepted: usize,
    /// Median time to score a row.
    pub time: Duration,
    /// Number of threads that scored it.
    pub threads: usize,
}

/// Scores of the fitted model in the clear, for a model that is served in integers, or that doesn't
/// send its scores.
pub(crate) struct Reference<'r> {
    /// Scores of a row of features.
    pub(crate) scores: &'r dyn Fn(&[f64]) -> Vec<f64>,
    /// What the scores mean.
    pub(crate) descriptor: &'r ModelDescriptor,
}

/// Limit on measured errors, as a multiple of the stated error: seven deviations, where six are
/// stated. No score exceeds it by chance.
const MISSED: f64 = 7.0 / 6.0;

impl Agreement {
    /// Refuses a model whose measured error is larger than the one that would be stated.
    pub(crate) fn check(&self, stated: f64) -> Result<(), ImportError> {
        if self.largest_error <= MISSED * stated {
            return Ok(());
        }
        Err(ImportError::Options(format!(
            "an encrypted score was off by {:.2e}, and {stated:.2e} is what would be stated: please report this",
            self.largest_error
        )))
    }
}

/// Scores up to `limit` calibration rows, or one made-up row if there are none, with a fresh key,
/// and compares with the model in the clear, or with the reference. Ends after the first row if
/// that takes longer than `longest`.
pub(crate) fn measure(
    model: &Model,
    reference: Option<Reference<'_>>,
    data: Option<&Calibration>,
    limit: usize,
    longest: Duration,
) -> Result<Agreement, ImportError> {
    let descriptor = model.descriptor();
    let inputs = &descriptor.inputs;
    let (key, public) = ClientKey::generate(model.parameters())?;
    let prepared = PreparedKey::new(&public);
    let made_up = [(0..inputs.count)
        .map(|index| inputs.range(index).0)
        .collect::<Vec<f64>>()];
    let rows = data.map_or(&made_up[..], Calibration::rows);
    let (accepted, refused): (Vec<&Vec<f64>>, Vec<_>) =
        rows.iter().partition(|row| check_features(inputs, row).is_ok());
    // Spread over the file, since it may be sorted.
    let every = accepted.len().div_ceil(limit.max(1)).max(1);
    let mut agreement = Agreement {
        rows: 0,
        decides: descriptor.task == Task::Classification,
        same_decision: 0,
        largest_error: 0.0,
        deviation: 0.0,
        refused: refused.len(),
        accepted: accepted.len(),
        time: Duration::ZERO,
        threads: model.engine().threads(),
    };
    let mut times = Vec::new();
    for row in accepted.into_iter().step_by(every) {
        let query = key.encrypt(descriptor, row)?;
        let query = Query::from_blob(
            &query,
            model.parameters().query_format(),
            model.descriptor().sent_features(),
        )?;
        let started = Instant::now();
        let response = model.engine().score(&query, &prepared)?;
        times.push(started.elapsed());
        let scores = key.decrypt(descriptor, query.id, &response.to_blob())?;
        let (plain, described) = match &reference {
            Some(reference) => ((reference.scores)(row), reference.descriptor),
            None => (model.plain_scores(row), &**descriptor),
        };
        let errors = scores
            .scores
            .iter()
            .zip(&plain)
            .filter(|_| descriptor.answer.is_scores())
            .map(|(score, plain)| (score - plain).abs());
        agreement.largest_error = errors.fold(agreement.largest_error, f64::max);
        agreement.deviation = model
            .deviations(row)
            .into_iter()
            .fold(agreement.deviation, f64::max);
        agreement.rows += 1;
        agreement.same_decision += usize::from(scores.decision == Scores::new(described, plain).decision);
        if times[0] > longest {
            break;
        }
    }
    times.sort();
    agreement.time = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(agreement)
}
