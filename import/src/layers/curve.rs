//! Functions of one number: what a hidden unit makes of its weighted sum.

use std::rc::Rc;

/// Most steps of a curve.
const MOST_STEPS: usize = 200;
/// Most steps one inside the other.
const MOST_DEPTH: usize = 32;

/// A function of one number, as a small expression. Where it isn't defined, such as the logarithm
/// of a negative number, its value is not a number or infinite.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    root: Rc<Expression>,
    /// Steps of the expression, those that are shared counted each time.
    steps: usize,
    /// Steps one inside the other.
    depth: usize,
}

#[derive(Debug, PartialEq)]
enum Expression {
    /// The number itself.
    Number,
    Constant(f64),
    Applied(Function, Curve),
    Combined(Operation, Curve, Curve),
    /// The second curve where the first one is positive, else the third.
    Chosen(Curve, Curve, Curve),
}

/// A function in a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Atan,
    Cos,
    /// The error function.
    Erf,
    Exp,
    /// The natural logarithm.
    Log,
    /// 1 for positive numbers, else 0.
    Positive,
    /// A whole power.
    Power(i32),
    Sigmoid,
    Sin,
    /// `ln(1 + e^x)`.
    Softplus,
    Sqrt,
    Tanh,
}

/// An operation on two numbers in a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
}

/// Two curves are equal if their expressions are.
impl PartialEq for Curve {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.steps == other.steps && self.root == other.root
    }
}

impl Function {
    fn value(self, x: f64) -> f64 {
        match self {
            Self::Abs => x.abs(),
            Self::Atan => x.atan(),
            Self::Cos => x.cos(),
            Self::Erf => libm::erf(x),
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Positive => f64::from(u8::from(x > 0.0)),
            Self::Power(exponent) => x.powi(exponent),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Sin => x.sin(),
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Sqrt => x.sqrt(),
            Self::Tanh => x.tanh(),
        }
    }
}

impl Operation {
    fn value(self, x: f64, y: f64) -> f64 {
        match self {
            Self::Add => x + y,
            Self::Sub => x - y,
            Self::Mul => x * y,
            Self::Div => x / y,
            Self::Max => x.max(y),
            Self::Min => x.min(y),
        }
    }
}

impl Curve {
    /// Returns the number itself.
    pub(crate) fn number() -> Self {
        Self::leaf(Expression::Number)
    }

