//! `healthy`: asks the server on this machine whether it is ready.

use super::{serve::ServeArgs, values::Seconds};
use anyhow::{Context, anyhow, ensure};
use clap::Args;
use reqwest::{Client, StatusCode};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

const EXAMPLES: &str = "\
Examples:
  Ask the server that has the same variables BLINDSCORE_*, as the container's health check does:
    blindscore-server healthy

  Ask the one that listens on another port:
    blindscore-server healthy --bind 127.0.0.1:9000

It asks `/readyz`, and prints `ready` if that answers 200. The exit code is 0 if the server is ready, else 1.";

/// Ask the server on this machine whether it is ready
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HealthyArgs {
    /// Configuration file of `serve`, which may set the address and the certificate
    #[arg(long, env = "BLINDSCORE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address that the server listens on, as for `serve`
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,

    /// Time after which a server without an answer isn't ready
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    seconds: Seconds,
}

impl HealthyArgs {
    /// Returns the arguments that make `serve` use the same address.
    pub(super) fn as_for_serve(&self) -> Vec<OsString> {
        let config = self.config.iter().map(|path| path.clone().into_os_string());
        let bind = self.bind.iter().map(OsString::from);
        let flags = config.map(|path| ["--config".into(), path]);
        flags
            .chain(bind.map(|address| ["--bind".into(), address]))
            .flatten()
            .collect()
    }
}

/// Asks the server with these options whether it is ready.
///
/// # Errors
/// Fails, with its answer if it has one, unless it is ready.
pub(super) fn run(args: &HealthyArgs, serve: &ServeArgs) -> anyhow::Result<()> {
    let url = url(serve.bind, serve.tls_cert.is_some())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start a runtime")?;
    let (status, answer) = runtime
        .block_on(ask(&url, args.seconds.0))
        .with_context(|| format!("no answer from {url}"))?;
    ensure!(
        status == StatusCode::OK,
        "{url} answers {status}: {}",
        answer.trim()
    );
    println!("ready");
    Ok(())
}

async fn ask(url: &str, patience: Duration) -> anyhow::Result<(StatusCode, String)> {
    // Fails if there is a provider already, which is then used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .timeout(patience)
        .no_proxy()
        // The certificate names the service and not this address, which is the machine's own.
        // Nothing secret is sent.
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let answer = client.get(url).send().await?;
    Ok((answer.status(), answer.text().await?))
}

/// Returns the URL at which a server that listens on `bind` says whether it is ready.
fn url(bind: SocketAddr, tls: bool) -> anyhow::Result<String> {
    if bind.port() == 0 {
        return Err(anyhow!(
            "the system chose the server's port: name it with --bind, as in --bind {}:8080",
            bind.ip()
        ));
    }
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if tls { "https" } else { "http" };
    Ok(format!("{scheme}://{}/readyz", SocketAddr::new(ip, bind.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_loopback() {
        let asked = |bind: &str, tls| url(bind.parse().unwrap(), tls).map_err(|error| error.to_string());
        assert_eq!(
            asked("0.0.0.0:8080", false).as_deref(),
            Ok("http://127.0.0.1:8080/readyz")
        );
        assert_eq!(
            asked("[::]:8443", true).as_deref(),
            Ok("https://[::1]:8443/readyz")
        );
        assert_eq!(
            asked("10.0.0.5:80", false).as_deref(),
            Ok("http://10.0.0.5:80/readyz")
        );
        assert!(asked("127.0.0.1:0", false).is_err_and(|words| words.contains("--bind")));
    }
}
