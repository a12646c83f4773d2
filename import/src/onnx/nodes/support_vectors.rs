//! Support vector machines whose kernel is linear, which are linear models.

use super::Node;
use crate::{
    ImportError,
    onnx::{
        linear::Linear,
        value::{Scores, Value},
    },
};
use blindscore_protocol::descriptor::{pairs, pairs_of};
use std::rc::Rc;

/// Relative error of a coefficient from single precision.
const ROUNDING: f64 = 1.0 / (1 << 25) as f64;
/// Largest error of the scores from rounding, as a share of their range.
const COARSE: f64 = 1e-3;
/// Least range of the scores of a classifier, whose margin is from -1 to 1.
const MARGIN: f64 = 1.0;

/// A support vector and its coefficient.
struct Term<'a> {
    coefficient: f64,
    vector: &'a [f64],
}

impl Node<'_> {
    /// Returns labels and scores of a machine: one score between two classes, or one for each pair
    /// of several.
    pub(super) fn svm_classifier(&self) -> Result<Vec<Value>, ImportError> {
        let [value] = self.operands.as_slice() else {
            return self.refuse(self.what_it_gets());
        };
        let attributes = self.attributes();
        let names = self.class_names("classlabels_ints")?;
        if !attributes.floats("prob_a").is_empty() {
            return self.refuse(
                " with probability=True, whose probabilities don't follow from the decision: fit it without, or use \
                 CalibratedClassifierCV",
            );
        }
        self.check_transform()?;
        if names.len() != 2 {
            let pairs = self.machines(value, names.len())?;
            return Ok(self.pairs_of_classes(pairs.negated(), names));
        }
        // The sum is positive for the first class.
        let linear: Rc<Linear> = self.machine(value, MARGIN)?.negated().with_opposite().into();
        Ok(self
            .classified(linear, None, names)
            .into_iter()
            .map(|value| match value {
                Value::Scores(scores) => Value::MachineScores(scores),
                other => other,
            })
            .collect())
    }

    /// Returns the value of a regression.
    pub(super) fn svm_regressor(&self, value: &Value) -> Result<Value, ImportError> {
        self.check_transform()?;
        if self.attributes().int("one_class", 0) != 0 {
            return self.refuse(" of one class");
        }
        let linear = self.machine(value, 0.0)?;
        Ok(Value::Scores(Scores {
            regression: true,
            ..Scores::raw(linear)
        }))
    }

    fn check_transform(&self) -> Result<(), ImportError> {
        match self.attributes().text("post_transform", "NONE").as_str() {
            "NONE" => Ok(()),
            other => self.refuse(format!(" with post_transform {other}")),
        }
    }

    fn check_kernel(&self) -> Result<(), ImportError> {
        let kernel = self.attributes().text("kernel_type", "LINEAR");
        if kernel != "LINEAR" {
            return self.refuse(format!(
                " with a kernel ({}), which compares each row with training rows; that isn't served. With kernel=\"linear\" it is a linear \
                 model, which is; so is a linear model on features of your own, such as PolynomialFeatures",
                kernel.to_lowercase()
            ));
        }
        Ok(())
    }

    /// Returns the decisions between each pair of classes, positive for the first one. The support
    /// vectors are sorted by class; each has a coefficient for every other class (LIBSVM,
    /// `svm_predict_values`).
    fn machines(&self, value: &Value, classes: usize) -> Result<Linear, ImportError> {
        self.check_kernel()?;
        let attributes = self.attributes();
        let (coefficients, rho) = (attributes.floats("coefficients"), attributes.floats("rho"));
        let vectors = attributes.floats("support_vectors");
        let width = self.width(value)?;
        let counts: Option<Vec<usize>> = attributes
            .ints("vectors_per_class")
            .unwrap_or_default()
            .iter()
            .map(|&count| usize::try_from(count).ok())
            .collect();
        let counts = counts.unwrap_or_default();
        let total = counts
            .iter()
            .try_fold(0usize, |sum, count| sum.checked_add(*count));
        let fits = |total: usize| {
            classes > 2
                && counts.len() == classes
                && Some(vectors.len()) == total.checked_mul(width)
                && Some(coefficients.len()) == total.checked_mul(classes - 1)
                && pairs_of(classes) == Some(rho.len())
        };
        let Some(total) = total.filter(|total| fits(*total)) else {
            return self.refuse(format!(
                " between {classes} classes, of {width} columns, with {} coefficients, {} numbers of support vectors and {} decisions",
                coefficients.len(),
                vectors.len(),
                rho.len()
            ));
        };
        self.check_weights(rho.len(), width)?;
        self.context.work.take(&[vectors.len(), classes, 4])?;
        let starts: Vec<usize> = counts
            .iter()
            .scan(0, |end, count| {
                *end += count;
                Some(*end - count)
            })
            .collect();
        let mut weights = Vec::with_capacity(rho.len().saturating_mul(width));
        for (first, second) in pairs(classes) {
            let of_class = |class: usize, row: usize| {
                (starts[class]..starts[class] + counts[class])
                    .map(move |vector| (row * total + vector, vector))
            };
            let terms = of_class(first, second - 1).chain(of_class(second, first));
            let terms: Vec<Term<'_>> = terms
                .map(|(place, vector)| Term {
                    coefficient: coefficients[place],
                    vector: &vectors[vector * width..(vector + 1) * width],
                })
                .collect();
            weights.extend(self.summed_up(&terms, width, MARGIN)?);
        }
        self.rows(value, &weights, &rho, rho.len())
    }

    /// Returns the sum over the support vectors of their coefficients times their products with
    /// each row, plus `rho`. Without support vectors, the coefficients are the weights.
    fn machine(&self, value: &Value, least_range: f64) -> Result<Linear, ImportError> {
        self.check_kernel()?;
        let attributes = self.attributes();
        let (coefficients, rho) = (attributes.floats("coefficients"), attributes.floats("rho"));
        let vectors = attributes.floats("support_vectors");
        let width = self.width(value)?;
        let weights = if vectors.is_empty() {
            coefficients
        } else {
            if vectors.len() != coefficients.len().saturating_mul(width) {
                return self.refuse(format!(
                    " of {width} columns, with {} coefficients and {} numbers of support vectors",
                    coefficients.len(),
                    vectors.len()
                ));
            }
            self.context.work.take(&[vectors.len(), 4])?;
            let terms = coefficients.iter().zip(vectors.chunks_exact(width));
            let terms = terms.map(|(&coefficient, vector)| Term { coefficient, vector });
            self.summed_up(&terms.collect::<Vec<_>>(), width, least_range)?
        };
        if rho.len() != 1 {
            return self.refuse(format!(" with {} decisions", rho.len()));
        }
        self.rows(value, &weights, &rho, 1)
    }

    /// Returns the sum of the support vectors, each times its coefficient. Refuses sums of which
    /// single precision leaves too few digits, because large terms cancel.
    fn summed_up(&self, terms: &[Term<'_>], width: usize, least_range: f64) -> Result<Vec<f64>, ImportError> {
        let sum = sum_of(terms, width);
        if is_coarse(terms, &sum, least_range) {
            return self.refuse(
                " of numbers that are large, or differ little: its coefficients, in single precision, are too coarse for them. Scale the columns \
                 before it, for example by StandardScaler",
            );
        }
        Ok(sum)
    }
}

