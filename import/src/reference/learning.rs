//! Operators of the domain `ai.onnx.ml`.

use super::{
    NotRun, machines, not_run,
    standard::attribute,
    tensor::{Elements, Tensor},
    trees,
};
use crate::onnx::LARGEST_MAGNITUDE;
use crate::onnx::proto::{NodeProto, tensor_proto::DataType};

/// Runs a node of this domain.
pub(super) fn run(node: &NodeProto, operands: &[Option<&Tensor>]) -> Result<Vec<Tensor>, NotRun> {
    let Some(first) = operands.first().copied().flatten() else {
        return not_run("it has no operands");
    };
    match node.op_type.as_str() {
        "Scaler" => Ok(vec![scaler(node, first)?]),
        "Imputer" => Ok(vec![imputer(node, first)?]),
        "OneHotEncoder" => Ok(vec![one_hot(node, first)?]),
        "LabelEncoder" => Ok(vec![label_encoder(node, first)?]),
        "Binarizer" => {
            let threshold = floats(node, "threshold").first().copied();
            let threshold =
                threshold.or_else(|| attribute(node, "threshold").map(|value| f64::from(value.f)));
            let threshold = threshold.unwrap_or(0.0);
            Ok(vec![
                first.map(DataType::Float, |x| f64::from(u8::from(x > threshold)))?,
            ])
        }
        "TreeEnsembleRegressor" => {
            let targets = super::standard::int(node, "n_targets", 1);
            Ok(vec![trees::run(
                node,
                first,
                "target",
                usize::try_from(targets).unwrap_or(1),
            )?])
        }
        "TreeEnsembleClassifier" => trees::classifier(node, first),
        "SVMRegressor" => Ok(vec![machines::machine(node, first)?]),
        "SVMClassifier" => machines::classifier(node, first),
        "LinearRegressor" => {
            let scores = linear(node, first)?;
            match text(node, "post_transform").as_deref() {
                None | Some("NONE") => Ok(vec![scores]),
                Some(other) => not_run(format!("post_transform {other}")),
            }
        }
        "LinearClassifier" => linear_classifier(node, first),
        "Normalizer" => Ok(vec![normalizer(node, first)?]),
        "FeatureVectorizer" => Ok(vec![vectorizer(operands)?]),
        "ArrayFeatureExtractor" => Ok(vec![extractor(first, operands)?]),
        // ZipMap only names the columns, so their numbers stay.
        "ZipMap" => Ok(vec![first.clone()]),
        _ => not_run("it is not known"),
    }
}

pub(super) fn floats(node: &NodeProto, name: &str) -> Vec<f64> {
    let values = attribute(node, name).map_or(&[][..], |attribute| &attribute.floats);
    values.iter().map(|&value| f64::from(value)).collect()
}

pub(super) fn text(node: &NodeProto, name: &str) -> Option<String> {
    attribute(node, name).map(|attribute| String::from_utf8_lossy(&attribute.s).into_owned())
}

fn scaler(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    let (_, columns) = tensor.matrix()?;
    let (offset, scale) = (floats(node, "offset"), floats(node, "scale"));
    let of = |values: &[f64], column: usize| {
        if values.len() == 1 {
            Some(values[0])
        } else {
            values.get(column).copied()
        }
    };
    let numbers = tensor.as_numbers()?.iter().enumerate().map(|(place, x)| {
        let column = place % columns;
        Some((x - of(&offset, column)?) * of(&scale, column)?)
    });
    match numbers.collect() {
        Some(numbers) => Ok(Tensor::numbers(tensor.shape().to_vec(), numbers, DataType::Float)),
        None => not_run("numbers are missing"),
    }
}

fn imputer(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    let (_, columns) = tensor.matrix()?;
    let mut values = floats(node, "imputed_value_floats");
    if values.is_empty() {
        let integers = attribute(node, "imputed_value_int64s").map_or(&[][..], |value| &value.ints);
        values = integers.iter().map(|&value| value as f64).collect();
    }
    let of = |place: usize| {
        values
            .get(if values.len() == 1 { 0 } else { place % columns })
            .copied()
    };
    let filled = tensor.as_numbers()?.iter().enumerate();
    let filled: Option<Vec<f64>> = filled
        .map(|(place, x)| if x.is_nan() { of(place) } else { Some(*x) })
        .collect();
    match filled {
        Some(numbers) => Ok(Tensor::numbers(tensor.shape().to_vec(), numbers, tensor.kind())),
        None => not_run("values are missing"),
    }
}

