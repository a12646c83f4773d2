//! Operators of the default ONNX domain.

use super::{
    NotRun, activations, axes_in_words, not_run,
    tensor::{Elements, Tensor},
    text, type_name,
};
use crate::onnx::proto::{AttributeProto, NodeProto, tensor_proto::DataType};

/// Most elements of a constant that a node makes.
const MOST_CONSTANT: usize = 1 << 20;

pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |attribute| attribute.i)
}

/// Runs a node of this domain. All operators have one output.
pub(super) fn run(node: &NodeProto, operands: &[Option<&Tensor>], version: i64) -> Result<Tensor, NotRun> {
    let operand = |index: usize| operands.get(index).copied().flatten();
    let Some(first) = operand(0) else {
        return match (
            node.op_type.as_str(),
            attribute(node, "value").and_then(|value| value.t.as_ref()),
        ) {
            ("Constant", Some(tensor)) => Tensor::of(tensor),
            _ => not_run("it has no operands"),
        };
    };
    if let Some(result) = activations::run(node, first)? {
        return Ok(result);
    }
    match (node.op_type.as_str(), operand(1)) {
        ("Identity", _) => Ok(first.clone()),
        ("Dropout", _) => Ok(first.clone()),
        ("StringNormalizer", _) => text::string_normalizer(node, first),
        ("TfIdfVectorizer", _) => text::tf_idf(node, first),
        ("Abs", _) => first.map(first.kind(), f64::abs),
        ("Neg", _) => first.map(first.kind(), |x| -x),
        ("Sum", _) => folded(operands, |a, b| a + b),
        ("Mean", _) => {
            let parts = operands.iter().flatten().count() as f64;
            folded(operands, |a, b| a + b)?.map(first.kind(), |sum| sum / parts)
        }
        ("ReduceMean", axes) => reduced(node, first, axes_of(node, axes)?, |numbers| {
            numbers.iter().sum::<f64>() / numbers.len() as f64
        }),
        ("LpNormalization", _) if int(node, "p", 2) == 1 => {
            let sums = reduced_over(first, int(node, "axis", -1), true, |numbers| {
                numbers.iter().map(|x| x.abs()).sum()
            })?;
            elementwise(first, &sums, |a, b| a / b)
        }
        ("Shape", _) => {
            let sizes: Vec<f64> = first.shape().iter().map(|&size| size as f64).collect();
            Ok(Tensor::numbers(vec![sizes.len()], sizes, DataType::Int64))
        }
        ("ConstantOfShape", _) => constant_of_shape(node, first),
        ("SequenceConstruct", _) => concat(operands, 1),
        ("Exp", _) => first.map(first.kind(), f64::exp),
        ("Log", _) => first.map(first.kind(), f64::ln),
        ("Reciprocal", _) => first.map(first.kind(), |x| 1.0 / x),
        ("Floor", _) => first.map(first.kind(), f64::floor),
        ("Ceil", _) => first.map(first.kind(), f64::ceil),
        ("IsNaN", _) => first.map(DataType::Bool, |x| truth(x.is_nan())),
        ("And", Some(second)) => compared(first, second, |a, b| a != 0.0 && b != 0.0),
        ("Or", Some(second)) => compared(first, second, |a, b| a != 0.0 || b != 0.0),
        ("Not", _) => first.map(DataType::Bool, |x| truth(x == 0.0)),
        ("Less", Some(second)) => compared(first, second, |a, b| a < b),
        ("LessOrEqual", Some(second)) => compared(first, second, |a, b| a <= b),
        ("Greater", Some(second)) => compared(first, second, |a, b| a > b),
        ("GreaterOrEqual", Some(second)) => compared(first, second, |a, b| a >= b),
        ("Equal", Some(second)) => equal(first, second),
        ("Pow", Some(second)) => elementwise(first, second, f64::powf),
        ("Sqrt", _) => first.map(first.kind(), f64::sqrt),
        ("Sign", _) => first.map(first.kind(), |x| if x == 0.0 { 0.0 } else { x.signum() }),
        ("Sigmoid", _) => first.map(first.kind(), |x| 1.0 / (1.0 + (-x).exp())),
        ("Clip", least) => clip(node, first, least, operand(2)),
        ("Max", _) => folded(operands, f64::max),
        ("Min", _) => folded(operands, f64::min),
        ("PRelu", Some(slope)) => elementwise(first, slope, |x, slope| if x < 0.0 { slope * x } else { x }),
        ("Cast", _) => cast(
            first,
            DataType::try_from(int(node, "to", 0) as i32).unwrap_or(DataType::Undefined),
        ),
        ("CastLike", Some(like)) => cast(first, like.kind()),
        ("Add", Some(second)) => elementwise(first, second, |a, b| a + b),
        ("Sub", Some(second)) => elementwise(first, second, |a, b| a - b),
        ("Mul", Some(second)) => elementwise(first, second, |a, b| a * b),
        ("Div", Some(second)) if first.is_integer() => elementwise(first, second, |a, b| (a / b).trunc()),
        ("Div", Some(second)) => elementwise(first, second, |a, b| a / b),
        ("MatMul", Some(second)) => matmul(first, second),
        ("Gemm", Some(second)) => gemm(node, first, second, operand(2)),
        ("Reshape", Some(target)) => reshape(first, &target.as_integers()?, int(node, "allowzero", 0) != 0),
        ("Flatten", _) => flatten(first, int(node, "axis", 1)),
        ("Squeeze", axes) => squeeze(first, axes_of(node, axes)?),
        ("Unsqueeze", axes) => unsqueeze(first, &axes_of(node, axes)?.unwrap_or_default()),
        ("Transpose", _) => transpose(first, attribute(node, "perm")),
        ("BatchNormalization", _) => batch_normalised(node, operands),
        ("Concat", _) => concat(operands, int(node, "axis", i64::MAX)),
        ("Slice", _) => slice(node, first, operands),
        ("Gather", Some(places)) => gather(first, places, int(node, "axis", 0)),
        ("ReduceSum", axes) => reduced(node, first, axes_of(node, axes)?, |numbers| numbers.iter().sum()),
        ("ReduceSumSquare", axes) => reduced(node, first, axes_of(node, axes)?, |numbers| {
            numbers.iter().map(|x| x * x).sum()
        }),
        ("ReduceL1", axes) => reduced(node, first, axes_of(node, axes)?, |numbers| {
            numbers.iter().map(|x| x.abs()).sum()
        }),
        ("ReduceL2", axes) => reduced(node, first, axes_of(node, axes)?, |numbers| {
            numbers.iter().map(|x| x * x).sum::<f64>().sqrt()
        }),
        ("Where", Some(second)) => match operand(2) {
            Some(third) => {
                let held = elementwise(first, second, |holds, x| if holds == 0.0 { 0.0 } else { x })?;
                let other = elementwise(first, third, |holds, x| if holds == 0.0 { x } else { 0.0 })?;
                let sum = elementwise(&held, &other, |a, b| a + b)?;
                sum.map(second.kind(), |x| x)
            }
            None => not_run("it has two operands"),
        },
        ("ReduceProd", axes) => reduced(node, first, axes_of(node, axes)?, |numbers| {
            numbers.iter().product()
        }),
        ("ReduceLogSumExp", axes) => reduced(node, first, axes_of(node, axes)?, |numbers| {
            let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            most + numbers.iter().map(|x| (x - most).exp()).sum::<f64>().ln()
        }),
        ("LogSoftmax", _) => {
            let shares = softmax(first, attribute(node, "axis").map(|axis| axis.i), version)?;
            shares.map(first.kind(), f64::ln)
        }
        ("ArgMax", _) => argmax(first, int(node, "axis", 0), int(node, "keepdims", 1) != 0),
        ("Softmax", _) => softmax(first, attribute(node, "axis").map(|axis| axis.i), version),
        _ => not_run("it is not known"),
    }
}

