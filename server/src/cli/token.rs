//! `token`: creates, lists and revokes the tokens of tenants.

use crate::tenants::{Grant, TenantName, TokenFile};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  Make a token for the tenant `clinic`; it is printed once, and only its hash is stored:
    blindscore-server token create clinic

  List the tokens, and revoke one:
    blindscore-server token list
    blindscore-server token revoke 5f0c1d2e3a4b

A running server picks up the change within 2 s. A server started before the first token existed must be restarted.";

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

    /// File with the tokens' hashes, as for `serve`
    #[arg(long, global = true, value_name = "FILE")]
    tokens: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Make a token and print it
    Create {
        /// Tenant whose keys it gives access to: lowercase letters, digits, hyphens
        tenant: TenantName,
        /// Allow it to read /metrics too
        #[arg(long)]
        operator: bool,
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
    /// Returns the arguments that make `serve` use the same file.
    pub(super) fn as_for_serve(&self) -> Vec<std::ffi::OsString> {
        let given = [
            ("--config", &self.config),
            ("--data-dir", &self.data_dir),
            ("--tokens", &self.tokens),
        ];
        let flags = given
            .into_iter()
            .filter_map(|(flag, value)| Some((flag, value.as_ref()?)));
        flags
            .flat_map(|(flag, value)| [flag.into(), value.into()])
            .collect()
    }
}

/// Runs the subcommand.
pub(super) fn run(args: TokenArgs, file: &TokenFile) -> anyhow::Result<()> {
    match args.action {
        Action::Create { tenant, operator } => {
            let (token, grant) = file.create(tenant, operator)?;
            println!("{}", token.reveal());
            eprintln!("token {} of {}; it is not shown again", grant.id, grant.tenant);
        }
        Action::List => {
            for Grant {
                id,
                tenant,
                operator,
                created_at,
                ..
            } in file.read()?.unwrap_or_default()
            {
                let operator = if operator { " operator" } else { "" };
                println!("{id} {tenant} {created_at}{operator}");
            }
        }
        Action::Revoke { id } => {
            let grant = file.revoke(&id)?;
            eprintln!("token {} of {} is no longer valid", grant.id, grant.tenant);
        }
    }
    Ok(())
}
