//! A user's key: the secret half in a file, the public half on the server.

use crate::{
    api::{Api, Receipt, ServedModel},
    args::ModelArgs,
    keyfile,
    screen::Screen,
    text::one_line,
};
use anyhow::{Context, bail, ensure};
use blindscore_client::ClientKey;
use blindscore_protocol::ids::KeyId;
use std::path::{Path, PathBuf};

/// Number of steps of the progress bar for a public key.
const STEPS: u64 = 1000;

/// Secret key and the path of its file.
pub(crate) struct Key {
    pub(crate) secret: ClientKey,
    path: PathBuf,
}

/// Runs `blindscore keygen`.
pub(crate) fn generate(args: &ModelArgs) -> anyhow::Result<()> {
    let model = Api::new(args, Screen::default())?.model(args)?;
    let path = keyfile::path(args, &model.descriptor.parameters())?;
    remove_outdated(&path)?;
    let made = keyfile::create(&path, &ClientKey::generate_secret(model.descriptor.parameters())?)?;
    ensure!(
        made,
        "{} already exists; `blindscore forget` removes it",
        path.display()
    );
    println!("secret key: {}", path.display());
    println!(
        "for models with parameter set {}",
        model.descriptor.parameters().name()
    );
    println!("model id: {}", model.descriptor.pin());
    Ok(())
}

/// Runs `blindscore upload-keys`.
pub(crate) fn upload(args: &ModelArgs) -> anyhow::Result<()> {
    let screen = Screen::default();
    let api = Api::new(args, screen.clone())?;
    let mut key = Key::open(args, &api.model(args)?)?;
    let receipt = key.ensure_uploaded(&api, &screen)?;
    println!("public key: {}", key.secret.key_id());
    if let Some(time) = receipt.expires_at {
        println!("the server keeps it until {}", one_line(&time));
    }
    Ok(())
}

/// Runs `blindscore forget`.
pub(crate) fn forget(args: &ModelArgs) -> anyhow::Result<()> {
    let api = Api::new(args, Screen::default())?;
    let key = Key::open(args, &api.model(args)?)?;
    let id = key.secret.key_id();
    if id != KeyId::NONE && api.delete_key(id)? {
        println!("removed from the server: public key {id}");
    } else {
        println!("the server holds no public key for this secret key");
    }
    keyfile::remove(&key.path)?;
    println!("removed: {}", key.path.display());
    Ok(())
}

/// Removes keys of earlier versions and reports it.
fn remove_outdated(path: &Path) -> anyhow::Result<()> {
    for removed in keyfile::remove_outdated(path)? {
        eprintln!(
            "removed: {}, a key of an earlier version. It can't be used any more, and a network's key protected inputs less \
             well than intended: see SECURITY.md, BLINDSCORE-2026-001",
            removed.display()
        );
    }
    Ok(())
}

impl Key {
    /// Opens the key for a model.
    pub(crate) fn open(args: &ModelArgs, model: &ServedModel) -> anyhow::Result<Self> {
        let path = keyfile::path(args, &model.descriptor.parameters())?;
        remove_outdated(&path)?;
        let Some(secret) = keyfile::read(&path)? else {
            bail!(
                "there is no key at {}; `blindscore keygen` makes one",
                path.display()
            );
        };
        ensure!(
            secret.parameters().id() == model.descriptor.parameters().id(),
            "the key in {} is for parameter set {}, but the model uses {}",
            path.display(),
            secret.parameters().name(),
            model.descriptor.parameters().name()
        );
        Ok(Self { secret, path })
    }

    /// Generates and uploads a public key, unless the server has one.
    pub(crate) fn ensure_uploaded(&mut self, api: &Api, screen: &Screen) -> anyhow::Result<Receipt> {
        let id = self.secret.key_id();
        if id != KeyId::NONE
            && let Some(receipt) = api.key(id)?
        {
            return Ok(receipt);
        }
        self.upload_new(api, screen)
    }

    /// Generates a new public key, uploads it, and stores its id with the secret key.
    pub(crate) fn upload_new(&mut self, api: &Api, screen: &Screen) -> anyhow::Result<Receipt> {
        let mut generation = self.secret.start_evaluation_key()?;
        let bar = screen.bar("making the public key", STEPS);
        // A key that is done at once needs no bar.
        let mut share = generation.advance(10);
        while share < 1.0 {
            bar.set_position((share * STEPS as f64) as u64);
            share = generation.advance(10);
        }
        bar.finish_and_clear();
        let (_, blob) = self.secret.finish_evaluation_key(generation);
        let sending = screen.spinner("uploading the public key");
        let receipt = api.put_key(self.secret.key_id(), &blob);
        sending.finish_and_clear();
        let receipt = receipt.context("the public key was not uploaded")?;
        keyfile::replace(&self.path, &self.secret)?;
        Ok(receipt)
    }
}
