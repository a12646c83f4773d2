//! Isotonic calibration of a classifier's score, as skl2onnx writes it: the probability of the
//! nearest threshold, where scikit-learn interpolates between two.

use super::{
    super::pattern::{Pattern, Searched, Setting},
    Transformer, tensor,
};
use crate::onnx::proto::{NodeProto, tensor_proto::DataType};

const NEAREST: &str = "probabilities between the thresholds of CalibratedClassifierCV(method=\"isotonic\"), which scikit-learn interpolates; \
                       skl2onnx takes that of the nearest threshold";

pub(super) fn find<'g>(searched: &Searched<'g>, node: &'g NodeProto) -> Option<Transformer> {
    let ("Reshape", [result]) = (node.op_type.as_str(), node.output.as_slice()) else {
        return None;
    };
    let mut p = Pattern::default();
    let (score, least, most) = (p.tensor(), p.tensor(), p.tensor());
    let (shape, thresholds, probabilities) = (p.tensor(), p.tensor(), p.tensor());
    let clipped = p.node("Clip", [score, least, most]);
    let column = p.node("Reshape", [clipped, shape]);
    let distance = p.node("Sub", [column, thresholds]);
    let distance = p.node("Abs", [distance]);
    let nearest = p.set("ArgMin", [distance], vec![("axis", Setting::Int(1))]);
    let probability = p.node("ai.onnx.ml.ArrayFeatureExtractor", [probabilities, nearest]);
    let root = p.node("Reshape", [probability, shape]);
    let found = searched.find(&p, root, result)?;
    let constant = |part| searched.constant(found.name(part));
    let (x, kind) = constant(thresholds)?;
    let (y, _) = constant(probabilities)?;
    let end = |part, end: Option<&f64>| Some(constant(part)?.0.numbers == [*end?]);
    let right = constant(shape)?.0.numbers == [-1.0, 1.0]
        && [&x, &y].iter().all(|list| list.shape == [list.numbers.len()])
        && x.numbers.len() == y.numbers.len()
        && end(least, x.numbers.first())?
        && end(most, x.numbers.last())?;
    right.then(|| {
        let kind = DataType::try_from(kind).ok()?;
        let list = |name, numbers: &[f64]| tensor(name, kind, &[numbers.len()], numbers);
        Some(Transformer {
            result: result.clone(),
            source: found.name(score).to_owned(),
            columns: 1,
            operator: "IsotonicRegression",
            attributes: vec![list("probabilities", &y.numbers), list("thresholds", &x.numbers)],
            mended: vec![NEAREST],
        })
    })?
}
