//! Scoring on a server.

use crate::{
    errors,
    interrupt::{receive, wait_for},
    key::SecretKey,
    model::Model,
    notes,
    rows::{Features, RowProblem, Rows, Values},
};
use blindscore_client::{ClientError, ClientKey, Encoder, Scores};
use blindscore_protocol::{descriptor::ModelPin, ids::KeyId, name::ModelAddress, wire::Query};
use blindscore_remote::{
    Api, Cancel, Connection as Settings, Key, KeyPlace, Naming, RemoteError, ScoreError, Session,
};
use pyo3::{prelude::*, types::PyBytes};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};
use zeroize::Zeroizing;

/// Most problems that one check reports.
const MOST_PROBLEMS: usize = 100;

/// A server's model, and a key for it.
#[pyclass(frozen, module = "blindscore._blindscore")]
pub(crate) struct Connection {
    settings: Settings,
    /// Requests, and the process that they belong to: sockets must not be shared after a fork.
    api: Mutex<(u32, Arc<Api>)>,
    session: RwLock<Arc<Session>>,
    encoder: Arc<Encoder>,
    /// Whether this process has made sure that the server has the key.
    uploaded: AtomicBool,
}

/// Result of scoring: for each row that was not skipped its scores, probabilities, values and
/// class.
#[derive(IntoPyObject)]
struct Answers<'py> {
    /// Floats of eight bytes, row by row.
    scores: Bound<'py, PyBytes>,
    probabilities: Bound<'py, PyBytes>,
    values: Bound<'py, PyBytes>,
    /// Place of the class that a row is decided for; -1 if the model doesn't decide.
    classes: Bound<'py, PyBytes>,
}

/// Place of a batch, and its scores.
type Batch = (usize, Result<Vec<Scores>, ScoreError>);

#[pymethods]
impl Connection {
    /// Fetches a model's descriptor. The secret key is `key` or `key_bytes`, a new one with
    /// `in_memory`, or else that of `key_file` or of the usual place.
    #[new]
    #[pyo3(signature = (url, model, *, token, model_id, key_file, key, key_bytes, in_memory, ca_cert, timeout, max_wait))]
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
        key_bytes: Option<&[u8]>,
        in_memory: bool,
        ca_cert: Option<PathBuf>,
        timeout: Option<f64>,
        max_wait: Option<f64>,
    ) -> PyResult<Self> {
        let bad =
            |name: &str, problem: &dyn std::fmt::Display| errors::setting(py, format!("{name}: {problem}"));
        let url = url.parse().map_err(|error| bad("url", &error))?;
        let name: ModelAddress = model.parse().map_err(|error| bad("model", &error))?;
        let pin: Option<ModelPin> = model_id
            .map(str::parse)
            .transpose()
            .map_err(|error| bad("model_id", &error))?;
        let (least, most) = Settings::SECONDS.into_inner();
        let seconds = |name: &str, value: f64| match Duration::try_from_secs_f64(value) {
            Ok(time) if (least as f64..=most as f64).contains(&value) => Ok(time),
            _ => Err(bad(
                name,
                &format!("{value} is not between {least} and {most} seconds"),
            )),
        };
        let mut settings = Settings {
            token: token.map(Zeroizing::new),
            ca_cert,
            ..Settings::new(url, Naming::Arguments)
        };
        if let Some(value) = timeout {
            settings.timeout = seconds("timeout", value)?;
        }
        if let Some(value) = max_wait {
            settings.max_wait = seconds("max_wait", value)?;
        }
        let given = match (key, key_bytes) {
            (Some(key), _) => Some(key.copy()?),
            (None, Some(blob)) => Some(ClientKey::from_bytes(blob).map_err(|error| bad("key", &error))?),
            (None, None) => None,
        };
        let connection = settings.clone();
        let opened = wait_for(py, move || -> Result<(Api, Session), RemoteError> {
            let api = Api::new(connection, notes::progress())?;
            let model = api.model(&name, pin.as_ref())?;
            let key = match given {
                Some(secret) => Key::given(secret, &model)?,
                None if in_memory => Key::in_memory(&model)?,
                None => {
                    let place = key_file.map_or(KeyPlace::Default, KeyPlace::File);
                    Key::open_or_create(&api, &place, &model)?
                }
            };
            Ok((api, Session::new(model, key)?))
        })?;
        let (api, session) = opened.map_err(|error| errors::remote(py, &error))?;
        Ok(Self {
            settings,
            api: Mutex::new((std::process::id(), Arc::new(api))),
            encoder: Arc::new(Encoder::new(&session.model().descriptor.inputs)),
            session: RwLock::new(Arc::new(session)),
            uploaded: AtomicBool::new(false),
        })
    }

    /// The model as the server describes it.
    #[getter]
    fn model(&self) -> Model {
        Model(self.session().model().descriptor.clone())
    }

    /// Seconds for one try of a request.
    #[getter]
    fn timeout(&self) -> f64 {
        self.settings.timeout.as_secs_f64()
    }

    /// Seconds for a request with all its retries.
    #[getter]
    fn max_wait(&self) -> f64 {
        self.settings.max_wait.as_secs_f64()
    }

    /// Id of the evaluation key on the server; `None` before its upload.
    #[getter]
    fn key_id(&self) -> Option<String> {
        let id = self.session().key_id();
        (id != KeyId::NONE).then(|| id.to_string())
    }

    /// Returns a copy of the secret key.
    fn secret_key(&self, py: Python<'_>) -> PyResult<SecretKey> {
        let session = self.session();
        let key = session.secret_key().map_err(|error| errors::client(py, &error))?;
        Ok(SecretKey::of(key, session.model().descriptor.clone()))
    }

    /// Makes and uploads an evaluation key, unless the server has one.
    fn ensure_key(&self, py: Python<'_>) -> PyResult<()> {
        self.remote(py, |api, session| session.ensure_uploaded(api))?;
        self.uploaded.store(true, Ordering::Release);
        Ok(())
    }

    /// Deletes the evaluation key on the server, and the file of the secret key if there is one.
    fn forget(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.uploaded.store(false, Ordering::Release);
        let id = self.remote(py, |api, session| session.forget(api))?;
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
            let session = self.session();
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
        let features = py.detach(|| self.features(&table, rows, &refused));
        let features = features.map_err(|problems| errors::rows(py, problems))?;
        drop(table);
        match self.score_rows(py, features, in_flight, progress)? {
            Ok(scores) => Ok(Some(answers(py, &scores, &refused))),
            Err(ScoreError::Other(error)) => Err(errors::remote(py, &error)),
            Err(ScoreError::ModelChanged(error)) => {
                let renewed = self.remote(py, |api, session| {
                    session.renewed(api, error, "the call with a new client")
                })?;
                *self.session.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
                Ok(None)
            }
        }
    }

    /// Sends one query that [`SecretKey`] has encrypted, and returns the encrypted response.
    fn send<'py>(&self, py: Python<'py>, query: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let query = query.to_vec();
        let answer = self.remote(py, move |api, session| {
            let model = &session.model().descriptor;
            let format = model.parameters().query_format();
            let parsed =
                Query::from_blob(&query, format, model.sent_features()).map_err(ClientError::from)?;
            let cancel = Cancel::default();
            Ok(api
                .score(session.model(), parsed.key, &query, 1, &cancel)?
                .concat())
        })?;
        Ok(PyBytes::new(py, &answer))
    }

    /// Uploads an evaluation key that [`SecretKey`] has made.
    fn upload(&self, py: Python<'_>, public_key: &[u8], key_id: &str) -> PyResult<()> {
        let (id, blob) = (parse_id(py, key_id)?, public_key.to_vec());
        self.remote(py, move |api, _| Ok(api.put_key(id, &blob).map(drop)?))
    }

    /// Deletes an evaluation key, and returns whether the server had it.
    fn delete(&self, py: Python<'_>, key_id: &str) -> PyResult<bool> {
        let id = parse_id(py, key_id)?;
        self.remote(py, move |api, _| Ok(api.delete_key(id)?))
    }
}

