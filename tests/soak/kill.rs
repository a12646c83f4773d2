//! `kill -9` in the middle of 200 concurrent uploads, ten times.

use crate::{
    report::Report,
    wire::{Connection, put_request, request, score_request},
};
use anyhow::{Result, bail, ensure};
use blindscore_tests::{Oracle, Server, User};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

const ROUNDS: usize = 10;
const LINEAR: usize = 190;
/// Number of long keys, which take longer to write.
const NETWORK: usize = 10;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let mut server = Server::start_with(&["--log", "warn"]);
    let linear = server.api().model("mnist-linear");
    let network = server.api().model("mnist-net-small");
    let oracles = [Oracle::new("mnist-linear", 1), Oracle::new("mnist-net-small", 1)];
    let check = |connection: &mut Connection, user: &User| -> Result<bool> {
        let asked = connection.send(&request("GET", &format!("/v1/keys/{}", user.id())))?;
        match asked.status {
            404 => return Ok(false),
            200 => {}
            other => bail!("a key's metadata gave {other}"),
        }
        let scored = connection.send(&score_request(&user.model.name, user.id(), &user.query(0)))?;
        ensure!(
            scored.status == 200,
            "a key that is visible gave {}",
            scored.status
        );
        let oracle = &oracles[usize::from(user.model.name != "mnist-linear")];
        ensure!(oracle.accepts(user, 0, &scored.body), "a wrong score");
        Ok(true)
    };

    let (mut acknowledged_in_all, mut unacknowledged_but_whole, mut cut) = (0, 0, 0);
    let mut kept = Vec::new();
    for round in 0..ROUNDS {
        let makers = std::iter::repeat_n(&linear, LINEAR).chain(std::iter::repeat_n(&network, NETWORK));
        let users: Vec<_> = makers.map(User::of).collect();
        // Later in each round, from after the first acknowledgement to after most of them.
        let kill_at = 1 + round * (LINEAR - 10) / ROUNDS;
        let acknowledged = Mutex::new(Vec::new());
        let (count, dead) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let url = server.url().to_owned();
        server = thread::scope(|scope| {
            for (index, user) in users.iter().enumerate() {
                let (url, acknowledged, count, dead) = (&url, &acknowledged, &count, &dead);
                scope.spawn(move || {
                    match Connection::new(url).send(&put_request(user.id(), &user.public_key)) {
                        Ok(answer) if answer.status == 201 => {
                            lock(acknowledged).push(index);
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => {
                            dead.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            while count.load(Ordering::SeqCst) < kill_at && dead.load(Ordering::SeqCst) == 0 {
                thread::sleep(Duration::from_micros(100));
            }
            // Kills the process and starts a new one on the same directory.
            server.restart()
        });
        let files = server.stored_files();
        let leftovers = files
            .iter()
            .filter(|name| name.len() != 64 || name.contains('#'))
            .count();
        ensure!(leftovers == 0, "files left over: {files:?}");

        let acknowledged = lock(&acknowledged).clone();
        let mut connection = Connection::new(server.url());
        for (index, user) in users.iter().enumerate() {
            let whole = check(&mut connection, user)?;
            if acknowledged.contains(&index) {
                ensure!(whole, "round {round}: an acknowledged key is gone");
            } else if whole {
                unacknowledged_but_whole += 1;
            } else {
                cut += 1;
            }
        }
        acknowledged_in_all += acknowledged.len();
        // One key of each round is checked again at the end.
        if let Some(&index) = acknowledged.first() {
            let mut users = users;
            kept.push(users.swap_remove(index));
        }
    }
    let mut connection = Connection::new(server.url());
    for user in &kept {
        ensure!(check(&mut connection, user)?, "a key of an earlier round is gone");
    }
    report.bar(
        "acknowledged keys that are whole and score",
        format!("{acknowledged_in_all} of {acknowledged_in_all}, in {ROUNDS} kills"),
        "all",
        true,
    );
    report.note(
        "not acknowledged",
        format!("{unacknowledged_but_whole} whole all the same, {cut} not there, 0 partial"),
    );
    report.bar("temporary files left", 0, 0, true);
    ensure!(cut > 0, "no upload was cut: the kills came too late");
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
