use crate::{ClientError, ClientKey};
use blindscore_protocol::{
    descriptor::{Link, ModelDescriptor, Task},
    ring::product_coefficient,
    wire::{QueryId, Response},
};

/// A decrypted answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// One score for each output, in the model's own units.
    pub scores: Vec<f64>,
    /// The scores through the model's link function: one for each output, or for each of two classes; none if the link is the identity.
    pub probabilities: Vec<f64>,
    /// The class that the scores decide for; none if the model doesn't classify.
    pub decision: Option<Decision>,
}

/// One of a model's classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Position of the largest score. Where one score decides between two classes, 1 if it is positive.
    pub index: usize,
    /// The class's name.
    pub label: String,
}

impl ClientKey {
    /// Decrypts the response of `model` to a query.
    ///
    /// # Errors
    /// If the response is damaged, or answers another query, or names another key or another version of the model. That finds accidents: a
    /// server that deviates can make any key's holder decrypt any scores.
    pub fn decrypt(
        &self,
        model: &ModelDescriptor,
        query: QueryId,
        blob: &[u8],
    ) -> Result<Scores, ClientError> {
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
        let ring = self.score_ring();
        let scores = model.outputs.iter().enumerate().map(|(c, output)| {
            let (mask, position) = response.place(c);
            let polynomials = mask
                .chunks_exact(ring.size.0)
                .zip(ring.secret.chunks_exact(ring.size.0));
            let phase = polynomials.fold(response.bodies[c], |phase, (mask, secret)| {
                phase.wrapping_sub(product_coefficient(mask, secret, position))
            });
            output.offset + output.half_range * (phase as i64 as f64 / 2f64.powi(63))
        });
        Ok(Scores::new(model, scores.collect()))
    }
}

impl Scores {
    /// What a model's scores, one for each output, say: probabilities and decision.
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
        Self {
            scores,
            probabilities,
            decision,
        }
    }

    /// Position of the class that is decided for.
    pub fn index(&self) -> Option<usize> {
        self.decision.as_ref().map(|decision| decision.index)
    }

    /// Name of the class that is decided for.
    pub fn label(&self) -> Option<&str> {
        self.decision.as_ref().map(|decision| decision.label.as_str())
    }
}

/// Applies a link function; the identity gives no probabilities.
fn apply(link: Link, scores: &[f64]) -> Vec<f64> {
    let sigmoid = || {
        scores
            .iter()
            .map(|s| 1.0 / (1.0 + (-s).exp()))
            .collect::<Vec<f64>>()
    };
    match link {
        Link::Identity => Vec::new(),
        Link::Sigmoid => sigmoid(),
        Link::OneVsRest => normalised(sigmoid()),
        Link::Softmax => {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            normalised(scores.iter().map(|s| (s - largest).exp()).collect())
        }
    }
}

/// Divides by the sum; where all are zero, all are alike.
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
