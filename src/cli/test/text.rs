//! What `tollgate test` prints.

use std::io::{self, Write};

use serde_json::Value;

use crate::{
    cli::paint::Paint,
    escape::{for_terminal, in_json},
    trial::{Change, Claim, Mark, Report},
    verdict::{DecidedBy, Effect, FailureKind},
};

/// Everything for a reader: request, answer, verdict and what the tokens would have.
pub(super) fn report(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let paint = Paint::for_stdout();
    let name = paint.bold(&report.interceptor);
    writeln!(
        out,
        "{name}, {}: a dry run, nobody obeys and nothing is recorded",
        report.trigger
    )?;
    marks("Event", &report.event_notes, paint, out)?;
    for (index, exchange) in report.trial.exchanges.iter().enumerate() {
        let request = &exchange.request;
        writeln!(out, "\n{}", paint.bold(&format!("Request {}", index + 1)))?;
        writeln!(out, "POST {}", request.url)?;
        headers(&request.headers, out)?;
        body(&request.body, out)?;
        let signed = request
            .signed
            .split_once('{')
            .map_or(request.signed.as_str(), |(parts, _)| parts);
        writeln!(
            out,
            "signed is {signed}BODY, byte for byte as it is sent: {} bytes",
            request.body.len()
        )?;
        match &exchange.answer {
            Some(answer) => {
                writeln!(out, "\n{}", paint.bold(&format!("Answer {}", index + 1)))?;
                writeln!(out, "status {}", answer.status)?;
                headers(&answer.headers, out)?;
                body(&answer.body, out)?;
            }
            None => writeln!(out, "\n{}", paint.bold("No answer"))?,
        }
    }
    marks("Mistakes in the answer", &report.answer_marks, paint, out)?;
    verdict(report, paint, out)?;
    claims("access token", &report.access_token, paint, out)?;
    claims("ID token", &report.id_token, paint, out)?;
    match &report.curl {
        Some(curl) => writeln!(out, "\n{}\n{}", paint.bold("The same by hand"), lines(curl)),
        None => Ok(()),
    }
}

/// As the reports spell it.
pub(super) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "ALLOW",
        Effect::Deny => "DENY",
    }
}

/// Who decided.
pub(super) fn decided_by(decided_by: DecidedBy) -> &'static str {
    match decided_by {
        DecidedBy::Endpoint => "the endpoint",
        DecidedBy::OnFailure => "`on_failure`",
        DecidedBy::OnInvalid => "`on_invalid`",
        DecidedBy::Breaker => "`on_failure`, for the breaker was open",
        DecidedBy::ConcurrencyCap => "`max_concurrent`",
        DecidedBy::FailOpenLimit => "`fail_open_limit`",
        DecidedBy::Remembered => "its earlier answer",
    }
}

fn marks(title: &str, marks: &[Mark], paint: Paint, out: &mut impl Write) -> io::Result<()> {
    if marks.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paint.bold(title))?;
    for mark in marks {
        let severity = if mark.is_error() {
            paint.red("error")
        } else {
            paint.yellow("note ")
        };
        let place = match (mark.line, mark.column) {
            (Some(line), Some(column)) => format!("line {line}, column {column}: "),
            _ => String::new(),
        };
        let pointer = match mark.pointer.as_deref() {
            Some(pointer) if !pointer.is_empty() => format!("`{}` ", for_terminal(pointer)),
            _ => String::new(),
        };
        writeln!(out, "  {severity} {place}{pointer}{}", for_terminal(&mark.message))?;
    }
    Ok(())
}

fn verdict(report: &Report, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let consultation = report.consultation();
    let decision = match consultation.effect {
        Effect::Allow => paint.green("ALLOW"),
        Effect::Deny => paint.red("DENY"),
    };
    let by = decided_by(consultation.decided_by);
    writeln!(
        out,
        "\n{} {decision}, decided by {by}, after {} ms",
        paint.bold("Verdict"),
        consultation.duration.as_millis()
    )?;
    if let Some(failure) = &consultation.failure {
        let what = match failure.kind {
            FailureKind::Down => "the endpoint gave no answer",
            FailureKind::Invalid => "the endpoint gave an answer that cannot be taken",
        };
        writeln!(
            out,
            "  {}: {what}: {}",
            paint.red("failed"),
            for_terminal(&failure.detail)
        )?;
    }
    if let Some(message) = &consultation.message {
        writeln!(out, "  the user reads: {}", for_terminal(message))?;
    }
    if let Some(reason) = &consultation.reason {
        writeln!(out, "  for the log: {}", for_terminal(reason))?;
    }
    for warning in &consultation.warnings {
        writeln!(out, "  {}: {}", paint.yellow("warning"), for_terminal(warning))?;
    }
    for (name, value) in &consultation.annotations {
        writeln!(out, "  annotation {}: {}", for_terminal(name), json(value))?;
    }
    if let Some(membership) = &consultation.additions.organization_membership {
        writeln!(out, "  organization membership: {}", json(membership))?;
    }
    Ok(())
}

fn claims(token: &str, claims: &[Claim], paint: Paint, out: &mut impl Write) -> io::Result<()> {
    for Claim { name, change } in claims {
        let name = for_terminal(name);
        match change {
            Change::Kept { .. } => {}
            Change::Added { after } => writeln!(out, "  {token} {} {name}: {}", paint.green("+"), json(after))?,
            Change::Replaced { before, after } => {
                writeln!(
                    out,
                    "  {token} {} {name}: {} becomes {}",
                    paint.yellow("~"),
                    json(before),
                    json(after)
                )?;
            }
            Change::Refused { wanted, why, .. } => {
                let why = for_terminal(why);
                writeln!(
                    out,
                    "  {token} {} {name}: {} is refused: {why}",
                    paint.red("!"),
                    json(wanted)
                )?;
            }
        }
    }
    Ok(())
}

fn headers(headers: &[(String, String)], out: &mut impl Write) -> io::Result<()> {
    for (name, value) in headers {
        writeln!(out, "{name}: {}", for_terminal(value))?;
    }
    Ok(())
}

/// JSON is laid out for reading; anything else is shown as it is, safe for a terminal.
fn body(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => {
            for line in format!("{value:#}").lines() {
                writeln!(out, "{}", in_json(line))?;
            }
        }
        Err(_) => {
            let text = String::from_utf8_lossy(bytes);
            for line in text.lines().take(LINES) {
                writeln!(out, "{}", for_terminal(line))?;
            }
            let more = text.lines().count().saturating_sub(LINES);
            if more > 0 {
                writeln!(out, "… and {more} lines more")?;
            }
        }
    }
    Ok(())
}

fn json(value: &Value) -> String {
    in_json(&value.to_string()).into_owned()
}

fn lines(text: &str) -> String {
    let safe: Vec<_> = text.lines().map(for_terminal).collect();
    safe.join("\n")
}

/// So many lines of an answer that is no JSON are shown.
const LINES: usize = 40;
