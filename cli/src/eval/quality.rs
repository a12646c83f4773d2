//! How right answers are, and how far two models' answers are apart.

use super::{
    answers::{Answer, Answers, classes, columns},
    metrics::{area_under_roc, log_loss, r2, root_mean_square},
};
use blindscore_client::Scores;
use blindscore_protocol::descriptor::{Link, ModelDescriptor, Task};
use serde::Serialize;

/// Compares values with the right ones.
type Measure<'m> = &'m dyn Fn(&[f64], &[f64]) -> Option<f64>;

/// How right answers are. What a task doesn't have, or the rows don't show, is left out.
#[derive(Serialize, Default)]
pub(super) struct Quality {
    /// Share of rows with the right class, or with the right set of labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accuracy: Option<f64>,
    /// Share of right decisions, over all rows and labels of a multilabel model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label_accuracy: Option<f64>,
    /// Mean of `-ln p` of the right class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_loss: Option<f64>,
    /// Area under the ROC curve; for several classes or labels the mean of each against the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auc: Option<f64>,
    /// Coefficient of determination, mean over the targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r2: Option<f64>,
    /// Root mean square of the errors, mean over the targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rmse: Option<f64>,
}

/// How far two models' answers are apart.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Difference {
    /// Number of rows with the same class or set of labels.
    Decisions { decided_alike: usize },
    /// Largest difference of a value.
    Values { max_difference: f64 },
}

impl Difference {
    pub(super) fn of(task: Task, ours: &[Answer], theirs: &[Answer]) -> Self {
        let pairs = ours.iter().zip(theirs);
        match task {
            Task::Regression => Self::Values {
                max_difference: pairs
                    .flat_map(|(ours, theirs)| ours.iter().zip(theirs))
                    .map(|(ours, theirs)| (ours - theirs).abs())
                    .fold(0.0, f64::max),
            },
            Task::Classification | Task::Multilabel => Self::Decisions {
                decided_alike: pairs.filter(|(ours, theirs)| ours == theirs).count(),
            },
        }
    }

    pub(super) fn shown(&self, rows: usize) -> String {
        match self {
            Self::Decisions { decided_alike } => format!("{decided_alike} of {rows} rows decided alike"),
            Self::Values { max_difference } => format!("values differ by {max_difference:.2e} at most"),
        }
    }
}

impl Quality {
    pub(super) fn of(model: &ModelDescriptor, answers: &Answers, right: &[Answer]) -> Self {
        let share = |hits: usize, all: usize| Some(hits as f64 / all as f64);
        let alike = answers.decided.iter().zip(right).filter(|(a, b)| a == b).count();
        let column =
            |rows: &[Answer], place: usize| -> Vec<f64> { rows.iter().map(|row| row[place]).collect() };
        let mean = |values: Vec<Option<f64>>| -> Option<f64> {
            let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let outputs = columns(model);
        match model.task {
            Task::Regression => {
                let both = |place| (column(&answers.decided, place), column(right, place));
                let measure = |measure: Measure<'_>| {
                    mean(
                        (0..outputs)
                            .map(both)
                            .map(|(ours, right)| measure(&ours, &right))
                            .collect(),
                    )
                };
                Self {
                    r2: measure(&r2),
                    rmse: measure(&|ours, right| Some(root_mean_square(ours, right))),
                    ..Self::default()
                }
            }
            Task::Multilabel => {
                let cells = answers.decided.iter().flatten().zip(right.iter().flatten());
                let hits = cells.filter(|(a, b)| a == b).count();
                let auc = |label: usize| {
                    let scores: Vec<f64> = answers.scores.iter().map(|scores| scores.scores[label]).collect();
                    let holds: Vec<bool> = right.iter().map(|row| row[label] > 0.0).collect();
                    area_under_roc(&scores, &holds)
                };
                Self {
                    accuracy: share(alike, right.len()),
                    label_accuracy: share(hits, right.len() * outputs),
                    auc: mean(if answers.scores.is_empty() {
                        vec![]
                    } else {
                        (0..outputs).map(auc).collect()
                    }),
                    ..Self::default()
                }
            }
            Task::Classification => {
                let class = |row: &Answer| row[0] as usize;
                let has_shares = answers
                    .scores
                    .first()
                    .is_some_and(|scores| !scores.probabilities.is_empty());
                let of_right = || {
                    let rows = answers.scores.iter().zip(right);
                    rows.map(|(scores, row)| scores.probabilities[class(row)])
                };
                let auc = |positive: usize, ranks: Vec<f64>| {
                    let holds: Vec<bool> = right.iter().map(|row| class(row) == positive).collect();
                    area_under_roc(&ranks, &holds)
                };
                let ranks = |rank: &dyn Fn(&Scores) -> f64| answers.scores.iter().map(rank).collect();
                let each = |rank: &dyn Fn(&Scores, usize) -> f64| {
                    let one = |class| auc(class, ranks(&|scores| rank(scores, class)));
                    mean((0..classes(model).len()).map(one).collect())
                };
                let combined = matches!(model.link, Link::Mean | Link::OneVsOne | Link::Votes);
                let auc = match answers.scores.first().map(|scores| scores.scores.len()) {
                    None => None,
                    Some(_) if combined && has_shares && classes(model).len() == 2 => {
                        auc(1, ranks(&|scores| scores.probabilities[1]))
                    }
                    Some(1) if !combined => auc(1, ranks(&|scores| scores.scores[0])),
                    Some(2) if !combined => auc(1, ranks(&|scores| scores.scores[1] - scores.scores[0])),
                    Some(_) if has_shares => each(&|scores, class| scores.probabilities[class]),
                    Some(_) => None,
                };
                Self {
                    accuracy: share(alike, right.len()),
                    log_loss: has_shares.then(|| log_loss(of_right())),
                    auc,
                    ..Self::default()
                }
            }
        }
    }
}
