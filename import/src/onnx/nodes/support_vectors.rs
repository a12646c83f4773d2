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

impl Node<'_> {
    /// Returns labels and scores of a machine: one score between two classes, or one for each pair of
    /// several.
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
        let linear: Rc<Linear> = self.machine(value)?.negated().with_opposite().into();
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
        let linear = self.machine(value)?;
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
        self.context.work.take(&[vectors.len(), classes])?;
        let starts: Vec<usize> = counts
            .iter()
            .scan(0, |end, count| {
                *end += count;
                Some(*end - count)
            })
            .collect();
        let mut weights = Vec::with_capacity(rho.len().saturating_mul(width));
        for (first, second) in pairs(classes) {
            let mut sums = vec![0.0; width];
            for (class, row) in [(first, second - 1), (second, first)] {
                for vector in starts[class]..starts[class] + counts[class] {
                    let coefficient = coefficients[row * total + vector];
                    let numbers = &vectors[vector * width..(vector + 1) * width];
                    for (sum, number) in sums.iter_mut().zip(numbers) {
                        *sum += coefficient * number;
                    }
                }
            }
            weights.extend(sums);
        }
        self.rows(value, &weights, &rho, rho.len())
    }

    /// Returns the sum over the support vectors of their coefficients times their products with
    /// each row, plus `rho`. Without support vectors, the coefficients are the weights.
    fn machine(&self, value: &Value) -> Result<Linear, ImportError> {
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
            self.context.work.take(&[vectors.len()])?;
            let mut weights = vec![0.0; width];
            for (coefficient, vector) in coefficients.iter().zip(vectors.chunks_exact(width)) {
                for (weight, number) in weights.iter_mut().zip(vector) {
                    *weight += coefficient * number;
                }
            }
            weights
        };
        if rho.len() != 1 {
            return self.refuse(format!(" with {} decisions", rho.len()));
        }
        self.rows(value, &weights, &rho, 1)
    }
}
