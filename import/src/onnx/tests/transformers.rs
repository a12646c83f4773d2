//! Transformers of scikit-learn, found among the nodes that skl2onnx writes for them.

use super::read;
use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto};
use blindscore_protocol::encoding::{Encoding, Outside, Step};
use prost::Message;
use std::collections::HashSet;

const YEO_JOHNSON: &[u8] =
    include_bytes!("../../../../tests/fixtures/pipelines/yeo-johnson-logistic/model.onnx");
const BOX_COX: &[u8] = include_bytes!("../../../../tests/fixtures/pipelines/box-cox-ridge/model.onnx");
const QUANTILE: &[u8] =
    include_bytes!("../../../../tests/fixtures/pipelines/quantile-frame-ridge/model.onnx");

const SPLINES: &[u8] = include_bytes!("../../../../tests/fixtures/pipelines/splines-frame-ridge/model.onnx");
const HASHED: &[u8] = include_bytes!("../../../../tests/fixtures/pipelines/hashed-text-logistic/model.onnx");

fn steps(model: &[u8]) -> Result<Vec<Step>, String> {
    let fitted = read(model).map_err(|error| error.to_string())?;
    Ok(fitted
        .encoding
        .map_or_else(Vec::new, |encoding: Encoding| encoding.steps))
}

/// Returns a model with a changed graph.
fn changed(model: &[u8], change: impl FnOnce(&mut GraphProto)) -> Vec<u8> {
    let mut model = ModelProto::decode(model).unwrap();
    change(model.graph.as_mut().unwrap());
    model.encode_to_vec()
}

/// Returns the places of the nodes that a transformer consists of. Some that skl2onnx writes have
/// no effect.
fn parts(model: &[u8]) -> Vec<usize> {
    let graph = ModelProto::decode(model).unwrap().graph.unwrap();
    let behind = ["Scaler", "LinearClassifier", "LinearRegressor", "MatMul"];
    let before = ["FeatureVectorizer", "CastLike"];
    let end = graph
        .node
        .iter()
        .position(|node| behind.contains(&&*node.op_type))
        .unwrap();
    let mut used: HashSet<&str> = graph.node[end].input.iter().map(String::as_str).collect();
    let mut parts = Vec::new();
    for place in (0..end).rev() {
        let node = &graph.node[place];
        if !used.contains(node.output[0].as_str()) {
            continue;
        }
        used.extend(node.input.iter().map(String::as_str));
        let fills_in = node.input.iter().any(|name| name == "concatenated_cast");
        if !before.contains(&&*node.op_type) && !fills_in {
            parts.push(place);
        }
    }
    parts
}

#[test]
fn transformers_are_steps_of_what_scikit_learn_computes() {
    let found = steps(YEO_JOHNSON).unwrap();
    let [Step::YeoJohnson { lambdas, .. }] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(*lambdas, [0.0, 2.0, f64::from(0.37f32), f64::from(1.2f32)]);
    let names: Vec<&str> = steps(BOX_COX).unwrap().iter().map(Step::name).collect();
    assert_eq!(
        names,
        ["apply", "apply", "power", "sums", "apply", "power", "sums"]
    );
    let found = steps(QUANTILE).unwrap();
    let names: Vec<&str> = found.iter().map(Step::name).collect();
    assert_eq!(
        names,
        ["impute", "piecewise", "piecewise", "piecewise", "piecewise"]
    );
    // A constant column: 0 up to its only value, and 1 beyond.
    let Some(Step::Piecewise { x, y, .. }) = found.last() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (x.as_slice(), y.as_slice()),
        (&[7.0, 7f64.next_up()][..], &[0.0, 1.0][..])
    );
}

#[test]
fn a_graph_that_deviates_anywhere_is_refused() {
    for model in [YEO_JOHNSON, BOX_COX, QUANTILE] {
        let parts = parts(model);
        assert!(parts.len() > 8);
        let same = changed(model, |_| {});
        steps(&same).unwrap();
        for &place in &parts {
            let other = changed(model, |graph| {
                let node = &mut graph.node[place];
                node.op_type = if node.op_type == "Add" { "Sub" } else { "Add" }.into();
            });
            steps(&other).unwrap_err();
            let swapped = changed(model, |graph| graph.node[place].input.reverse());
            if swapped != same {
                let error = steps(&swapped).unwrap_err();
                assert!(!error.contains("blindscore"), "{error}");
            }
            let more = changed(model, |graph| {
                let attribute = AttributeProto {
                    name: "more".into(),
                    ..AttributeProto::default()
                };
                graph.node[place].attribute.push(attribute);
            });
            steps(&more).unwrap_err();
            let bare = changed(model, |graph| graph.node[place].attribute.clear());
            if bare != same {
                steps(&bare).unwrap_err();
            }
        }
        let count = ModelProto::decode(model)
            .unwrap()
            .graph
            .unwrap()
            .initializer
            .len();
        for place in 0..count {
            let mut ours = true;
            let other = changed(model, |graph| {
                let tensor = &mut graph.initializer[place];
                // A power by itself is another transformer, and weights are another model.
                let free = ["coef", "intercept", "shape_tensor"].contains(&&*tensor.name);
                ours = !free && (model != BOX_COX || tensor.name != "pref_Powcst");
                match tensor.float_data.first_mut() {
                    Some(number) => *number = 5.0,
                    None if !tensor.double_data.is_empty() => tensor.double_data[0] = -5.0,
                    None if !tensor.int64_data.is_empty() => tensor.int64_data[0] = 5,
                    None => panic!("{:?} holds nothing", tensor.name),
                }
            });
            if ours {
                steps(&other).unwrap_err();
            }
        }
    }
}