    /// Returns a curve that has one value; `None` if it isn't finite.
    pub(crate) fn constant(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self::leaf(Expression::Constant(value)))
    }

    fn leaf(expression: Expression) -> Self {
        Self {
            root: Rc::new(expression),
            steps: 1,
            depth: 1,
        }
    }

    /// Returns whether two curves are one in memory.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.root, &other.root)
    }

    /// Returns whether this is the number itself.
    pub(crate) fn is_number(&self) -> bool {
        *self.root == Expression::Number
    }

    /// Returns whether this is one function of the number itself.
    pub(crate) fn is_only(&self, function: Function) -> bool {
        matches!(&*self.root, Expression::Applied(own, of) if *own == function && of.is_number())
    }

    /// Returns the value that the curve has everywhere, if its expression is a constant.
    pub(crate) fn as_constant(&self) -> Option<f64> {
        match *self.root {
            Expression::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the size in memory, in bytes, or more.
    pub(crate) const fn size(&self) -> usize {
        self.steps * (size_of::<Expression>() + 2 * size_of::<usize>())
    }

    /// Returns a function of the curve; `None` if it has too many steps or a constant part without
    /// a value.
    pub(crate) fn then(&self, function: Function) -> Option<Self> {
        if let Some(value) = self.as_constant() {
            return Self::constant(function.value(value));
        }
        // As exporters write softplus, which the exponential function alone would overflow in.
        if function == Function::Log {
            match &*self.root {
                Expression::Combined(Operation::Add, one, other) => {
                    for (one, other) in [(one, other), (other, one)] {
                        if let (Some(1.0), Expression::Applied(Function::Exp, of)) =
                            (one.as_constant(), &*other.root)
                        {
                            return of.then(Function::Softplus);
                        }
                    }
                }
                Expression::Applied(Function::Sigmoid, of) => {
                    return of.scaled(-1.0)?.then(Function::Softplus)?.scaled(-1.0);
                }
                _ => {}
            }
        }
        let applied = Self {
            root: Rc::new(Expression::Applied(function, self.clone())),
            steps: self.steps + 1,
            depth: self.depth + 1,
        };
        applied.bounded()
    }

    /// Returns an operation on two curves of the same number; `None` as for [`Self::then`].
    pub(crate) fn with(&self, operation: Operation, other: &Self) -> Option<Self> {
        match (operation, self.as_constant(), other.as_constant()) {
            (_, Some(x), Some(y)) => return Self::constant(operation.value(x, y)),
            (Operation::Add, Some(0.0), _) | (Operation::Mul, Some(1.0), _) => return Some(other.clone()),
            (Operation::Add | Operation::Sub, _, Some(0.0))
            | (Operation::Mul | Operation::Div, _, Some(1.0)) => return Some(self.clone()),
            (Operation::Mul, Some(0.0), _) | (Operation::Mul, _, Some(0.0)) => return Self::constant(0.0),
            (Operation::Div, _, Some(0.0)) => return None,
            _ => {}
        }
        let combined = Self {
            root: Rc::new(Expression::Combined(operation, self.clone(), other.clone())),
            steps: self.steps + other.steps + 1,
            depth: self.depth.max(other.depth) + 1,
        };
        combined.bounded()
    }

    /// Returns `one` where this curve is positive, and `other` elsewhere; `None` as for
    /// [`Self::then`].
    pub(crate) fn choosing(&self, one: &Self, other: &Self) -> Option<Self> {
        if let Some(value) = self.as_constant() {
            return Some(if value > 0.0 { one.clone() } else { other.clone() });
        }
        let chosen = Self {
            root: Rc::new(Expression::Chosen(self.clone(), one.clone(), other.clone())),
            steps: self.steps + one.steps + other.steps + 1,
            depth: self.depth.max(one.depth).max(other.depth) + 1,
        };
        chosen.bounded()
    }

    /// Returns an operation on the curve and a constant; `None` as for [`Self::then`].
    pub(crate) fn with_constant(&self, operation: Operation, constant: f64) -> Option<Self> {
        self.with(operation, &Self::constant(constant)?)
    }

    /// Returns the curve times a factor; `None` as for [`Self::then`].
    pub(crate) fn scaled(&self, factor: f64) -> Option<Self> {
        self.with_constant(Operation::Mul, factor)
    }

    /// Returns the curve of another one, in the place of the number; `None` as for [`Self::then`].
    pub(crate) fn of(&self, inner: &Self) -> Option<Self> {
        if inner.is_number() {
            return Some(self.clone());
        }
        match &*self.root {
            Expression::Number => Some(inner.clone()),
            Expression::Constant(_) => Some(self.clone()),
            Expression::Applied(function, of) => of.of(inner)?.then(*function),
            Expression::Combined(operation, one, other) => one.of(inner)?.with(*operation, &other.of(inner)?),
            Expression::Chosen(by, one, other) => by.of(inner)?.choosing(&one.of(inner)?, &other.of(inner)?),
        }
    }

    /// Returns a factor, a curve and a summand that the curve is made of, with as much in the
    /// factor and the summand as can be.
    pub(crate) fn split(&self) -> (f64, Self, f64) {
        let (mut factor, mut summand) = (1.0, 0.0);
        let mut rest = self.clone();
        while let Expression::Combined(operation, one, other) = &*rest.root {
            let (next, by, more) = match (operation, one.as_constant(), other.as_constant()) {
                (Operation::Add, None, Some(c)) => (one, 1.0, c),
                (Operation::Add, Some(c), None) => (other, 1.0, c),
                (Operation::Sub, None, Some(c)) => (one, 1.0, -c),
                (Operation::Sub, Some(c), None) => (other, -1.0, c),
                (Operation::Mul, None, Some(c)) => (one, c, 0.0),
                (Operation::Mul, Some(c), None) => (other, c, 0.0),
                (Operation::Div, None, Some(c)) => (one, 1.0 / c, 0.0),
                _ => break,
            };
            let (new_factor, new_summand) = (factor * by, summand + factor * more);
            if !new_factor.is_normal() || !new_summand.is_finite() {
                break;
            }
            (factor, summand) = (new_factor, new_summand);
            rest = next.clone();
        }
        (factor, rest, summand)
    }

    /// Returns the value at a number.
    pub(crate) fn value(&self, z: f64) -> f64 {
        match &*self.root {
            Expression::Number => z,
            Expression::Constant(value) => *value,
            Expression::Applied(function, of) => function.value(of.value(z)),
            Expression::Combined(operation, one, other) => operation.value(one.value(z), other.value(z)),
            Expression::Chosen(by, one, other) => {
                let chosen = if by.value(z) > 0.0 { one } else { other };
                chosen.value(z)
            }
        }
    }

    fn bounded(self) -> Option<Self> {
        (self.steps <= MOST_STEPS && self.depth <= MOST_DEPTH).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(one: f64, other: f64) {
        assert!((one - other).abs() <= 1e-14 * one.abs().max(1.0), "{one} {other}");
    }

    #[test]
    fn expressions_have_the_values_of_their_formulas() {
        let z = Curve::number();
        let silu = z
            .with(Operation::Mul, &z.then(Function::Sigmoid).unwrap())
            .unwrap();
        let softplus = z.then(Function::Exp).unwrap();
        let softplus = softplus
            .with_constant(Operation::Add, 1.0)
            .unwrap()
            .then(Function::Log)
            .unwrap();
        assert!(softplus.is_only(Function::Softplus));
        let log_sigmoid = z.then(Function::Sigmoid).unwrap().then(Function::Log).unwrap();
        for x in [-3.0, -0.5, 0.0, 0.25, 2.0f64] {
            close(silu.value(x), x / (1.0 + (-x).exp()));
            close(softplus.value(x), (1.0 + x.exp()).ln());
            close(log_sigmoid.value(x), -(1.0 + (-x).exp()).ln());
        }
        assert_eq!((softplus.value(1e4), softplus.value(-1e4)), (1e4, 0.0));
        assert_eq!(log_sigmoid.value(-1e4), -1e4);
        close(z.then(Function::Erf).unwrap().value(0.5), 0.520_499_877_813_046_5);
    }

    #[test]
    fn factors_and_summands_are_split_off() {
        let tanh = Curve::number().then(Function::Tanh).unwrap();
        let three = Curve::constant(3.0).unwrap();
        let moved = three
            .with(Operation::Sub, &tanh.scaled(2.0).unwrap())
            .unwrap()
            .with_constant(Operation::Div, 4.0)
            .unwrap();
        assert_eq!(moved.split(), (-0.5, tanh.clone(), 0.75));
        assert_eq!(tanh.split(), (1.0, tanh.clone(), 0.0));
        assert_eq!(tanh.scaled(0.0).unwrap().as_constant(), Some(0.0));
    }

    #[test]
    fn a_curve_takes_another_in_the_place_of_its_number() {
        let doubled = Curve::number().scaled(2.0).unwrap();
        let curve = Curve::number()
            .then(Function::Tanh)
            .unwrap()
            .of(&doubled)
            .unwrap();
        close(curve.value(0.3), 0.6f64.tanh());
        assert_eq!(curve, doubled.then(Function::Tanh).unwrap());
    }

    #[test]
    fn curves_are_bounded() {
        let mut curve = Some(Curve::number());
        let mut squared = 0;
        while let Some(one) = curve {
            curve = one.with(Operation::Mul, &one);
            squared += 1;
        }
        assert_eq!(squared, 7, "of 255 steps");
        let mut curve = Some(Curve::number());
        let mut applied = 0;
        while let Some(one) = curve {
            curve = one.then(Function::Tanh);
            applied += 1;
        }
        assert_eq!(applied, MOST_DEPTH);
        assert_eq!(Curve::constant(f64::NAN), None);
        assert_eq!(Curve::constant(-1.0).unwrap().then(Function::Log), None);
    }
}
