//! Transformers of scikit-learn that were recognised as one node each.

use super::Node;
use crate::onnx::proto::tensor_proto::DataType;
use crate::{
    ImportError,
    onnx::{
        attributes::type_name,
        column::{Column, Columns},
        constant::Constant,
        value::Value,
    },
};
use blindscore_protocol::encoding::{Function, Outside, Step};

/// Least magnitude of an exponent that is told from 0. A power minus one has few digits below it,
/// and the logarithm is as near.
const LEAST_EXPONENT: f64 = 1e-9;

/// Value of a function at a number where it jumps, and around it.
struct Run {
    at: f64,
    value: f64,
    /// Limits from below and above.
    limits: [f64; 2],
}

impl Node<'_> {
    /// Returns the columns of all operands, of which a transformer was fitted on `count`.
    fn transformed(&self, count: usize) -> Result<Vec<usize>, ImportError> {
        let mut slots = Vec::new();
        for value in &self.operands {
            slots.extend(self.numbers(value)?);
        }
        if slots.len() != count {
            return self.refuse(format!(
                " of {} columns, fitted on {count}: the converter wrote a file that can't be run",
                slots.len()
            ));
        }
        Ok(slots)
    }

    pub(super) fn numbers_of(&self, name: &str) -> Result<Constant, ImportError> {
        match self.attributes().tensor(name).map(Constant::of) {
            Some(Ok(constant)) => Ok(constant),
            _ => self.refuse(format!(" without its {name}")),
        }
    }

    /// Fills in missing values (SimpleImputer), and tells which ones were missing.
    pub(super) fn simple_imputer(&self) -> Result<Value, ImportError> {
        let values = self.numbers_of("values")?.numbers;
        let [value] = self.operands.as_slice() else {
            return self.refuse(self.what_it_gets());
        };
        let all = self.numbers(value)?;
        let kept = self.attributes().ints("kept").unwrap_or_default();
        let place = |place: &i64| usize::try_from(*place).ok();
        let of: Option<Vec<usize>> = kept.iter().map(|kept| all.get(place(kept)?).copied()).collect();
        let Some(of) = of.filter(|of| of.len() == values.len()) else {
            return self.refuse(self.what_it_gets());
        };
        let of = of.into_iter().collect();
        let mut results = self.step(Step::Impute { of, values })?;
        if self.attributes().ints("indicated") == Some(&[1]) {
            let of = all.into_iter().collect();
            results.extend(self.step(Step::Missing { of })?);
        }
        Ok(Self::results(results))
    }

    /// Makes numbers more like normally distributed ones (PowerTransformer).
    pub(super) fn power_transformer(&self) -> Result<Value, ImportError> {
        let lambdas = self.numbers_of("lambdas")?.numbers;
        let of = self.transformed(lambdas.len())?;
        if self.attributes().text("method", "") == "yeo-johnson" {
            let of = of.into_iter().collect();
            return Ok(Self::results(self.step(Step::YeoJohnson { of, lambdas })?));
        }
        let columns = of.into_iter().zip(lambdas);
        let columns: Vec<Column> = columns
            .map(|(slot, lambda)| self.box_cox(slot, lambda))
            .collect::<Result<_, _>>()?;
        Ok(Value::Features(
            Columns {
                columns,
                integers: false,
                vector: false,
            }
            .into(),
        ))
    }

    /// Applies equation 1 of Box and Cox, "An Analysis of Transformations" (Journal of the Royal
    /// Statistical Society B, 1964), which is defined for positive numbers only.
    fn box_cox(&self, slot: usize, lambda: f64) -> Result<Column, ImportError> {
        let of = [slot].into_iter().collect();
        let function = Function::Log;
        let log = self.step(Step::Apply { of, function })?;
        if lambda.abs() < LEAST_EXPONENT {
            return Ok(Column::of(log[0], false));
        }
        let power = self.step(Step::Power {
            of: [slot].into_iter().collect(),
            exponents: vec![lambda],
        })?;
        // The logarithm is added no times: where there is none, there is no result.
        let power = self.step(Step::Sums {
            of: power.into_iter().chain(log).collect(),
            weights: vec![vec![1.0, 0.0]],
            offset: vec![0.0],
        })?;
        Ok(Column {
            scale: 1.0 / lambda,
            offset: -1.0 / lambda,
            ..Column::of(power[0], false)
        })
    }

    /// Replaces numbers by their share of the training data below them (QuantileTransformer).
    pub(super) fn quantile_transformer(&self) -> Result<Value, ImportError> {
        let (quantiles, references) = (
            self.numbers_of("quantiles")?,
            self.numbers_of("references")?.numbers,
        );
        let single = self
            .attributes()
            .tensor("quantiles")
            .is_some_and(|tensor| tensor.data_type == DataType::Float as i32);
        let columns: Vec<&[f64]> = quantiles.numbers.chunks_exact(references.len().max(1)).collect();
        let mut results = Vec::with_capacity(columns.len());
        for (slot, quantiles) in self.transformed(columns.len())?.into_iter().zip(columns) {
            let runs = runs(quantiles, &references);
            let slot = self.jumping(slot, &runs, single)?;
            let (x, y) = points(&runs).into_iter().unzip();
            results.extend(self.step(Step::Piecewise {
                of: slot as u32,
                x,
                y,
            })?);
        }
        Ok(Self::results(results))
    }

    /// Replaces numbers by the values of B-splines (SplineTransformer).
    pub(super) fn spline_transformer(&self) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let knots = self.numbers_of("knots")?;
        let degree = attributes.int("degree", 0);
        let extrapolation = attributes.text("extrapolation", "");
        let outside = match extrapolation.as_str() {
            "error" => Outside::Refuse,
            "constant" => Outside::Constant,
            "linear" => Outside::Linear,
            "continue" => Outside::Continue,
            "periodic" => Outside::Periodic,
            other => return self.refuse(format!(" with extrapolation={other:?}")),
        };
        if degree < 1 {
            return self.refuse(format!(
                " of degree {degree}. KBinsDiscretizer gives the same as splines of degree 0, and is supported"
            ));
        }
        if degree == 1 && outside == Outside::Linear {
            return self.refuse(
                " of degree 1 with extrapolation=\"linear\": for all columns but the first, scikit-learn continues lines from the second knot \
                 rather than the last. Use extrapolation=\"continue\", which is the same for one column, or a higher degree",
            );
        }
        let missing = match attributes.text("handle_missing", "error").as_str() {
            "error" => false,
            "zeros" => true,
            other => return self.refuse(format!(" with handle_missing={other:?}")),
        };
        let dropped = usize::from(attributes.int("include_bias", 1) == 0);
        let (count, width) = match knots.shape.as_slice() {
            &[count, width] if width > 0 => (count, width),
            _ => return self.refuse(" without knots for each column"),
        };
        let mut kept = Vec::new();
        for (slot, knots) in self
            .transformed(count)?
            .into_iter()
            .zip(knots.numbers.chunks_exact(width))
        {
            if knots.windows(2).any(|pair| pair[0] >= pair[1]) {
                return self.refuse(
                    " with knots that coincide: of a column with one value only, which can be left out, or with knots=\"quantile\" of one with few \
                     values, for which there are n_knots=2 and knots=\"uniform\"",
                );
            }
            let results = self.checked_step(Step::Splines {
                of: slot as u32,
                knots: knots.to_vec(),
                degree: u32::try_from(degree).unwrap_or(u32::MAX),
                outside,
                missing,
            })?;
            kept.extend(&results[..results.len().saturating_sub(dropped)]);
        }
        Ok(Self::results(kept))
    }

    /// Returns a slot whose numbers are those that a function was fitted on, to the last bit if it
    /// jumps at some of them.
    fn jumping(&self, slot: usize, runs: &[Run], single: bool) -> Result<usize, ImportError> {
        let plan = self.context.plan;
        let jumps = || runs.iter().filter(|run| run.limits != [run.value; 2]);
        // Beyond both ends, the function is the same whatever side they belong to.
        let inner = runs.get(1..runs.len().saturating_sub(1)).unwrap_or_default();
        if single && inner.iter().any(|run| run.limits[0] < run.limits[1]) {
            return self.refuse(format!(
                " in single precision, in which quantiles are equal that weren't when it was fitted: it has numbers that occur often. Convert the \
                 pipeline with columns of double precision, as to_onnx(model, X[:1].astype(numpy.float64)) or DoubleTensorType do, not {}",
                type_name(DataType::Float as i32)
            ));
        }
        if jumps().next().is_none() {
            return Ok(slot);
        }
        if plan.is_column(slot) {
            // Only numbers that were in single precision have so many digits in double precision.
            let rounded = |run: &Run| {
                let nearest = run.at as f32;
                f64::from(nearest) == run.at && nearest.to_string() != run.at.to_string()
            };
            if jumps().any(rounded) {
                plan.make_single(slot);
            } else if !plan.is_single(slot) {
                plan.keep_exact(slot);
            }
            return Ok(slot);
        }
        let filled = plan.step_of(slot).and_then(|(step, place)| match &*step {
            Step::Impute { of, .. } => of.iter().nth(place),
            _ => None,
        });
        match filled {
            Some(column) if plan.is_column(column) => {
                if !plan.is_single(column) {
                    plan.keep_exact(column);
                }
                Ok(slot)
            }
            _ => self.refuse(
                " of numbers that occur often, after a step that computes them: whether two of them are equal depends on its last digit. Put it \
                 before that step, directly behind the columns or a SimpleImputer",
            ),
        }
    }
}

