//! Transformers of scikit-learn, as its source computes them.

use super::{
    NotRun,
    learning::text,
    not_run,
    standard::{attribute, int},
    tensor::Tensor,
};
use crate::onnx::proto::NodeProto;

/// Magnitude of an exponent below which powers minus one have too few digits.
const NO_EXPONENT: f64 = 1e-9;

/// Runs a node that stands for a transformer.
pub(super) fn run(node: &NodeProto, operands: &[Option<&Tensor>]) -> Result<Tensor, NotRun> {
    let parts: Vec<&Tensor> = operands.iter().flatten().copied().collect();
    let Some(first) = parts.first() else {
        return not_run("it has no operands");
    };
    let (rows, _) = first.matrix()?;
    let mut numbers = Vec::new();
    for row in 0..rows {
        for part in &parts {
            let (its_rows, width) = part.matrix()?;
            if its_rows != rows {
                return not_run("parts of different lengths");
            }
            numbers.extend_from_slice(&part.as_numbers()?[row * width..(row + 1) * width]);
        }
    }
    let columns = numbers.len() / rows.max(1);
    let constant = |name: &str| match attribute(node, name).and_then(|value| value.t.as_ref()) {
        Some(tensor) => Ok(Tensor::of(tensor)?.as_numbers()?.to_vec()),
        None => not_run(format!("without {name}")),
    };
    if node.op_type == "SimpleImputer" {
        let kept = attribute(node, "kept").map_or(&[][..], |kept| &kept.ints);
        let (values, indicated) = (constant("values")?, attribute(node, "indicated"));
        let flags = if indicated.is_some_and(|value| value.ints == [1]) {
            columns
        } else {
            0
        };
        let mut filled = Vec::with_capacity(numbers.len() + rows * flags);
        for row in numbers.chunks_exact(columns.max(1)) {
            for (place, value) in kept.iter().zip(&values) {
                let x = usize::try_from(*place).ok().and_then(|place| row.get(place));
                filled.push(x.copied().filter(|x| !x.is_nan()).unwrap_or(*value));
            }
            filled.extend(row.iter().take(flags).map(|x| f64::from(u8::from(x.is_nan()))));
        }
        let width = values.len() + flags;
        return Ok(Tensor::numbers(vec![rows, width], filled, first.kind()));
    }
    if node.op_type == "SplineTransformer" {
        let (degree, knots) = (int(node, "degree", 0), constant("knots")?);
        let degree = usize::try_from(degree).unwrap_or_default().max(1);
        let knots: Vec<&[f64]> = knots
            .chunks_exact((knots.len() / columns.max(1)).max(1))
            .collect();
        if knots.len() != columns || knots.iter().any(|knots| knots.len() < 2 * degree + 2) {
            return not_run("knots are missing");
        }
        let zeros = text(node, "handle_missing").as_deref() == Some("zeros");
        let dropped = usize::from(int(node, "include_bias", 1) == 0);
        let outside = text(node, "extrapolation").unwrap_or_default();
        let mut values = Vec::new();
        for row in numbers.chunks_exact(columns.max(1)) {
            for (x, knots) in row.iter().zip(&knots) {
                let mut splines = if x.is_nan() && zeros {
                    vec![0.0; splines(0.0, knots, degree, &outside).len()]
                } else {
                    splines(*x, knots, degree, &outside)
                };
                splines.truncate(splines.len().saturating_sub(dropped));
                values.extend(splines);
            }
        }
        let width = values.len() / rows.max(1);
        return Ok(Tensor::numbers(vec![rows, width], values, first.kind()));
    }
    if node.op_type == "Normalizer" {
        for row in numbers.chunks_exact_mut(columns.max(1)) {
            let norm = match text(node, "norm").as_deref() {
                Some("L1") => row.iter().map(|x| x.abs()).sum(),
                _ => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            };
            // scikit-learn divides by 1 in place of 0.
            row.iter_mut().filter(|_| norm != 0.0).for_each(|x| *x /= norm);
        }
        return Ok(Tensor::numbers(vec![rows, columns], numbers, first.kind()));
    }
    if node.op_type == "IsotonicRegression" {
        let (thresholds, probabilities) = (constant("thresholds")?, constant("probabilities")?);
        for x in &mut numbers {
            *x = interpolated(*x, &thresholds, &probabilities);
        }
        return Ok(Tensor::numbers(vec![rows, columns], numbers, first.kind()));
    }
    if node.op_type == "PowerTransformer" {
        let lambdas = constant("lambdas")?;
        let transform = match text(node, "method").as_deref() {
            Some("yeo-johnson") => yeo_johnson,
            _ => box_cox,
        };
        for (place, x) in numbers.iter_mut().enumerate() {
            let Some(lambda) = lambdas.get(place % columns) else {
                return not_run("lambdas are missing");
            };
            *x = transform(*x, *lambda);
        }
    } else {
        let (quantiles, references) = (constant("quantiles")?, constant("references")?);
        for (place, x) in numbers.iter_mut().enumerate() {
            let start = place % columns * references.len();
            let Some(quantiles) = quantiles.get(start..start + references.len()) else {
                return not_run("quantiles are missing");
            };
            *x = quantile(*x, quantiles, &references);
        }
    }
    Ok(Tensor::numbers(vec![rows, columns], numbers, first.kind()))
}

