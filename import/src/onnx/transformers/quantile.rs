//! `QuantileTransformer`, as skl2onnx writes it: two binary searches among the quantiles, each
//! followed by an interpolation.

use super::{
    super::pattern::{Found, Part, Pattern, Searched, Setting},
    Transformer, tensor,
};
use crate::onnx::proto::{NodeProto, tensor_proto::DataType};

/// Most steps of a search: more than scikit-learn's largest number of quantiles takes.
const MOST_STEPS: u32 = 20;
const CONSTANT: &str =
    "a constant column of QuantileTransformer, for which skl2onnx gives 1 and scikit-learn 0";

/// Parts that hold numbers.
struct Parts {
    root: Part,
    x: Part,
    searches: [Search; 2],
    half: Part,
    /// Least and largest quantile of each column.
    bounds: [Part; 2],
    /// 0 for the least quantile, 1 for the largest.
    zero: Part,
    one: Part,
}

/// Parts of a binary search and of the interpolation after it.
struct Search {
    quantiles: Part,
    references: Part,
    /// First place of each column among the quantiles.
    starts: Part,
    /// First step of the search.
    step: Part,
    /// Whole numbers, and which ones they must be.
    wholes: Vec<(Part, f64)>,
    zeros: [Part; 2],
}

/// The numbers of one search.
struct Numbers {
    /// Quantiles of each column, with the first one repeated.
    quantiles: Vec<Vec<f64>>,
    references: Vec<f64>,
}

pub(super) fn find<'g>(searched: &Searched<'g>, node: &'g NodeProto) -> Option<Transformer> {
    let ("Reshape", [result]) = (node.op_type.as_str(), node.output.as_slice()) else {
        return None;
    };
    let bounds = searched.behind(result, &[0, 0, 0, 1])?;
    let quantiles = searched.behind(result, &[0, 2, 2, 0, 0, 0, 1, 0])?;
    let columns = searched.constant(bounds)?.0.numbers.len();
    let (quantiles, kind) = searched.constant(quantiles)?;
    let width = quantiles.numbers.len().checked_div(columns)?;
    let steps = width.checked_sub(1)?.checked_ilog2()?;
    if width != (1 << steps) + 1 || !(1..=MOST_STEPS).contains(&steps) {
        return None;
    }
    let (pattern, parts) = pattern(steps);
    let found = searched.find(&pattern, parts.root, result)?;
    let (quantiles, references) = numbers(searched, &found, &parts, columns, width, kind)?;
    let constant = quantiles.iter().any(|column| column.first() == column.last());
    let count = references.len();
    let kind = DataType::try_from(kind).ok()?;
    Some(Transformer {
        result: result.clone(),
        source: found.name(parts.x).to_owned(),
        columns,
        operator: "QuantileTransformer",
        attributes: vec![
            tensor("quantiles", kind, &[columns, count], &quantiles.concat()),
            tensor("references", kind, &[count], &references),
        ],
        mended: constant.then_some(CONSTANT).into_iter().collect(),
    })
}

/// Reads quantiles and references, and checks the other constants.
fn numbers(
    searched: &Searched<'_>,
    found: &Found<'_>,
    parts: &Parts,
    columns: usize,
    width: usize,
    kind: i32,
) -> Option<(Vec<Vec<f64>>, Vec<f64>)> {
    let constant = |part: Part, kind: i32, shape: &[usize]| {
        let (constant, its_kind) = searched.constant(found.name(part))?;
        (its_kind == kind && constant.shape == shape).then_some(constant.numbers)
    };
    let is = |part: Part, number: f64| constant(part, kind, &[]) == Some(vec![number]);
    let whole = DataType::Int64 as i32;
    let read = |search: &Search| {
        let starts: Vec<f64> = (0..columns).map(|column| (column * width) as f64).collect();
        let right = search
            .wholes
            .iter()
            .all(|(part, number)| constant(*part, whole, &[]) == Some(vec![*number]))
            && search.zeros.iter().all(|part| is(*part, 0.0))
            && constant(search.starts, whole, &[columns]) == Some(starts)
            && constant(search.step, whole, &[1]) == Some(vec![((width - 1) / 2) as f64]);
        let references = constant(search.references, kind, &[columns * width]).filter(|_| right)?;
        let quantiles = constant(search.quantiles, kind, &[columns * width])?;
        let (first, _) = references.split_at_checked(width)?;
        Some(Numbers {
            quantiles: quantiles.chunks(width).map(<[f64]>::to_vec).collect(),
            references: references
                .chunks(width)
                .all(|of_column| of_column == first)
                .then(|| first.to_vec())?,
        })
    };
    let [forward, backward] = [read(&parts.searches[0])?, read(&parts.searches[1])?];
    // The first number stands for itself and for what fills the list up to a power of two.
    let first = *forward.references.first()?;
    let padding = forward
        .references
        .iter()
        .take_while(|number| **number == first)
        .count()
        - 1;
    let plain = |numbers: &[f64]| {
        let filled = numbers
            .get(..=padding)?
            .iter()
            .all(|number| *number == numbers[0]);
        filled.then(|| numbers[padding..].to_vec())
    };
    let opposite = |numbers: &[f64]| -> Option<Vec<f64>> {
        Some(plain(numbers)?.iter().rev().map(|number| -number).collect())
    };
    let references = plain(&forward.references)?;
    let quantiles: Vec<Vec<f64>> = forward
        .quantiles
        .iter()
        .map(|column| plain(column))
        .collect::<Option<_>>()?;
    let reversed: Vec<Vec<f64>> = backward
        .quantiles
        .iter()
        .map(|column| opposite(column))
        .collect::<Option<_>>()?;
    let end = |of: fn(&[f64]) -> Option<&f64>| -> Option<Vec<f64>> {
        quantiles.iter().map(|column| of(column).copied()).collect()
    };
    let right = quantiles == reversed
        && references == opposite(&backward.references)?
        && constant(parts.bounds[0], kind, &[columns]) == end(<[f64]>::first)
        && constant(parts.bounds[1], kind, &[columns]) == end(<[f64]>::last)
        && is(parts.zero, 0.0)
        && is(parts.one, 1.0)
        && is(parts.half, 0.5)
        && first == 0.0
        && references.is_sorted()
        && quantiles.iter().all(|column| column.is_sorted());
    right.then_some((quantiles, references))
}