fn axes_of(node: &NodeProto, operand: Option<&Tensor>) -> Result<Option<Vec<i64>>, NotRun> {
    match (attribute(node, "axes"), operand) {
        (Some(axes), _) => Ok(Some(axes.ints.clone())),
        (None, Some(axes)) => axes.as_integers().map(Some),
        (None, None) => Ok(None),
    }
}

/// Combines the elements of several tensors, from the first one to the last.
fn folded(operands: &[Option<&Tensor>], apply: impl Fn(f64, f64) -> f64) -> Result<Tensor, NotRun> {
    let mut operands = operands.iter().flatten();
    let Some(first) = operands.next() else {
        return not_run("it has no operands");
    };
    operands.try_fold((*first).clone(), |result, other| {
        elementwise(&result, other, &apply)
    })
}

fn clip(
    node: &NodeProto,
    tensor: &Tensor,
    least: Option<&Tensor>,
    most: Option<&Tensor>,
) -> Result<Tensor, NotRun> {
    let bound = |name: &str, bound: Option<&Tensor>, default: f64| match bound {
        // Before version 11, bounds were attributes.
        None => Ok(attribute(node, name).map_or(default, |attribute| f64::from(attribute.f))),
        Some(bound) => bound
            .as_numbers()
            .map(|numbers| numbers.first().copied().unwrap_or(default)),
    };
    let (least, most) = (
        bound("min", least, f64::NEG_INFINITY)?,
        bound("max", most, f64::INFINITY)?,
    );
    tensor.map(tensor.kind(), |x| x.max(least).min(most))
}

