//! Decryption of responses.

use crate::{ClientError, ClientKey};
use blindscore_protocol::{
    descriptor::{Link, Model, ModelDescriptor, Task},
    polynomial::product_coefficient,
    wire::{QueryId, Response},
};

/// Decrypted response.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Scores in the model's own units, one per output.
    pub scores: Vec<f64>,
    /// Probabilities from the model's link function: one per output, or one for each of two classes.
    /// Empty if the link gives none.
    pub probabilities: Vec<f64>,
    /// Values of a regression: the scores, or `exp` of them behind a log link. Empty for other tasks.
    pub values: Vec<f64>,
    /// Class that the scores decide for; `None` if the model doesn't classify.
    pub decision: Option<Decision>,
}

/// Decision for one of a model's classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Position of the largest score. If one score decides between two classes: 1 if it is
    /// positive, otherwise 0.
    pub index: usize,
    /// Name of the class.
    pub label: String,
}

impl ClientKey {
    /// Decrypts the response of `model` to a query.
    ///
    /// # Errors
    /// If the response is damaged, answers another query, or names another key or another version
    /// of the model. These checks find accidents: a server that deviates can make the holder of any
    /// key decrypt any scores.
    pub fn decrypt(&self, model: &Model, query: QueryId, blob: &[u8]) -> Result<Scores, ClientError> {
        let set = self.check_parameters(model)?;
        let response = Response::from_blob(blob, set.response_format(), model.outputs.len())?;
        if response.key != self.key_id() {
            return Err(ClientError::WrongKey {
                expected: self.key_id(),
                found: response.key,
            });
        }
        if response.model != model.id {
            return Err(ClientError::WrongModel {
                expected: model.id,
                found: response.model,
            });
        }
        if response.query != query {
            return Err(ClientError::WrongQuery);
        }
        let key = self.score_key();
        let scores = model.outputs.iter().enumerate().map(|(c, output)| {
            let (mask, position) = response.place(c);
            let polynomials = mask
                .chunks_exact(key.size.0)
                .zip(key.bits.chunks_exact(key.size.0));
            let phase = polynomials.fold(response.bodies[c], |phase, (mask, secret)| {
                phase.wrapping_sub(product_coefficient(mask, secret, position))
            });
            output.offset + output.half_range * (phase as i64 as f64 / 2f64.powi(63))
        });
        Ok(Scores::new(model, scores.collect()))
    }
}

impl Scores {
    /// Derives probabilities and decision from a model's scores, one per output.
    pub fn new(model: &ModelDescriptor, scores: Vec<f64>) -> Self {
        let probabilities = apply(model.link, &scores);
        let decided = |index: usize, label: &String| Decision {
            index,
            label: label.clone(),
        };
        let (decision, probabilities) = match (model.task, &model.classes, scores.as_slice()) {
            (Task::Classification, Some(classes), [score]) => {
                let index = usize::from(*score > 0.0);
                let both = probabilities.iter().flat_map(|p| [1.0 - p, *p]).collect();
                (Some(decided(index, &classes[index])), both)
            }
            (Task::Classification, ..) => {
                let labelled = scores.iter().zip(&model.outputs).enumerate();
                let best = labelled.max_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b));
                let decision = best.map(|(index, (_, output))| decided(index, &output.label));
                (decision, probabilities)
            }
            (Task::Multilabel | Task::Regression, ..) => (None, probabilities),
        };
        let values = match (model.task, model.link) {
            (Task::Regression, Link::Exp) => scores.iter().map(|score| score.exp()).collect(),
            (Task::Regression, _) => scores.clone(),
            (Task::Classification | Task::Multilabel, _) => Vec::new(),
        };
        Self {
            scores,
            probabilities,
            values,
            decision,
        }
    }

    /// Returns the position of the chosen class.
    pub fn index(&self) -> Option<usize> {
        self.decision.as_ref().map(|decision| decision.index)
    }

    /// Returns the name of the chosen class.
    pub fn label(&self) -> Option<&str> {
        self.decision.as_ref().map(|decision| decision.label.as_str())
    }
}

/// Returns the probabilities of a link function; the identity and `exp` give none.
fn apply(link: Link, scores: &[f64]) -> Vec<f64> {
    let sigmoid = || {
        scores
            .iter()
            .map(|s| 1.0 / (1.0 + (-s).exp()))
            .collect::<Vec<f64>>()
    };
    match link {
        Link::Identity | Link::Exp => Vec::new(),
        Link::Sigmoid => sigmoid(),
        Link::OneVsRest => normalised(sigmoid()),
        Link::Softmax => {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            normalised(scores.iter().map(|s| (s - largest).exp()).collect())
        }
    }
}

/// Divides by the sum; if all weights are zero, they become equal.
fn normalised(weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 {
        weights.iter().map(|w| w / sum).collect()
    } else {
        vec![1.0 / weights.len() as f64; weights.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        let soft = apply(Link::Softmax, &[1000.0, 1000.0, -1000.0]);
        assert!((soft[0] - 0.5).abs() < 1e-12 && soft[2] < 1e-12);
        assert_eq!(apply(Link::Sigmoid, &[0.0]), [0.5]);
        assert_eq!(apply(Link::Identity, &[-3.5]), [0.0; 0]);
        let rest = apply(Link::OneVsRest, &[0.0, 0.0, -1000.0]);
        assert_eq!(rest, [0.5, 0.5, 0.0]);
        assert_eq!(apply(Link::OneVsRest, &[-1000.0; 4]), [0.25; 4]);
    }
}
