//! Refusals of boosted trees where a linear model is read.

use crate::{ImportError, trees::Library};

/// Bytes in which a mark is looked for, from the start of a file.
const SEARCHED: usize = 1_000_000;

/// Returns the refusal of a file of boosted trees, if it is one.
pub(crate) fn trees(bytes: &[u8]) -> Option<ImportError> {
    Library::of(bytes).map(|library| refused(library.words()))
}

/// Returns the refusal of boosted trees.
pub(crate) fn refused(name: &'static str) -> ImportError {
    ImportError::Kind {
        name,
        found: String::new(),
        advice: "trees aren't served yet. Served are explainable boosting machines (EBM of the library interpret), scikit-learn's \
                 GradientBoostingClassifier and GradientBoostingRegressor with max_depth=1, linear boosters of XGBoost \
                 (booster=\"gblinear\"), and linear models",
    }
}

/// Returns whether a file is a linear booster of XGBoost in another format than JSON.
pub(crate) fn is_linear_booster(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(SEARCHED)];
    let has = |text: &str| start.windows(text.len()).any(|found| found == text.as_bytes());
    start.starts_with(b"{L") && has("gradient_booster") && has("gblinear")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_trees_are_named_by_their_library() {
        for (content, name) in [
            (
                &br#"{"learner":{"gradient_booster":{"model":{"gbtree_model_param":{}},"name":"gbtree"}}}"#[..],
                "XGBoost",
            ),
            (b"{L\0\0learner{L\0gbtree_model_param", "XGBoost"),
            (
                b"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\n",
                "LightGBM",
            ),
            (br#"{"name":"tree","version":"v4","tree_info":[]}"#, "LightGBM"),
            (b"CBM1\x10\0", "CatBoost"),
            (br#"{"model_info":{},"oblivious_trees":[]}"#, "CatBoost"),
        ] {
            let error = trees(content).map(|error| error.to_string()).unwrap_or_default();
            assert!(
                error.starts_with(&format!(
                    "a model of decision trees ({name}) is not served: trees aren't served yet"
                )),
                "{name}: {error}"
            );
        }
        for content in [
            &b""[..],
            b"{",
            b"tree",
            br#"{"ebm":{}}"#,
            b"{L\0gradient_booster gblinear",
        ] {
            assert!(trees(content).is_none(), "{content:?}");
        }
        assert!(is_linear_booster(b"{L\0gradient_booster gblinear"));
        assert!(!is_linear_booster(
            br#"{"learner":{"gradient_booster":{"name":"gblinear"}}}"#
        ));
    }
}