fn cast(tensor: &Tensor, to: DataType) -> Result<Tensor, NotRun> {
    match (tensor.elements(), to) {
        (Elements::Numbers(_), DataType::Float) => tensor.map(to, |x| f64::from(x as f32)),
        (Elements::Numbers(_), DataType::Double) => tensor.map(to, |x| x),
        (Elements::Numbers(_), DataType::Bool) => tensor.map(to, |x| f64::from(u8::from(x != 0.0))),
        (Elements::Numbers(_), DataType::Int64 | DataType::Int32) => tensor.map(to, f64::trunc),
        (Elements::Numbers(numbers), DataType::String) if tensor.is_integer() => Ok(Tensor::texts(
            tensor.shape().to_vec(),
            numbers.iter().map(|number| format!("{number}")).collect(),
        )),
        (Elements::Texts(_), DataType::String) => Ok(tensor.clone()),
        _ => not_run(format!(
            "from {} to {}",
            type_name(tensor.kind() as i32),
            type_name(to as i32)
        )),
    }
}

fn elementwise(left: &Tensor, right: &Tensor, apply: impl Fn(f64, f64) -> f64) -> Result<Tensor, NotRun> {
    let (shape, pairs) = left.broadcast(right)?;
    let (l, r) = (left.as_numbers()?, right.as_numbers()?);
    let numbers = pairs.into_iter().map(|(a, b)| apply(l[a], r[b])).collect();
    Ok(Tensor::numbers(shape, numbers, left.kind()))
}

fn matmul(left: &Tensor, right: &Tensor) -> Result<Tensor, NotRun> {
    let (rows, inner) = left.matrix()?;
    let (depth, columns, shape) = match *right.shape() {
        [depth] => (depth, 1, vec![rows]),
        [depth, columns] => (depth, columns, vec![rows, columns]),
        _ => return not_run(format!("a matrix of shape {:?}", right.shape())),
    };
    if depth != inner {
        return not_run(format!("shapes {:?} and {:?}", left.shape(), right.shape()));
    }
    let (l, r) = (left.as_numbers()?, right.as_numbers()?);
    let mut numbers = vec![0.0; rows * columns];
    for row in 0..rows {
        for k in 0..inner {
            let factor = l[row * inner + k];
            for column in 0..columns {
                numbers[row * columns + column] += factor * r[k * columns + column];
            }
        }
    }
    Ok(Tensor::numbers(shape, numbers, left.kind()))
}

fn gemm(node: &NodeProto, a: &Tensor, b: &Tensor, c: Option<&Tensor>) -> Result<Tensor, NotRun> {
    let factor = |name: &str| attribute(node, name).map_or(1.0, |attribute| f64::from(attribute.f));
    let turned = |tensor: &Tensor, name: &str| {
        if int(node, name, 0) == 0 {
            Ok(tensor.clone())
        } else {
            transpose(tensor, None)
        }
    };
    let (alpha, beta) = (factor("alpha"), factor("beta"));
    let product = matmul(&turned(a, "transA")?, &turned(b, "transB")?)?;
    match c {
        None => product.map(product.kind(), |x| alpha * x),
        Some(c) => elementwise(&product, c, |x, y| alpha * x + beta * y),
    }
}

