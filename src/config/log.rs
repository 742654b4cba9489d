//! `[log]` in `proxy.toml`.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{escape, misconfigured::Misconfigured};

/// `[log]`: how and how much is logged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `text` for people, `json` for machines: one object a line. Default: `text`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, for single modules as `info,tollgate::interceptor=debug`. The
    /// variable `TOLLGATE_LOG` goes first. Default: `info`.
    pub level: String,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Log {
    /// What is let through: `level`, or `instead` where that is given and can be read.
    pub fn filter(&self, instead: Option<&str>) -> EnvFilter {
        instead
            .and_then(|text| EnvFilter::try_new(text).ok())
            .or_else(|| EnvFilter::try_new(&self.level).ok())
            .unwrap_or_else(|| EnvFilter::new("info"))
    }

    /// What writes the log: a line for each event to what `writer` makes, in colours if those are wanted, with every character
    /// escaped that would begin another line, turn its direction or steer a terminal.
    pub fn subscriber<W>(&self, instead: Option<&str>, coloured: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let lines = tracing_subscriber::fmt().with_env_filter(self.filter(instead));
        match self.format {
            LogFormat::Json => {
                let lines = lines.json().flatten_event(true).with_current_span(false);
                Box::new(lines.with_writer(Escaped(writer, escape::in_json)).finish())
            }
            LogFormat::Text if coloured => {
                let lines = lines.with_target(false).with_ansi(true);
                Box::new(
                    lines
                        .with_writer(Escaped(writer, escape::for_coloured_terminal))
                        .finish(),
                )
            }
            LogFormat::Text => {
                let lines = lines.with_target(false).with_ansi(false);
                Box::new(lines.with_writer(Escaped(writer, escape::for_terminal)).finish())
            }
        }
    }

    pub(super) fn findings(&self) -> Option<Misconfigured> {
        let readable = !self.level.trim().is_empty() && EnvFilter::try_new(&self.level).is_ok();
        (!readable).then(|| {
            Misconfigured::new("log.level", format!("`{}` is no level", self.level))
                .hint("write `error`, `warn`, `info`, `debug` or `trace`")
        })
    }
}

type Escape = fn(&str) -> Cow<'_, str>;

/// Escapes what is written. Each write is one whole line.
struct Escaped<W>(W, Escape);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaped<W> {
    type Writer = Escaped<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaped(self.0.make_writer(), self.1)
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        Escaped(self.0.make_writer_for(meta), self.1)
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (text, end) = match text.strip_suffix('\n') {
            Some(text) => (text, "\n"),
            None => (&*text, ""),
        };
        let escaped = (self.1)(text);
        self.0.write_all([escaped.as_ref(), end].concat().as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}
