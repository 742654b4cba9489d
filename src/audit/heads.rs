//! Signed heads: each is a place in the chain, its hash and the time, signed, and kept where whoever can write to the store cannot. With
//! them it is found when the end was cut off, or everything rewritten.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use super::{Hash, Head, files, record::time_text};
use crate::{clock::Period, misconfigured::Misconfigured};

/// Where heads are written, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The file that heads are appended to, one a line; a relative one is looked up from the folder of `proxy.toml`. Keep it, or a copy, where
    /// Tollgate's own account cannot change what is written.
    pub file: Option<PathBuf>,
    /// Whether each head is also a line of the log.
    pub log: bool,
    /// How often at the most a head is written by time, when there are new records. Default: `1m`.
    pub every: Period,
    /// After how many records one is written at the latest. Default: `10000`.
    pub records: u64,
    /// The Ed25519 key that signs them: made, for its owner only, when there is none, with its public half beside it as `….pub`, which is all
    /// that `verify` needs. Default: `certs/audit-heads.key`.
    pub key: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file: None,
            log: false,
            every: Period::secs(60),
            records: 10_000,
            key: "certs/audit-heads.key".into(),
        }
    }
}

impl Settings {
    /// What is wrong with them.
    pub(super) fn check(&self) -> Result<(), Misconfigured> {
        if self.file.is_none() && !self.log {
            return Err(Misconfigured::new("audit.heads", "heads are written nowhere")
                .hint("set `file`, `log = true`, or both"));
        }
        if self.records == 0 {
            return Err(Misconfigured::new(
                "audit.heads.records",
                "a head stands for at least one record",
            ));
        }
        Ok(())
    }

    /// The file of the public key.
    pub fn public_key(&self, base: &Path) -> PathBuf {
        files::beside(&base.join(&self.key), ".pub")
    }
}

/// Signs heads and writes them.
pub(super) struct Exporter {
    key: Ed25519KeyPair,
    file: Option<PathBuf>,
    settings: Settings,
    last: Head,
    at: Timestamp,
    failing: bool,
}

/// A head as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    head: String,
    time: String,
    signature: String,
}

impl Exporter {
    /// Loads the key, or makes one. What is in the store already was exported, or was written before heads were asked for.
    pub(super) fn open(settings: &Settings, base: &Path, last: Head, now: Timestamp) -> Result<Self, Misconfigured> {
        settings.check()?;
        let path = base.join(&settings.key);
        let key = load(&path).map_err(|error| {
            Misconfigured::new(
                "audit.heads.key",
                format!("`{}` cannot be used: {error}", path.display()),
            )
            .hint(
                "name a file that does not exist yet, in a folder that Tollgate can write to, and the key will be made",
            )
        })?;
        let file = settings.file.as_ref().map(|file| base.join(file));
        if let Some(file) = &file {
            append(file, "").map_err(|error| {
                Misconfigured::new(
                    "audit.heads.file",
                    format!("`{}` cannot be written: {error}", file.display()),
                )
            })?;
        }
        Ok(Self {
            key,
            file,
            settings: settings.clone(),
            last,
            at: now,
            failing: false,
        })
    }

    /// Writes this head when one is due, or when it must be.
    pub(super) fn offer(&mut self, head: Head, now: Timestamp, must: bool) {
        let records = if head.chain == self.last.chain {
            head.seq.saturating_sub(self.last.seq)
        } else {
            head.seq
        };
        let waited = now.duration_since(self.at).unsigned_abs() >= self.settings.every.0;
        if head == self.last || !(must || waited || records >= self.settings.records) {
            return;
        }
        let line = self.sign(head, now);
        if self.settings.log {
            info!(target: "tollgate::audit::head", head = %line.head, time = %line.time, signature = %line.signature, "audit head {}", line.head);
        }
        if let Some(file) = &self.file {
            let text = serde_json::to_string(&line)
                .map(|text| text + "\n")
                .map_err(io::Error::from);
            match text.and_then(|text| append(file, &text)) {
                Ok(()) if self.failing => {
                    info!("audit heads can be written to `{}` again", file.display());
                    self.failing = false;
                }
                Ok(()) => {}
                Err(error) => {
                    if !self.failing {
                        error!(%error, "audit heads cannot be written to `{}`: {error}", file.display());
                    }
                    // Not noted as written, so the next offer tries again.
                    self.failing = true;
                    return;
                }
            }
        }
        self.last = head;
        self.at = now;
    }

    fn sign(&self, head: Head, now: Timestamp) -> Line {
        let (head, time) = (head.to_string(), time_text(now));
        let signature = STANDARD.encode(self.key.sign(signed_text(&head, &time).as_bytes()));
        Line { head, time, signature }
    }
}