/// Returns the place of each element among the keys of a node.
fn places(node: &NodeProto, tensor: &Tensor, texts: &str, numbers: [&str; 2]) -> Vec<Option<usize>> {
    match tensor.elements() {
        Elements::Texts(elements) => {
            let keys = attribute(node, texts).map_or(&[][..], |keys| &keys.strings);
            let place = |element: &String| keys.iter().position(|key| key == element.as_bytes());
            elements.iter().map(place).collect()
        }
        Elements::Numbers(elements) => {
            let mut keys = floats(node, numbers[0]);
            let integers = attribute(node, numbers[1]).map_or(&[][..], |keys| &keys.ints);
            keys.extend(integers.iter().map(|&key| key as f64));
            let same = |key: f64, element: f64| key == element || key.is_nan() && element.is_nan();
            let place = |element: &f64| keys.iter().position(|key| same(*key, *element));
            elements.iter().map(place).collect()
        }
    }
}

fn one_hot(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    let count = |name: &str| attribute(node, name).map_or(0, |keys| keys.strings.len() + keys.ints.len());
    let width = count("cats_strings") + count("cats_int64s");
    let mut numbers = Vec::with_capacity(tensor.count() * width);
    for place in places(node, tensor, "cats_strings", ["", "cats_int64s"]) {
        numbers.extend((0..width).map(|category| f64::from(u8::from(place == Some(category)))));
    }
    let shape = [tensor.shape(), &[width]].concat();
    Ok(Tensor::numbers(shape, numbers, DataType::Float))
}

fn label_encoder(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    if attribute(node, "keys_tensor").is_some() || attribute(node, "values_tensor").is_some() {
        return not_run("keys as a tensor");
    }
    let mut values = floats(node, "values_floats");
    let kind = if values.is_empty() {
        DataType::Int64
    } else {
        DataType::Float
    };
    let integers = attribute(node, "values_int64s").map_or(&[][..], |values| &values.ints);
    values.extend(integers.iter().map(|&value| value as f64));
    let default = attribute(node, "default_float").map(|value| f64::from(value.f));
    let default = default.or_else(|| attribute(node, "default_int64").map(|value| value.i as f64));
    let found = places(node, tensor, "keys_strings", ["keys_floats", "keys_int64s"]);
    let numbers: Option<Vec<f64>> = found
        .into_iter()
        .map(|place| place.map_or(default, |place| values.get(place).copied()))
        .collect();
    match numbers {
        Some(numbers) => Ok(Tensor::numbers(tensor.shape().to_vec(), numbers, kind)),
        None => not_run("a cell that is none of the keys"),
    }
}

/// Returns the scores of each row: a dot product and an intercept per row of coefficients.
fn linear(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    let (rows, width) = tensor.matrix()?;
    let (coefficients, intercepts) = (floats(node, "coefficients"), floats(node, "intercepts"));
    let outputs = coefficients.len() / width;
    let numbers = tensor.as_numbers()?;
    let mut scores = Vec::with_capacity(rows * outputs);
    for row in numbers.chunks_exact(width) {
        for (output, weights) in coefficients.chunks_exact(width).enumerate() {
            let dot: f64 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
            scores.push(dot + intercepts.get(output).copied().unwrap_or(0.0));
        }
    }
    Ok(Tensor::numbers(vec![rows, outputs], scores, DataType::Float))
}

fn linear_classifier(node: &NodeProto, tensor: &Tensor) -> Result<Vec<Tensor>, NotRun> {
    let scores = linear(node, tensor)?;
    let (rows, outputs) = scores.matrix()?;
    let transform = text(node, "post_transform").unwrap_or_else(|| "NONE".into());
    let numbers = scores.as_numbers()?;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (mut decisions, mut results) = (Vec::with_capacity(rows), Vec::new());
    for row in numbers.chunks_exact(outputs) {
        // One score decides between two classes by its sign.
        let best = match row {
            [score] => usize::from(*score > 0.0),
            row => (1..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best }),
        };
        decisions.push(best);
        match (transform.as_str(), row) {
            ("LOGISTIC", &[score]) => results.extend([1.0 - sigmoid(score), sigmoid(score)]),
            ("LOGISTIC", row) => results.extend(row.iter().map(|&x| sigmoid(x))),
            ("SOFTMAX", row) if row.len() > 1 => {
                let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|x| (x - most).exp()).sum();
                results.extend(row.iter().map(|x| (x - most).exp() / sum));
            }
            ("NONE", row) if row.len() > 1 => results.extend(row),
            _ => return not_run(format!("post_transform {transform} of {} scores", row.len())),
        }
    }
    let columns = results.len() / rows.max(1);
    let label = named(node, &decisions);
    match label {
        Some(label) => Ok(vec![
            label,
            Tensor::numbers(vec![rows, columns], results, DataType::Float),
        ]),
        None => not_run("names of classes are missing"),
    }
}

