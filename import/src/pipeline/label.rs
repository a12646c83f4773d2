//! Models of which only the label is sent.

use super::ensure;
use crate::{ImportError, Settled, Stated, layers::labels::MOST_CLASSES};
use blindscore_client::{Scores, check_features};
use blindscore_engine::model::Model;
use blindscore_protocol::descriptor::Task;

/// Largest share of rows whose label may be decided by less than the error.
const UNDECIDED: f64 = 0.2;
/// Most rows whose labels are checked in the clear.
const MOST_ROWS: usize = 2_000;

/// Refuses a model that has no label of its own to send.
pub(super) fn check_label(settled: &Settled) -> Result<(), ImportError> {
    check_task(settled.task, settled.fitted.coef.len())
}

/// Refuses a task that has no label of its own, or too many scores.
pub(super) fn check_task(task: Task, scores: usize) -> Result<(), ImportError> {
    let problem = match task {
        Task::Regression => "its scores are values, not of classes".to_owned(),
        Task::Multilabel => "it has labels that each hold or not, and no single one".to_owned(),
        Task::Classification if scores > MOST_CLASSES => {
            format!(
                "each pair of its {scores} classes would be compared; up to {MOST_CLASSES} classes are served so"
            )
        }
        Task::Classification => return Ok(()),
    };
    Err(ImportError::Options(format!(
        "--answer label: {problem}. Without it, its scores are served"
    )))
}

/// How close the decisions of a model are of which only the label is sent.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Difference of the two largest scores, or the only score, below which a row may get either
    /// label: six standard deviations.
    pub close: f64,
    /// Number of calibration rows that are so close, and of all.
    pub rows: [usize; 2],
}

impl Label {
    /// Refuses a model of which a row's label in integers isn't that of the fitted one, although it
    /// isn't close, or most of whose decisions are.
    pub(super) fn of(model: &Model, stated: &Stated<'_>, rows: &[Vec<f64>]) -> Result<Self, ImportError> {
        let every = rows.len().div_ceil(MOST_ROWS).max(1);
        let mut checked = rows.iter().enumerate().step_by(every);
        let differs = |(_, row): &(usize, &Vec<f64>)| {
            let ours = Scores::new(model.descriptor(), model.plain_scores(row));
            check_features(&model.descriptor().inputs, row).is_ok() && stated.is_clearly_other(row, &ours)
        };
        if let Some((row, _)) = checked.find(differs) {
            return Err(ImportError::Options(format!(
                "row {} would get another label than by the file's model, which isn't close: please report this as a bug",
                row + 1
            )));
        }
        Self::checked(stated.decisive(rows), stated.undecided(rows))
    }

    /// Refuses a model most of whose decisions are close.
    pub(super) fn checked(close: f64, rows: [usize; 2]) -> Result<Self, ImportError> {
        let label = Self { close, rows };
        let [close, of] = label.rows;
        ensure(close as f64 <= UNDECIDED * of as f64, || {
            format!(
                "--answer label: {close} of {of} rows are decided by less than the error of the comparison, {:.1e}: clients would get other \
                 labels. Serve its scores; or make them further apart beside their largest difference: with scaled features, without outliers in --calibrate, \
                 or with more or deeper trees",
                label.close
            )
        })?;
        Ok(label)
    }
}
