//! `PowerTransformer`, as skl2onnx writes it: masks for each case, of which one isn't zero.

use super::{
    super::pattern::{Found, Part, Pattern, Searched, Setting},
    Transformer, tensor, text,
};
use crate::onnx::proto::{NodeProto, tensor_proto::DataType};

const SPECIAL: &str = "a lambda of 0 or 2 of PowerTransformer, for which skl2onnx divides by zero";

/// Parts that hold numbers.
struct Parts {
    root: Part,
    x: Part,
    /// Exponents, as raised to and as divided by, for numbers from 0 on.
    positive: [Part; 2],
    /// 1 where the exponent isn't the special one, and 1 where it is.
    positive_masks: [Part; 2],
    /// The same for negative numbers.
    negative: Option<([Part; 2], [Part; 2])>,
}

pub(super) fn find<'g>(searched: &Searched<'g>, node: &'g NodeProto) -> Option<Transformer> {
    let ("Add", [result]) = (node.op_type.as_str(), node.output.as_slice()) else {
        return None;
    };
    [("yeo-johnson", yeo_johnson()), ("box-cox", box_cox())]
        .into_iter()
        .find_map(|(method, (pattern, parts))| {
            let found = searched.find(&pattern, parts.root, result)?;
            let lambdas = lambdas(searched, &found, &parts)?;
            let zero = lambdas.contains(&0.0) || parts.negative.is_some() && lambdas.contains(&2.0);
            Some(Transformer {
                result: result.clone(),
                source: found.name(parts.x).to_owned(),
                columns: lambdas.len(),
                operator: "PowerTransformer",
                attributes: vec![
                    text("method", method),
                    tensor("lambdas", DataType::Double, &[lambdas.len()], &lambdas),
                ],
                mended: zero.then_some(SPECIAL).into_iter().collect(),
            })
        })
}

/// Reads the exponents, and checks that the other constants are those that follow from them.
fn lambdas(searched: &Searched<'_>, found: &Found<'_>, parts: &Parts) -> Option<Vec<f64>> {
    let numbers = |part: Part| {
        let (constant, kind) = searched.constant(found.name(part))?;
        let flat = kind == DataType::Float as i32 && constant.shape == [constant.numbers.len()];
        flat.then_some(constant.numbers)
    };
    let both = |[one, other]: [Part; 2]| {
        let one = numbers(one)?;
        (numbers(other)? == one).then_some(one)
    };
    let are_masks = |[other, special]: [Part; 2], lambdas: &[f64], at: f64| {
        let mask = |holds: bool| -> Vec<f64> {
            let holds = lambdas.iter().map(|lambda| (*lambda == at) == holds);
            holds.map(|holds| f64::from(u8::from(holds))).collect()
        };
        numbers(other) == Some(mask(false)) && numbers(special) == Some(mask(true))
    };
    let lambdas = both(parts.positive)?;
    if lambdas.is_empty() || !are_masks(parts.positive_masks, &lambdas, 0.0) {
        return None;
    }
    if let Some((exponents, masks)) = parts.negative {
        // Subtracted in single precision.
        let rest: Vec<f64> = lambdas
            .iter()
            .map(|&lambda| f64::from(2.0 - lambda as f32))
            .collect();
        if both(exponents)? != rest || !are_masks(masks, &lambdas, 2.0) {
            return None;
        }
    }
    Some(lambdas)
}

/// Adds `Imputer` with zeros for a number.
fn imputed(pattern: &mut Pattern, part: Part, replaced: f32) -> Part {
    let settings = vec![
        ("imputed_value_floats", Setting::Floats(vec![0.0])),
        ("replaced_value_float", Setting::Float(replaced)),
    ];
    pattern.set("ai.onnx.ml.Imputer", [part], settings)
}

/// `(base^exponent - 1) / exponent`, or its opposite, where the mask is 1.
fn quotient(pattern: &mut Pattern, base: Part, ones: Part, opposite: bool) -> (Part, [Part; 2], Part) {
    let (raised, divided, mask) = (pattern.tensor(), pattern.tensor(), pattern.tensor());
    let power = pattern.node("Pow", [base, raised]);
    let difference = pattern.node("Sub", if opposite { [ones, power] } else { [power, ones] });
    let quotient = pattern.node("Div", [difference, divided]);
    let finite = imputed(pattern, quotient, f32::INFINITY);
    (pattern.node("Mul", [finite, mask]), [raised, divided], mask)
}

