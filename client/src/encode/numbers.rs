//! The steps of an encoding, each on the numbers before it.

use super::{Index, Slots, Tokens, hash::bucket, listed, quoted, splines::splines};
use blindscore_protocol::{
    descriptor::short,
    encoding::{Branch, Categories, Decision, Function, MISSING_CATEGORY, Norm, Side, Step, Unknown},
};
use std::borrow::Cow;

/// Returns the leaf that the numbers lead to. Decisions lead to later ones only, as was checked
/// with the encoding.
fn leaf(decisions: &[Decision], numbers: &[f64]) -> usize {
    let mut place = 0;
    loop {
        let decision = &decisions[place];
        let number = numbers[decision.of as usize];
        let second = if number.is_nan() {
            decision.missing
        } else {
            number > decision.threshold
        };
        match decision.branches[usize::from(second)] {
            Branch::Decision(next) => place = next as usize,
            Branch::Leaf(leaf) => return leaf as usize,
        }
    }
}

/// Runs a step and appends its results.
///
/// # Errors
/// If a cell is none of the categories. The error names the slot that the step reads, and the
/// problem.
pub(super) fn run(step: &Step, index: Option<&Index>, slots: &mut Slots<'_>) -> Result<(), (usize, String)> {
    let first = slots.numbers.len();
    match step {
        Step::Impute { of, values } => {
            for (slot, value) in of.iter().zip(values) {
                let number = slots.numbers[slot];
                slots.numbers.push(if number.is_nan() { *value } else { number });
            }
        }
        Step::Missing { of } => {
            for slot in of.iter() {
                let missing = f64::from(u8::from(slots.numbers[slot].is_nan()));
                slots.numbers.push(missing);
            }
        }
        Step::Affine { of, scale, offset } => {
            for ((slot, scale), offset) in of.iter().zip(scale).zip(offset) {
                let moved = slots.numbers[slot] * scale + offset;
                slots.numbers.push(moved);
            }
        }
        Step::Sums { of, weights, offset } => {
            for (weights, offset) in weights.iter().zip(offset) {
                let terms = of
                    .iter()
                    .zip(weights)
                    .map(|(slot, weight)| slots.numbers[slot] * weight);
                let sum = terms.sum::<f64>() + offset;
                slots.numbers.push(sum);
            }
        }
        Step::Products { of } => {
            for factors in of {
                let product = factors.iter().map(|slot| slots.numbers[slot]).product();
                slots.numbers.push(product);
            }
        }
        Step::Clip { of, min, max } => {
            for slot in of.iter() {
                // `clamp` would bring the standard library's formatting of floats into the
                // WebAssembly.
                let clipped = match slots.numbers[slot] {
                    below if below < *min => *min,
                    above if above > *max => *max,
                    number => number,
                };
                slots.numbers.push(clipped);
            }
        }
        Step::Apply { of, function } => {
            for slot in of.iter() {
                let result = apply(*function, slots.numbers[slot]);
                slots.numbers.push(result);
            }
        }
        Step::Power { of, exponents } => {
            for (slot, exponent) in of.iter().zip(exponents) {
                let power = slots.numbers[slot].powf(*exponent);
                slots.numbers.push(power);
            }
        }
        Step::YeoJohnson { of, lambdas } => {
            for (slot, lambda) in of.iter().zip(lambdas) {
                let transformed = yeo_johnson(slots.numbers[slot], *lambda);
                slots.numbers.push(transformed);
            }
        }
        Step::Piecewise { of, x, y } => {
            let value = interpolated(slots.numbers[*of as usize], x, y);
            slots.numbers.push(value);
        }
        Step::Bins {
            of,
            edges,
            equal,
            missing,
        } => {
            let number = slots.numbers[*of as usize];
            let bin = if number.is_nan() {
                missing.unwrap_or(f64::NAN)
            } else {
                edges.partition_point(|edge| match equal {
                    Side::Above => *edge <= number,
                    Side::Below => *edge < number,
                }) as f64
            };
            slots.numbers.push(bin);
        }
        Step::Thermometer { of, edges, missing } => {
            let number = slots.numbers[*of as usize];
            let above = |edge: &f64| match number {
                number if number.is_nan() && !missing => f64::NAN,
                number => f64::from(u8::from(number > *edge)),
            };
            slots.numbers.extend(edges.iter().map(above));
        }
        Step::Leaves { decisions } => {
            slots.numbers.resize(first + decisions.len() + 1, 0.0);
            let leaf = leaf(decisions, &slots.numbers);
            slots.numbers[first + leaf] = 1.0;
        }
        Step::OneHot {
            of,
            categories,
            unknown,
        } => match (place(*of, categories, index, slots), unknown) {
            (Ok(place), _) => {
                slots.numbers.resize(first + categories.len(), 0.0);
                slots.numbers[first + place] = 1.0;
            }
            (Err(_), Unknown::Value(value)) => slots.numbers.resize(first + categories.len(), *value),
            (Err(problem), Unknown::Refuse) => return Err((*of as usize, problem)),
        },
        Step::Lookup {
            of,
            categories,
            values,
            unknown,
        } => match (place(*of, categories, index, slots), unknown) {
            (Ok(place), _) => slots.numbers.push(values[place]),
            (Err(_), Unknown::Value(value)) => slots.numbers.push(*value),
            (Err(problem), Unknown::Refuse) => return Err((*of as usize, problem)),
        },
        Step::Normalise { of, norm } => {
            let numbers = || of.iter().map(|slot| slots.numbers[slot]);
            let length = match norm {
                Norm::L1 => numbers().map(f64::abs).sum::<f64>(),
                Norm::L2 => numbers().map(|number| number * number).sum::<f64>().sqrt(),
                Norm::Max => numbers().map(f64::abs).fold(0.0, f64::max),
            };
            let divisor = if length == 0.0 { 1.0 } else { length };
            for slot in of.iter() {
                let share = slots.numbers[slot] / divisor;
                slots.numbers.push(share);
            }
        }
        Step::Counts {
            of,
            words,
            vocabulary,
            binary,
        } => {
            let text = slots.texts[*of as usize].clone().unwrap_or(Cow::Borrowed(""));
            slots.numbers.resize(first + vocabulary.len(), 0.0);
            let counts = &mut slots.numbers[first..];
            if let Some(index) = index {
                Tokens::new(&text, words).each(index, &mut |word| {
                    if let Some(place) = index.text(word) {
                        counts[place] = if *binary { 1.0 } else { counts[place] + 1.0 };
                    }
                });
            }
        }
        Step::Hashed {
            of,
            words,
            buckets,
            signed,
            binary,
        } => {
            let text = slots.texts[*of as usize].clone().unwrap_or(Cow::Borrowed(""));
            slots.numbers.resize(first + *buckets as usize, 0.0);
            let counts = &mut slots.numbers[first..];
            if let Some(index) = index {
                Tokens::new(&text, words).each(index, &mut |word| {
                    let (place, negative) = bucket(word, *buckets);
                    counts[place] = match (*binary, *signed && negative) {
                        (true, _) => 1.0,
                        (false, true) => counts[place] - 1.0,
                        (false, false) => counts[place] + 1.0,
                    };
                });
            }
        }
        Step::Splines {
            of,
            knots,
            degree,
            outside,
            missing,
        } => {
            let number = slots.numbers[*of as usize];
            slots.numbers.resize(first + step.results(), 0.0);
            if !(number.is_nan() && *missing) {
                splines(
                    number,
                    knots,
                    *degree as usize,
                    *outside,
                    &mut slots.numbers[first..],
                );
            }
        }
    }
    Ok(())
}

