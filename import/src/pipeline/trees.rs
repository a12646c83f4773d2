//! Import of ensembles of trees, whose structure stays on the server.

use super::{Imported, Kind, Request, ensure, linear};
use crate::{
    Calibration, Compared, Expected, Fitted, ImportError, Settled, Stated, Suspects, Wanted, agreement,
    edges, output, settle,
    trees::{Bits, Ensemble, Grid, Structure},
};
use blindscore_client::Encoder;
use blindscore_engine::{
    Engine,
    model::{ForestModel, Model, Plain, Salt},
};
use blindscore_protocol::encoding::Encoding;
use std::time::Duration;

/// Default number of rows to score encrypted; each takes a tenth of a second or more.
pub const CHECK_ROWS: usize = 50;
/// Default limit on the time that a row takes.
pub const MAX_SECONDS: f64 = 10.0;
/// Largest difference between sums of the same leaves in another order, as a share of the scores.
const ROUNDING: f64 = 1e-9;

/// What is known of an ensemble of trees.
pub struct TreesImport {
    /// Model as a server loads it.
    pub model: Model,
    /// Number of trees, of their leaves, and of decisions on the longest path.
    pub trees: [usize; 3],
    /// Number of blind rotations of a query.
    pub rotations: usize,
    /// Smallest distance of a decision from its noise, in standard deviations.
    pub margin: f64,
    /// Bound on the chance of a wrong leaf in a row.
    pub wrong: f64,
    /// Thresholds, categories and missing values that trees tell apart, and all of the public grid.
    pub grid: [usize; 2],
    /// Largest error of a score, six standard deviations.
    pub stated_error: f64,
    /// The same for a probability, if there are any.
    pub probability_error: Option<f64>,
    /// Calibration rows on which the trees over bits were compared with those of the file.
    pub walked: usize,
    /// Columns that the file knows and the trees don't use.
    pub unused: Vec<String>,
    /// Comparison with the caller's own predictions.
    pub expected: Option<Compared>,
}

/// Imports an ensemble of trees.
pub(super) fn import(request: &Request, ensemble: Ensemble) -> Result<Imported, ImportError> {
    refuse_choices(request)?;
    match request.structure {
        Some(Structure::Public) => {
            ensure(request.grid.is_none() && request.max_seconds.is_none(), || {
                "--grid and --max-seconds are for --structure private: clients walk public trees themselves"
                    .into()
            })?;
            linear::import_fitted(
                request,
                ensemble.leaves().map_err(ImportError::in_file(&request.file))?,
            )
        }
        Some(Structure::Private) | None => import_private(request, ensemble),
    }
}

