//! What `tollgate test` prints.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::super::paint::Paint;
use crate::{
    event::TokenClaims,
    interceptor::{Interceptor, Trial},
    verdict::{DecidedBy, Effect, FailureKind},
};

/// Everything for a reader: request, answer, verdict and what the tokens would have.
pub(super) fn text(
    interceptor: &Interceptor,
    trial: &Trial,
    existing: &TokenClaims,
    out: &mut impl Write,
) -> io::Result<()> {
    let paint = Paint::for_stdout();
    let name = paint.bold(interceptor.name());
    writeln!(
        out,
        "{name}, {}: a dry run, nobody obeys and nothing is recorded",
        interceptor.trigger()
    )?;
    for (index, exchange) in trial.exchanges.iter().enumerate() {
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
    verdict(trial, paint, out)?;
    claims(
        "access token",
        &existing.access_token,
        &trial.consultation.additions.access_token,
        out,
    )?;
    claims(
        "ID token",
        &existing.id_token,
        &trial.consultation.additions.id_token,
        out,
    )
}

/// The same for a machine.
pub(super) fn json(interceptor: &Interceptor, trial: &Trial) -> Value {
    let consultation = &trial.consultation;
    let exchanges: Vec<_> = trial
        .exchanges
        .iter()
        .map(|exchange| {
            json!({
                "request": {
                    "url": exchange.request.url,
                    "headers": pairs(&exchange.request.headers),
                    "body": document(&exchange.request.body),
                    "signed": exchange.request.signed,
                },
                "answer": exchange.answer.as_ref().map(|answer| json!({
                    "status": answer.status,
                    "headers": pairs(&answer.headers),
                    "body": document(&answer.body),
                })),
            })
        })
        .collect();
    json!({
        "interceptor": interceptor.name(),
        "trigger": interceptor.trigger(),
        "dry_run": true,
        "exchanges": exchanges,
        "verdict": {
            "decision": consultation.effect,
            "decided_by": consultation.decided_by,
            "failure": consultation.failure.as_ref().map(|f| json!({"kind": f.kind, "detail": f.detail})),
            "message": consultation.message,
            "reason": consultation.reason,
            "access_token": consultation.additions.access_token,
            "id_token": consultation.additions.id_token,
            "organization_membership": consultation.additions.organization_membership,
            "annotations": consultation.annotations,
            "warnings": consultation.warnings,
        },
        "attempts": consultation.attempts,
        "duration_ms": u64::try_from(consultation.duration.as_millis()).unwrap_or(u64::MAX),
    })
}

fn verdict(trial: &Trial, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let consultation = &trial.consultation;
    let decision = match consultation.effect {
        Effect::Allow => paint.green("ALLOW"),
        Effect::Deny => paint.red("DENY"),
    };
    let by = match consultation.decided_by {
        DecidedBy::Endpoint => "the endpoint",
        DecidedBy::OnFailure => "`on_failure`",
        DecidedBy::OnInvalid => "`on_invalid`",
        DecidedBy::Breaker => "`on_failure`, for the breaker was open",
        DecidedBy::ConcurrencyCap => "`max_concurrent`",
        DecidedBy::FailOpenLimit => "`fail_open_limit`",
        DecidedBy::Remembered => "its earlier answer",
    };
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
        writeln!(out, "  {}: {what}: {}", paint.red("failed"), failure.detail)?;
    }
    if let Some(message) = &consultation.message {
        writeln!(out, "  the user reads: {}", message.escape_debug())?;
    }
    if let Some(reason) = &consultation.reason {
        writeln!(out, "  for the log: {}", reason.escape_debug())?;
    }
    for warning in &consultation.warnings {
        writeln!(out, "  {}: {}", paint.yellow("warning"), warning.escape_debug())?;
    }
    for (name, value) in &consultation.annotations {
        writeln!(out, "  annotation {name}: {value}")?;
    }
    if let Some(membership) = &consultation.additions.organization_membership {
        writeln!(out, "  organization membership: {membership}")?;
    }
    Ok(())
}

fn claims(
    token: &str,
    existing: &Map<String, Value>,
    added: &Map<String, Value>,
    out: &mut impl Write,
) -> io::Result<()> {
    for (name, value) in added {
        match existing.get(name) {
            Some(before) => writeln!(out, "  {token} ~ {name}: {before} becomes {value}")?,
            None => writeln!(out, "  {token} + {name}: {value}")?,
        }
    }
    Ok(())
}

fn headers(headers: &[(String, String)], out: &mut impl Write) -> io::Result<()> {
    for (name, value) in headers {
        writeln!(out, "{name}: {}", value.escape_debug())?;
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
                writeln!(out, "{}", printable(line))?;
            }
        }
        Err(_) => {
            for line in String::from_utf8_lossy(bytes).lines().take(LINES) {
                writeln!(out, "{}", printable(line))?;
            }
        }
    }
    Ok(())
}

fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

fn pairs(headers: &[(String, String)]) -> Vec<Value> {
    headers.iter().map(|(name, value)| json!([name, value])).collect()
}

fn printable(line: &str) -> String {
    line.chars()
        .flat_map(|c| {
            if c.is_control() && c != '\t' {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// So many lines of an answer that is no JSON are shown.
const LINES: usize = 40;