const FIRST_AXIS: (&str, Setting) = ("axis", Setting::Int(0));
const TO_WHOLE: (&str, Setting) = ("to", Setting::Int(7));

fn pattern(steps: u32) -> (Pattern, Parts) {
    let mut p = Pattern::default();
    let x = p.tensor();
    let missing = p.node("IsNaN", [x]);
    let present = p.node("Not", [missing]);
    let clean = p.node("Where", [present, x, x]);
    let (forward, up) = interpolated(&mut p, clean, steps);
    let opposite = p.node("Neg", [clean]);
    let (backward, down) = interpolated(&mut p, opposite, steps);
    let difference = p.node("Sub", [up, down]);
    let half = p.tensor();
    let mean = p.node("Mul", [difference, half]);
    let bounds = [p.tensor(), p.tensor()];
    let [least, largest] = bounds.map(|bound| {
        let equal = p.node("Equal", [clean, bound]);
        p.set("Flatten", [equal], vec![FIRST_AXIS])
    });
    let (zero, one) = (p.tensor(), p.tensor());
    let nothing = p.node("Mul", [mean, zero]);
    let result = p.node("Where", [least, nothing, mean]);
    let result = p.node("Where", [largest, one, result]);
    let shape = p.node("Shape", [clean]);
    let parts = Parts {
        root: p.node("Reshape", [result, shape]),
        x,
        searches: [forward, backward],
        half,
        bounds,
        zero,
        one,
    };
    (p, parts)
}

/// Adds the search of a number among the quantiles in so many steps, and the interpolation.
fn interpolated(p: &mut Pattern, of: Part, steps: u32) -> (Search, Part) {
    let flat = p.set("Flatten", [of], vec![FIRST_AXIS]);
    let (quantiles, references, starts, half) = (p.tensor(), p.tensor(), p.tensor(), p.tensor());
    let mut wholes = Vec::new();
    let mut whole = |p: &mut Pattern, number: f64| {
        let part = p.tensor();
        wholes.push((part, number));
        part
    };
    let gathered =
        |p: &mut Pattern, from: Part, place: Part| p.set("Gather", [from, place], vec![FIRST_AXIS]);

    let zero = whole(p, 0.0);
    let place = p.set("Cast", [of], vec![TO_WHOLE]);
    let place = p.node("Mul", [place, zero]);
    let place = p.node("Add", [place, starts]);
    let mut place = p.set("Flatten", [place], vec![FIRST_AXIS]);
    let zero = whole(p, 0.0);
    let step = p.node("Mul", [place, zero]);
    let step = p.node("Add", [step, half]);
    let mut step = p.node("Flatten", [step]);
    for round in 0..steps {
        if round > 0 {
            let two = whole(p, 2.0);
            step = p.node("Div", [step, two]);
            step = p.set("Cast", [step], vec![TO_WHOLE]);
        }
        let next = p.node("Add", [place, step]);
        let quantile = gathered(p, quantiles, next);
        let reached = p.node("GreaterOrEqual", [flat, quantile]);
        place = p.node("Where", [reached, next, place]);
    }
    let one = whole(p, 1.0);
    let next = p.node("Add", [place, one]);
    let [low, high] = [place, next].map(|place| [quantiles, references].map(|from| gathered(p, from, place)));
    let is_low = p.node("LessOrEqual", [flat, low[0]]);
    let is_high = p.node("GreaterOrEqual", [flat, high[0]]);
    let [run, rise] = [0, 1].map(|which| p.node("Sub", [high[which], low[which]]));
    let slope = p.node("Div", [rise, run]);
    let zeros = [p.tensor(), p.tensor()];
    let flat_run = p.node("LessOrEqual", [run, zeros[0]]);
    let no_slope = p.node("IsNaN", [slope]);
    let no_slope = p.node("Or", [flat_run, no_slope]);
    let slope = p.node("Where", [no_slope, zeros[1], slope]);
    let distance = p.node("Sub", [flat, low[0]]);
    let more = p.node("Mul", [slope, distance]);
    let between = p.node("Add", [low[1], more]);
    let above_low = p.node("Where", [is_low, low[1], between]);
    let result = p.node("Where", [is_high, high[1], above_low]);
    let search = Search {
        quantiles,
        references,
        starts,
        step: half,
        wholes,
        zeros,
    };
    (search, result)
}
