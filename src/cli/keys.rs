//! `tollgate keys`: the keys that tokens are signed with, and the secret that seals capsules.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use jiff::Timestamp;

use super::outcome::{Outcome, Stop};
use crate::{
    clock::{Clock, Period},
    config::Kept,
    misconfigured::Misconfigured,
    secret::SecretSource,
    token::{KeyRing, Listed, Sealer, SealingPart, State, init_capsule_secret, rotate_capsule_secret},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the signing keys and the capsule secret where the configuration says; what is there is left alone
    Init,
    /// List the signing keys and the capsule secrets, each with its part now and what comes next
    List,
    /// Add a new key beside each kind of key: published at once, signing later
    Rotate {
        /// How long a new key is published before it signs; `tokens.publish_before` if left out
        #[arg(long, value_name = "TIME")]
        publish_first: Option<Period>,
        /// Add a new capsule secret instead: it opens at once and seals later
        #[arg(long)]
        capsule: bool,
    },
    /// Delete the files of signing keys that are not published any more
    Prune,
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
            let ring = kept.tokens.ring(&kept.base).map_err(|wrong| kept.errors([&wrong]))?;
            table(&ring.list(now), out)?;
            secrets(&kept, now, out)?;
            Ok(Outcome::Well)
        }
        Command::Rotate { publish_first, capsule } => {
            let kept = Kept::load(config, std::env::vars_os())?;
            let before = publish_first.unwrap_or(kept.tokens.publish_before);
            if capsule {
                rotate_secret(&kept, now, before, out)?;
            } else {
                rotate_keys(&kept, before, out)?;
            }
            Ok(Outcome::Well)
        }
        Command::Prune => {
            let kept = Kept::load(config, std::env::vars_os())?;
            let pruned = kept.tokens.ring(&kept.base).and_then(|ring| ring.prune(now));
            let pruned = pruned.map_err(|wrong| kept.errors([&wrong]))?;
            for file in &pruned {
                writeln!(out, "deleted  `{}`", file.display())?;
            }
            if pruned.is_empty() {
                writeln!(out, "Every key is still published; nothing was deleted.")?;
            }
            Ok(Outcome::Well)
        }
    }
}

fn rotate_keys(kept: &Kept, before: Period, out: &mut impl Write) -> Result<(), Stop> {
    let ring = KeyRing::rotate(&folder(kept), &Clock::system(), before.0).map_err(|wrong| kept.errors([&wrong]))?;
    let ring = ring.published_after(kept.tokens.publish_after.0);
    table(&ring.list(Timestamp::now()), out)?;
    writeln!(
        out,
        "\nThe new keys sign {before} from now. A running Tollgate takes their files by itself, or at SIGHUP; every replica must have them\n\
         by then. The old ones stay published for {} after that; then `tollgate keys prune` deletes them.",
        kept.tokens.publish_after
    )?;
    Ok(())
}

fn rotate_secret(kept: &Kept, now: Timestamp, before: Period, out: &mut impl Write) -> Result<(), Stop> {
    let SecretSource::File { file } = &kept.tokens.capsule_secret else {
        return Err(Stop::Usage(
            "the capsule secret is in the environment: put a new one there, and name the old one as `previous_capsule_secret`".into(),
        ));
    };
    let made = rotate_capsule_secret(&kept.base.join(file), now, before.0);
    let (file, from) = made.map_err(|wrong| kept.errors([&wrong]))?;
    writeln!(
        out,
        "made  `{}`: it opens at once and seals from {}\n\n\
         A running Tollgate takes it by itself, or at SIGHUP; every replica must have it by then. Keep the older ones until all that they\n\
         sealed has expired, refresh tokens included.",
        file.display(),
        moment(from)
    )?;
    Ok(())
}

/// The capsule secrets with their parts.
fn secrets(kept: &Kept, now: Timestamp, out: &mut impl Write) -> Result<(), Stop> {
    let Ok(sealer) = kept
        .tokens
        .capsule_secrets(&kept.base)
        .and_then(|all| Sealer::rotating(all, None))
    else {
        return Ok(());
    };
    let files = kept.tokens.capsule_files(&kept.base);
    writeln!(out, "\n{:<8}  {:<7}  {:<20}  FILE", "CAPSULES", "STATE", "SEALS FROM")?;
    for key in sealer.keys_at(now).iter().rev() {
        let file = files.iter().find(|(from, _)| *from == key.seals_from);
        let file = file.map_or_else(
            || kept.tokens.capsule_secret.to_string(),
            |(_, file)| file.display().to_string(),
        );
        let part = match key.part {
            SealingPart::Seals => "seals",
            SealingPart::Next => "next",
            SealingPart::Opens => "opens",
        };
        writeln!(
            out,
            "{:<8}  {part:<7}  {:<20}  {file}",
            key.id,
            key.seals_from.map_or_else(|| "the beginning".to_owned(), moment)
        )?;
    }
    Ok(())
}

fn init(kept: &Kept, now: Timestamp, out: &mut impl Write) -> Result<Outcome, Stop> {
    let stop = |wrong: Misconfigured| Stop::Config(kept.errors([&wrong]));
    let folder = folder(kept);
    let ring = match kept.tokens.ring(&kept.base) {
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
            if !kept.tokens.capsule_files(&kept.base).is_empty() {
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
    writeln!(
        out,
        "{:<43}  {:<8}  {:<8}  {:<20}  {:<20}  {:<20}  FILE",
        "KID", "KIND", "STATE", "CREATED", "SIGNS FROM", "PUBLISHED UNTIL"
    )?;
    for key in keys {
        let state = match key.state {
            State::Signing => "signing",
            State::Next => "next",
            State::Old => "old",
            State::Retired => "retired",
        };
        writeln!(
            out,
            "{:<43}  {:<8}  {state:<8}  {:<20}  {:<20}  {:<20}  {}",
            key.kid,
            key.family.to_string(),
            moment(key.created),
            key.signs_from.map_or_else(|| "the beginning".to_owned(), moment),
            key.published_until.map_or_else(|| "-".to_owned(), moment),
            key.file.display()
        )?;
    }
    Ok(())
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn folder(kept: &Kept) -> PathBuf {
    kept.base.join(&kept.tokens.keys)
}