#[test]
fn nodes_of_this_crate_are_not_read_from_files() {
    let own = changed(YEO_JOHNSON, |graph| {
        let last = graph
            .node
            .iter()
            .position(|node| node.op_type == "Scaler")
            .unwrap();
        graph.node[last].domain = "blindscore".into();
    });
    assert!(steps(&own).unwrap_err().contains("no converter writes"));
}

/// Returns the model with an attribute of its first node of this crate's domain changed.
fn with_attribute(model: &[u8], name: &str, change: impl FnOnce(&mut AttributeProto)) -> Vec<u8> {
    changed(model, |graph| {
        let node = graph
            .node
            .iter_mut()
            .find(|node| node.domain == "blindscore")
            .unwrap();
        change(
            node.attribute
                .iter_mut()
                .find(|attribute| attribute.name == name)
                .unwrap(),
        );
    })
}

#[test]
fn splines_and_hashed_words_are_steps_of_their_own() {
    let found = steps(SPLINES).unwrap();
    assert_eq!(found.len(), 4);
    for step in &found {
        let Step::Splines {
            knots,
            degree,
            outside,
            missing,
            ..
        } = step
        else {
            panic!("{step:?}");
        };
        assert_eq!(
            (knots.len(), *degree, *outside, *missing),
            (10, 3, Outside::Linear, false)
        );
    }
    let found = steps(HASHED).unwrap();
    let [
        Step::Hashed {
            words,
            buckets: 128,
            signed: true,
            binary: false,
            ..
        },
        Step::Normalise { .. },
    ] = found.as_slice()
    else {
        panic!("{found:?}");
    };
    assert_eq!(
        (words.ngrams, words.stop.as_slice()),
        ([1, 2], &["again".to_owned()][..])
    );
}

#[test]
fn files_with_splines_that_have_no_values_are_refused() {
    let splines = |name: &str, change: fn(&mut AttributeProto)| {
        steps(&with_attribute(SPLINES, name, change)).unwrap_err()
    };
    let knots = |change: fn(&mut Vec<f64>)| {
        let model = with_attribute(SPLINES, "knots", |knots| {
            let tensor = knots.t.as_mut().unwrap();
            change(&mut tensor.double_data);
            tensor.dims = vec![4, (tensor.double_data.len() / 4) as i64];
        });
        steps(&model).unwrap_err()
    };
    for (problem, words) in [
        (splines("degree", |degree| degree.i = 0), "of degree 0"),
        (splines("degree", |degree| degree.i = -3), "of degree -3"),
        (splines("degree", |degree| degree.i = 1), "second knot"),
        (
            splines("degree", |degree| degree.i = i64::MAX),
            "1 to 16 are allowed",
        ),
        (splines("degree", |degree| degree.i = 5), "at least 12 are needed"),
        (
            splines("extrapolation", |outside| outside.s = b"zero".to_vec()),
            "extrapolation=\"zero\"",
        ),
        (
            splines("handle_missing", |missing| missing.s = b"mean".to_vec()),
            "handle_missing=\"mean\"",
        ),
        (knots(|knots| knots[1] = knots[0]), "coincide"),
        (knots(|knots| knots[1] = f64::NAN), "without its knots"),
        (knots(|knots| knots[0] = -1e301), "has the number"),
        (knots(|knots| knots.clear()), "without"),
    ] {
        assert!(problem.contains(words), "{problem:?}, not {words:?}");
    }
}

#[test]
fn hashes_that_are_not_scikit_learns_are_refused() {
    let hashed = |name: &str, change: fn(&mut AttributeProto)| {
        steps(&with_attribute(HASHED, name, change)).unwrap_err()
    };
    for (problem, words) in [
        (hashed("n_features", |count| count.i = 0), "n_features=0"),
        (
            hashed("n_features", |count| count.i = 1 << 20),
            "n_features=1048576",
        ),
        (hashed("n_features", |count| count.i = -1), "n_features=-1"),
        (
            hashed("analyzer", |analyzer| analyzer.s = b"char_wb".to_vec()),
            "analyzer=\"char_wb\"",
        ),
        (
            hashed("token_pattern", |pattern| pattern.s = b"[a-z]+".to_vec()),
            "token_pattern=\"[a-z]+\"",
        ),
        (
            hashed("ngram_range", |range| range.ints = vec![1, 2, 3]),
            "range of words",
        ),
        (
            hashed("ngram_range", |range| range.ints = vec![2, 1]),
            "joins 2 to 1 words",
        ),
        (
            hashed("ngram_range", |range| range.ints = vec![1, 99]),
            "joins 1 to 99 words",
        ),
    ] {
        assert!(problem.contains(words), "{problem:?}, not {words:?}");
    }
}
