//! Import of linear models: chooses their ranges and rounding.

use super::{Imported, Kind, Request, ensure, layers, prepared::Prepared};
use crate::{
    Calibration, Choice, Compared, Expected, Fitted, ImportError, MOST_LEVELS, Ranges, Settled, Stated,
    Suspects, agreement, choose, coefficients, compare, isotonic,
    layers::FloatNetwork,
    onnx::{Graph, Reading},
    output, read_json, read_safetensors, shared_or_own, xgboost,
};
use blindscore_engine::model::{LinearModel, Salt};
use blindscore_protocol::{
    descriptor::{Answer, Inputs, Link},
    params::LinearParams,
};
use std::{path::Path, time::Duration};

/// Default number of rows to score encrypted.
pub const CHECK_ROWS: usize = 100;
/// Default share of its width by which a range is widened.
pub const WIDEN: f64 = 0.25;
/// Default limit on a score's error, as a share of its range.
pub const MAX_ERROR: f64 = 1e-3;

/// Choices made for a linear model, and how it compares with other predictions.
pub struct LinearImport {
    /// The model, its parameter set and its predicted errors.
    pub choice: Choice,
    /// Ranges of the features.
    pub ranges: Ranges,
    /// Limit on a score's error, as a share of its range.
    pub max_error: f64,
    /// Columns that the file knows and the model doesn't use.
    pub unused: Vec<String>,
    /// What differs from the file, because its converter has known faults.
    pub mended: Vec<&'static str>,
    /// Largest error of a probability on the calibration rows, for isotonic calibration.
    pub error_on_rows: Option<f64>,
    /// Comparison with the file run in the clear, or why there was none.
    pub file: Result<Compared, String>,
    /// Comparison with the caller's own predictions.
    pub expected: Option<Compared>,
}

/// Chooses ranges and rounding, measures the result and writes the model file.
pub(super) fn import(request: &Request, bytes: Vec<u8>) -> Result<Imported, ImportError> {
    match import_as(request, &bytes, Reading::AsFitted) {
        // The caller's predictions may show that nothing was to be mended.
        Err(refused) if request.expect.is_some() => {
            import_as(request, &bytes, Reading::AsWritten).map_err(|_| refused)
        }
        done => done,
    }
}

fn import_as(request: &Request, bytes: &[u8], reading: Reading) -> Result<Imported, ImportError> {
    let source = read(request, bytes, reading).map_err(ImportError::in_file(&request.file))?;
    // What can't be read is the more important thing to say.
    request.refuse_others_options()?;
    import_source(request, source)
}

/// Imports a model that was read already.
pub(super) fn import_fitted(request: &Request, fitted: Fitted) -> Result<Imported, ImportError> {
    import_source(request, Source { fitted, graph: None })
}

fn import_source(request: &Request, Source { fitted, graph }: Source) -> Result<Imported, ImportError> {
    if request.answer == Answer::Label {
        return layers::import(request, &FloatNetwork::linear(fitted), graph.as_ref());
    }
    let max_error = request.max_error.unwrap_or(MAX_ERROR);
    ensure(max_error > 0.0 && max_error < 1.0, || {
        format!("--max-error is {max_error}, not a share between 0 and 1")
    })?;
    let in_file = ImportError::in_file(&request.file);
    let Prepared {
        settled,
        data,
        ranges,
        on_edge,
    } = Prepared::of(request, &fitted)?;
    let data = data.as_ref();
    let (names, encoding) = (
        settled.fitted.feature_names().map(<[String]>::to_vec),
        settled.fitted.encoding.clone(),
    );
    let mut linear = linear(request, settled, &ranges)?;
    if encoding.is_none()
        && let Some(shared) = ranges.shared(data, request.widen.unwrap_or(WIDEN))
    {
        let with_one_range = LinearModel {
            inputs: shared.inputs(names.as_deref(), MOST_LEVELS),
            ..linear.clone()
        };
        linear = shared_or_own(with_one_range, linear)?;
    }
    let choice = choose(linear, max_error)?;
    let file = compare_with_file(graph.as_ref(), &fitted, &choice, data);
    let file = file.map_err(|error| in_file(on_edge.map_or(error, ImportError::Options)))?;
    let expected = compare_with_expected(request, &fitted, &choice, data).map_err(&in_file)?;
    if data.is_some() {
        for compared in file.iter().chain(&expected) {
            check_decided([compared.close, compared.rows], &choice.stated())?;
        }
    }
    let rows = request.check_rows.unwrap_or(CHECK_ROWS);
    let agreement = agreement::measure(&choice.model, None, data, rows, Duration::MAX)?;
    agreement.check(choice.stated_error())?;
    let error_on_rows = data.and_then(|data| isotonic::error_on(&choice, data.rows()));
    let content = choice.linear.to_safetensors()?;
    // Reads the content back: it is what will be served.
    LinearModel::from_safetensors(&content)?;
    let path = output::write(&request.models_dir, &request.name, &content)?;
    Ok(Imported {
        path,
        agreement,
        calibration: data.cloned(),
        kind: Kind::Linear(Box::new(LinearImport {
            choice,
            ranges,
            max_error,
            unused: fitted.unused,
            error_on_rows,
            mended: graph.map_or_else(Vec::new, |graph| graph.mended().to_vec()),
            file,
            expected,
        })),
    })
}

/// Largest share of rows whose decision may be within the error of the scores.
const UNDECIDED: f64 = 0.2;

/// Largest error of a probability at which it still tells how sure the model is.
const TELLING: f64 = 0.05;

