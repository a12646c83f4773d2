//! `image --test`: the image starts, scores and stops as it does where it is deployed.

use super::{NAME, USER, builder::Buildah, folder, running::Running};
use crate::{
    command::{cargo, say},
    installed, paths,
};
use anyhow::{Context, ensure};
use std::{
    env,
    net::TcpStream,
    path::{Path, PathBuf},
};

/// Most seconds until the server listens, a requirement of the product.
const SECONDS: f64 = 1.0;

/// Starts the image, checks what it promises, and stops it. The client is built if there is none.
pub(super) fn test(buildah: &Buildah, client: Option<&Path>) -> anyhow::Result<()> {
    let client = client.map_or_else(built, |client| Ok(client.to_owned()))?;
    say("Starting the image with a root file system that is read-only");
    let mut server = Running::start(buildah, NAME)?;
    // More is no failure: it depends on what else this machine does.
    eprintln!(
        "    listens after {:.2} s, which includes buildah's own start; {SECONDS:.1} s is the limit \
         on a quiet machine",
        server.took.as_secs_f64()
    );
    confined(&server)?;
    ensure!(server.healthy(NAME)?, "the health check fails");
    installed::serves_the_page(&server.address)?;
    installed::scores(&client, &format!("http://{}", server.address), &folder()?)?;
    say("Stopping the image");
    server.stop()?;
    ensure!(
        TcpStream::connect(&server.address).is_err(),
        "something still listens"
    );
    say("The image starts, scores and stops");
    Ok(())
}

/// Returns the program `blindscore`, which is built unless a variable names one.
fn built() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("BLINDSCORE_PROGRAM") {
        return Ok(path.into());
    }
    cargo(
        "Building the program blindscore",
        &["build", "--release", "--package", "blindscore-cli"],
    )?;
    paths::program()
}

/// Checks that the server isn't root, has no capabilities, and can't write to its file system.
fn confined(server: &Running) -> anyhow::Result<()> {
    let status = server.process("status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|values| values.split_whitespace().collect::<Vec<_>>())
            .with_context(|| format!("no {name} in the status of the process"))
    };
    let user = USER.to_string();
    for name in ["Uid:", "Gid:"] {
        let ids = field(name)?;
        ensure!(
            ids == [user.as_str(); 4],
            "the server runs with {name} {ids:?}, not {USER}"
        );
    }
    let effective = field("CapEff:")?;
    ensure!(
        effective.iter().all(|set| set.bytes().all(|digit| digit == b'0')),
        "the server has capabilities: {effective:?}"
    );
    // Fifth and sixth: where it is mounted, and how.
    let mounts = server.process("mountinfo")?;
    let root = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(4);
        (fields.next() == Some("/")).then(|| fields.next().unwrap_or_default().to_owned())
    });
    let options = root.context("the container has no root file system")?;
    ensure!(
        options.split(',').any(|option| option == "ro"),
        "the root file system is mounted {options}"
    );
    Ok(())
}
