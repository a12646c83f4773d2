//! Functions that operators apply to each number between the layers of a network.

use super::Node;
use crate::{
    ImportError,
    layers::curve::{Curve, Function, Operation},
    onnx::value::Value,
};
use std::f64::consts::{FRAC_2_PI, SQRT_2};

/// Factor of the cube in the approximation of GELU.
const CUBE: f64 = 0.044715;
/// Bounds beyond these are none: those of single precision.
const NO_BOUND: f64 = f32::MAX as f64;

impl Node<'_> {
    /// Returns the function that an operator applies to each number of its first operand; `None` if
    /// it is another operator.
    pub(super) fn activation(&self, operator: &str) -> Result<Option<Curve>, ImportError> {
        let attributes = self.attributes();
        // Defaults are in single precision, as attributes are.
        let number = |name: &str, default: f64| attributes.float(name, f64::from(default as f32));
        let alpha = |default: f64| number("alpha", default);
        let curve = match operator {
            "Abs" => plain(Function::Abs),
            "Celu" => celu(alpha(1.0)),
            "Clip" => {
                let (least, most) = self.bounds()?;
                clipped(&Curve::number(), least, most)
            }
            "Atan" => plain(Function::Atan),
            "Cos" => plain(Function::Cos),
            "Elu" => elu(alpha(1.0)),
            "Erf" => plain(Function::Erf),
            "Exp" => plain(Function::Exp),
            "Gelu" => match attributes.text("approximate", "none").as_str() {
                "none" => gelu(),
                "tanh" => gelu_by_tanh(),
                other => return self.refuse(format!(" with the approximation {other:?}")),
            },
            "HardSigmoid" => hard_sigmoid(alpha(0.2), number("beta", 0.5)),
            "HardSwish" => {
                hard_sigmoid(1.0 / 6.0, 0.5).and_then(|curve| Curve::number().with(Operation::Mul, &curve))
            }
            "LeakyRelu" => leaky(alpha(0.01)),
            "Log" => plain(Function::Log),
            "Mish" => plain(Function::Softplus)
                .and_then(|curve| curve.then(Function::Tanh))
                .and_then(|curve| Curve::number().with(Operation::Mul, &curve)),
            "Neg" => Curve::number().scaled(-1.0),
            "Reciprocal" => Curve::constant(1.0).and_then(|one| one.with(Operation::Div, &Curve::number())),
            "Relu" => relu(),
            "Selu" => elu(alpha(1.673_263_192_176_818_8))
                .and_then(|curve| curve.scaled(number("gamma", 1.050_701_022_148_132_3))),
            "Shrink" => shrink(number("lambd", 0.5), number("bias", 0.0)),
            "Sigmoid" => plain(Function::Sigmoid),
            "Sin" => plain(Function::Sin),
            "Softplus" => plain(Function::Softplus),
            "Softsign" => softsign(),
            "Sqrt" => plain(Function::Sqrt),
            "Swish" => swish(alpha(1.0)),
            "Tanh" => plain(Function::Tanh),
            "ThresholdedRelu" => above(alpha(1.0), &Curve::number()),
            _ => return Ok(None),
        };
        match curve {
            Some(curve) => Ok(Some(curve)),
            None => self.refuse(" with numbers that it isn't defined for"),
        }
    }

    /// Returns the constant bounds of Clip.
    fn bounds(&self) -> Result<(f64, f64), ImportError> {
        let bound = |name: &str, operand: usize, default: f64| match self.operands.get(operand) {
            Some(Value::Constant(constant)) if constant.numbers.len() == 1 => Ok(constant.numbers[0]),
            None | Some(Value::Absent) => Ok(self.attributes().float(name, default)),
            _ => self.refuse(" with bounds that aren't constant"),
        };
        let (least, most) = (
            bound("min", 1, f64::NEG_INFINITY)?,
            bound("max", 2, f64::INFINITY)?,
        );
        if least.is_nan() || most.is_nan() || least > most {
            return self.refuse(format!(" between {least} and {most}"));
        }
        Ok((least, most))
    }
}