fn reshape(tensor: &Tensor, target: &[i64], zero_is_zero: bool) -> Result<Tensor, NotRun> {
    let mut shape = Vec::with_capacity(target.len());
    for (place, &dim) in target.iter().enumerate() {
        shape.push(match (usize::try_from(dim), tensor.shape().get(place)) {
            (Ok(0), Some(&kept)) if !zero_is_zero => kept,
            (Ok(0), None) if !zero_is_zero => return not_run(format!("to {target:?}")),
            (Ok(size), _) => size,
            (Err(_), _) => usize::MAX,
        });
    }
    let known = shape
        .iter()
        .filter(|size| **size != usize::MAX)
        .fold(1usize, |known, size| known.saturating_mul(*size));
    if let Some(open) = shape.iter_mut().find(|size| **size == usize::MAX) {
        if known == 0 || !tensor.count().is_multiple_of(known) {
            return not_run(format!("{:?} to {target:?}", tensor.shape()));
        }
        *open = tensor.count() / known;
    }
    tensor.in_shape(shape)
}

fn flatten(tensor: &Tensor, axis: i64) -> Result<Tensor, NotRun> {
    let rank = tensor.shape().len();
    let split = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).unwrap_or(usize::MAX);
    let (Some(before), Some(after)) = (tensor.shape().get(..split), tensor.shape().get(split..)) else {
        return not_run(format!("axis {axis} of shape {:?}", tensor.shape()));
    };
    tensor.in_shape(vec![before.iter().product(), after.iter().product()])
}

fn squeeze(tensor: &Tensor, axes: Option<Vec<i64>>) -> Result<Tensor, NotRun> {
    let gone: Vec<usize> = match axes {
        Some(axes) => axes
            .iter()
            .map(|&axis| tensor.axis(axis))
            .collect::<Result<_, _>>()?,
        None => (0..tensor.shape().len())
            .filter(|&axis| tensor.shape()[axis] == 1)
            .collect(),
    };
    let kept = tensor
        .shape()
        .iter()
        .enumerate()
        .filter(|(axis, _)| !gone.contains(axis));
    tensor.in_shape(kept.map(|(_, &size)| size).collect())
}

fn unsqueeze(tensor: &Tensor, axes: &[i64]) -> Result<Tensor, NotRun> {
    let rank = tensor.shape().len() + axes.len();
    let new: Vec<i64> = axes
        .iter()
        .map(|&axis| if axis < 0 { axis + rank as i64 } else { axis })
        .collect();
    let mut old = tensor.shape().iter();
    let sizes = (0..rank as i64).map(|axis| {
        if new.contains(&axis) {
            1
        } else {
            old.next().copied().unwrap_or(0)
        }
    });
    tensor.in_shape(sizes.collect())
}

fn transpose(tensor: &Tensor, perm: Option<&AttributeProto>) -> Result<Tensor, NotRun> {
    let (rows, columns) = tensor.matrix()?;
    match perm.map(|perm| perm.ints.as_slice()) {
        None | Some([1, 0]) => {
            let places: Vec<usize> = (0..columns)
                .flat_map(|column| (0..rows).map(move |row| row * columns + column))
                .collect();
            Ok(tensor.pick(vec![columns, rows], &places))
        }
        Some([0, 1]) => Ok(tensor.clone()),
        Some(other) => not_run(format!("to {other:?}")),
    }
}

fn concat(operands: &[Option<&Tensor>], axis: i64) -> Result<Tensor, NotRun> {
    let parts: Vec<&Tensor> = operands.iter().flatten().copied().collect();
    let Some(first) = parts.first() else {
        return not_run("of nothing");
    };
    let axis = first.axis(axis)?;
    let (before, _, after) = first.around(axis);
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for outer in 0..before {
        for part in &parts {
            let (its_before, size, its_after) = part.around(part.axis(axis as i64)?);
            if (its_before, its_after) != (before, after) {
                return not_run(format!("shapes {:?} and {:?}", first.shape(), part.shape()));
            }
            let part_of_row = outer * size * after..(outer + 1) * size * after;
            match part.elements() {
                Elements::Numbers(all) => numbers.extend(&all[part_of_row]),
                Elements::Texts(all) => texts.extend_from_slice(&all[part_of_row]),
            }
        }
    }
    let mut shape = first.shape().to_vec();
    shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
    match (numbers.is_empty(), texts.is_empty()) {
        (_, true) => Ok(Tensor::numbers(shape, numbers, first.kind())),
        (true, false) => Ok(Tensor::texts(shape, texts)),
        (false, false) => not_run("of numbers and text"),
    }
}