fn sum_of(terms: &[Term<'_>], width: usize) -> Vec<f64> {
    let mut sums = vec![0.0; width];
    for Term { coefficient, vector } in terms {
        for (sum, number) in sums.iter_mut().zip(*vector) {
            *sum += coefficient * number;
        }
    }
    sums
}

/// Returns whether scores of the support vectors may be off by more than a small share of their
/// range. Coefficients at their bound are all rounded alike.
fn is_coarse(terms: &[Term<'_>], weights: &[f64], least_range: f64) -> bool {
    let size = |term: &Term<'_>| term.coefficient.abs();
    let bound = terms.iter().map(size).fold(0.0, f64::max);
    let mut free = vec![0.0; weights.len()];
    for Term { coefficient, vector } in terms.iter().filter(|term| size(term) < bound) {
        for (square, number) in free.iter_mut().zip(*vector) {
            *square += (coefficient * number).powi(2);
        }
    }
    // The sums themselves are in double precision.
    let mut sizes = vec![0.0; weights.len()];
    for Term { coefficient, vector } in terms {
        for (size, number) in sizes.iter_mut().zip(*vector) {
            *size += (coefficient * number).abs() * f64::EPSILON / ROUNDING;
        }
    }
    let each = free.iter().zip(weights).zip(&sizes);
    let squares: Vec<f64> = each
        .map(|((free, weight), size)| free + weight * weight + size * size)
        .collect();
    let (mut error, mut least, mut most) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
    for Term { vector, .. } in terms {
        let score: f64 = weights
            .iter()
            .zip(*vector)
            .map(|(weight, number)| weight * number)
            .sum();
        (least, most) = (score.min(least), score.max(most));
        error += squares
            .iter()
            .zip(*vector)
            .map(|(square, number)| square * number * number)
            .sum::<f64>();
    }
    let error = ROUNDING * (error / terms.len().max(1) as f64).sqrt();
    most > least && error > COARSE * (most - least).max(least_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Support vectors at `centre` and around it, of which each pair cancels but for the
    /// difference.
    fn is_coarse_around(centre: f64, free: f64) -> bool {
        let vectors: Vec<[f64; 1]> = (0..20).map(|place| [centre + f64::from(place % 2)]).collect();
        let terms: Vec<Term<'_>> = vectors
            .iter()
            .enumerate()
            .map(|(place, vector)| Term {
                coefficient: if place % 2 == 0 { -1.0 } else { 1.0 } * if place < 18 { 1.0 } else { free },
                vector,
            })
            .collect();
        is_coarse(&terms, &sum_of(&terms, 1), 0.0)
    }

    #[test]
    fn large_numbers_that_cancel_are_coarse() {
        assert!(!is_coarse_around(1.0, 0.5));
        assert!(!is_coarse_around(100.0, 0.5));
        assert!(is_coarse_around(1e5, 0.5));
        assert!(is_coarse_around(1e12, 1.0));
        // All at the bound, and so rounded alike.
        assert!(is_coarse_around(1e4, 0.5) && !is_coarse_around(1e4, 1.0));
    }
}
