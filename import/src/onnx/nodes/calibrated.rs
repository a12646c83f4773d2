//! Operators of isotonic calibration (CalibratedClassifierCV).

use super::Node;
use crate::{
    ImportError,
    onnx::{
        attributes::axes_in_words,
        calibrated::{Calibrated, CalibratedStep as Step},
        constant::Constant,
        kinds,
        proto::tensor_proto::DataType,
        value::{Scores, Value},
    },
};
use blindscore_protocol::descriptor::Curve;

impl Node<'_> {
    /// Returns the probability that a curve gives for a score.
    pub(super) fn isotonic_regression(&self) -> Result<Value, ImportError> {
        let numbers = |name: &str| self.numbers_of(name).map(|constant| constant.numbers);
        let [
            Value::Scores(
                scores @ Scores {
                    link: None,
                    vector: false,
                    ..
                },
            ),
        ] = self.operands.as_slice()
        else {
            return match self.operands.as_slice() {
                [Value::Scores(Scores { link: Some(_), .. })] => {
                    Err(kinds::CALIBRATED_PROBABILITIES.refused_at(self.node))
                }
                _ => self.refuse(self.what_it_gets()),
            };
        };
        let curve = Curve {
            thresholds: numbers("thresholds")?,
            probabilities: numbers("probabilities")?,
        };
        if scores.len() != 1 || !curve.is_valid() {
            return self.refuse(" of thresholds or probabilities that don't rise from 0 to 1");
        }
        Ok(Value::Calibrated(Calibrated {
            linear: scores.linear.clone(),
            curves: vec![curve].into(),
            step: Step::Each,
        }))
    }

    /// Evaluates an operator on calibrated scores; `None` if it isn't one.
    pub(super) fn of_calibrated(&self, operator: &str) -> Result<Option<Value>, ImportError> {
        let next = |of: &Calibrated, step: Step| Ok(Some(Value::Calibrated(of.at(step))));
        match (operator, self.operands.as_slice()) {
            ("Sub", [Value::Constant(one), Value::Calibrated(each)])
                if each.step == Step::Each && each.curves.len() == 1 && is_number(one, 1.0) =>
            {
                next(each, Step::Complement)
            }
            ("Concat", [Value::Calibrated(first), Value::Calibrated(second)])
                if first.step == Step::Complement
                    && second.step == Step::Each
                    && first.is_of(second)
                    && self.is_beside() =>
            {
                Ok(Some(Value::Average(second.average(2).into())))
            }
            ("Concat", operands) => self.calibrated_beside(operands),
            ("ReduceSum", [Value::Calibrated(each), ..]) if each.step == Step::Each => {
                let axes = self.axes(1)?;
                if !self.along_rows(axes.as_deref()) || self.attributes().int("keepdims", 1) != 1 {
                    return self.refuse(format!(
                        "{} {}",
                        self.what_it_gets(),
                        axes_in_words(axes.as_deref())
                    ));
                }
                next(each, Step::Sum)
            }
            ("Cast", [Value::Calibrated(of)]) => match of.step {
                Step::Sum if self.attributes().int("to", 0) == DataType::Bool as i64 => {
                    next(of, Step::Likely)
                }
                Step::Unlikely(_) | Step::Each | Step::Sum if self.is_to_float() => next(of, of.step),
                _ => Ok(None),
            },
            ("Not", [Value::Calibrated(of)]) if of.step == Step::Likely => next(of, Step::Unlikely(1.0)),
            ("Mul", [Value::Calibrated(of), Value::Constant(by)]) => match (of.step, by.numbers.as_slice()) {
                (Step::Unlikely(number), &[by]) => next(of, Step::Unlikely(number * by)),
                _ => Ok(None),
            },
            ("Add", [Value::Calibrated(of), Value::Calibrated(guard)]) if of.is_of(guard) => {
                let classes = of.curves.len() as f64;
                match (of.step, guard.step) {
                    (Step::Each, Step::Unlikely(1.0)) => next(of, Step::GuardedEach),
                    (Step::Sum, Step::Unlikely(number)) if number == classes => next(of, Step::GuardedSum),
                    _ => Ok(None),
                }
            }
            ("Div", [Value::Calibrated(each), Value::Calibrated(sum)])
                if each.step == Step::GuardedEach && sum.step == Step::GuardedSum && each.is_of(sum) =>
            {
                Ok(Some(Value::Average(each.average(each.curves.len()).into())))
            }
            _ => Ok(None),
        }
    }

    fn calibrated_beside(&self, operands: &[&Value]) -> Result<Option<Value>, ImportError> {
        let each = |value: &&Value| match value {
            Value::Calibrated(each) if each.step == Step::Each => Some(each.linear.support().len()),
            _ => None,
        };
        let support: Option<usize> = operands.iter().map(each).sum();
        let Some(support) = support.filter(|_| operands.len() > 2 && self.is_beside()) else {
            return Ok(None);
        };
        let parts = operands.iter().filter_map(|value| match value {
            Value::Calibrated(each) => Some(each),
            _ => None,
        });
        let parts: Vec<&Calibrated> = parts.collect();
        let columns = parts.iter().map(|part| part.curves.len()).sum();
        self.check_outputs(columns)?;
        self.check_weights(columns, support)?;
        Ok(Some(Value::Calibrated(Calibrated::beside(&parts))))
    }

    /// Returns whether the operator puts columns side by side.
    fn is_beside(&self) -> bool {
        matches!(self.attributes().int("axis", 0), 1 | -1)
    }
}

fn is_number(constant: &Constant, number: f64) -> bool {
    constant.numbers == [number]
}