/// Picks the indices `chosen` along an axis.
fn along(tensor: &Tensor, axis: usize, chosen: &[usize]) -> Tensor {
    let (before, size, after) = tensor.around(axis);
    let places: Vec<usize> = (0..before)
        .flat_map(|outer| chosen.iter().map(move |&place| outer * size + place))
        .flat_map(|start| (0..after).map(move |inner| start * after + inner))
        .collect();
    let mut shape = tensor.shape().to_vec();
    shape[axis] = chosen.len();
    tensor.pick(shape, &places)
}

fn slice(node: &NodeProto, tensor: &Tensor, operands: &[Option<&Tensor>]) -> Result<Tensor, NotRun> {
    let list =
        |name: &str, index: usize| match (attribute(node, name), operands.get(index).copied().flatten()) {
            (Some(attribute), _) => Ok(Some(attribute.ints.clone())),
            (None, Some(operand)) => operand.as_integers().map(Some),
            (None, None) => Ok(None),
        };
    let (starts, ends) = (
        list("starts", 1)?.unwrap_or_default(),
        list("ends", 2)?.unwrap_or_default(),
    );
    let axes = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let mut result = tensor.clone();
    for (index, &axis) in axes.iter().enumerate() {
        let (Some(&start), Some(&end), Some(&step)) = (starts.get(index), ends.get(index), steps.get(index))
        else {
            return not_run("bounds are missing");
        };
        if step < 1 {
            return not_run(format!("by {step}"));
        }
        let axis = result.axis(axis)?;
        let size = result.shape()[axis] as i64;
        let bound = |bound: i64| {
            if bound < 0 {
                bound.saturating_add(size)
            } else {
                bound
            }
            .clamp(0, size) as usize
        };
        let chosen: Vec<usize> = (bound(start)..bound(end)).step_by(step as usize).collect();
        result = along(&result, axis, &chosen);
    }
    Ok(result)
}

fn gather(tensor: &Tensor, places: &Tensor, axis: i64) -> Result<Tensor, NotRun> {
    let axis = tensor.axis(axis)?;
    let size = tensor.shape()[axis] as i64;
    let place = |place: i64| usize::try_from(if place < 0 { place + size } else { place });
    let chosen: Result<Vec<usize>, _> = places.as_integers()?.into_iter().map(place).collect();
    match chosen {
        Ok(chosen) if chosen.iter().all(|place| (*place as i64) < size) => {
            let gathered = along(tensor, axis, &chosen);
            let shape = tensor.shape();
            gathered.in_shape([&shape[..axis], places.shape(), &shape[axis + 1..]].concat())
        }
        _ => not_run("a place that isn't there"),
    }
}

/// Reduces the numbers along one axis to one.
fn reduced(
    node: &NodeProto,
    tensor: &Tensor,
    axes: Option<Vec<i64>>,
    reduce: impl Fn(&[f64]) -> f64,
) -> Result<Tensor, NotRun> {
    match axes.as_deref() {
        Some(&[axis]) => reduced_over(tensor, axis, int(node, "keepdims", 1) != 0, reduce),
        _ => not_run(axes_in_words(axes.as_deref())),
    }
}

fn constant_of_shape(node: &NodeProto, shape: &Tensor) -> Result<Tensor, NotRun> {
    let sizes: Vec<usize> = shape
        .as_integers()?
        .iter()
        .filter_map(|&size| usize::try_from(size).ok())
        .collect();
    let value = match attribute(node, "value").and_then(|value| value.t.as_ref()) {
        None => 0.0,
        Some(tensor) => Tensor::of(tensor)?.as_numbers()?.first().copied().unwrap_or(0.0),
    };
    let count = sizes.iter().product::<usize>();
    if sizes.len() > 2 || count > MOST_CONSTANT {
        return not_run("of too large a shape");
    }
    Ok(Tensor::numbers(sizes, vec![value; count], DataType::Float))
}

