//! Columns of features, before any weights.

use std::ops::Range;

/// One of the features, scaled and shifted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    /// Index of the feature.
    pub(super) feature: usize,
    /// Factor of the feature.
    pub(super) scale: f64,
    /// Summand, added after scaling.
    pub(super) offset: f64,
    /// Last scaling of the column.
    pub(super) scaling: Scaling,
    /// Whether it is still an unchanged input of whole numbers.
    pub(super) whole: bool,
}

/// Last scaling of a feature, which implies its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaling {
    /// No scaling so far.
    None,
    /// To mean 0 and standard deviation 1, as by StandardScaler.
    Standard,
    /// To an interval, as by MinMaxScaler.
    Interval,
}

/// Features, one per column: a matrix of all rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
    /// Whether the tensor has an integer type, for which ONNX divides differently.
    pub(super) integers: bool,
}

impl Columns {
    pub(super) fn inputs(features: Range<usize>, integers: bool) -> Self {
        let column = |feature| Column {
            feature,
            scale: 1.0,
            offset: 0.0,
            scaling: Scaling::None,
            whole: integers,
        };
        Self {
            columns: features.map(column).collect(),
            integers,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Returns the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.columns)
    }

    /// Returns the same columns, all with one scaling.
    pub(super) fn scaled_as(mut self, scaling: Scaling) -> Self {
        for column in &mut self.columns {
            column.scaling = scaling;
            column.whole = false;
        }
        self
    }
}
