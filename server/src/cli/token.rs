//! `token`: creates, lists and revokes the tokens of tenants.

use super::{serve::ServeArgs, values::Setting};
use crate::tenants::{Role, TenantName, Tokens};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::{ffi::OsString, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  Make a token for the tenant `clinic`; it is printed once, and only its hash is stored:
    blindscore-server token create clinic

  List the tokens, and revoke one:
    blindscore-server token list
    blindscore-server token revoke 5f0c1d2e3a4b

  Make one for the replicas that have their tokens in an object store:
    AWS_REGION=eu-central-1 blindscore-server token create clinic --tokens s3://bucket/tokens.json

A running server picks up the change within 2 s, or 5 s from an object store. A server started before the first token existed must be restarted.";

/// Make, list and revoke the tokens (API keys) of tenants
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    action: Action,

    /// Configuration file of `serve`, which may set the location of the tokens
    #[arg(long, global = true, env = "BLINDSCORE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Data directory, as for `serve`; it holds the tokens in tokens.json
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// File or object with the tokens' hashes, as for `serve`
    #[arg(long, global = true, value_name = "FILE|URL")]
    tokens: Option<PathBuf>,

    /// Settings of the object store, as for `serve`
    #[arg(long, global = true, value_name = "NAME=VALUE", value_delimiter = ',')]
    store_options: Vec<Setting>,
}

#[derive(Subcommand)]
enum Action {
    /// Make a token and print it
    Create {
        /// Tenant whose keys it gives access to: lowercase letters, digits, hyphens
        tenant: TenantName,
        /// Allow it to publish and remove models, and to read /metrics
        #[arg(long)]
        operator: bool,
        /// Allow it to read /metrics, as for Prometheus
        #[arg(long, conflicts_with = "operator")]
        monitor: bool,
    },
    /// List tokens: id, tenant and date, not the tokens themselves
    List,
    /// Revoke a token
    Revoke {
        /// Id of the token, as shown by `list`
        id: String,
    },
}

impl TokenArgs {
    /// Returns the arguments that make `serve` use the same tokens.
    pub(super) fn as_for_serve(&self) -> Vec<OsString> {
        let given = [
            ("--config", &self.config),
            ("--data-dir", &self.data_dir),
            ("--tokens", &self.tokens),
        ];
        let flags = given
            .into_iter()
            .filter_map(|(flag, value)| Some((flag, value.as_ref()?)));
        let flags = flags.flat_map(|(flag, value)| [flag.into(), value.into()]);
        let options = self.store_options.iter();
        let options = options.flat_map(|option| ["--store-options".into(), option.as_argument()]);
        flags.chain(options).collect()
    }
}

/// Runs the subcommand on the tokens of a server with these options.
pub(super) fn run(args: TokenArgs, serve: &ServeArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start a runtime")?;
    // For connections to object stores. Fails if there is a provider already, which is then used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(change(args.action, &serve.open_tokens()?))
}

async fn change(action: Action, tokens: &Tokens) -> anyhow::Result<()> {
    match action {
        Action::Create {
            tenant,
            operator,
            monitor,
        } => {
            let role = match (operator, monitor) {
                (true, _) => Role::Operator,
                (false, true) => Role::Monitor,
                (false, false) => Role::Client,
            };
            let (token, grant) = tokens.create(tenant, role).await?;
            println!("{}", token.reveal());
            eprintln!("token {} of {}; it is not shown again", grant.id, grant.tenant);
        }
        Action::List => {
            for grant in tokens.read().await?.unwrap_or_default() {
                let role = match grant.role() {
                    Role::Operator => " operator",
                    Role::Monitor => " monitor",
                    Role::Client => "",
                };
                println!("{} {} {}{role}", grant.id, grant.tenant, grant.created_at);
            }
        }
        Action::Revoke { id } => {
            let grant = tokens.revoke(&id).await?;
            eprintln!("token {} of {} is no longer valid", grant.id, grant.tenant);
        }
    }
    Ok(())
}
