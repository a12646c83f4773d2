//! Support vector machines with a linear kernel.

use super::{
    NotRun,
    learning::{floats, named, text},
    not_run,
    standard::attribute,
    tensor::Tensor,
};
use crate::onnx::proto::{NodeProto, tensor_proto::DataType};
use std::ops::Range;

/// Returns the decision function of a support vector machine with a linear kernel.
pub(super) fn machine(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    if text(node, "kernel_type").is_some_and(|kernel| kernel != "LINEAR") {
        return not_run("another kernel than the linear one");
    }
    let (rows, width) = tensor.matrix()?;
    let (coefficients, rho) = (floats(node, "coefficients"), floats(node, "rho"));
    let mut vectors = floats(node, "support_vectors");
    let weights = if vectors.is_empty() {
        vectors = coefficients;
        vec![1.0]
    } else {
        coefficients
    };
    if vectors.len() != weights.len() * width {
        return not_run("support vectors of another length");
    }
    let mut scores = Vec::with_capacity(rows);
    for row in tensor.as_numbers()?.chunks_exact(width) {
        let kernels = weights
            .iter()
            .zip(vectors.chunks_exact(width))
            .map(|(weight, vector)| weight * row.iter().zip(vector).map(|(x, v)| x * v).sum::<f64>());
        scores.push(kernels.sum::<f64>() + rho.first().copied().unwrap_or(0.0));
    }
    Ok(Tensor::numbers(vec![rows, 1], scores, DataType::Float))
}

/// Decides between two classes by the sign of one decision, or else by votes among all pairs.
pub(super) fn classifier(node: &NodeProto, tensor: &Tensor) -> Result<Vec<Tensor>, NotRun> {
    match floats(node, "rho").len() {
        1 => of_two(node, tensor),
        _ => of_several(node, tensor),
    }
}

/// Decides for the first of two classes if the decision function is positive.
fn of_two(node: &NodeProto, tensor: &Tensor) -> Result<Vec<Tensor>, NotRun> {
    let scores = machine(node, tensor)?;
    let (rows, _) = scores.matrix()?;
    let numbers = scores.as_numbers()?;
    let decisions: Vec<usize> = numbers.iter().map(|score| usize::from(*score <= 0.0)).collect();
    let label = named(node, &decisions).ok_or_else(|| NotRun::new("names of classes are missing"))?;
    // Runtimes give them the other way round (onnxruntime, svmclassifier.cc).
    let both = numbers.iter().flat_map(|score| [-score, *score]).collect();
    Ok(vec![label, Tensor::numbers(vec![rows, 2], both, DataType::Float)])
}

/// Decides by votes of the pairs of classes; the first of several with equally many wins.
fn of_several(node: &NodeProto, tensor: &Tensor) -> Result<Vec<Tensor>, NotRun> {
    if text(node, "kernel_type").is_some_and(|kernel| kernel != "LINEAR") {
        return not_run("another kernel than the linear one");
    }
    let (rows, width) = tensor.matrix()?;
    let (coefficients, rho) = (floats(node, "coefficients"), floats(node, "rho"));
    let vectors = floats(node, "support_vectors");
    // Support vectors of each class.
    let counts = attribute(node, "vectors_per_class").map_or(&[][..], |counts| &counts.ints);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for &count in counts {
        let start = ranges.last().map_or(0, |range| range.end);
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| start.checked_add(count));
        ranges.push(start..end.unwrap_or(usize::MAX));
    }
    let (classes, all) = (ranges.len(), ranges.last().map_or(0, |range| range.end));
    if all.checked_mul(width) != Some(vectors.len())
        || all.checked_mul(classes.saturating_sub(1)) != Some(coefficients.len())
    {
        return not_run("support vectors of another length");
    }
    let (mut scores, mut decisions) = (Vec::new(), Vec::new());
    for row in tensor.as_numbers()?.chunks_exact(width) {
        let kernels: Vec<f64> = vectors
            .chunks_exact(width)
            .map(|vector| row.iter().zip(vector).map(|(x, v)| x * v).sum())
            .collect();
        let mut votes = vec![0; classes];
        let mut pair = 0;
        for i in 0..classes {
            for j in i + 1..classes {
                let mut sum = *rho.get(pair).ok_or_else(|| NotRun::new("too few decisions"))?;
                for (class, against) in [(i, j - 1), (j, i)] {
                    for vector in ranges[class].clone() {
                        sum += coefficients[against * all + vector] * kernels[vector];
                    }
                }
                votes[if sum > 0.0 { i } else { j }] += 1;
                scores.push(sum);
                pair += 1;
            }
        }
        decisions.push((1..classes).fold(
            0,
            |best, class| if votes[class] > votes[best] { class } else { best },
        ));
    }
    let label = named(node, &decisions).ok_or_else(|| NotRun::new("names of classes are missing"))?;
    let columns = scores.len().checked_div(rows).unwrap_or(0);
    Ok(vec![
        label,
        Tensor::numbers(vec![rows, columns], scores, DataType::Float),
    ])
}