/// Returns the numbers at which the interpolated function has a bend, rising. scikit-learn averages
/// an interpolation from below and one from above, which differ where quantiles are equal.
fn runs(quantiles: &[f64], references: &[f64]) -> Vec<Run> {
    let places: Vec<usize> = (0..quantiles.len()).collect();
    let ends = [quantiles.first(), quantiles.last()];
    let equal = |one: &usize, other: &usize| quantiles[*one] == quantiles[*other];
    let run = |run: &[usize]| {
        let at = quantiles[run[0]];
        let limits = [references[run[0]], references[run[run.len() - 1]]];
        let value = match ends {
            [Some(least), _] if at == *least => 0.0,
            [_, Some(largest)] if at == *largest => 1.0,
            _ => 0.5 * (limits[0] + limits[1]),
        };
        Run { at, value, limits }
    };
    places.chunk_by(equal).map(run).collect()
}

/// Returns the points of a continuous function with the same values at all numbers of double
/// precision: it jumps between a number and the next one.
fn points(runs: &[Run]) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(runs.len());
    for run in runs {
        let [below, above] = run.limits;
        // The neighbours of two numbers may be in each other's place.
        let free = |points: &[(f64, f64)], at: f64| points.last().is_none_or(|last| last.0 < at);
        if below != run.value && free(&points, run.at.next_down()) {
            points.push((run.at.next_down(), below));
        }
        while !free(&points, run.at) {
            points.pop();
        }
        points.push((run.at, run.value));
        if above != run.value {
            points.push((run.at.next_up(), above));
        }
    }
    points
}