fn yeo_johnson() -> (Pattern, Parts) {
    let mut p = Pattern::default();
    let x = p.tensor();
    let (ones, zeros) = (p.node("Div", [x, x]), p.node("Sub", [x, x]));
    let (above, below) = (p.node("Add", [x, ones]), p.node("Sub", [ones, x]));
    let is_less = p.node("Less", [x, zeros]);
    let is_more = p.node("Not", [is_less]);
    let [less, more] = [is_less, is_more].map(|truth| p.set("Cast", [truth], vec![("to", Setting::Int(1))]));
    let (special, special_below) = (p.tensor(), p.tensor());

    let (power, positive, mask) = quotient(&mut p, above, ones, false);
    let log = p.node("Log", [above]);
    let log = p.node("Mul", [log, special]);
    let sum = p.node("Add", [power, log]);
    let sum = imputed(&mut p, sum, f32::NAN);
    let of_positive = p.node("Mul", [sum, more]);

    let (power, negative, mask_below) = quotient(&mut p, below, ones, true);
    let log = p.node("Log", [below]);
    let log = p.node("Neg", [log]);
    let log = p.node("Mul", [log, special_below]);
    let sum = p.node("Add", [power, log]);
    let sum = imputed(&mut p, sum, f32::NAN);
    let of_negative = p.node("Mul", [sum, less]);

    let root = p.node("Add", [of_positive, of_negative]);
    let parts = Parts {
        root,
        x,
        positive,
        positive_masks: [mask, special],
        negative: Some((negative, [mask_below, special_below])),
    };
    (p, parts)
}

fn box_cox() -> (Pattern, Parts) {
    let mut p = Pattern::default();
    let (x, special) = (p.tensor(), p.tensor());
    let ones = p.node("Div", [x, x]);
    let (power, positive, mask) = quotient(&mut p, x, ones, false);
    let log = p.node("Log", [x]);
    let log = imputed(&mut p, log, f32::NAN);
    let log = p.node("Mul", [log, special]);
    let root = p.node("Add", [power, log]);
    let parts = Parts {
        root,
        x,
        positive,
        positive_masks: [mask, special],
        negative: None,
    };
    (p, parts)
}

/// Largest error of a scaled number from the roundings of the file, in standard deviations.
const COARSE: f64 = 1e-4;
/// Relative error of a number in single precision.
const HALF_UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// Returns the first column, from 0, that single precision is too coarse for: the file has the
/// exponents and the means of the scaler behind the transformer in it.
pub(super) fn coarse(method: &str, lambdas: &[f64], means: &[f32], scales: &[f32]) -> Option<usize> {
    let scaled = lambdas.iter().zip(means).zip(scales);
    scaled.into_iter().position(|((&lambda, &mean), &scale)| {
        let (mean, scale) = (f64::from(mean), f64::from(scale));
        let exponent = if method == "yeo-johnson" && mean < 0.0 {
            2.0 - lambda
        } else {
            lambda
        };
        // The transformed number is a function of a logarithm.
        let sign = if method == "yeo-johnson" {
            mean.signum()
        } else {
            1.0
        };
        let log = if exponent == 0.0 {
            sign * mean
        } else {
            (exponent * sign * mean).ln_1p() / exponent
        };
        let of = |exponent: f64| {
            if exponent == 0.0 {
                log
            } else {
                (exponent * log).exp_m1() / exponent
            }
        };
        let moved = of(exponent + HALF_UNIT * lambda.abs()) - of(exponent);
        let error = (moved.abs() + HALF_UNIT * mean.abs()) * scale.abs();
        // Not a number at the end of what a transformer gives.
        error.is_nan() || error > COARSE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_are_too_fine_for_single_precision_and_ages_are_not() {
        // Fitted by scikit-learn on numbers between 1950 and 2020, and between 18 and 90.
        let years = (-2.904, 0.344_355_08, 1.0 / 2.67e-12);
        let ages = (0.819, 31.107_668, 1.0 / 10.24);
        // Of an exponential distribution below 0, and around 0.
        let below = (1.9, -3.2, 0.5);
        for (numbers, expected) in [
            ([ages, years], Some(1)),
            ([ages, below], None),
            ([ages, ages], None),
        ] {
            let lambdas = numbers.map(|numbers| numbers.0);
            let [means, scales] = [numbers.map(|numbers| numbers.1), numbers.map(|numbers| numbers.2)];
            assert_eq!(coarse("yeo-johnson", &lambdas, &means, &scales), expected);
        }
        assert_eq!(
            coarse("box-cox", &[-2.9285], &[0.341_469_8], &[1.0 / 2.2e-12]),
            Some(0)
        );
        assert_eq!(coarse("box-cox", &[0.0], &[9.2], &[1.5]), None);
    }
}
