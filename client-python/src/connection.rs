//! Scoring on a server.

use crate::{
    errors,
    key::SecretKey,
    model::Model,
    notes,
    rows::{Features, RowProblem, Rows, Values},
};
use blindscore_client::{ClientError, Encoder, Scores};
use blindscore_protocol::{descriptor::ModelPin, ids::KeyId, name::ModelAddress, wire::Query};
use blindscore_remote::{
    Api, Connection as Settings, HttpError, Key, KeyPlace, Naming, RemoteError, ScoreError, Session,
};
use pyo3::{prelude::*, types::PyBytes};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use zeroize::Zeroizing;

/// Most problems that one check reports.
const MOST_PROBLEMS: usize = 100;
/// Time between looks at Python's signals, such as Ctrl-C.
const SIGNALS: Duration = Duration::from_millis(100);

/// A server's model, and a key for it.
#[pyclass(frozen, module = "blindscore._blindscore")]
pub(crate) struct Connection {
    settings: Settings,
    /// Requests, and the process that they belong to: sockets must not be shared after a fork.
    api: Mutex<(u32, Arc<Api>)>,
    session: RwLock<Session>,
    encoder: Encoder,
    /// Whether this process has made sure that the server has the key.
    uploaded: AtomicBool,
}

/// Result of scoring: for each row that was not skipped its scores, probabilities, values and class.
#[derive(IntoPyObject)]
struct Answers<'py> {
    /// Floats of eight bytes, row by row.
    scores: Bound<'py, PyBytes>,
    probabilities: Bound<'py, PyBytes>,
    values: Bound<'py, PyBytes>,
    /// Place of the class that a row is decided for; -1 if the model doesn't decide.
    classes: Bound<'py, PyBytes>,
}

/// Why a call has to start again, or has failed.
enum Stop {
    Changed(HttpError),
    Failed(PyErr),
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Self::Failed(error)
    }
}

