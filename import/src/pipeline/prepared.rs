//! What imports of linear models and of networks do alike: read the calibration rows, and find
//! names, labels and ranges.

use super::{Request, ensure, linear::WIDEN};
use crate::{Calibration, Fitted, ImportError, MOST_LEVELS, Ranges, Settled, Wanted, edges, ngrams, settle};
use blindscore_protocol::descriptor::Inputs;

/// A fitted model with its names, labels and ranges, and the calibration rows.
pub(super) struct Prepared {
    /// The model, with the caller's names and labels.
    pub(super) settled: Settled,
    /// Rows of `--calibrate`.
    pub(super) data: Option<Calibration>,
    /// Ranges of the features.
    pub(super) ranges: Ranges,
    /// A number of a row that is on an edge of a step, in words: the original may decide otherwise.
    pub(super) on_edge: Option<String>,
}

impl Prepared {
    /// Prepares a model for the caller's choices.
    pub(super) fn of(request: &Request, fitted: &Fitted) -> Result<Self, ImportError> {
        let widen = request.widen.unwrap_or(WIDEN);
        ensure(widen >= 0.0 && widen.is_finite(), || {
            format!("--widen is {widen}, not a share of 0 or more")
        })?;
        let in_file = ImportError::in_file(&request.file);
        let mut settled =
            settle(fitted.clone(), request.labels.as_deref(), request.task).map_err(&in_file)?;
        if fitted.unnamed && request.labels.is_none() && request.expect.is_none() {
            return Err(in_file(super::linear::unnamed(fitted)));
        }
        let encoder = fitted.encoder();
        let wanted = Wanted {
            encoder: &encoder,
            unused: &fitted.unused,
        };
        let calibration = request
            .calibration()
            .map(|path| Calibration::read(path, wanted, &request.table).map_err(ImportError::in_table(path)))
            .transpose()?;
        let data = calibration.as_ref();
        match (&fitted.encoding, data) {
            (Some(_), None) => {
                return Err(in_file(ImportError::Options(
                    "clients run a part of it, which is compared with the file on records, and nobody can make these up: give some with --calibrate, \
                     best the rows that it was fitted with"
                        .into(),
                )));
            }
            (Some(encoding), Some(data)) if request.expect.is_none() => {
                ngrams::check(encoding, data).map_err(&in_file)?;
            }
            _ => {}
        }
        let encoded = fitted.encoding.as_ref().zip(data);
        let on_edge = encoded.and_then(|(encoding, data)| edges::first_on_edge(encoding, data));
        if let Some(on_edge) = &on_edge
            && request.expect.is_none()
        {
            return Err(in_file(ImportError::Options(format!(
                "{on_edge}; or give the model's own predictions for these rows with --expect, which decides"
            ))));
        }
        // Clients are asked for columns by the names in the caller's own files.
        if let Some(names) = data.and_then(Calibration::names) {
            settled.fitted.rename(names);
        }
        let ranges = Ranges::find(&settled.fitted, request.range, data, widen)?;
        if let (Some(given), Some(data)) = (request.range, data) {
            let inputs = ranges.inputs(settled.fitted.feature_names(), MOST_LEVELS);
            check_given(&inputs, data, given)?;
        }
        Ok(Self {
            settled,
            data: calibration,
            ranges,
            on_edge,
        })
    }
}

/// Refuses a given range that excludes all rows. Otherwise no number in the report would reveal
/// that the range is not the intended one.
fn check_given(inputs: &Inputs, data: &Calibration, (min, max): (f64, f64)) -> Result<(), ImportError> {
    let rows = data.rows();
    let outside = |row: &Vec<f64>| row.iter().position(|value| !(min..=max).contains(value));
    let (Some(row), Some(feature)) = (rows.first(), rows.first().and_then(outside)) else {
        return Ok(());
    };
    ensure(rows.iter().any(|row| outside(row).is_none()), || {
        format!(
            "all {} rows of the calibration data are out of range: --input-min is {min} and --input-max {max}, and {} of the first row is {}. \
         Give the range that the features have, or none: it is then taken from the rows",
            rows.len(),
            inputs
                .name(feature)
                .map_or_else(|| format!("feature {feature}"), |name| format!("{name:?}")),
            row[feature]
        )
    })
}
