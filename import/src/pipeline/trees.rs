//! Import of ensembles of trees, whose structure stays on the server.

use super::{Imported, Kind, Request, ensure, label::Label, linear, served::Served};
use crate::{
    Calibration, Compared, Expected, Fitted, ImportError, Stated, Suspects, Wanted,
    agreement::{self, Reference},
    compare, edges,
    onnx::Graph,
    output, settle,
    trees::{Bits, Ensemble, Grid, Structure},
};
use blindscore_client::Encoder;
use blindscore_engine::{Engine, model::Model};
use blindscore_protocol::descriptor::Answer;
use std::time::Duration;

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
    /// How close decisions are, if only the label is sent.
    pub label: Option<Label>,
    /// Largest error of a score, six standard deviations; 0 if only the label is sent.
    pub stated_error: f64,
    /// The same for a probability, if there are any.
    pub probability_error: Option<f64>,
    /// Calibration rows on which the trees over bits were compared with those of the file.
    pub walked: usize,
    /// What differs from the file, because its converter has known faults.
    pub mended: Vec<&'static str>,
    /// Columns that the file knows and the trees don't use.
    pub unused: Vec<String>,
    /// Comparison with the file run in the clear, if it is a graph, or why there was none.
    pub file: Option<Result<Compared, String>>,
    /// Comparison with the caller's own predictions.
    pub expected: Option<Compared>,
}

/// Imports an ensemble of trees.
pub(super) fn import(
    request: &Request,
    ensemble: Ensemble,
    graph: Option<&Graph>,
) -> Result<Imported, ImportError> {
    refuse_choices(request)?;
    match request.structure {
        Some(Structure::Public) => {
            let scores = request.answer.is_scores();
            ensure(
                request.grid.is_none() && !(scores && request.max_seconds.is_some()),
                || {
                    format!(
                        "{} for --structure private: clients walk public trees themselves",
                        if scores {
                            "--grid and --max-seconds are"
                        } else {
                            "--grid is"
                        }
                    )
                },
            )?;
            import_linear(
                request,
                ensemble.leaves().map_err(ImportError::in_file(&request.file))?,
            )
        }
        Some(Structure::Private) | None => import_private(request, &ensemble, graph),
    }
}

/// Imports trees that are a linear model of what clients make of a row.
fn import_linear(request: &Request, fitted: Fitted) -> Result<Imported, ImportError> {
    // Both options are for trees, and what is left is a linear model.
    let request = Request {
        structure: None,
        grid: None,
        ..request.clone()
    };
    linear::import_fitted(&request, fitted)
}

