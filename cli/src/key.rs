//! Commands about the user's key.

use crate::{args::ModelArgs, screen::Screen};
use anyhow::{bail, ensure};
use blindscore_remote::{Api, Key, ServedModel, text::one_line};
use std::sync::Arc;

/// Runs `blindscore keygen`.
pub(crate) fn generate(args: &ModelArgs) -> anyhow::Result<()> {
    let api = Api::new(args.connection(), Arc::new(Screen::default()))?;
    let model = args.fetch(&api)?;
    let (path, made) = Key::create(&api, &args.key_place(), &model)?;
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
    let api = Api::new(args.connection(), Arc::new(Screen::default()))?;
    let mut key = open(args, &api, &args.fetch(&api)?)?;
    let receipt = key.ensure_uploaded(&api)?;
    println!("public key: {}", key.secret().key_id());
    if let Some(time) = receipt.expires_at {
        println!("the server keeps it until {}", one_line(&time));
    }
    Ok(())
}

/// Runs `blindscore forget`.
pub(crate) fn forget(args: &ModelArgs) -> anyhow::Result<()> {
    let api = Api::new(args.connection(), Arc::new(Screen::default()))?;
    let mut key = open(args, &api, &args.fetch(&api)?)?;
    match key.delete_uploaded(&api)? {
        Some(id) => println!("removed from the server: public key {id}"),
        None => println!("the server holds no public key for this secret key"),
    }
    if let Some(path) = key.remove()? {
        println!("removed: {}", path.display());
    }
    api.forget_model(&args.model);
    Ok(())
}

/// Opens the key for a model.
pub(crate) fn open(args: &ModelArgs, api: &Api, model: &ServedModel) -> anyhow::Result<Key> {
    match Key::open(api, &args.key_place(), model)? {
        Ok(key) => Ok(key),
        Err(path) => bail!(
            "there is no key at {}; `blindscore keygen` makes one",
            path.display()
        ),
    }
}
