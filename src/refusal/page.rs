//! The HTML page that a browser shows for a refusal.

use std::path::Path;

use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
};

use super::Occasion;
use crate::{
    body::{self, Body},
    misconfigured::Misconfigured,
};

const BUILT_IN: &str = include_str!("page.html");

/// A template with `{{title}}`, `{{message}}`, `{{request_id}}` and `{{back}}`; every value is escaped when it is put in.
#[derive(Clone, Debug)]
pub struct Page {
    template: String,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            template: BUILT_IN.to_owned(),
        }
    }
}

impl Page {
    /// The operator's own template.
    ///
    /// # Errors
    /// The file cannot be read, or has no place for the message.
    pub fn read(path: &Path) -> Result<Self, Misconfigured> {
        let template = std::fs::read_to_string(path)
            .map_err(|e| Misconfigured::new("denial.page", format!("`{}` cannot be read: {e}", path.display())))?;
        if !template.contains("{{message}}") {
            return Err(Misconfigured::new("denial.page", format!("`{}` has no place for the message", path.display()))
                .hint("write `{{message}}` where the message belongs; `{{title}}`, `{{request_id}}` and `{{back}}` are filled in as well"));
        }
        Ok(Self { template })
    }

    pub(super) fn response(
        &self,
        status: StatusCode,
        title: &str,
        message: &str,
        occasion: &Occasion<'_>,
    ) -> Response<Body> {
        let values = [
            ("title", title),
            ("message", message),
            ("request_id", occasion.request_id),
            ("back", occasion.back.unwrap_or("/")),
        ];
        let mut response = Response::new(body::full(self.fill(&values)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; frame-ancestors 'self'",
            ),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "SAMEORIGIN"),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("x-robots-tag"), "none"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// One pass over the template, so that a value with `{{back}}` in it stays text.
    fn fill(&self, values: &[(&str, &str)]) -> String {
        let mut page = String::with_capacity(self.template.len() + 256);
        let mut rest = self.template.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            page.push_str(before);
            match after.split_once("}}") {
                Some((name, tail)) if values.iter().any(|(known, _)| *known == name.trim()) => {
                    values
                        .iter()
                        .filter(|(known, _)| *known == name.trim())
                        .for_each(|(_, value)| escape(value, &mut page));
                    rest = tail;
                }
                _ => {
                    page.push_str("{{");
                    rest = after;
                }
            }
        }
        page.push_str(rest);
        page
    }
}

fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            // A message may have line breaks; other control characters and bidi overrides have no place on a page.
            c if (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                into.push('\u{fffd}')
            }
            c => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_never_filled_twice() {
        let page = Page {
            template: "<p>{{ message }}</p>{{back}} {{other}}".into(),
        };
        let text = page.fill(&[("message", "<b>{{back}}</b>"), ("back", "\"/\"")]);
        assert_eq!(text, "<p>&lt;b&gt;{{back}}&lt;/b&gt;</p>&quot;/&quot; {{other}}");
    }
}