/// Returns the values of all B-splines of a degree at a number, as `SplineTransformer` has them.
fn splines(x: f64, knots: &[f64], degree: usize, outside: &str) -> Vec<f64> {
    let (first, last) = (degree, knots.len() - degree - 1);
    let (low, high) = (knots[first], knots[last]);
    let all = |x: f64, slope: bool| -> Vec<f64> {
        let span = (first..last)
            .rev()
            .find(|&knot| knots[knot] <= x)
            .unwrap_or(first);
        let splines = 0..knots.len() - degree - 1;
        splines
            .map(|spline| {
                if slope {
                    spline_slope(x, knots, spline, degree, span)
                } else {
                    spline_value(x, knots, spline, degree, span)
                }
            })
            .collect()
    };
    match outside {
        "periodic" => {
            let period = high - low;
            let mut values = all(low + (x - low).rem_euclid(period), false);
            let wrapped = values.split_off(values.len() - degree);
            values
                .iter_mut()
                .zip(wrapped)
                .for_each(|(value, more)| *value += more);
            values
        }
        "continue" => all(x, false),
        "constant" => all(x.clamp(low, high), false),
        "linear" if x < low || x > high => {
            let nearest = x.clamp(low, high);
            let (values, slopes) = (all(nearest, false), all(nearest, true));
            let line = |(value, slope): (f64, f64)| value + (x - nearest) * slope;
            values.into_iter().zip(slopes).map(line).collect()
        }
        // What was scaled may be outside by a last digit, and clients take it for the end.
        _ if x.clamp(low, high) != x && (x - x.clamp(low, high)).abs() > 1e-6 * (high - low + x.abs()) => {
            vec![f64::NAN; knots.len() - degree - 1]
        }
        _ => all(x.clamp(low, high), false),
    }
}

/// Returns the value of one B-spline by its definition (de Boor, "A Practical Guide to Splines",
/// chapter IX, equations 11 to 13), as the polynomial between the knots `span` and `span + 1`.
fn spline_value(x: f64, knots: &[f64], spline: usize, degree: usize, span: usize) -> f64 {
    if degree == 0 {
        return f64::from(u8::from(spline == span));
    }
    let (left, right) = (knots[spline], knots[spline + degree + 1]);
    let rise = (x - left) / (knots[spline + degree] - left);
    let fall = (right - x) / (right - knots[spline + 1]);
    rise * spline_value(x, knots, spline, degree - 1, span)
        + fall * spline_value(x, knots, spline + 1, degree - 1, span)
}

/// Returns the slope of one B-spline, as the polynomial between the same knots.
fn spline_slope(x: f64, knots: &[f64], spline: usize, degree: usize, span: usize) -> f64 {
    let part = |spline: usize| {
        spline_value(x, knots, spline, degree - 1, span) / (knots[spline + degree] - knots[spline])
    };
    degree as f64 * (part(spline) - part(spline + 1))
}

fn box_cox(x: f64, lambda: f64) -> f64 {
    match x {
        x if x <= 0.0 => f64::NAN,
        x if lambda.abs() < NO_EXPONENT => x.ln(),
        x => (x.powf(lambda) - 1.0) / lambda,
    }
}

fn yeo_johnson(x: f64, lambda: f64) -> f64 {
    if x < 0.0 {
        -box_cox(1.0 - x, 2.0 - lambda)
    } else {
        box_cox(x + 1.0, lambda)
    }
}

/// Returns the mean of an interpolation from below and one from above.
fn quantile(x: f64, quantiles: &[f64], references: &[f64]) -> f64 {
    if quantiles.first() == Some(&x) {
        return 0.0;
    }
    if quantiles.last() == Some(&x) {
        return 1.0;
    }
    let turned = |numbers: &[f64]| -> Vec<f64> { numbers.iter().rev().map(|number| -number).collect() };
    let up = interpolated(x, quantiles, references);
    let down = interpolated(-x, &turned(quantiles), &turned(references));
    0.5 * (up - down)
}

/// Interpolates as `numpy.interp` does: at equal positions, the last one counts.
fn interpolated(x: f64, positions: &[f64], values: &[f64]) -> f64 {
    let reached = positions.iter().filter(|position| **position <= x).count();
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return f64::NAN;
    };
    if x.is_nan() {
        f64::NAN
    } else if reached == 0 {
        *first
    } else if reached == positions.len() {
        *last
    } else {
        let (low, high) = (positions[reached - 1], positions[reached]);
        let slope = (values[reached] - values[reached - 1]) / (high - low);
        slope * (x - low) + values[reached - 1]
    }
}
