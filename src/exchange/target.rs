//! The request target in its one canonical form (RFC 3986 §6.2.2).

use http::Uri;
use percent_encoding::percent_decode_str;

use super::Unreadable;

/// A path and query that every server reads alike. What is matched and what is forwarded both come from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path: String,
    decoded: String,
    matched: String,
    query: Option<String>,
}

impl Target {
    /// Reads a request target. An absolute-form becomes origin-form: its authority is dropped, `Host` decides.
    pub fn read(uri: &Uri) -> Result<Self, Unreadable> {
        let Some(parts) = uri.path_and_query() else {
            return Err(Unreadable::bad("the request target is no path"));
        };
        Self::parse(parts.path(), parts.query())
    }

    /// Reads a path and query that are already apart; the percent-encoding is as on the wire.
    pub fn parse(path: &str, query: Option<&str>) -> Result<Self, Unreadable> {
        if !path.starts_with('/') {
            return Err(Unreadable::bad("the request target is no path"));
        }
        let mut canonical = String::with_capacity(path.len());
        let mut rest = path.as_bytes().iter().copied();
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => {
                    let escaped = rest.next().zip(rest.next()).and_then(unhex);
                    let byte = escaped.ok_or_else(|| Unreadable::bad("the path has a malformed percent escape"))?;
                    check_escaped(byte, rest.clone().take(2))?;
                    canonical.push_str(&format!("%{byte:02X}"));
                }
                raw => {
                    check_raw(raw)?;
                    canonical.push(char::from(raw));
                }
            }
        }
        check_segments(&canonical)?;
        let decoded = percent_decode_str(&canonical)
            .decode_utf8()
            .map_err(|_| Unreadable::bad("the path is not UTF-8"))?
            .into_owned();
        if decoded.chars().any(confusable) {
            return Err(Unreadable::bad(
                "the path has a control character or a look-alike of an ASCII character",
            ));
        }
        let decoded = match decoded.strip_suffix('/') {
            Some(bare) if !bare.is_empty() => bare.to_owned(),
            _ => decoded,
        };
        Ok(Self {
            matched: fold(&decoded),
            decoded,
            path: canonical,
            query: query.map(check_query).transpose()?.flatten(),
        })
    }

    /// The path that is forwarded: percent-encoded, in canonical spelling, a trailing slash kept.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path that recognition compares: decoded once, case folded, without one trailing slash.
    pub fn match_path(&self) -> &str {
        &self.matched
    }

    /// The path decoded once, without one trailing slash, in the client's case: where captures are taken from.
    /// Has as many segments as [`Target::match_path`].
    pub fn decoded_path(&self) -> &str {
        &self.decoded
    }

    /// The query as it came, without its `?`; an empty one is none.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The same path with another query, which must be percent-encoded as `Form::to_urlencoded` makes it.
    pub fn with_query(&self, query: &str) -> Result<Self, Unreadable> {
        Ok(Self {
            query: check_query(query)?,
            ..self.clone()
        })
    }

    /// Path and query in origin-form.
    pub fn to_uri(&self) -> Uri {
        let text = match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        };
        Uri::try_from(text).expect("a canonical path and a checked query have only characters of a URI")
    }
}

fn unhex((high, low): (u8, u8)) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn check_raw(byte: u8) -> Result<(), Unreadable> {
    // RFC 3986 §3.3: pchar, and the slash between segments; `;` would begin a matrix parameter.
    let fine = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte);
    if fine {
        return Ok(());
    }
    Err(Unreadable::bad(match byte {
        b'\\' => "the path has a backslash".into(),
        b';' => "the path has a `;` parameter".into(),
        byte if !byte.is_ascii() => "the path has a raw non-ASCII byte".into(),
        byte if byte.is_ascii_control() => "the path has a control character".into(),
        byte => format!("the path has a raw `{}`", char::from(byte)),
    }))
}

/// `after` is what follows the escape: `%25` must not be the first half of a second encoding.
fn check_escaped(byte: u8, after: impl Iterator<Item = u8>) -> Result<(), Unreadable> {
    Err(Unreadable::bad(match byte {
        b'/' => "the path has an encoded slash (%2F)",
        b'\\' => "the path has an encoded backslash (%5C)",
        b';' => "the path has an encoded `;` (%3B)",
        b'.' => "the path has an encoded dot (%2E)",
        byte if byte.is_ascii_control() => "the path has an encoded control character",
        byte if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) => {
            "the path has a percent-encoding of a character that needs none"
        }
        b'%' if after.filter(u8::is_ascii_hexdigit).count() == 2 => "the path is percent-encoded twice (%25)",
        _ => return Ok(()),
    }))
}

fn check_segments(path: &str) -> Result<(), Unreadable> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if path == "/" {
        return Ok(());
    }
    for segment in inner.split('/') {
        match segment {
            "" => return Err(Unreadable::bad("the path has an empty segment (//)")),
            "." | ".." => return Err(Unreadable::bad("the path has a dot segment")),
            _ => {}
        }
    }
    Ok(())
}

/// Browsers leave much unencoded in a query; what no client sends is refused, the rest goes on as it is.
fn check_query(query: &str) -> Result<Option<String>, Unreadable> {
    // `"`, `<` and `>` are no part of a request target for `http` either.
    let fine = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>".contains(&byte);
    if query.bytes().all(fine) {
        return Ok(Some(query.to_owned()).filter(|query| !query.is_empty()));
    }
    Err(Unreadable::bad(
        "the query has a raw control character, a quotation mark, an angle bracket or a non-ASCII byte",
    ))
}

/// Controls beyond ASCII, and what Unicode normalisation turns into ASCII: full-width forms and slash or dot look-alikes.
fn confusable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ff00}'..='\u{ff65}' | '\u{2024}'..='\u{2026}' | '\u{fe50}'..='\u{fe6f}' | '\u{feff}')
}

/// Case as the most lenient server folds it: the long s and the Kelvin sign become `s` and `k`, as in Java's
/// `equalsIgnoreCase`.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests;
