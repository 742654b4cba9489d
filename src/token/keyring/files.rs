//! Keys on disk: PKCS#8 PEM files, the time from which they sign in their names.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

use crate::{misconfigured::Misconfigured, token::algorithm::Family};

use super::{KEYS, Pair};

/// Makes the secret that seals capsules: 32 random bytes as a line of base64url in a file of mode 0600. All replicas
/// need the same one. Refuses to overwrite a file.
pub fn init_capsule_secret(path: &Path) -> Result<(), Misconfigured> {
    let failed = |message: String| Misconfigured::new("tokens.capsule_secret", message);
    let mut secret = [0; 32];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| failed("the machine has no random numbers".into()))?;
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        make_dir(dir).map_err(|error| failed(format!("`{}` cannot be created: {error}", dir.display())))?;
    }
    write_whole(path, format!("{}\n", URL_SAFE_NO_PAD.encode(secret)).as_bytes()).map_err(|error| {
        let finding = failed(format!("`{}` cannot be written: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                finding.hint("`tollgate keys rotate --capsule` makes another one beside it")
            }
            _ => finding,
        }
    })
}

/// Makes another secret beside the one at `path`: its file has the time from which it seals at the end of its name, as in
/// `capsule-20261123T101500Z.key`. Says which file, and that time.
pub fn rotate_capsule_secret(
    path: &Path,
    now: Timestamp,
    before_sealing: Duration,
) -> Result<(PathBuf, Timestamp), Misconfigured> {
    if capsule_files(path).is_empty() {
        let message = format!("there is no secret `{}` to succeed", path.display());
        return Err(Misconfigured::new("tokens.capsule_secret", message).hint("`tollgate keys init` makes it"));
    }
    let seals_from = now + before_sealing;
    let (stem, ending) = name_parts(path);
    let fresh = path.with_file_name(format!("{stem}-{}{ending}", seals_from.strftime(TIME_IN_NAME)));
    init_capsule_secret(&fresh)?;
    // Seconds are all that the name says.
    Ok((
        fresh,
        Timestamp::from_second(seals_from.as_second()).unwrap_or(seals_from),
    ))
}

/// The files of a capsule secret that are there: the one at `path`, and its successors with the times from which they seal.
pub(in crate::token) fn capsule_files(path: &Path) -> Vec<(Option<Timestamp>, PathBuf)> {
    let (stem, ending) = name_parts(path);
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let file = entry.ok()?.path();
            let name = file.file_name()?.to_str()?;
            let time = name.strip_prefix(&stem)?.strip_suffix(&ending)?.strip_prefix('-')?;
            Some((Some(named_time(time)?), file))
        })
        .collect();
    if path.exists() {
        found.push((None, path.to_owned()));
    }
    found.sort();
    found
}

/// A file's name before and from its last dot.
fn name_parts(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let ending = text(path.extension()).map(|ending| format!(".{ending}"));
    (text(path.file_stem()).unwrap_or_default(), ending.unwrap_or_default())
}

/// Deletes a key's file.
pub(super) fn delete(file: &Path) -> Result<(), Misconfigured> {
    fs::remove_file(file)
        .map_err(|error| Misconfigured::new(KEYS, format!("`{}` cannot be deleted: {error}", file.display())))
}

/// The directory's `*.pem` files, in no order.
pub(super) fn key_files(dir: &Path) -> Result<Vec<PathBuf>, Misconfigured> {
    let unreadable = |error: io::Error| {
        Misconfigured::new(
            KEYS,
            format!(
                "the directory of signing keys `{}` cannot be read: {error}",
                dir.display()
            ),
        )
        .hint("`tollgate keys init` makes it and the keys")
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    Ok(files)
}

pub(super) fn create_dir(dir: &Path) -> Result<(), Misconfigured> {
    make_dir(dir).map_err(|error| Misconfigured::new(KEYS, format!("`{}` cannot be created: {error}", dir.display())))
}

pub(super) fn read(file: &Path) -> Result<Pair, Misconfigured> {
    let pem = fs::read(file)
        .map_err(|error| Misconfigured::new(KEYS, format!("`{}` cannot be read: {error}", file.display())))?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| unusable(file))?;
    Pair::from_pkcs8(der.secret_pkcs8_der()).ok_or_else(|| unusable(file))
}

pub(super) fn unusable(file: &Path) -> Misconfigured {
    let name = file.display();
    Misconfigured::new(
        KEYS,
        format!("`{name}` is no private key that can sign: it takes an unencrypted PKCS#8 PEM file with an RSA (2048 to 8192 bits), P-256, P-384 or Ed25519 key"),
    )
    .hint(format!("convert it with `openssl pkcs8 -topk8 -nocrypt -in {name}`, or move it out of the directory"))
}

/// Writes a key under the name of its kind and time.
pub(super) fn write(dir: &Path, family: Family, signs_from: Timestamp, pair: &Pair) -> Result<(), Misconfigured> {
    let file = dir.join(format!("{family}-{}.pem", signs_from.strftime(TIME_IN_NAME)));
    let failed =
        |error: io::Error| Misconfigured::new(KEYS, format!("`{}` cannot be written: {error}", file.display()));
    let der = pair
        .to_pkcs8()
        .ok_or_else(|| failed(io::Error::other("the key has no PKCS#8 form")))?;
    write_whole(&file, pem(&der).as_bytes()).map_err(failed)
}

/// From when the file's key signs: the time at the end of its name, `…-20261123T101500Z.pem`, if there is one.
pub(super) fn signs_from(file: &Path) -> Option<Timestamp> {
    let (_, time) = file.file_stem()?.to_str()?.rsplit_once('-')?;
    named_time(time)
}

fn named_time(time: &str) -> Option<Timestamp> {
    let time = DateTime::strptime(TIME_IN_NAME, time).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// When the file was written; for people only, since copies of a directory may differ in it.
pub(super) fn created(file: &Path) -> Timestamp {
    fs::metadata(file)
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Whole or not at all: a replica that reads the folder in between sees no half file.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let half = path.with_extension("new");
    write_new(&half, content)?;
    // A link, unlike a rename, never replaces a file that is there.
    let linked = fs::hard_link(&half, path);
    fs::remove_file(&half).and(linked)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// RFC 7468 §10.
fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

const TIME_IN_NAME: &str = "%Y%m%dT%H%M%SZ";