/// Returns the names of the classes decided for.
pub(super) fn named(node: &NodeProto, decisions: &[usize]) -> Option<Tensor> {
    let shape = vec![decisions.len()];
    match (
        attribute(node, "classlabels_strings"),
        attribute(node, "classlabels_ints").or_else(|| attribute(node, "classlabels_int64s")),
    ) {
        (Some(names), _) if !names.strings.is_empty() => {
            let name = |&best: &usize| {
                let name = names.strings.get(best)?;
                Some(String::from_utf8_lossy(name).into_owned())
            };
            let names: Option<Vec<String>> = decisions.iter().map(name).collect();
            names.map(|names| Tensor::texts(shape, names))
        }
        (_, Some(numbers)) => {
            let number = |&best: &usize| numbers.ints.get(best).map(|&number| number as f64);
            let numbers: Option<Vec<f64>> = decisions.iter().map(number).collect();
            numbers.map(|numbers| Tensor::numbers(shape, numbers, DataType::Int64))
        }
        _ => None,
    }
}

fn normalizer(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    let (_, columns) = tensor.matrix()?;
    let norm = text(node, "norm").unwrap_or_else(|| "MAX".into());
    let mut numbers = tensor.as_numbers()?.to_vec();
    for row in numbers.chunks_exact_mut(columns) {
        let length = match norm.as_str() {
            "L1" => row.iter().map(|x| x.abs()).sum::<f64>(),
            "L2" => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            "MAX" => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            LARGEST_MAGNITUDE => row.iter().copied().map(f64::abs).fold(0.0, f64::max),
            _ => return not_run(format!("norm {norm}")),
        };
        if length != 0.0 {
            row.iter_mut().for_each(|x| *x /= length);
        }
    }
    Ok(Tensor::numbers(tensor.shape().to_vec(), numbers, DataType::Float))
}

fn vectorizer(operands: &[Option<&Tensor>]) -> Result<Tensor, NotRun> {
    let parts: Vec<&Tensor> = operands.iter().flatten().copied().collect();
    let widths: Vec<(usize, usize)> = parts.iter().map(|part| part.matrix()).collect::<Result<_, _>>()?;
    let rows = widths.first().map_or(0, |width| width.0);
    let mut numbers = Vec::new();
    for row in 0..rows {
        for (part, (its_rows, width)) in parts.iter().zip(&widths) {
            if *its_rows != rows {
                return not_run("parts of different lengths");
            }
            let values = &part.as_numbers()?[row * width..(row + 1) * width];
            // The operator gives single precision. What was fitted in double precision is compared
            // as it was fitted.
            match part.kind() {
                DataType::Double => numbers.extend(values),
                _ => numbers.extend(values.iter().map(|&value| f64::from(value as f32))),
            }
        }
    }
    let columns = widths.iter().map(|width| width.1).sum();
    Ok(Tensor::numbers(vec![rows, columns], numbers, DataType::Float))
}

/// Picks elements along the last axis; a vector counts as one row.
fn extractor(tensor: &Tensor, operands: &[Option<&Tensor>]) -> Result<Tensor, NotRun> {
    let Some(places) = operands.get(1).copied().flatten() else {
        return not_run("places are missing");
    };
    let (rows, width) = match *tensor.shape() {
        [width] => (1, width),
        [rows, width] => (rows, width),
        _ => return not_run(format!("shape {:?}", tensor.shape())),
    };
    let places: Vec<usize> = places
        .as_integers()?
        .iter()
        .filter_map(|&place| usize::try_from(place).ok())
        .collect();
    if places.iter().any(|place| *place >= width) {
        return not_run("a place that isn't there");
    }
    let chosen: Vec<usize> = (0..rows)
        .flat_map(|row| places.iter().map(move |place| row * width + place))
        .collect();
    Ok(tensor.pick(vec![rows, places.len()], &chosen))
}