fn import_private(request: &Request, ensemble: Ensemble) -> Result<Imported, ImportError> {
    let in_file = ImportError::in_file(&request.file);
    // Everything but the decoys, which need the rows: enough to read the rows.
    let bits = Bits::of(&ensemble, &[]).map_err(&in_file)?;
    let unused = ensemble.unused_columns();
    let read = |encoding: &Encoding| {
        let encoder = Encoder::of(encoding);
        let wanted = Wanted {
            encoder: &encoder,
            unused: &unused,
        };
        let of = |path| Calibration::read(path, wanted, &request.table).map_err(ImportError::in_table(path));
        request.calibration().map(of).transpose()
    };
    let mut data = read(&bits.encoding)?;
    let on_edge = data
        .as_ref()
        .and_then(|data| edges::first_on_edge(&bits.encoding, data));
    if let Some(on_edge) = on_edge.filter(|_| request.expect.is_none()) {
        return Err(in_file(ImportError::Options(format!(
            "{on_edge}; or give the model's own predictions for these rows with --expect, which decides"
        ))));
    }
    let decoys = decoys(request.grid, &ensemble, data.as_ref())?;
    let bits = Bits::of(&ensemble, &decoys).map_err(&in_file)?;
    if !decoys.is_empty() {
        // Decoys are bits of every row, too.
        data = read(&bits.encoding)?;
    }
    let data = data.as_ref();
    let Bits {
        mut encoding,
        forest,
        grid,
    } = match bits.additive(&ensemble) {
        Ok(fitted) => return linear::import_fitted(request, fitted),
        Err(bits) => bits,
    };
    let described = Fitted {
        labels: ensemble.labels.clone(),
        classes: ensemble.classes.clone(),
        task: Some(ensemble.task),
        ..Fitted::new(
            ensemble.link,
            vec![Vec::new(); ensemble.base.len()],
            ensemble.base.clone(),
        )
    };
    let Settled { fitted, task, labels } =
        settle(described, request.labels.as_deref(), request.task).map_err(&in_file)?;
    if let Some(names) = data.and_then(Calibration::names) {
        for (column, name) in encoding.columns.iter_mut().zip(names) {
            column.name = Some(name.clone());
        }
    }
    let content = ForestModel {
        salt: Salt::fresh()?,
        name: request.name.clone(),
        title: request.title.clone().unwrap_or_else(|| request.name.to_string()),
        encoding,
        labels,
        task,
        classes: fitted.classes.clone(),
        link: fitted.link,
        forest,
    }
    .to_safetensors()?;
    // Reads the content back: it is what will be served.
    let model = Model::from_safetensors(&content).map_err(|error| in_file(error.into()))?;
    let walked = data.map_or(Ok(0), |data| walk(&ensemble, &model, data))?;
    let stated = Stated::of_trees(&model);
    let expected = compare_with_expected(request, &ensemble, &model, data).map_err(&in_file)?;
    if let Some(data) = data {
        linear::check_decided(stated.undecided(data.rows()), &stated)?;
    }
    check_time(request, &ensemble, &model).map_err(&in_file)?;
    let rows = request.check_rows.unwrap_or(CHECK_ROWS);
    ensure(rows > 0, || {
        "--check-rows is 0: the time and the error of trees are measured".into()
    })?;
    let agreement = agreement::measure(&model, data, rows)?;
    ensure(
        agreement.largest_error <= linear::MISSED * stated.largest(),
        || {
            format!(
                "an encrypted score was off by {:.2e}, and {:.2e} is what would be stated: please report this",
                agreement.largest_error,
                stated.largest()
            )
        },
    )?;
    let (stated_error, probability_error) = (stated.largest(), stated.probability());
    let path = output::write(&request.models_dir, &request.name, &content)?;
    let (margin, wrong) = match model.plain() {
        Plain::Forest { margin, wrong, .. } => (*margin, *wrong),
        _ => (0.0, 1.0),
    };
    Ok(Imported {
        path,
        agreement,
        calibration: data.cloned(),
        kind: Kind::Trees(Box::new(TreesImport {
            trees: ensemble.size(),
            rotations: rotations(&model),
            margin,
            wrong,
            grid,
            stated_error,
            probability_error,
            walked,
            unused,
            expected,
            model,
        })),
    })
}

/// Refuses options that are for linear models.
fn refuse_choices(request: &Request) -> Result<(), ImportError> {
    let bits = "each number becomes bits, one for each threshold, and has no range";
    let public = request.structure == Some(Structure::Public);
    let choices = [
        ("--input-min", request.range.is_some(), bits),
        ("--widen", request.widen.is_some(), bits),
        (
            "--max-error",
            request.max_error.is_some() && !public,
            "their error follows from the number of trees; --structure public is exact",
        ),
        ("--link", request.link.is_some(), "their file states it"),
    ];
    for (option, given, why) in choices {
        ensure(!given, || format!("{option} is not for trees: {why}"))?;
    }
    Ok(())
}

