//! Files of trees, told apart by their content.

/// Bytes in which a mark is looked for, from the start of a file: those of the first tree are not
/// far.
const SEARCHED: usize = 1_000_000;

/// A library's way to write its trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// XGBoost's JSON.
    XgboostJson,
    /// XGBoost's universal binary JSON.
    XgboostUbj,
    /// XGBoost's binary format before version 2.
    XgboostBinary,
    /// LightGBM's text.
    LightgbmText,
    /// LightGBM's JSON.
    LightgbmJson,
    /// CatBoost's binary format.
    CatboostBinary,
    /// CatBoost's JSON.
    CatboostJson,
}

/// How files begin, and what else is in them near their start.
const MARKS: [(Library, &str, &str); 8] = [
    // Before the one for JSON, which begins like it.
    (Library::XgboostUbj, "{L", "gbtree_model_param"),
    (Library::XgboostJson, "{", "gbtree_model_param"),
    (Library::XgboostBinary, "binf", "gbtree"),
    (Library::LightgbmText, "tree", "num_tree_per_iteration"),
    (Library::LightgbmJson, "{", "\"tree_info\""),
    (Library::CatboostBinary, "CBM1", "CBM1"),
    (Library::CatboostJson, "{", "\"oblivious_trees\""),
    (Library::CatboostJson, "{", "\"features_info\""),
];

impl Library {
    /// Returns the library that wrote a file of trees; `None` if it is none.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let start = &bytes[..bytes.len().min(SEARCHED)];
        let start = start.trim_ascii_start();
        let has = |text: &str| start.windows(text.len()).any(|found| found == text.as_bytes());
        let found = MARKS
            .iter()
            .find(|(_, begins, mark)| start.starts_with(begins.as_bytes()) && has(mark));
        found.map(|(library, ..)| *library)
    }
}
