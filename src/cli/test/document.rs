//! What `tollgate test --json` prints.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::{
    escape::in_json,
    interceptor::Exchange,
    trial::{CaseName, Report, Tried},
};

/// Everything that there is to see.
pub(super) fn report(report: &Report) -> Value {
    let consultation = report.consultation();
    json!({
        "interceptor": report.interceptor,
        "trigger": report.trigger,
        "dry_run": true,
        "event_notes": report.event_notes,
        "exchanges": report.trial.exchanges.iter().map(exchange).collect::<Vec<_>>(),
        "answer_marks": report.answer_marks,
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
        "claims": {"access_token": report.access_token, "id_token": report.id_token},
        "attempts": consultation.calls(),
        "duration_ms": millis(consultation.duration),
        "curl": report.curl,
    })
}

/// A case and what came of it.
pub(super) fn tried(name: &CaseName, tried: &Tried) -> Value {
    json!({
        "case": name,
        "met": tried.is_met(),
        "unmet": tried.unmet,
        "report": tried.report.as_ref().ok().map(|found| report(found)),
    })
}

/// Prints a document so that no terminal obeys it.
pub(super) fn print(document: &Value, out: &mut impl Write) -> io::Result<()> {
    for line in format!("{document:#}").lines() {
        writeln!(out, "{}", in_json(line))?;
    }
    Ok(())
}

fn exchange(exchange: &Exchange) -> Value {
    json!({
        "request": {
            "url": exchange.request.url,
            "headers": pairs(&exchange.request.headers),
            "body": parsed(&exchange.request.body),
            "signed": exchange.request.signed,
        },
        "answer": exchange.answer.as_ref().map(|answer| json!({
            "status": answer.status,
            "headers": pairs(&answer.headers),
            "body": parsed(&answer.body),
        })),
        "duration_ms": millis(exchange.duration),
    })
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

fn pairs(headers: &[(String, String)]) -> Vec<Value> {
    headers.iter().map(|(name, value)| json!([name, value])).collect()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