/// Returns further thresholds for the grid: quantiles of the calibration rows.
fn decoys(
    grid: Option<Grid>,
    ensemble: &Ensemble,
    data: Option<&Calibration>,
) -> Result<Vec<Vec<f64>>, ImportError> {
    let Some(Grid::Quantiles(count)) = grid else {
        return Ok(Vec::new());
    };
    let Some(data) = data else {
        return Err(ImportError::Options(
            "--grid quantiles:N takes them from the rows of --calibrate: give some".into(),
        ));
    };
    let rows = ensemble.inputs(data);
    let of = |variable: usize| {
        let mut values: Vec<f64> = rows
            .iter()
            .map(|row| row[variable])
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let quantile = |step: usize| values[step * (values.len() - 1) / (count + 1)];
        if values.is_empty() || !ensemble.compares(variable) {
            return Vec::new();
        }
        // As precise as the thresholds of the file, and as near to the numbers of the rows: they could
        // be told apart otherwise.
        let single = ensemble.columns[variable].single;
        let below = single && lie_below(&ensemble.thresholds(variable), &values);
        let decoy = |value: f64| match (single, below) {
            (true, true) => f64::from((value as f32).next_down()),
            (true, false) => f64::from(value as f32),
            (false, _) => value,
        };
        (1..=count).map(quantile).map(decoy).collect()
    };
    Ok((0..ensemble.columns.len()).map(of).collect())
}

/// Returns whether most thresholds are just below one of some numbers: XGBoost's are, which decides
/// by `x < t` and takes `t` from its rows.
fn lie_below(thresholds: &[f64], numbers: &[f64]) -> bool {
    let is_below = |threshold: &&f64| {
        let above = (**threshold as f32).next_up();
        let place = numbers.partition_point(|number| (*number as f32) < above);
        numbers.get(place).is_some_and(|number| *number as f32 == above)
    };
    2 * thresholds.iter().filter(is_below).count() > thresholds.len()
}

/// Compares the trees over bits with those of the file, on all calibration rows.
fn walk(ensemble: &Ensemble, model: &Model, data: &Calibration) -> Result<usize, ImportError> {
    let inputs = ensemble.inputs(data);
    for (row, (input, bits)) in inputs.iter().zip(data.rows()).enumerate() {
        let (theirs, ours) = (ensemble.raw_scores(input), model.plain_scores(bits));
        for (theirs, ours) in theirs.iter().zip(ours) {
            let largest = model.descriptor().outputs.iter().map(|output| output.half_range);
            let size = largest.fold(theirs.abs(), f64::max);
            ensure((theirs - ours).abs() <= ROUNDING * size, || {
                format!(
                    "the trees over bits give {ours} for row {} of --calibrate, not {theirs}: please report this",
                    row + 1
                )
            })?;
        }
    }
    Ok(inputs.len())
}

/// Compares the model with the caller's own predictions, if there are any.
fn compare_with_expected(
    request: &Request,
    ensemble: &Ensemble,
    model: &Model,
    data: Option<&Calibration>,
) -> Result<Option<Compared>, ImportError> {
    let (Some(path), Some(data)) = (&request.expect, data) else {
        return Ok(None);
    };
    let expected = Expected::read(path, model.descriptor()).map_err(ImportError::in_table(path))?;
    let suspects = Suspects::of_trees(&request.file, ensemble, data, request.labels.is_some());
    // The trees are exact before they are encrypted: what differs is another leaf.
    Ok(Some(expected.compare(
        data.rows(),
        &Stated::exact(model),
        &suspects,
    )?))
}

/// Refuses trees that take too long.
fn check_time(request: &Request, ensemble: &Ensemble, model: &Model) -> Result<(), ImportError> {
    let limit = request.max_seconds.unwrap_or(MAX_SECONDS);
    ensure(limit > 0.0 && limit.is_finite(), || {
        format!("--max-seconds is {limit}, not a time above 0")
    })?;
    let [trees, leaves, _] = ensemble.size();
    let rotations = rotations(model);
    // One row is enough to know, and nobody waits for a hundred of them.
    let time = agreement::measure(model, None, 1)?.time;
    ensure(time <= Duration::from_secs_f64(limit), || {
        format!(
            "a row takes {:.1} s on {} cores here, and --max-seconds allows {limit} s: its {trees} trees have {leaves} leaves, which take {rotations} blind \
             rotations. Fit fewer trees, or trees with fewer leaves; or take --structure public, where clients walk the trees themselves and a row \
             takes milliseconds: it tells them all of the trees but what the leaves hold; or allow more with --max-seconds",
            time.as_secs_f64(),
            model.engine().threads()
        )
    })
}

fn rotations(model: &Model) -> usize {
    match model.engine() {
        Engine::Forest(forest) => forest.rotations(),
        _ => 0,
    }
}