fn plain(function: Function) -> Option<Curve> {
    Curve::number().then(function)
}

fn relu() -> Option<Curve> {
    Curve::number().with_constant(Operation::Max, 0.0)
}

/// Returns the number if it is negative, else 0.
fn negative() -> Option<Curve> {
    Curve::number().with_constant(Operation::Min, 0.0)
}

/// Returns a function with another slope for negative numbers.
pub(super) fn leaky(slope: f64) -> Option<Curve> {
    relu()?.with(Operation::Add, &negative()?.scaled(slope)?)
}

fn clipped(curve: &Curve, least: f64, most: f64) -> Option<Curve> {
    let mut clipped = curve.clone();
    if least > -NO_BOUND {
        clipped = clipped.with_constant(Operation::Max, least)?;
    }
    if most < NO_BOUND {
        clipped = clipped.with_constant(Operation::Min, most)?;
    }
    Some(clipped)
}

/// Returns `e^x - 1` of a curve.
fn exp_minus_one(curve: &Curve) -> Option<Curve> {
    curve.then(Function::Exp)?.with_constant(Operation::Sub, 1.0)
}

fn elu(alpha: f64) -> Option<Curve> {
    relu()?.with(Operation::Add, &exp_minus_one(&negative()?)?.scaled(alpha)?)
}

fn celu(alpha: f64) -> Option<Curve> {
    let scaled = Curve::number().with_constant(Operation::Div, alpha)?;
    let low = exp_minus_one(&scaled)?
        .scaled(alpha)?
        .with_constant(Operation::Min, 0.0)?;
    relu()?.with(Operation::Add, &low)
}

/// Returns half a number times one plus a curve.
fn half_times_one_plus(curve: &Curve) -> Option<Curve> {
    let share = curve.with_constant(Operation::Add, 1.0)?;
    Curve::number().with(Operation::Mul, &share)?.scaled(0.5)
}

fn gelu() -> Option<Curve> {
    let scaled = Curve::number().with_constant(Operation::Div, SQRT_2)?;
    half_times_one_plus(&scaled.then(Function::Erf)?)
}

fn gelu_by_tanh() -> Option<Curve> {
    let number = Curve::number();
    let cube = number.then(Function::Power(3))?.scaled(CUBE)?;
    let inner = number.with(Operation::Add, &cube)?.scaled(FRAC_2_PI.sqrt())?;
    half_times_one_plus(&inner.then(Function::Tanh)?)
}

fn hard_sigmoid(alpha: f64, beta: f64) -> Option<Curve> {
    let moved = Curve::number()
        .scaled(alpha)?
        .with_constant(Operation::Add, beta)?;
    clipped(&moved, 0.0, 1.0)
}

fn softsign() -> Option<Curve> {
    let size = plain(Function::Abs)?.with_constant(Operation::Add, 1.0)?;
    Curve::number().with(Operation::Div, &size)
}

fn swish(alpha: f64) -> Option<Curve> {
    let share = Curve::number().scaled(alpha)?.then(Function::Sigmoid)?;
    Curve::number().with(Operation::Mul, &share)
}

/// Returns a curve where the number is above a bound, else 0.
fn above(bound: f64, curve: &Curve) -> Option<Curve> {
    let over = Curve::number().with_constant(Operation::Sub, bound)?;
    curve.with(Operation::Mul, &over.then(Function::Positive)?)
}

fn shrink(lambda: f64, bias: f64) -> Option<Curve> {
    let number = Curve::number();
    let high = above(lambda, &number.with_constant(Operation::Sub, bias)?)?;
    let under = number
        .scaled(-1.0)?
        .with_constant(Operation::Sub, lambda)?
        .then(Function::Positive)?;
    let low = number
        .with_constant(Operation::Add, bias)?
        .with(Operation::Mul, &under)?;
    high.with(Operation::Add, &low)
}
