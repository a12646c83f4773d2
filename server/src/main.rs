//! The `blindscore-server` binary; see [`blindscore_server::cli`].

fn main() -> anyhow::Result<()> {
    blindscore_server::cli::run()
}