fn reduced_over(
    tensor: &Tensor,
    axis: i64,
    keeps: bool,
    reduce: impl Fn(&[f64]) -> f64,
) -> Result<Tensor, NotRun> {
    let axis = tensor.axis(axis)?;
    let (before, size, after) = tensor.around(axis);
    let numbers = tensor.as_numbers()?;
    let mut results = Vec::with_capacity(before * after);
    for outer in 0..before {
        for inner in 0..after {
            let along: Vec<f64> = (0..size)
                .map(|k| numbers[(outer * size + k) * after + inner])
                .collect();
            results.push(reduce(&along));
        }
    }
    let mut shape = tensor.shape().to_vec();
    if keeps {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    Ok(Tensor::numbers(shape, results, tensor.kind()))
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn compared(left: &Tensor, right: &Tensor, holds: impl Fn(f64, f64) -> bool) -> Result<Tensor, NotRun> {
    let result = elementwise(left, right, |a, b| truth(holds(a, b)))?;
    result.map(DataType::Bool, |x| x)
}

/// Computes `(x - mean) / sqrt(variance + epsilon) * gain + bias` for each column.
fn batch_normalised(node: &NodeProto, operands: &[Option<&Tensor>]) -> Result<Tensor, NotRun> {
    let [Some(x), Some(gain), Some(bias), Some(mean), Some(variance)] = operands else {
        return not_run("it has other operands than five");
    };
    let epsilon = attribute(node, "epsilon").map_or(1e-5, |epsilon| f64::from(epsilon.f));
    let deviation = variance.map(variance.kind(), |x| (x + epsilon).sqrt())?;
    let centred = elementwise(x, mean, |a, b| a - b)?;
    let scaled = elementwise(&elementwise(&centred, &deviation, |a, b| a / b)?, gain, |a, b| {
        a * b
    })?;
    elementwise(&scaled, bias, |a, b| a + b)
}

fn equal(left: &Tensor, right: &Tensor) -> Result<Tensor, NotRun> {
    let (Elements::Texts(l), Elements::Texts(r)) = (left.elements(), right.elements()) else {
        return compared(left, right, |a, b| a == b);
    };
    let (shape, pairs) = left.broadcast(right)?;
    let numbers = pairs.into_iter().map(|(a, b)| truth(l[a] == r[b])).collect();
    Ok(Tensor::numbers(shape, numbers, DataType::Bool))
}

fn argmax(tensor: &Tensor, axis: i64, keeps: bool) -> Result<Tensor, NotRun> {
    let axis = tensor.axis(axis)?;
    let (before, size, after) = tensor.around(axis);
    let numbers = tensor.as_numbers()?;
    let mut places = Vec::with_capacity(before * after);
    for outer in 0..before {
        for inner in 0..after {
            let value = |k: usize| numbers[(outer * size + k) * after + inner];
            let best = (1..size).fold(0, |best, k| if value(k) > value(best) { k } else { best });
            places.push(best as f64);
        }
    }
    let mut shape = tensor.shape().to_vec();
    if keeps {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    Ok(Tensor::numbers(shape, places, DataType::Int64))
}

fn softmax(tensor: &Tensor, axis: Option<i64>, version: i64) -> Result<Tensor, NotRun> {
    // Before version 13, softmax ran over all axes from the given one on.
    let (before, size, after) = if version < 13 {
        let axis = tensor.axis(axis.unwrap_or(1))?;
        (
            tensor.shape()[..axis].iter().product(),
            tensor.shape()[axis..].iter().product(),
            1,
        )
    } else {
        tensor.around(tensor.axis(axis.unwrap_or(-1))?)
    };
    let mut numbers = tensor.as_numbers()?.to_vec();
    for outer in 0..before {
        for inner in 0..after {
            let places = (0..size).map(|k| (outer * size + k) * after + inner);
            let most = places
                .clone()
                .map(|place| numbers[place])
                .fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = places.clone().map(|place| (numbers[place] - most).exp()).sum();
            for place in places {
                numbers[place] = (numbers[place] - most).exp() / sum;
            }
        }
    }
    Ok(Tensor::numbers(tensor.shape().to_vec(), numbers, tensor.kind()))
}