fn import_private(
    request: &Request,
    ensemble: &Ensemble,
    graph: Option<&Graph>,
) -> Result<Imported, ImportError> {
    let in_file = ImportError::in_file(&request.file);
    // Everything but the decoys, which need the rows: enough to read the rows.
    let bits = Bits::of(ensemble, &[]).map_err(&in_file)?;
    let read = |bits: &Bits| {
        let encoder = Encoder::of(&bits.encoding);
        let wanted = Wanted {
            encoder: &encoder,
            unused: &ensemble.unused,
        };
        let data = request
            .calibration()
            .map(|path| Calibration::read(path, wanted, &request.table).map_err(ImportError::in_table(path)));
        data.transpose()
    };
    let data = read(&bits)?;
    let on_edge = data
        .as_ref()
        .and_then(|data| edges::first_on_edge(&bits.encoding, data));
    if let Some(on_edge) = on_edge.filter(|_| request.expect.is_none()) {
        return Err(in_file(ImportError::Options(format!(
            "{on_edge}; or give the model's own predictions for these rows with --expect, which decides"
        ))));
    }
    let decoys = decoys(request.grid, ensemble, data.as_ref())?;
    let bits = Bits::of(ensemble, &decoys).map_err(&in_file)?;
    if let Some(fitted) = bits.additive(ensemble) {
        return import_linear(request, fitted);
    }
    // Rows have bits for all of the grid.
    let data = if decoys.is_empty() { data } else { read(&bits)? };
    let data = data.as_ref();
    let Bits {
        mut encoding,
        forest,
        grid,
    } = bits;
    let described = Fitted {
        labels: ensemble.labels.clone(),
        classes: ensemble.classes.clone(),
        task: Some(ensemble.task),
        answers: ensemble.answers.clone(),
        features: encoding
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect(),
        encoding: Some(encoding.clone()),
        ..Fitted::new(
            ensemble.link,
            vec![Vec::new(); ensemble.base.len()],
            ensemble.base.clone(),
        )
    };
    let settled = settle(described, request.labels.as_deref(), request.task).map_err(&in_file)?;
    if let Some(names) = data.and_then(Calibration::names) {
        for (column, name) in encoding.columns.iter_mut().zip(names) {
            column.name = Some(name.clone());
        }
    }
    let is_label = request.answer == Answer::Label;
    let served = if is_label {
        Served::label(request, encoding, forest, &settled, data)
    } else {
        Served::scores(request, encoding, forest, &settled)
    };
    let served = served.map_err(&in_file)?;
    let (model, reference) = (&served.model, &served.reference);
    let plain = |row: &[f64]| served.plain_scores(row);
    let walked = data.map_or(Ok(0), |data| walk(ensemble, &served, data))?;
    let stated = if is_label {
        Stated::of_label(reference, Box::new(plain), &served.errors)
    } else {
        Stated::of_model(model)
    };
    // The trees are exact before they are encrypted: what differs is another leaf.
    let exact = Stated::of_errors(reference, Box::new(plain), &vec![0.0; reference.outputs.len()]);
    let file = graph
        .map(|graph| compare_with_file(request, graph, &settled.fitted, &exact, data))
        .transpose()
        .map_err(&in_file)?;
    let expected = compare_with_expected(request, ensemble, &exact, data).map_err(&in_file)?;
    let label = match data {
        Some(data) if is_label => Some(Label::of(model, &stated, data.rows())?),
        Some(data) => linear::check_decided(stated.undecided(data.rows()), &stated).map(|()| None)?,
        None => None,
    };
    // Nobody waits for more rows of a model that is refused.
    let longest = request.longest()?;
    let in_the_clear = is_label.then_some(Reference {
        scores: &plain,
        descriptor: reference,
    });
    let agreement = agreement::measure(model, in_the_clear, data, request.rows_to_check()?, longest)?;
    check_time(agreement.time, longest, ensemble, model).map_err(&in_file)?;
    agreement.check(stated.largest())?;
    let (stated_error, probability_error) = (stated.largest(), stated.probability());
    let path = output::write(&request.models_dir, &request.name, &served.content)?;
    let (margin, wrong) = served.decisions();
    // They borrow the model.
    drop((stated, exact));
    Ok(Imported {
        path,
        agreement,
        calibration: data.cloned(),
        kind: Kind::Trees(Box::new(TreesImport {
            trees: ensemble.size(),
            rotations: rotations(model),
            margin,
            wrong,
            grid,
            label,
            stated_error,
            probability_error: probability_error.filter(|_| !is_label),
            walked,
            mended: graph.map_or_else(Vec::new, |graph| graph.mended().to_vec()),
            unused: ensemble.unused.clone(),
            file,
            expected,
            model: served.model,
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
            if request.answer.is_scores() {
                "their error follows from the number of trees; --structure public is exact"
            } else {
                "the rows of --calibrate say how close decisions are"
            },
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
    let data = data.ok_or_else(|| {
        ImportError::Options("--grid quantiles:N takes them from the rows of --calibrate: give some".into())
    })?;
    Ok(ensemble.decoys(&ensemble.inputs(data), count))
}

/// Compares the trees over bits with those of the file, on all calibration rows.
fn walk(ensemble: &Ensemble, served: &Served, data: &Calibration) -> Result<usize, ImportError> {
    let inputs = ensemble.inputs(data);
    for (row, (input, bits)) in inputs.iter().zip(data.rows()).enumerate() {
        let (theirs, ours) = (ensemble.raw_scores(input), served.plain_scores(bits));
        for (theirs, ours) in theirs.iter().zip(ours) {
            let largest = served
                .model
                .descriptor()
                .outputs
                .iter()
                .map(|output| output.half_range);
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

/// Compares the model with the file run in the clear, or says why that isn't possible. A converter
/// may have rounded thresholds: then the caller's own predictions decide.
fn compare_with_file(
    request: &Request,
    graph: &Graph,
    fitted: &Fitted,
    exact: &Stated<'_>,
    data: Option<&Calibration>,
) -> Result<Result<Compared, String>, ImportError> {
    match compare(graph, fitted, exact, data) {
        Ok(compared) => Ok(compared.map_err(|why| why.to_string())),
        Err(differs) if request.expect.is_some() => Ok(Err(format!(
            "it decides otherwise than --expect, which is right: {differs}"
        ))),
        Err(differs) => Err(differs),
    }
}

/// Compares the model with the caller's own predictions, if there are any.
fn compare_with_expected(
    request: &Request,
    ensemble: &Ensemble,
    exact: &Stated<'_>,
    data: Option<&Calibration>,
) -> Result<Option<Compared>, ImportError> {
    let (Some(path), Some(data)) = (&request.expect, data) else {
        return Ok(None);
    };
    let expected = Expected::read(path, exact.descriptor).map_err(ImportError::in_table(path))?;
    let suspects = Suspects::of_trees(&request.file, ensemble, data, request.labels.is_some());
    Ok(Some(expected.compare(data.rows(), exact, &suspects)?))
}

/// Refuses trees of which a row takes too long.
fn check_time(
    time: Duration,
    longest: Duration,
    ensemble: &Ensemble,
    model: &Model,
) -> Result<(), ImportError> {
    let [trees, leaves, _] = ensemble.size();
    let rotations = rotations(model);
    let public = if model.descriptor().answer.is_scores() {
        "or take --structure public, where clients walk the trees themselves and a row takes milliseconds: it tells them all of the trees but what \
         the leaves hold; "
    } else {
        ""
    };
    ensure(time <= longest, || {
        format!(
            "a row takes {:.1} s on {} cores here, and --max-seconds allows {} s: its {trees} trees have {leaves} leaves, which take {rotations} blind \
             rotations. Fit fewer trees, or trees with fewer leaves; {public}or allow more with --max-seconds",
            time.as_secs_f64(),
            model.engine().threads(),
            longest.as_secs_f64()
        )
    })
}

fn rotations(model: &Model) -> usize {
    match model.engine() {
        Engine::Forest(forest) => forest.rotations(),
        Engine::Layers(layers) => layers.rotations(),
        _ => 0,
    }
}
