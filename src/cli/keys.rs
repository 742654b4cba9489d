//! `tollgate keys`: the keys that tokens are signed with, and the secret that seals capsules.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use jiff::Timestamp;

use super::outcome::{Outcome, Stop};
use crate::{
    clock::Period,
    config::Kept,
    misconfigured::Misconfigured,
    secret::SecretSource,
    token::{KeyRing, Listed, PUBLISHED_BEFORE_SIGNING, State, init_capsule_secret},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the signing keys and the capsule secret where the configuration says; what is there is left alone
    Init,
    /// List the signing keys
    List,
    /// Add a new key beside each kind of key: published at once, signing later
    Rotate {
        /// How long a new key is published before it signs
        #[arg(long, value_name = "TIME", default_value_t = Period(PUBLISHED_BEFORE_SIGNING))]
        publish_first: Period,
    },
}

pub(super) fn run(config: &Path, command: Command, out: &mut impl Write) -> Result<Outcome, Stop> {
    let now = Timestamp::now();
    match command {
        Command::Init => {
            let kept = if config.exists() {
                Kept::load(config, std::env::vars_os())?
            } else {
                writeln!(out, "There is no `{}`; the default places are used.", config.display())?;
                Kept::defaults(config)
            };
            init(&kept, now, out)
        }
        Command::List => {
            let kept = Kept::load(config, std::env::vars_os())?;
            let ring = KeyRing::load(&folder(&kept)).map_err(|wrong| kept.errors([&wrong]))?;
            table(&ring.list(now), out)?;
            Ok(Outcome::Well)
        }
        Command::Rotate { publish_first } => {
            let kept = Kept::load(config, std::env::vars_os())?;
            let ring = KeyRing::rotate(&folder(&kept), now, publish_first.0).map_err(|wrong| kept.errors([&wrong]))?;
            table(&ring.list(now), out)?;
            writeln!(
                out,
                "\nThe new keys sign {publish_first} from now. Restart every Tollgate before that, so that clients find them.\n\
                 Delete the files of the old keys when the tokens they signed have expired."
            )?;
            Ok(Outcome::Well)
        }
    }
}

fn init(kept: &Kept, now: Timestamp, out: &mut impl Write) -> Result<Outcome, Stop> {
    let stop = |wrong: Misconfigured| Stop::Config(kept.errors([&wrong]));
    let folder = folder(kept);
    let ring = match KeyRing::load(&folder) {
        Ok(ring) => {
            writeln!(out, "kept  `{}`: there are signing keys already", folder.display())?;
            ring
        }
        Err(_) => {
            let ring = KeyRing::init(&folder, now).map_err(stop)?;
            writeln!(out, "made  `{}`: new signing keys", folder.display())?;
            ring
        }
    };
    match &kept.tokens.capsule_secret {
        SecretSource::File { file } => {
            let file = kept.base.join(file);
            if file.exists() {
                writeln!(out, "kept  `{}`: there is a capsule secret already", file.display())?;
            } else {
                init_capsule_secret(&file).map_err(stop)?;
                writeln!(out, "made  `{}`: a new capsule secret", file.display())?;
            }
        }
        SecretSource::Env { env } => writeln!(
            out,
            "left  the capsule secret: it is in the environment variable `{env}`; 32 random bytes or more belong there"
        )?,
    }
    writeln!(out)?;
    table(&ring.list(now), out)?;
    writeln!(
        out,
        "\nAll replicas share these files. Keep a copy: without them no issued token can be used."
    )?;
    Ok(Outcome::Well)
}

fn table(keys: &[Listed], out: &mut impl Write) -> Result<(), Stop> {
    let time = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    writeln!(
        out,
        "{:<43}  {:<8}  {:<8}  {:<20}  {:<20}  FILE",
        "KID", "KIND", "STATE", "CREATED", "SIGNS FROM"
    )?;
    for key in keys {
        let state = match key.state {
            State::Signing => "signing",
            State::Next => "next",
            State::Old => "old",
        };
        writeln!(
            out,
            "{:<43}  {:<8}  {state:<8}  {:<20}  {:<20}  {}",
            key.kid,
            key.family.to_string(),
            time(key.created),
            key.signs_from.map_or_else(|| "the beginning".to_owned(), time),
            key.file.display()
        )?;
    }
    Ok(())
}

fn folder(kept: &Kept) -> PathBuf {
    kept.base.join(&kept.tokens.keys)
}
