//! Ranges of the features.

use super::{Calibration, Fitted, ImportError};
use blindscore_protocol::descriptor::{Feature, Inputs, NormBound};
use std::{collections::HashMap, fmt};

/// Source of the ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSource {
    /// Caller's options.
    Given,
    /// Examples of the features.
    Calibration,
    /// The model's file: its scaler, or ranges stated in it.
    File,
}

impl fmt::Display for RangeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given => "as given",
            Self::Calibration => "from the calibration data, widened",
            Self::File => "from the model's file",
        })
    }
}

/// Allowed values of the features.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// Smallest and largest value of each feature.
    each: Vec<(f64, f64)>,
    /// Ball that bounds them, too.
    norm: Option<NormBound>,
    /// Source of the ranges.
    pub source: RangeSource,
    /// Assumption behind the ranges.
    pub assumed: Option<&'static str>,
}

impl Ranges {
    /// Finds the ranges: as `given` for all features, else from the calibration data, else from the
    /// file.
    ///
    /// Ranges from data are widened on both sides by `widen` times their width, and so is the ball
    /// around all rows.
    ///
    /// # Errors
    /// If there is no source, or a range is empty or not finite.
    pub fn find(
        fitted: &Fitted,
        given: Option<(f64, f64)>,
        calibration: Option<&Calibration>,
        widen: f64,
    ) -> Result<Self, ImportError> {
        let (each, source) = match (given, calibration, &fitted.ranges) {
            (Some(_), _, _) if fitted.encoding.is_some() => {
                return Err(ImportError::Options(
                    "--input-min and --input-max are one range for all features, and this model's features are made of a record's columns by \
                     steps of different kinds: give rows with --calibrate"
                        .into(),
                ));
            }
            (Some(range), _, _) => (vec![range; fitted.count()], RangeSource::Given),
            (None, Some(data), _) => (observed(data, fitted, widen), RangeSource::Calibration),
            (None, None, Some(ranges)) => (ranges.iter().copied().map(opened).collect(), RangeSource::File),
            (None, None, None) => return Err(ImportError::NoRanges),
        };
        let ball = calibration.map(|data| (data, widen));
        Ok(Self {
            assumed: fitted.assumed.filter(|_| source == RangeSource::File),
            ..Self::new(each, source, ball)?
        })
    }

    /// Returns the same with one range for all features, if the ranges are from calibration data.
    /// It suits features of one kind, such as word counts: a rare word's own range, from the few
    /// rows that have it, would be too narrow for other rows.
    pub fn shared(&self, calibration: Option<&Calibration>, widen: f64) -> Option<Self> {
        let data = calibration.filter(|_| self.source == RangeSource::Calibration)?;
        let whole = self.inputs(None, 2);
        let each = vec![(whole.min, whole.max); self.each.len()];
        Self::new(each, self.source, Some((data, widen))).ok()
    }

    fn new(
        each: Vec<(f64, f64)>,
        source: RangeSource,
        ball: Option<(&Calibration, f64)>,
    ) -> Result<Self, ImportError> {
        if let Some(index) = each
            .iter()
            .position(|(min, max)| !(min < max && (max - min).is_finite()))
        {
            let (min, max) = each[index];
            return Err(ImportError::Options(format!(
                "the range of feature {index}, {min:?} to {max:?}, is empty or not finite"
            )));
        }
        let mut ranges = Self {
            each,
            norm: None,
            source,
            assumed: None,
        };
        ranges.norm = ball.and_then(|(data, widen)| ranges.ball(data, widen));
        Ok(ranges)
    }

    /// Returns the ranges in a descriptor's form.
    pub fn inputs(&self, names: Option<&[String]>, levels: u32) -> Inputs {
        let uniform = self.each.windows(2).all(|pair| pair[0] == pair[1]);
        let features = self.each.iter().enumerate().map(|(index, &(min, max))| Feature {
            name: names.map(|names| names[index].clone()),
            min,
            max,
        });
        Inputs {
            features: (!uniform || names.is_some()).then(|| features.collect()),
            norm: self.norm,
            ..Inputs::uniform(
                self.each.len(),
                self.each
                    .iter()
                    .map(|range| range.0)
                    .fold(f64::INFINITY, f64::min),
                self.each
                    .iter()
                    .map(|range| range.1)
                    .fold(f64::NEG_INFINITY, f64::max),
                levels,
            )
        }
    }

    /// Returns the smaller of the balls around the data, centred on the low ends or the middles of
    /// the ranges; `None` if it excludes nothing.
    fn ball(&self, data: &Calibration, widen: f64) -> Option<NormBound> {
        let inputs = self.inputs(None, 2);
        let diagonal = (self.each.len() as f64).sqrt();
        let around = |centre: f64| {
            let farthest = data
                .rows()
                .iter()
                .map(|row| inputs.distance(row, centre))
                .fold(0.0, f64::max);
            let max = farthest * (1.0 + widen);
            // The ball excludes those parts of the box that are farther from the centre.
            (max < diagonal * centre.max(1.0 - centre)).then_some(NormBound { centre, max })
        };
        let balls = [0.0, 0.5]
            .into_iter()
            .filter_map(around)
            .filter(|ball| ball.max > 0.0);
        balls.min_by(|a, b| a.max.total_cmp(&b.max))
    }
}

/// Returns the ranges of the data, widened: those of a group together, and no wider than what the
/// public part can give.
fn observed(data: &Calibration, fitted: &Fitted, widen: f64) -> Vec<(f64, f64)> {
    let count = fitted.count();
    let mut seen = vec![(f64::INFINITY, f64::NEG_INFINITY); count];
    for row in data.rows() {
        for (seen, value) in seen.iter_mut().zip(row) {
            *seen = (seen.0.min(*value), seen.1.max(*value));
        }
    }
    let mut groups: HashMap<usize, (f64, f64)> = HashMap::new();
    for (group, seen) in fitted.groups.iter().zip(&seen) {
        if let Some(group) = group {
            let all = groups.entry(*group).or_insert(*seen);
            *all = (all.0.min(seen.0), all.1.max(seen.1));
        }
    }
    let range = |(index, seen): (usize, &(f64, f64))| {
        let group = fitted.groups.get(index).copied().flatten();
        let (min, max) = opened(
            group
                .and_then(|group| groups.get(&group).copied())
                .unwrap_or(*seen),
        );
        let more = widen * (max - min);
        // Features that are never negative, such as counts and frequencies, stay so.
        let (min, max) = (
            if min >= 0.0 {
                (min - more).max(0.0)
            } else {
                min - more
            },
            max + more,
        );
        match fitted.intervals.get(index) {
            // The whole interval, if it is one: a category that no row had is a category still.
            Some(&(least, most)) if least.is_finite() && most.is_finite() => opened((least, most)),
            Some(&(least, most)) => (min.max(least), max.min(most)),
            None => (min, max),
        }
    };
    seen.iter().enumerate().map(range).collect()
}

/// Widens an empty range: a constant feature still needs one.
fn opened((min, max): (f64, f64)) -> (f64, f64) {
    if min < max {
        (min, max)
    } else {
        (min, max + min.abs().max(1.0))
    }
}
