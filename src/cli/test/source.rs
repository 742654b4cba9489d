//! Where the event comes from: a sample, a file, the standard input or a record.

use std::{
    fs,
    io::{self, Read},
};

use super::Arguments;
use crate::{
    audit::Reader,
    cli::{audit::unread, outcome::Stop},
    clock::Clock,
    config::Config,
    interceptor::Interceptor,
    trial::{Mark, Submission},
};

/// The event that the arguments name, for this interceptor.
pub(super) fn submission(
    config: &Config,
    interceptor: &Interceptor,
    arguments: &Arguments,
) -> Result<Submission, Stop> {
    let now = Clock::system().now();
    let (place, text) = match (&arguments.event, &arguments.from_record) {
        (Some(file), _) => {
            let place = file.display().to_string();
            let text =
                read(file).map_err(|error| Stop::Usage(format!("the event `{place}` cannot be read: {error}")))?;
            (place, text)
        }
        (None, Some(id)) => (format!("record {id}"), recorded(config, interceptor, id)?),
        (None, None) => {
            let mut sample = Submission::sample(interceptor.trigger(), &config.environment, now);
            let mut all = config.each();
            let asks = |one: &&Config| one.interceptors.iter().any(|own| own.name == interceptor.name());
            let upstream = all.find(asks).and_then(Config::name);
            sample.event.context.upstream = upstream.map(str::to_owned);
            return Ok(sample);
        }
    };
    Submission::read(&text, interceptor.trigger(), &config.environment, now).map_err(|marks| {
        let mistakes: Vec<_> = marks.iter().map(|mark| format!("\n{}", line(&place, mark))).collect();
        Stop::Usage(format!(
            "this is no event of {}:{}",
            interceptor.trigger(),
            mistakes.concat()
        ))
    })
}

fn read(file: &std::path::Path) -> io::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        io::stdin().read_to_string(&mut text)?;
    } else {
        text = fs::read_to_string(file)?;
    }
    Ok(text)
}

/// The event of a record about this interceptor, or failing that, of any of its trigger.
fn recorded(config: &Config, interceptor: &Interceptor, id: &str) -> Result<String, Stop> {
    let found = Reader::open(&config.audit, &config.base).and_then(|reader| reader.named(id));
    let records = found.map_err(|error| unread(error, |wrong| config.errors([wrong])))?;
    let of_trigger: Vec<_> = records
        .iter()
        .filter(|record| record.entry.trigger == Some(interceptor.trigger()) && record.entry.event.is_some())
        .collect();
    let of_interceptor = of_trigger
        .iter()
        .find(|record| record.entry.interceptor.as_deref() == Some(interceptor.name()));
    let event = of_interceptor
        .or(of_trigger.first())
        .and_then(|record| record.entry.event.as_ref());
    event.map(|event| format!("{event:#}")).ok_or_else(|| {
        Stop::Usage(format!(
            "`{id}` has no event of {}; `tollgate audit show {id}` says what it is",
            interceptor.trigger()
        ))
    })
}

fn line(place: &str, mark: &Mark) -> String {
    let at = match (mark.line, mark.column) {
        (Some(line), Some(column)) => format!("{place}:{line}:{column}"),
        _ => place.to_owned(),
    };
    match mark.pointer.as_deref() {
        Some(pointer) if !pointer.is_empty() => format!("{at}: `{pointer}` {}", mark.message),
        _ => format!("{at}: {}", mark.message),
    }
}
