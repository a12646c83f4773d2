//! The server's stages: the model, and scoring. They read no secret and decrypt nothing.

use crate::{
    error::Error,
    files::{self, Instance},
    model::Name,
};
use blindscore_engine::{PreparedKey, model::Model};
use blindscore_protocol::{
    ids::KeyId,
    wire::{EvaluationKey, Query},
};
use rayon::prelude::*;
use serde::Serialize;
use std::{path::Path, time::Instant};

/// Times of the server's steps in seconds, as the harness reads them.
#[derive(Serialize)]
struct Steps {
    #[serde(rename = "Model preparation")]
    model: f64,
    #[serde(rename = "Key preparation")]
    key: f64,
    #[serde(rename = "Encrypted computation")]
    scoring: f64,
    #[serde(rename = "I/O")]
    files: f64,
    #[serde(rename = "Total")]
    total: f64,
}

/// Loads the model, which checks and quantises it, and says what would be served.
///
/// Scoring loads it again: in the form that is scored, it lives in memory only.
pub(crate) fn check(name: Name) -> Result<(), Error> {
    let model = name.load()?;
    let descriptor = model.descriptor();
    println!(
        "         [server] Model {}, id {}",
        descriptor.name, descriptor.id
    );
    Ok(())
}

/// Scores every query.
pub(crate) fn score(name: Name, instance: &Instance) -> Result<(), Error> {
    let start = Instant::now();
    let model = name.load()?;
    let loaded = start.elapsed();
    let (key, id) = evaluation_key(&model, instance)?;
    let queries = queries(&model, instance, id)?;
    let read = start.elapsed();
    let key = PreparedKey::new(&key);
    let prepared = start.elapsed();
    // A network's score uses all threads by itself; those of a batch share them.
    let responses = queries
        .par_iter()
        .map(|query| Ok(model.engine().score(query, &key)?.to_blob()))
        .collect::<Result<Vec<_>, Error>>()?;
    let scored = start.elapsed();
    instance.responses().write(&responses)?;
    let total = start.elapsed();

    let steps = Steps {
        model: loaded.as_secs_f64(),
        key: (prepared - read).as_secs_f64(),
        scoring: (scored - prepared).as_secs_f64(),
        files: (read - loaded + (total - scored)).as_secs_f64(),
        total: total.as_secs_f64(),
    };
    println!(
        "         [server] Key prepared in {:.3} s, {} images scored in {:.3} s with {} threads",
        steps.key,
        queries.len(),
        steps.scoring,
        rayon::current_num_threads()
    );
    let path = instance.server_steps();
    files::write(&path, &files::to_json(&path, &steps)?)
}

fn evaluation_key(model: &Model, instance: &Instance) -> Result<(EvaluationKey, KeyId), Error> {
    let path = instance.evaluation_key();
    let descriptor = model.descriptor();
    let what = format!("an evaluation key for {}", descriptor.name);
    let length = descriptor.blob_sizes().public_key;
    let blob = files::read_blob(&path, "client_key_generation", &what, length)?;
    let key = EvaluationKey::from_blob(&blob).map_err(|source| Error::Blob { path, source })?;
    Ok((key, KeyId::of(&blob)))
}

fn queries(model: &Model, instance: &Instance, key: KeyId) -> Result<Vec<Query>, Error> {
    let files = instance.queries().files(instance.size)?;
    files
        .par_iter()
        .map(|path| query(model, instance, path, key))
        .collect()
}

/// Reads a query that was encrypted for this model, with the secret of this key.
fn query(model: &Model, instance: &Instance, path: &Path, key: KeyId) -> Result<Query, Error> {
    let descriptor = model.descriptor();
    let what = format!("a query of {}", descriptor.name);
    let length = descriptor.blob_sizes().query;
    let blob = files::read_blob(path, instance.queries().stage, &what, length)?;
    let format = model.parameters().query_format();
    let query = Query::from_blob(&blob, format, descriptor.sent_features());
    let query = query.map_err(|source| Error::Blob {
        path: path.to_owned(),
        source,
    })?;
    if query.model != descriptor.id {
        return Err(Error::OtherModel {
            path: path.to_owned(),
            found: query.model,
            expected: descriptor.id,
        });
    }
    if query.key != key {
        return Err(Error::OtherKey {
            path: path.to_owned(),
            found: query.key,
            expected: key,
        });
    }
    Ok(query)
}