/// Heads that must be in the store.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    /// By chain and number.
    pub(super) expected: BTreeMap<(u32, u64), Hash>,
    /// The last one of each chain that was signed; an anchor behind it is no one's word.
    pub(super) signed: BTreeMap<u32, u64>,
    /// The first line whose signature is wrong, and the chain and number in it.
    pub(super) forged: Option<(usize, u32, u64)>,
}

impl Heads {
    /// One head that an earlier `verify` printed.
    pub fn one(head: Head) -> Self {
        Self {
            expected: [((head.chain, head.seq), head.hash)].into(),
            ..Self::default()
        }
    }

    /// Expects this one, too.
    pub fn expect(&mut self, head: Option<Head>) {
        self.expected
            .extend(head.map(|head| ((head.chain, head.seq), head.hash)));
    }

    /// The chains that heads are of.
    pub(super) fn chains(&self) -> impl Iterator<Item = u32> {
        let forged = self.forged.map(|(_, chain, _)| chain);
        self.expected.keys().map(|(chain, _)| *chain).chain(forged)
    }

    /// The heads of a file that [`Settings::file`] named, checked against the public key in `key`.
    ///
    /// # Errors
    /// The file cannot be read, or is not one of heads. A line whose signature is wrong is no error; `verify` names it.
    pub fn read(file: &Path, key: &Path) -> io::Result<Self> {
        let key = read_public(key)?;
        let text = fs::read_to_string(file)?;
        let mut heads = Self::default();
        // Without its line break, the last line was being written when the machine went down.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for (number, line) in (1..).zip(whole.lines()) {
            let wrong = |what: String| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("`{}`, line {number}: {what}", file.display()),
                )
            };
            let line: Line = serde_json::from_str(line).map_err(|error| wrong(format!("no head: {error}")))?;
            let head: Head = line.head.parse().map_err(wrong)?;
            let signature = STANDARD.decode(&line.signature).unwrap_or_default();
            let signed = key.verify(signed_text(&line.head, &line.time).as_bytes(), &signature);
            // Two heads of one number with different hashes: one of them is not in the store, so the first stands.
            let place = (head.chain, head.seq);
            let twice = heads.expected.get(&place).is_some_and(|hash| *hash != head.hash);
            if signed.is_err() || twice {
                heads.forged = Some((number, head.chain, head.seq));
                return Ok(heads);
            }
            heads.expected.insert(place, head.hash);
            let signed = heads.signed.entry(head.chain).or_default();
            *signed = head.seq.max(*signed);
        }
        Ok(heads)
    }
}

/// What a signature is over.
fn signed_text(head: &str, time: &str) -> String {
    format!("tollgate audit head 1\n{head}\n{time}\n")
}

fn append(file: &Path, text: &str) -> io::Result<()> {
    let mut file = files::owner_only().append(true).create(true).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

fn load(path: &Path) -> io::Result<Ed25519KeyPair> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let pem = match fs::read_to_string(path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| invalid("no randomness"))?;
            let text = pem("PRIVATE KEY", key.as_ref());
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = files::owner_only().write(true).create_new(true).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            text
        }
        Err(error) => return Err(error),
    };
    let der = unpem(&pem, "PRIVATE KEY").ok_or_else(|| invalid("it is no private key in PEM"))?;
    let key = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| invalid("it is no Ed25519 key"))?;
    let spki = [&SPKI[..], key.public_key().as_ref()].concat();
    let public = files::beside(path, ".pub");
    let text = self::pem("PUBLIC KEY", &spki);
    if fs::read_to_string(&public).ok().as_ref() != Some(&text) {
        fs::write(&public, text)?;
    }
    Ok(key)
}

fn read_public(path: &Path) -> io::Result<UnparsedPublicKey<Vec<u8>>> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("`{}` {what}", path.display()));
    let text = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?;
    let der = unpem(&text, "PUBLIC KEY").ok_or_else(|| wrong("is no public key in PEM".into()))?;
    match der.strip_prefix(&SPKI) {
        Some(key) if key.len() == 32 => Ok(UnparsedPublicKey::new(&ED25519, key.to_vec())),
        _ => Err(wrong("is no Ed25519 key".into())),
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let (mut line, mut rest) = base64.split_at(base64.len().min(64));
    while !line.is_empty() {
        text.push_str(line);
        text.push('\n');
        (line, rest) = rest.split_at(rest.len().min(64));
    }
    text + &format!("-----END {label}-----\n")
}

fn unpem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, body) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = body.split_once(&format!("-----END {label}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
