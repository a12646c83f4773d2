//! `SimpleImputer`, of which skl2onnx writes less than scikit-learn does: its values in single
//! precision, no indicators, and columns that it drops because they had no value.

use super::{OWN, Transformer, ints, tensor};
use crate::onnx::proto::{NodeProto, tensor_proto::DataType};
use crate::{
    ImportError,
    onnx::{attributes::Attributes, constant::Constant, pattern::Searched, unsupported},
};

const EXACT: &str = "values of SimpleImputer, which skl2onnx rounds to single precision";
const EMPTY: &str = "columns without any value, which SimpleImputer drops and skl2onnx keeps";
const INDICATOR: &str = "the indicators of SimpleImputer(add_indicator=True), which skl2onnx doesn't write";

/// Returns what an `Imputer` was fitted as, if that is more than the node says.
pub(super) fn find(searched: &Searched<'_>, node: &NodeProto) -> Result<Option<Transformer>, ImportError> {
    let attributes = Attributes(node);
    let values = attributes.floats("imputed_value_floats");
    let (true, [source], [result]) = (
        node.op_type == "Imputer" && attributes.float("replaced_value_float", 0.0).is_nan(),
        node.input.as_slice(),
        node.output.as_slice(),
    ) else {
        return Ok(None);
    };
    let kept: Vec<usize> = (0..values.len())
        .filter(|&place| values[place].is_finite())
        .collect();
    if kept.is_empty() {
        return Ok(None);
    }
    let mut exact: Vec<f64> = kept.iter().map(|&place| values[place]).collect();
    let consumers = || searched.consumers(result).iter();
    let width = consumers().find_map(|consumer| width(searched, consumer));
    let indicators = width.unwrap_or(kept.len()).saturating_sub(kept.len());
    if ![0, values.len()].contains(&indicators) {
        return Err(unsupported(
            node,
            format!(
                ": SimpleImputer(add_indicator=True) gave {indicators} indicators for {} columns, and skl2onnx doesn't write which columns have one. \
                 It is served if each column has one: fit it on rows in which each column has a gap, or add such columns of 0 and 1 to your data",
                values.len()
            ),
        ));
    }
    let mut mended = Vec::new();
    for consumer in consumers().filter(|other| other.domain == OWN && other.op_type == "QuantileTransformer")
    {
        if restore(&mut exact, consumer) {
            mended.push(EXACT);
        }
    }
    mended.extend((kept.len() < values.len()).then_some(EMPTY));
    mended.extend((indicators > 0).then_some(INDICATOR));
    if mended.is_empty() {
        return Ok(None);
    }
    let places: Vec<i64> = kept.iter().map(|&place| place as i64).collect();
    Ok(Some(Transformer {
        result: result.clone(),
        source: source.clone(),
        columns: 1,
        operator: "SimpleImputer",
        attributes: vec![
            tensor("values", DataType::Double, &[exact.len()], &exact),
            ints("kept", &places),
            ints("indicated", if indicators > 0 { &[1] } else { &[0] }),
        ],
        mended,
    }))
}

/// Returns how many columns a node was fitted on, if it says so.
fn width(searched: &Searched<'_>, node: &NodeProto) -> Option<usize> {
    let attributes = Attributes(node);
    let length = |name: &str| attributes.get(name).map(|attribute| attribute.floats.len());
    match node.op_type.as_str() {
        "LinearClassifier" | "LinearRegressor" => {
            length("coefficients")?.checked_div(length("intercepts").filter(|count| *count > 0)?)
        }
        "MatMul" => searched
            .constant(node.input.get(1)?)
            .and_then(|(weights, _)| weights.shape.first().copied()),
        "PowerTransformer" => attributes
            .tensor("lambdas")
            .map(|lambdas| lambdas.double_data.len()),
        "QuantileTransformer" => usize::try_from(*attributes.tensor("quantiles")?.dims.first()?).ok(),
        _ => None,
    }
}

/// Replaces values by the quantiles that they are in double precision, where these occur often.
fn restore(values: &mut [f64], quantiles: &NodeProto) -> bool {
    let Some(Ok(quantiles)) = Attributes(quantiles).tensor("quantiles").map(Constant::of) else {
        return false;
    };
    let count = quantiles.numbers.len() / values.len().max(1);
    let columns = quantiles.numbers.chunks_exact(count.max(1));
    let mut any = false;
    for (value, quantiles) in values.iter_mut().zip(columns) {
        let repeated = quantiles
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .map(|pair| pair[0]);
        let mut meant = repeated.filter(|quantile| f64::from(*quantile as f32) == *value);
        if let Some(meant) = meant.next()
            && meant != *value
        {
            *value = meant;
            any = true;
        }
    }
    any
}
