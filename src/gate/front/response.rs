//! An authorization response with tokens, on its way through the browser.

use form_urlencoded::byte_serialize;
use http::{HeaderMap, header::LOCATION};

use super::page::{self, FormPost};
use crate::token;

/// The parameters of an authorization response (OAuth 2.0 Multiple Response Types, JARM) and where they stand.
#[derive(Debug)]
pub(super) struct AuthorizationResponse {
    carrier: Carrier,
    parameters: Vec<(String, String)>,
}

/// Looks like a response with tokens, and could be read in two ways or in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it hands out {0}")]
pub(super) struct Broken(pub(super) &'static str);

/// The response as the browser gets it.
pub(super) enum Written {
    /// In `Location`.
    Location(String),
    /// The upstream's page with other values.
    Page(String),
    /// A page of ours.
    OwnPage(String),
}

#[derive(Debug)]
enum Carrier {
    Query(Part),
    Fragment(Part),
    Form(FormPost),
}

/// A part of a URL, as it was written, and what stands around it.
#[derive(Debug)]
struct Part {
    before: String,
    text: String,
    after: String,
}

impl AuthorizationResponse {
    /// Looks for tokens in `Location`.
    ///
    /// # Errors
    /// There are some in more than one place, or under one name twice.
    pub(super) fn in_location(headers: &HeaderMap) -> Result<Option<Self>, Broken> {
        let mut found = None;
        for value in headers.get_all(LOCATION) {
            let url = String::from_utf8_lossy(value.as_bytes());
            let (rest, fragment) = url.split_once('#').map_or((&*url, None), |(rest, f)| (rest, Some(f)));
            let (base, query) = rest.split_once('?').map_or((rest, None), |(base, q)| (base, Some(q)));
            let after = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
            let parts = [
                query.map(|query| Carrier::Query(Part::new(format!("{base}?"), query, after))),
                fragment.map(|fragment| Carrier::Fragment(Part::new(format!("{rest}#"), fragment, String::new()))),
            ];
            for carrier in parts.into_iter().flatten() {
                let response = Self::new(carrier);
                if !response.parameters.iter().any(|(name, value)| is_token(name, value)) {
                    continue;
                }
                if found.replace(response).is_some() {
                    return Err(Broken("tokens in two places of `Location`"));
                }
            }
        }
        found.map(Self::once).transpose()
    }

    /// Looks for tokens in a page's form.
    ///
    /// # Errors
    /// As for [`FormPost::read`], or a parameter occurs twice.
    pub(super) fn in_page(html: &[u8]) -> Result<Option<Self>, Broken> {
        let form = FormPost::read(html)?;
        form.map(|form| Self::new(Carrier::Form(form)).once()).transpose()
    }

    /// A parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Where the client gets it, without what the response itself adds to the URL.
    pub(super) fn redirect_uri(&self) -> &str {
        match &self.carrier {
            Carrier::Query(part) => part.before.trim_end_matches('?'),
            Carrier::Fragment(part) => part.before.trim_end_matches('#'),
            Carrier::Form(form) => &form.action,
        }
    }

    /// The same response with other values for some parameters.
    pub(super) fn with(&self, values: &[(&str, &str)]) -> Written {
        match &self.carrier {
            Carrier::Form(form) => form.with(values).map_or_else(Written::OwnPage, Written::Page),
            Carrier::Query(part) | Carrier::Fragment(part) => {
                let pairs = part.pairs().map(|pair| {
                    let (name, _) = read(pair);
                    match values.iter().find(|(changed, _)| *changed == name) {
                        Some((_, value)) => write(&name, value),
                        None => pair.to_owned(),
                    }
                });
                part.filled(pairs.collect())
            }
        }
    }

    /// In the place of the response an error (RFC 6749 §4.1.2.1, §4.2.2.1) with the same `state`.
    pub(super) fn error(&self, error: &[(&str, String)]) -> Written {
        match &self.carrier {
            Carrier::Form(form) => {
                let mut fields: Vec<_> = form.fields.clone();
                fields.retain(|(name, _)| !OF_A_SUCCESS.contains(&name.as_str()));
                fields.extend(error.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
                Written::OwnPage(page::post(&form.action, &fields))
            }
            Carrier::Query(part) | Carrier::Fragment(part) => {
                let kept = part.pairs().filter(|pair| {
                    let (name, _) = read(pair);
                    !OF_A_SUCCESS.contains(&name.as_str())
                });
                let error = error.iter().map(|(name, value)| write(name, value));
                part.filled(kept.map(str::to_owned).chain(error).collect())
            }
        }
    }

    fn new(carrier: Carrier) -> Self {
        let parameters = match &carrier {
            Carrier::Query(part) | Carrier::Fragment(part) => part.pairs().map(read).collect(),
            Carrier::Form(form) => form.fields.clone(),
        };
        Self { carrier, parameters }
    }

    /// Each of the parameters that count is there once at most.
    fn once(self) -> Result<Self, Broken> {
        let twice = |name: &str| self.parameters.iter().filter(|(known, _)| known == name).count() > 1;
        if COUNTING.iter().any(|name| twice(name)) {
            return Err(Broken("an authorization response with a parameter twice"));
        }
        Ok(self)
    }
}

impl Part {
    fn new(before: String, text: &str, after: String) -> Self {
        Self {
            before,
            text: text.to_owned(),
            after,
        }
    }

    fn pairs(&self) -> impl Iterator<Item = &str> {
        self.text.split('&')
    }

    fn filled(&self, pairs: Vec<String>) -> Written {
        Written::Location(format!("{}{}{}", self.before, pairs.join("&"), self.after))
    }
}

/// Whether a parameter is a token, or a JWT that holds a whole response (JARM §2.3).
pub(super) fn is_token(name: &str, value: &str) -> bool {
    match name {
        "access_token" | "id_token" => !value.is_empty(),
        "response" => token::is_jwt_shaped(value),
        _ => false,
    }
}

fn read(pair: &str) -> (String, String) {
    let read = form_urlencoded::parse(pair.as_bytes()).next();
    read.map(|(name, value)| (name.into_owned(), value.into_owned()))
        .unwrap_or_default()
}

/// Percent-encoded so that it reads the same in a query and in a fragment, where `+` is no space to everybody.
fn write(name: &str, value: &str) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    format!("{}={}", encode(name), encode(value))
}

const COUNTING: [&str; 6] = ["access_token", "id_token", "response", "code", "state", "error"];

/// What an authorization response says only where it is no error.
pub(super) const OF_A_SUCCESS: [&str; 10] = [
    "access_token",
    "id_token",
    "response",
    "code",
    "refresh_token",
    "token_type",
    "expires_in",
    "scope",
    "session_state",
    "not-before-policy",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(location: &str) -> Result<Option<AuthorizationResponse>, Broken> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        AuthorizationResponse::in_location(&headers)
    }

    fn location(written: Written) -> String {
        let Written::Location(url) = written else {
            panic!("not a redirect");
        };
        url
    }

    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.e30.x";

    #[test]
    fn a_redirect_with_a_token_is_told_from_one_with_a_code() {
        for (location, tokens) in [
            ("https://rp.example/cb#state=x&access_token=abc&token_type=Bearer", true),
            ("https://rp.example/cb#id_token=abc", true),
            ("https://rp.example/cb?id_token=abc", true),
            ("https://rp.example/cb?x=1#%69d_token=abc", true),
            ("com.app:/cb#id_token=abc", true),
            (&format!("https://rp.example/cb#response={JWT}"), true),
            ("https://rp.example/cb?code=abc&state=access_token", false),
            (
                "https://rp.example/bye?id_token_hint=abc&response=ok&access_token=",
                false,
            ),
        ] {
            assert_eq!(read(location).unwrap().is_some(), tokens, "{location}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for location in [
            "https://rp.example/cb?id_token=a#id_token=b",
            "https://rp.example/cb?access_token=a#id_token=b",
            "https://rp.example/cb#id_token=a&id_token=b",
            "https://rp.example/cb#id_token=a&id%5ftoken=",
            "https://rp.example/cb#id_token=a&state=1&state=2",
        ] {
            assert!(read(location).is_err(), "{location}");
        }
    }

    #[test]
    fn every_other_byte_of_the_redirect_stays() {
        let url = "https://rp.example/cb?a=%c3%a4+b&&c#state=x%20y+z&%69d_token=abc&s=%7e";
        let response = read(url).unwrap().unwrap();
        assert_eq!(response.redirect_uri(), "https://rp.example/cb?a=%c3%a4+b&&c");
        assert_eq!(response.get("id_token"), Some("abc"));
        assert_eq!(
            location(response.with(&[("id_token", "d.e.f")])),
            url.replace("%69d_token=abc", "id_token=d.e.f")
        );
    }

    #[test]
    fn an_error_comes_the_same_way_with_the_same_state() {
        let error = [
            ("error", "access_denied".to_owned()),
            ("error_description", "No & no".to_owned()),
        ];
        for (from, to) in [
            (
                "https://rp.example/cb?a=1#state=x%20y&code=c&id_token=t&session_state=s&iss=i",
                "https://rp.example/cb?a=1#state=x%20y&iss=i&error=access_denied&error_description=No%20%26%20no",
            ),
            (
                "https://rp.example/cb?a=1&id_token=t&state=x#f",
                "https://rp.example/cb?a=1&state=x&error=access_denied&error_description=No%20%26%20no#f",
            ),
        ] {
            let response = read(from).unwrap().unwrap();
            assert_eq!(location(response.error(&error)), to);
        }
    }
}
