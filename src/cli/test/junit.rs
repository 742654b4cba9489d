//! Results of cases as JUnit XML, which most build servers show.

use std::fmt::Write;

use super::cases::Finished;

/// The results as a document.
pub(super) fn document(finished: &[Finished]) -> String {
    let failed = finished.iter().filter(|one| !one.tried.is_met()).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"tollgate test\" tests=\"{}\" failures=\"{failed}\">\n",
        finished.len()
    );
    for Finished {
        name,
        interceptor,
        tried,
    } in finished
    {
        let seconds = tried
            .report
            .as_ref()
            .map_or(0.0, |report| report.consultation().duration.as_secs_f64());
        // Writing to a String cannot fail.
        _ = write!(
            out,
            "  <testcase name=\"{name}\" classname=\"{}\" time=\"{seconds:.3}\"",
            escaped(interceptor)
        );
        _ = match tried.unmet.first() {
            None => writeln!(out, "/>"),
            Some(first) => {
                let all = escaped(&tried.unmet.join("\n"));
                writeln!(
                    out,
                    "><failure message=\"{}\">{all}</failure></testcase>",
                    escaped(first)
                )
            }
        };
    }
    out.push_str("</testsuite>\n");
    out
}

/// Text for content and attributes; what XML 1.0 §2.2 cannot hold is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push('\t'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