/// Refuses a model whose decisions are mostly within the error of its scores: there is nothing to
/// compare then, and clients would get other decisions than the original's. If its probabilities
/// are precise, they say that it is undecided, as the original's do.
pub(super) fn check_decided([close, rows]: [usize; 2], stated: &Stated<'_>) -> Result<(), ImportError> {
    let telling = stated.probability().is_some_and(|error| error <= TELLING);
    ensure(telling || close as f64 <= UNDECIDED * rows as f64, || {
        format!(
            "{close} of {rows} rows are decided by less than the error of a score, {:.1e}: clients would decide them otherwise. The scores \
             of these rows are small beside those that the ranges of the features allow; scale the features before the model, with a \
             StandardScaler as the first step for instance, or leave out outliers of --calibrate",
            stated.largest()
        )
    })
}

/// Content of a model's file.
struct Source {
    fitted: Fitted,
    /// ONNX graph, which can be run in the clear.
    graph: Option<Graph>,
}

fn read(request: &Request, bytes: &[u8], reading: Reading) -> Result<Source, ImportError> {
    let folder = request.file.parent().unwrap_or(Path::new(""));
    let extension = request.file.extension().and_then(|extension| extension.to_str());
    if let Some(link) = request.link.filter(|_| extension != Some("csv")) {
        return Err(ImportError::Options(format!(
            "--link {} is for tables of coefficients (.csv); other files state their link",
            link.name()
        )));
    }
    match extension {
        Some("onnx") => {
            let graph = Graph::decode_as(bytes, folder, reading)?;
            Ok(Source {
                fitted: graph.fitted()?,
                graph: Some(graph),
            })
        }
        Some("safetensors") => Ok(Source {
            fitted: read_safetensors(bytes)?,
            graph: None,
        }),
        Some("json") => Ok(Source {
            fitted: read_json(bytes)?,
            graph: None,
        }),
        Some("csv") => Ok(Source {
            fitted: coefficients::read(
                bytes.to_vec(),
                request.link,
                request.labels.as_deref(),
                request.task,
                &request.table,
            )?,
            graph: None,
        }),
        _ if xgboost::is_linear_booster(bytes) => Err(ImportError::Options(
            "it is a linear booster of XGBoost in binary form: save it as JSON, with booster.save_model(\"model.json\")".into(),
        )),
        other => Err(ImportError::Options(format!(
            "its name ends in none of .onnx, .safetensors, .json and .csv, and it is no file of trees that is read{}",
            other.and_then(advice).unwrap_or_default()
        ))),
    }
}

/// Returns advice for files of other tools, by their extension.
fn advice(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "ubj" | "txt" | "bst" | "model" | "cbm" => {
            ". If it is a model of decision trees, save it as XGBoost's .json or .ubj, LightGBM's .txt or CatBoost's .json (format=\"json\")"
        }
        "pkl" | "pickle" | "joblib" => {
            ". Pickled Python objects are not read: export the pipeline with skl2onnx.to_onnx"
        }
        "pt" | "pth" | "ckpt" | "h5" | "keras" | "pb" => {
            ". Export the model to ONNX (torch.onnx.export, tf2onnx)"
        }
        "gz" | "zip" => ". Unpack it first",
        _ => return None,
    })
}

/// Compares the model with the file run in the clear, or says why that isn't possible.
fn compare_with_file(
    graph: Option<&Graph>,
    fitted: &Fitted,
    choice: &Choice,
    data: Option<&Calibration>,
) -> Result<Result<Compared, String>, ImportError> {
    let Some(graph) = graph else {
        return Ok(Err(
            "the file has no graph to run; --expect compares with your own predictions".into(),
        ));
    };
    let compared = compare(graph, fitted, &choice.stated(), data)?;
    Ok(compared.map_err(|why| why.to_string()))
}

/// Compares the model with the caller's own predictions, if there are any.
fn compare_with_expected(
    request: &Request,
    fitted: &Fitted,
    choice: &Choice,
    data: Option<&Calibration>,
) -> Result<Option<Compared>, ImportError> {
    let (Some(path), Some(data)) = (&request.expect, data) else {
        return Ok(None);
    };
    let expected = Expected::read(path, choice.model.descriptor()).map_err(ImportError::in_table(path))?;
    if fitted.unnamed && request.labels.is_none() && !expected.has_answers() {
        return Err(unnamed(fitted));
    }
    let suspects = Suspects::of(&request.file, fitted, data, request.labels.is_some());
    Ok(Some(expected.compare(
        data.rows(),
        &choice.stated(),
        &suspects,
    )?))
}

/// Returns the error for a file without names of its classes.
pub(super) fn unnamed(fitted: &Fitted) -> ImportError {
    let classes = fitted.classes.as_ref().map_or(0, Vec::len);
    let counted: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let why = match fitted.link {
        Link::OneVsOne => "skl2onnx leaves them out for OneVsOneClassifier",
        _ => "it gives no labels",
    };
    ImportError::Options(format!(
        "it has no names of its {classes} classes, because {why}: give them with --labels, in the order of classes_; with --labels {} if they are \
         these numbers",
        counted.join(",")
    ))
}

/// Returns the model to write, with its levels yet to be chosen.
fn linear(request: &Request, settled: Settled, ranges: &Ranges) -> Result<LinearModel, ImportError> {
    let Settled { fitted, task, labels } = settled;
    Ok(LinearModel {
        params: LinearParams::N2048,
        salt: Salt::fresh()?,
        name: request.name.clone(),
        title: request.title(),
        inputs: Inputs {
            encoding: fitted.encoding.clone(),
            ..ranges.inputs(fitted.feature_names(), MOST_LEVELS)
        },
        labels,
        task,
        classes: fitted.classes,
        link: fitted.link,
        members: fitted.members,
        input_rounding: true,
        accuracy: fitted.accuracy,
        coef: fitted.coef,
        intercept: fitted.intercept,
    })
}
