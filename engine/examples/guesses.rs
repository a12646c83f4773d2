//! Measures whether a client that knows a network except for one weight can check a guess of that
//! weight by one response. It scores its query with each guess and picks the guess whose scores are
//! closest to the response's. Results are in docs/security.md.
//!
//! `cargo run --release -p blindscore-engine --example guesses`

use anyhow::{Context, bail};
use blindscore_client::ClientKey;
use blindscore_engine::{
    IntegerNetwork, NetworkEngine, NetworkKey,
    model::{Model, Plain},
};
use blindscore_protocol::{
    params::ParameterSet,
    wire::{EvaluationKey, Query},
};

const GUESSES: usize = 32;
const RESPONSES: usize = 10;
/// Runs of one query, and as many runs of fresh encryptions of the same features.
const RUNS: usize = 40;

fn main() -> anyhow::Result<()> {
    let model = Model::from_safetensors(blindscore_models::MNIST_NET_SMALL)?;
    let descriptor = model.descriptor();
    let (ParameterSet::Network(params), Plain::Network { network, .. }) = (model.parameters(), model.plain())
    else {
        bail!("mnist-net-small is not a network")
    };
    let (client, public) = ClientKey::generate(model.parameters())?;
    let EvaluationKey::Network(public) = public else {
        bail!("the key is not a network's")
    };
    let key = NetworkKey::new(&public);
    // An upright bar, away from the edges.
    let features: Vec<f64> = (0..784)
        .map(|i| {
            f64::from(u8::from(
                (8..20).contains(&(i / 28)) && (12..16).contains(&(i % 28)),
            ))
        })
        .collect();
    let encrypt = || -> anyhow::Result<Query> {
        let blob = client.encrypt(descriptor, &features)?;
        Ok(Query::from_blob(&blob, params.query_format(), features.len())?)
    };
    let scores = |network: &NetworkEngine, query: &Query| -> anyhow::Result<Vec<f64>> {
        let response = network.score(query, &key)?;
        Ok(client
            .decrypt(descriptor, response.query, &response.to_blob())?
            .scores)
    };

    let engine = NetworkEngine::new(params, network);
    let one = encrypt()?;
    let again = (0..RUNS)
        .map(|_| scores(&engine, &one))
        .collect::<Result<Vec<_>, _>>()?;
    let fresh = (0..RUNS)
        .map(|_| scores(&engine, &encrypt()?))
        .collect::<Result<Vec<_>, _>>()?;
    println!(
        "deviation of a score: {:.4} over {RUNS} runs of one query, {:.4} over fresh encryptions",
        spread(&again),
        spread(&fresh)
    );

    let guesses: Vec<NetworkEngine> = (0..GUESSES)
        .map(|index| {
            let mut guess: IntegerNetwork = network.clone();
            let hidden = index % guess.projections.len();
            // Pixels of the first row are blank.
            guess.projections[hidden].weights[index % 28] += 1;
            NetworkEngine::new(params, &guess)
        })
        .collect();
    for _ in 0..RESPONSES {
        let query = encrypt()?;
        let response = scores(&engine, &query)?;
        let right = distance(&scores(&engine, &query)?, &response);
        let wrong = guesses
            .iter()
            .map(|guess| Ok(distance(&scores(guess, &query)?, &response)));
        let wrong = wrong.collect::<anyhow::Result<Vec<f64>>>()?;
        let nearer = wrong.iter().filter(|distance| **distance < right).count();
        let least = wrong.iter().copied().reduce(f64::min).context("guesses")?;
        let most = wrong.iter().copied().fold(0.0, f64::max);
        println!(
            "distance of the right model's scores {right:.4}, of {GUESSES} wrong ones' {least:.4} to {most:.4}; {nearer} are nearer"
        );
    }
    Ok(())
}

/// Returns the root mean square difference.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / a.len() as f64).sqrt()
}

/// Returns the standard deviation of scores about their mean.
fn spread(all: &[Vec<f64>]) -> f64 {
    let outputs = all.first().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..outputs)
        .map(|c| all.iter().map(|scores| scores[c]).sum::<f64>() / all.len() as f64)
        .collect();
    let squares = all.iter().map(|scores| distance(scores, &mean).powi(2));
    (squares.sum::<f64>() / (all.len() - 1) as f64).sqrt()
}