#[pymethods]
impl Connection {
    /// Fetches a model's descriptor. `key` is a path, `None` for the usual place, or a secret key to
    /// keep in memory; `in_memory` makes a new one.
    #[new]
    #[pyo3(signature = (url, model, *, token, model_id, key_file, key, in_memory, ca_cert, timeout, max_wait))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments, of which Python gives each"
    )]
    fn new(
        py: Python<'_>,
        url: &str,
        model: &str,
        token: Option<String>,
        model_id: Option<&str>,
        key_file: Option<PathBuf>,
        key: Option<&SecretKey>,
        in_memory: bool,
        ca_cert: Option<PathBuf>,
        timeout: f64,
        max_wait: f64,
    ) -> PyResult<Self> {
        let bad =
            |name: &str, problem: &dyn std::fmt::Display| errors::setting(py, format!("{name}: {problem}"));
        let url = url.parse().map_err(|error| bad("url", &error))?;
        let name: ModelAddress = model.parse().map_err(|error| bad("model", &error))?;
        let pin: Option<ModelPin> = model_id
            .map(str::parse)
            .transpose()
            .map_err(|error| bad("model_id", &error))?;
        let seconds = |name: &str, value: f64| match Duration::try_from_secs_f64(value) {
            Ok(time) if (1.0..=86_400.0).contains(&value) => Ok(time),
            _ => Err(bad(name, &format!("{value} is not between 1 and 86400 seconds"))),
        };
        let settings = Settings {
            token: token.map(Zeroizing::new),
            ca_cert,
            timeout: seconds("timeout", timeout)?,
            max_wait: seconds("max_wait", max_wait)?,
            ..Settings::new(url, Naming::Arguments)
        };
        let given = key.map(SecretKey::copy).transpose()?;
        let opened = py.detach(|| -> Result<(Api, Session), RemoteError> {
            let api = Api::new(settings.clone(), notes::progress())?;
            let model = api.model(&name, pin.as_ref())?;
            let key = match given {
                Some(secret) => Key::given(secret),
                None if in_memory => Key::in_memory(&model)?,
                None => {
                    let place = key_file.map_or(KeyPlace::Default, KeyPlace::File);
                    Key::open_or_create(&api, &place, &model)?
                }
            };
            Ok((api, Session::new(model, key)?))
        });
        let (api, session) = opened.map_err(|error| errors::remote(py, &error))?;
        Ok(Self {
            settings,
            api: Mutex::new((std::process::id(), Arc::new(api))),
            encoder: Encoder::new(&session.model().descriptor.inputs),
            session: RwLock::new(session),
            uploaded: AtomicBool::new(false),
        })
    }

    /// The model as the server describes it.
    #[getter]
    fn model(&self) -> Model {
        Model(self.read().model().descriptor.clone())
    }

    /// Id of the evaluation key on the server; `None` before its upload.
    #[getter]
    fn key_id(&self) -> Option<String> {
        let id = self.read().key_id();
        (id != KeyId::NONE).then(|| id.to_string())
    }

    /// Returns a copy of the secret key.
    fn secret_key(&self, py: Python<'_>) -> PyResult<SecretKey> {
        let session = self.read();
        let key = session.secret_key().map_err(|error| errors::client(py, &error))?;
        Ok(SecretKey::of(key, session.model().descriptor.clone()))
    }

    /// Makes and uploads an evaluation key, unless the server has one.
    fn ensure_key(&self, py: Python<'_>) -> PyResult<()> {
        let uploaded = py.detach(|| {
            let api = self.api()?;
            self.read().ensure_uploaded(&api)
        });
        uploaded.map_err(|error| errors::remote(py, &error))?;
        self.uploaded.store(true, Ordering::Release);
        Ok(())
    }

    /// Deletes the evaluation key on the server, and the file of the secret key if there is one.
    fn forget(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let removed = py.detach(|| {
            let api = self.api()?;
            let removed = self.read().forget(&api)?;
            self.uploaded.store(false, Ordering::Release);
            Ok(removed)
        });
        let id = removed.map_err(|error: RemoteError| errors::remote(py, &error))?;
        Ok(id.map(|id| id.to_string()))
    }

    /// Returns the problems of rows that can't be scored, at most a hundred, and how many such rows
    /// there are. Nothing is sent.
    #[pyo3(signature = (matrix, columns, rows))]
    fn check(
        &self,
        py: Python<'_>,
        matrix: Option<&Bound<'_, PyBytes>>,
        columns: Vec<Values<'_>>,
        rows: usize,
    ) -> PyResult<(Vec<RowProblem>, Vec<usize>)> {
        let table = self.table(matrix, columns, rows)?;
        Ok(py.detach(|| {
            let session = self.read();
            let model = &session.model().descriptor;
            let (mut problems, mut refused) = (Vec::new(), Vec::new());
            for row in 0..rows {
                if let Err(found) = table.features(row, &self.encoder, model) {
                    refused.push(row);
                    let room = MOST_PROBLEMS.saturating_sub(problems.len());
                    problems.extend(found.into_iter().take(room));
                }
            }
            (problems, refused)
        }))
    }

    /// Scores rows, in several requests at the same time. A row that can't be scored is sent blank,
    /// and its answer is NaN: `refused` must have named it before, so that the user knows.
    ///
    /// Returns `None` if the model has changed to one that the user has agreed to as well: then all
    /// rows must be scored again.
    #[pyo3(signature = (matrix, columns, rows, *, refused, in_flight, progress))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments, of which Python gives each"
    )]
    fn score<'py>(
        &self,
        py: Python<'py>,
        matrix: Option<&Bound<'_, PyBytes>>,
        columns: Vec<Values<'_>>,
        rows: usize,
        refused: Vec<usize>,
        in_flight: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Answers<'py>>> {
        if !self.uploaded.load(Ordering::Acquire) {
            self.ensure_key(py)?;
        }
        let table = self.table(matrix, columns, rows)?;
        let scored = {
            let features = py.detach(|| self.features(&table, rows, &refused));
            let features = features.map_err(|problems| errors::rows(py, problems))?;
            drop(table);
            self.score_rows(py, &features, in_flight, progress)
        };
        match scored {
            Ok(scores) => Ok(Some(answers(py, &scores, &refused))),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Changed(error)) => {
                let renewed = py.detach(|| {
                    let api = self.api()?;
                    let mut session = self.session.write().unwrap_or_else(PoisonError::into_inner);
                    session.renew(&api, error, "the call with a new client")
                });
                renewed.map_err(|error| errors::remote(py, &error))?;
                Ok(None)
            }
        }
    }

    /// Sends one query that [`SecretKey`] has encrypted, and returns the encrypted response.
    fn send<'py>(&self, py: Python<'py>, query: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let answer = py.detach(|| -> Result<Vec<Vec<u8>>, RemoteError> {
            let session = self.read();
            let model = &session.model().descriptor;
            let format = model.parameters().query_format();
            let parsed = Query::from_blob(query, format, model.inputs.count).map_err(ClientError::from)?;
            Ok(self.api()?.score(session.model(), parsed.key, query, 1)?)
        });
        let answer = answer.map_err(|error| errors::remote(py, &error))?;
        Ok(PyBytes::new(py, &answer.concat()))
    }

    /// Uploads an evaluation key that [`SecretKey`] has made.
    fn upload(&self, py: Python<'_>, public_key: &[u8], key_id: &str) -> PyResult<()> {
        let id = parse_id(py, key_id)?;
        let done = py.detach(|| -> Result<(), RemoteError> {
            self.api()?.put_key(id, public_key)?;
            Ok(())
        });
        done.map_err(|error| errors::remote(py, &error))
    }

    /// Deletes an evaluation key, and returns whether the server had it.
    fn delete(&self, py: Python<'_>, key_id: &str) -> PyResult<bool> {
        let id = parse_id(py, key_id)?;
        let done = py.detach(|| -> Result<bool, RemoteError> { Ok(self.api()?.delete_key(id)?) });
        done.map_err(|error| errors::remote(py, &error))
    }
}

