//! `fleet`: several servers behind a proxy, and what is in `deploy`.

use crate::{command::run, paths, programs::Program, python::python, server, servers, wheel};
use anyhow::bail;
use clap::Args;
use std::{path::PathBuf, process::Command};

const KUBECTL: Program = Program {
    name: "kubectl",
    variable: "KUBECTL",
    programs: &["kubectl"],
    places: &[],
    // Debian's is too old to render the manifests.
    packages: &[],
};
const PROMETHEUS: Program = Program {
    name: "Prometheus",
    variable: "PROMETHEUS",
    programs: &["prometheus"],
    places: &[],
    packages: &["prometheus"],
};
const NGINX: Program = Program {
    name: "nginx",
    variable: "NGINX",
    programs: &["nginx"],
    places: &["/usr/sbin/nginx"],
    packages: &["nginx-light"],
};
const HAPROXY: Program = Program {
    name: "HAProxy",
    variable: "HAPROXY",
    programs: &["haproxy"],
    places: &["/usr/sbin/haproxy"],
    packages: &["haproxy"],
};

#[derive(Args)]
pub(crate) struct FleetArgs {
    /// Minutes of load for each proxy; about one if not given
    #[arg(long)]
    minutes: Option<u32>,
}

/// Finds or installs the programs that [`check`] needs. The scripts take them from the `PATH`.
pub(crate) fn prerequisites() -> anyhow::Result<()> {
    needed(&KUBECTL, "https://kubernetes.io/docs/tasks/tools")?;
    needed(&PROMETHEUS, "https://prometheus.io/download, with promtool")
}

fn needed(program: &Program, place: &str) -> anyhow::Result<()> {
    match program.find_or_apt()? {
        Some(_) => Ok(()),
        None => bail!(
            "{} is needed for the tests of deploy: install it from {place}",
            program.name
        ),
    }
}

/// Checks manifests, alerts and the dashboard, with the server that was built last.
pub(crate) fn check() -> anyhow::Result<()> {
    prerequisites()?;
    let environment = python("fleet")?;
    for (what, script) in [
        ("Checking the manifests of Kubernetes", "manifests.py"),
        ("Checking the alerts and the dashboard", "monitoring.py"),
    ] {
        run(what, &mut program(&environment, script)?)?;
    }
    Ok(())
}

/// Checks all of `deploy`, and puts load on three servers behind nginx and HAProxy.
pub(crate) fn fleet(args: &FleetArgs) -> anyhow::Result<()> {
    needed(&NGINX, "https://nginx.org")?;
    needed(&HAPROXY, "https://www.haproxy.org")?;
    let stores = servers::install()?;
    server::build_without_page()?;
    check()?;
    let environment = python("fleet")?;
    wheel::install(&environment)?;
    for proxy in ["nginx", "haproxy"] {
        let mut load = program(&environment, "fleet.py")?;
        load.args(["--proxy", proxy])
            .arg("--moto")
            .arg(stores.join("bin/moto_server"));
        if let Some(minutes) = args.minutes {
            load.args(["--minutes", &minutes.to_string()]);
        }
        run(&format!("Three servers behind {proxy}, under load"), &mut load)?;
    }
    Ok(())
}

/// Returns a script of `tests/fleet`, with the server that was built last.
fn program(environment: &std::path::Path, script: &str) -> anyhow::Result<Command> {
    let path: PathBuf = paths::root()?.join("tests/fleet").join(script);
    let mut command = Command::new(environment.join("bin/python"));
    command.arg(path).arg("--server").arg(paths::server()?);
    Ok(command)
}
