//! Columns of numbers, before any weights.

/// A number of the encoding, scaled and shifted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    /// Slot of the number in the plan.
    pub(super) slot: usize,
    /// Factor of the number.
    pub(super) scale: f64,
    /// Summand, added after scaling.
    pub(super) offset: f64,
    /// Last scaling of the column.
    pub(super) scaling: Scaling,
    /// Whether the number, before any scaling, is whole.
    pub(super) whole: bool,
    /// Whether the number, of a record and not scaled, is cast to single precision.
    pub(super) rounded: bool,
}

impl Column {
    /// Returns a number as it is.
    pub(super) const fn of(slot: usize, whole: bool) -> Self {
        Self {
            slot,
            scale: 1.0,
            offset: 0.0,
            scaling: Scaling::None,
            whole,
            rounded: false,
        }
    }

    /// Returns whether the number is neither scaled nor shifted.
    pub(super) fn is_plain(&self) -> bool {
        self.scale == 1.0 && self.offset == 0.0
    }

    /// Returns the constant that the column is, if the number doesn't count.
    pub(super) fn constant(&self) -> Option<f64> {
        (self.scale == 0.0).then_some(self.offset)
    }
}

/// Last scaling of a number, which implies its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaling {
    /// No scaling so far.
    None,
    /// To mean 0 and standard deviation 1, as by StandardScaler.
    Standard,
    /// To an interval, as by MinMaxScaler.
    Interval,
}

/// Numbers, one per column: a matrix of all rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
    /// Whether the tensor has an integer type, for which ONNX divides differently, or is of truth
    /// values.
    pub(super) integers: bool,
    /// Whether the only column has lost its axis, which leaves a tensor `[rows]`.
    pub(super) vector: bool,
}

impl Columns {
    /// Returns numbers as they are.
    pub(super) fn plain(slots: impl IntoIterator<Item = usize>, integers: bool) -> Self {
        let columns = slots.into_iter().map(|slot| Column::of(slot, integers));
        Self {
            columns: columns.collect(),
            integers,
            vector: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Returns the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.columns)
    }

    /// Returns the same columns, all with one scaling, except for constants.
    pub(super) fn scaled_as(mut self, scaling: Scaling) -> Self {
        for column in &mut self.columns {
            column.whole = false;
            if column.constant().is_none() {
                column.scaling = scaling;
            }
        }
        self
    }
}