impl Connection {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Session> {
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the requests of this process.
    fn api(&self) -> Result<Arc<Api>, RemoteError> {
        let mut api = self.api.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if api.0 != process {
            *api = (
                process,
                Arc::new(Api::new(self.settings.clone(), notes::progress())?),
            );
        }
        Ok(Arc::clone(&api.1))
    }

    fn table(
        &self,
        matrix: Option<&Bound<'_, PyBytes>>,
        columns: Vec<Values<'_>>,
        rows: usize,
    ) -> PyResult<Rows> {
        Rows::read(matrix, columns, rows, self.encoder.columns().len())
    }

    /// Returns the features of rows, `None` for those that are refused.
    fn features(
        &self,
        table: &Rows,
        rows: usize,
        refused: &[usize],
    ) -> Result<Vec<Option<Features>>, Vec<RowProblem>> {
        let session = self.read();
        let model = &session.model().descriptor;
        let mut refused = refused.iter().peekable();
        let mut features = Vec::with_capacity(rows);
        for row in 0..rows {
            if refused.next_if(|&&refused| refused == row).is_some() {
                features.push(None);
            } else {
                features.push(Some(table.features(row, &self.encoder, model)?));
            }
        }
        Ok(features)
    }

    /// Scores rows of features in `in_flight` threads, while this one looks at Python's signals and
    /// reports progress.
    fn score_rows(
        &self,
        py: Python<'_>,
        features: &[Option<Features>],
        in_flight: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> Result<Vec<Scores>, Stop> {
        let api = self.api().map_err(|error| errors::remote(py, &error))?;
        let progress = progress.map(|progress| progress.clone().unbind());
        py.detach(|| {
            let session = self.read();
            let batches: Vec<_> = features.chunks(session.batch_rows()).collect();
            let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
            let (sender, receiver) = mpsc::channel();
            let work = |sender: mpsc::Sender<(usize, Result<Vec<Scores>, ScoreError>)>| {
                while !stopped.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(batch) = batches.get(place) else { return };
                    let rows: Vec<Option<&[f64]>> = batch
                        .iter()
                        .map(|row| row.as_deref().map(Vec::as_slice))
                        .collect();
                    let scored = session.score(&api, &rows);
                    let failed = scored.is_err();
                    // Nobody listens any more only after a failure.
                    if sender.send((place, scored)).is_err() || failed {
                        return;
                    }
                }
            };
            let mut scores: Vec<Option<Vec<Scores>>> = Vec::new();
            scores.resize_with(batches.len(), || None);
            // One request needs no other thread, and answers sooner without.
            if batches.len() == 1 {
                work(sender);
                let (_, scored) = receiver.recv().map_err(|_| lost())?;
                return scored.map_err(stop);
            }
            let stopped = &stopped;
            thread::scope(|scope| {
                for _ in 0..in_flight.clamp(1, batches.len().max(1)) {
                    let sender = sender.clone();
                    scope.spawn(|| work(sender));
                }
                drop(sender);
                let mut collect = || -> Result<(), Stop> {
                    loop {
                        match receiver.recv_timeout(SIGNALS) {
                            Ok((place, scored)) => {
                                let scored = scored.map_err(stop)?;
                                if let Some(progress) = &progress {
                                    Python::attach(|py| progress.call1(py, (scored.len(),)))?;
                                }
                                scores[place] = Some(scored);
                            }
                            Err(mpsc::RecvTimeoutError::Timeout) => {}
                            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
                        }
                        Python::attach(|py| py.check_signals())?;
                    }
                };
                let collected = collect();
                stopped.store(true, Ordering::Relaxed);
                collected
            })?;
            let scores: Option<Vec<Vec<Scores>>> = scores.into_iter().collect();
            Ok(scores.ok_or_else(lost)?.concat())
        })
    }
}

fn parse_id(py: Python<'_>, id: &str) -> PyResult<KeyId> {
    id.parse()
        .map_err(|error| errors::setting(py, format!("key_id: {error}")))
}

/// Turns a failure of one request into the end of the call.
fn stop(error: ScoreError) -> Stop {
    match error {
        ScoreError::ModelChanged(error) => Stop::Changed(error),
        ScoreError::Other(error) => Stop::Failed(Python::attach(|py| errors::remote(py, &error))),
    }
}

/// Returns the error for rows without an answer, which is a defect.
fn lost() -> Stop {
    Stop::Failed(Python::attach(|py| {
        errors::setting(py, "some rows have no answer: please report this".into())
    }))
}

/// Packs scores for numpy. The answers of refused rows, which were sent blank, become NaN.
fn answers<'py>(py: Python<'py>, scores: &[Scores], refused: &[usize]) -> Answers<'py> {
    let mut refused = refused.iter().peekable();
    let (mut all, mut probabilities, mut values, mut classes) = Default::default();
    for (row, scores) in scores.iter().enumerate() {
        let skipped = refused.next_if(|&&refused| refused == row).is_some();
        let put = |bytes: &mut Zeroizing<Vec<u8>>, numbers: &[f64]| {
            for &number in numbers {
                let number = if skipped { f64::NAN } else { number };
                bytes.extend_from_slice(&number.to_ne_bytes());
            }
        };
        put(&mut all, &scores.scores);
        put(&mut probabilities, &scores.probabilities);
        put(&mut values, &scores.values);
        let class = match scores.index() {
            Some(class) if !skipped => class as i64,
            _ => -1,
        };
        let classes: &mut Zeroizing<Vec<u8>> = &mut classes;
        classes.extend_from_slice(&class.to_ne_bytes());
    }
    let [scores, probabilities, values, classes] =
        [all, probabilities, values, classes].map(|bytes| PyBytes::new(py, &bytes));
    Answers {
        scores,
        probabilities,
        values,
        classes,
    }
}