/// Returns the position of the category that a cell is, or says that it is none.
fn place(
    of: u32,
    categories: &Categories,
    index: Option<&Index>,
    slots: &Slots<'_>,
) -> Result<usize, String> {
    let of = of as usize;
    let (found, cell) = match categories {
        Categories::Texts(_) => {
            let text = slots.texts.get(of).and_then(Option::as_deref);
            let found = index.and_then(|index| index.text(text.unwrap_or(MISSING_CATEGORY)));
            (found, text.map(quoted))
        }
        Categories::Numbers(numbers) => {
            let number = slots.numbers[of];
            // An encoding has room for less than 100,000. NaN equals none, and both zeros are one.
            let found = numbers.iter().position(|category| *category == number);
            (found, (!number.is_nan()).then(|| short(number)))
        }
    };
    found.ok_or_else(|| match cell {
        Some(cell) => format!("{cell} is none of the model's categories: {}", listed(categories)),
        None => "is empty, and the model has no value for that".to_owned(),
    })
}

fn apply(function: Function, x: f64) -> f64 {
    match function {
        Function::Abs => x.abs(),
        Function::Exp => x.exp(),
        Function::Log => x.ln(),
        Function::Sqrt => x.sqrt(),
        Function::Reciprocal => 1.0 / x,
        Function::Sign if x == 0.0 => 0.0,
        Function::Sign => x.signum(),
        Function::Floor => x.floor(),
        Function::Ceil => x.ceil(),
    }
}

/// Applies equation 2.1 of Yeo and Johnson (2000).
fn yeo_johnson(x: f64, lambda: f64) -> f64 {
    if x >= 0.0 {
        if lambda == 0.0 {
            x.ln_1p()
        } else {
            (lambda * x.ln_1p()).exp_m1() / lambda
        }
    } else if lambda == 2.0 {
        -(-x).ln_1p()
    } else {
        let rest = 2.0 - lambda;
        -(rest * (-x).ln_1p()).exp_m1() / rest
    }
}

/// Interpolates between points with rising positions; constant beyond them.
fn interpolated(at: f64, x: &[f64], y: &[f64]) -> f64 {
    if at.is_nan() {
        return f64::NAN;
    }
    let after = x.partition_point(|position| *position <= at);
    match (after.checked_sub(1), x.get(after)) {
        (None, _) => y[0],
        (Some(before), None) => y[before],
        (Some(before), Some(next)) => {
            let share = (at - x[before]) / (next - x[before]);
            y[before] + share * (y[after] - y[before])
        }
    }
}