impl Connection {
    fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does something with the server that a signal may interrupt.
    fn remote<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Api, &Session) -> Result<T, RemoteError> + Send + 'static,
    ) -> PyResult<T> {
        let api = self.api().map_err(|error| errors::remote(py, &error))?;
        let session = self.session();
        wait_for(py, move || work(&api, &session))?.map_err(|error| errors::remote(py, &error))
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

    /// Copies rows out of Python's objects.
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
        let session = self.session();
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

    /// Scores rows of features in `in_flight` threads, while this one reports progress and looks at
    /// Python's signals.
    fn score_rows(
        &self,
        py: Python<'_>,
        features: Vec<Option<Features>>,
        in_flight: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Result<Vec<Scores>, ScoreError>> {
        let api = self.api().map_err(|error| errors::remote(py, &error))?;
        let session = self.session();
        let batch_rows = session.batch_rows();
        let batches = features.len().div_ceil(batch_rows);
        let work = Arc::new(Work {
            api,
            session,
            features,
            batch_rows,
            next: AtomicUsize::new(0),
            cancel: Cancel::default(),
        });
        // However the wait ends, no thread begins another batch.
        let _cancel_at_the_end = CancelOnDrop(work.cancel.clone());
        let (sender, receiver) = mpsc::channel();
        for _ in 0..in_flight.clamp(1, batches.max(1)) {
            let (work, sender) = (Arc::clone(&work), sender.clone());
            thread::Builder::new()
                .name("blindscore".into())
                .spawn(move || work.run(&sender))?;
        }
        drop(sender);
        let receiver = Mutex::new(receiver);
        let mut scores: Vec<Vec<Scores>> = vec![Vec::new(); batches];
        for _ in 0..batches {
            let (place, scored) = receive(py, &receiver)?;
            match scored {
                Ok(scored) => {
                    if let Some(progress) = progress {
                        progress.call1((scored.len(),))?;
                    }
                    scores[place] = scored;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(scores.concat()))
    }
}

/// Rows that several threads score.
struct Work {
    api: Arc<Api>,
    session: Arc<Session>,
    features: Vec<Option<Features>>,
    batch_rows: usize,
    next: AtomicUsize,
    cancel: Cancel,
}

impl Work {
    /// Scores batches until there are no more, one has failed, or the call has ended.
    fn run(&self, sender: &Sender<Batch>) {
        while !self.cancel.is_cancelled() {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = self.features.chunks(self.batch_rows).nth(place) else {
                return;
            };
            let rows: Vec<Option<&[f64]>> = batch
                .iter()
                .map(|row| row.as_deref().map(Vec::as_slice))
                .collect();
            let scored = self.session.score(&self.api, &rows, &self.cancel);
            let failed = scored.is_err();
            if sender.send((place, scored)).is_err() || failed {
                return;
            }
        }
    }
}

/// Cancels when it is dropped.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn parse_id(py: Python<'_>, id: &str) -> PyResult<KeyId> {
    id.parse()
        .map_err(|error| errors::setting(py, format!("key_id: {error}")))
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
