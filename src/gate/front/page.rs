//! A page that posts an authorization response to the client (OAuth 2.0 Form Post Response Mode §2).

use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};

use super::response::{Broken, is_token};

/// An auto-submit form with tokens in it.
#[derive(Debug)]
pub(super) struct FormPost {
    html: String,
    /// Where it is posted to.
    pub(super) action: String,
    /// Its hidden fields, in order.
    pub(super) fields: Vec<(String, String)>,
}

impl FormPost {
    /// Looks for tokens among the fields of a page's forms; `None` for any other page.
    ///
    /// # Errors
    /// There are some, in a form that is not one that a browser posts to a client.
    pub(super) fn read(html: &[u8]) -> Result<Option<Self>, Broken> {
        let found = Self::find(html, true)?;
        // What a browser with scripts takes for text, one without may take for a form.
        if found.is_none() && Self::find(html, false)?.is_some() {
            return Err(Broken("a form with tokens inside of a script or a text"));
        }
        Ok(found)
    }

    fn find(html: &[u8], with_scripts: bool) -> Result<Option<Self>, Broken> {
        let (forms, outside) = forms(html, with_scripts);
        let mut found = forms.into_iter().filter(|form| form.fields.iter().any(Field::is_token));
        let form = match (found.next(), found.next(), outside) {
            (None, _, false) => return Ok(None),
            (Some(form), None, false) => form,
            _ => return Err(Broken("tokens in several places of one page")),
        };
        if !form.posts || !form.action.contains(':') {
            return Err(Broken("a form with tokens that is not posted to a client"));
        }
        if form.fields.iter().any(|field| field.is_token() && !field.hidden) {
            return Err(Broken("a token in a field that is not hidden"));
        }
        let html = str::from_utf8(html).map_err(|_| Broken("a form with tokens that is not UTF-8"))?;
        let hidden = form.fields.into_iter().filter(|field| field.hidden);
        Ok(Some(Self {
            html: html.to_owned(),
            action: form.action,
            fields: hidden.map(|field| (field.name, field.value)).collect(),
        }))
    }

    /// The page with other values in the place of some fields'; a page of ours where they are written in another way.
    pub(super) fn with(&self, values: &[(&str, &str)]) -> Result<String, String> {
        let mut html = self.html.clone();
        for (name, new) in values {
            let old = self
                .fields
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value);
            let at = old.and_then(|old| {
                let mut places = html.match_indices(old.as_str());
                let (at, _) = places.next()?;
                places.next().is_none().then_some(at..at + old.len())
            });
            match at {
                Some(at) if new.bytes().all(is_plain) => html.replace_range(at, new),
                // It is written in another way, or twice.
                _ => return Err(self.rebuilt(values)),
            }
        }
        Ok(html)
    }

    fn rebuilt(&self, values: &[(&str, &str)]) -> String {
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|(name, value)| {
                let new = values.iter().find(|(changed, _)| changed == name).map(|(_, new)| *new);
                (name.clone(), new.unwrap_or(value).to_owned())
            })
            .collect();
        post(&self.action, &fields)
    }
}

/// The forms of a page, and whether there is a token outside of them.
fn forms(html: &[u8], with_scripts: bool) -> (Vec<Form>, bool) {
    let mut forms: Vec<Form> = Vec::new();
    let mut outside = false;
    let mut emitter = DefaultEmitter::<()>::default();
    emitter.naively_switch_states(with_scripts);
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        let Token::StartTag(tag) = token else { continue };
        match tag.name.as_slice() {
            b"form" => forms.push(Form {
                posts: attribute(&tag, "method").is_some_and(|method| method.eq_ignore_ascii_case("post")),
                action: attribute(&tag, "action").unwrap_or_default(),
                fields: Vec::new(),
            }),
            b"input" | b"button" | b"textarea" | b"select" => {
                let Some(name) = attribute(&tag, "name") else { continue };
                let field = Field {
                    value: attribute(&tag, "value").unwrap_or_default(),
                    hidden: attribute(&tag, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("hidden")),
                    name,
                };
                match forms.last_mut() {
                    // A field may name the form that it belongs to.
                    Some(form) if attribute(&tag, "form").is_none() => form.fields.push(field),
                    _ => outside |= field.is_token(),
                }
            }
            _ => {}
        }
    }
    (forms, outside)
}

/// A page of ours that posts these fields: by itself where scripts run, else by its button.
pub(super) fn post(action: &str, fields: &[(String, String)]) -> String {
    let inputs: String = fields
        .iter()
        .map(|(name, value)| {
            format!(
                "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
                escape(name),
                escape(value)
            )
        })
        .collect();
    format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Continue</title><form method=\"post\" action=\"{}\">{inputs}\
         <noscript><button>Continue</button></noscript></form><script>{SUBMIT}</script>",
        escape(action)
    )
}

/// What that page may do: run its one script.
pub(super) const POLICY: &str =
    "default-src 'none'; script-src 'sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE='; base-uri 'none'";
const SUBMIT: &str = "document.forms[0].submit()";

struct Form {
    posts: bool,
    action: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    value: String,
    hidden: bool,
}

impl Field {
    fn is_token(&self) -> bool {
        is_token(&self.name, &self.value)
    }
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(&HtmlString(name.as_bytes().to_vec()))?;
    Some(String::from_utf8_lossy(&value.value).into_owned())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Text as an attribute's value that reads back as it was.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => escaped.push_str(&format!("&#{};", u32::from(c))),
            c if c.is_control() => escaped.push_str(&format!("&#{};", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use ring::digest::{SHA256, digest};

    use super::*;

    /// As a provider in Java writes it.
    const PAGE: &str = "<HTML>  <HEAD>    <TITLE>OIDC Form_Post Response</TITLE>  </HEAD>  <BODY Onload=\"document.forms[0].submit()\">\
        <FORM METHOD=\"POST\" ACTION=\"https://rp.example/cb?a=1&amp;b=2\">\
        <INPUT TYPE=\"HIDDEN\" NAME=\"state\" VALUE=\"&quot;&gt;&lt;input name=id_token value=x&gt;\" />\
        <INPUT TYPE=\"HIDDEN\" NAME=\"access_token\" VALUE=\"a.b.c\" />\
        <NOSCRIPT><P>JavaScript is disabled.</P><INPUT name=\"continue\" TYPE=\"SUBMIT\" VALUE=\"CONTINUE\" /></NOSCRIPT>\
        </FORM></BODY></HTML>";

    #[test]
    fn a_form_with_a_token_is_read_and_written_in_its_place() {
        let form = FormPost::read(PAGE.as_bytes()).unwrap().unwrap();
        assert_eq!(form.action, "https://rp.example/cb?a=1&b=2");
        let fields = [
            ("state".to_owned(), "\"><input name=id_token value=x>".to_owned()),
            ("access_token".to_owned(), "a.b.c".to_owned()),
        ];
        assert_eq!(form.fields, fields);
        assert_eq!(
            form.with(&[("access_token", "d.e.f")]),
            Ok(PAGE.replace("a.b.c", "d.e.f"))
        );
    }

    #[test]
    fn a_token_that_is_written_in_another_way_is_put_into_a_page_of_ours() {
        let page = PAGE.replace("a.b.c", "a&#46;b&#x2e;c");
        let form = FormPost::read(page.as_bytes()).unwrap().unwrap();
        let ours = form.with(&[("access_token", "d.e.f")]).unwrap_err();
        let again = FormPost::read(ours.as_bytes()).unwrap().unwrap();
        assert_eq!(again.action, form.action);
        assert_eq!(again.fields[0], form.fields[0]);
        assert_eq!(again.fields[1].1, "d.e.f");
    }

    #[test]
    fn other_pages_are_no_responses() {
        for page in [
            "",
            "no page at all",
            "<form method=post action=/login><input name=username><input type=hidden name=credentialId></form>",
            "<form method=post action=https://rp.example/cb><input type=hidden name=code value=x></form>",
            "<form><input name=response value=yes><input name=access_token></form>",
            "<title><input type=hidden></title><script>const html = '<input name=q value=1>'</script>",
        ] {
            assert!(FormPost::read(page.as_bytes()).unwrap().is_none(), "{page}");
        }
    }

    #[test]
    fn a_form_with_tokens_that_is_not_plain_is_refused() {
        let token = "<input type=hidden name=id_token value=x>";
        for page in [
            token.to_owned(),
            format!("<form action=https://rp.example/cb>{token}</form>"),
            format!("<form method=post>{token}</form>"),
            format!("<form method=post action=/cb>{token}</form>"),
            "<form method=post action=https://rp.example/cb><input name=id_token value=x></form>".into(),
            format!(
                "<form method=post action=https://a.example/>{token}</form><form method=post action=https://b.example/>{token}</form>"
            ),
            "<form method=post action=https://a.example/></form><input form=f type=hidden name=id_token value=x>"
                .into(),
            format!("<noscript><form method=post action=https://rp.example/cb>{token}</form></noscript>"),
            format!("<script>document.write('<form method=post action=https://rp.example/cb>{token}</form>')</script>"),
        ] {
            assert!(FormPost::read(page.as_bytes()).is_err(), "{page}");
        }
    }

    #[test]
    fn a_page_of_ours_says_what_it_was_given_and_may_run_its_script() {
        let fields = [
            ("state".to_owned(), "<&>\"'\r\n\u{202e} ä".to_owned()),
            ("id_token".into(), "x".into()),
        ];
        let page = post("https://rp.example/cb?a=1&b=\"", &fields);
        let form = FormPost::read(page.as_bytes()).unwrap().unwrap();
        assert_eq!(form.action, "https://rp.example/cb?a=1&b=\"");
        assert_eq!(form.fields, fields);
        let hash = STANDARD.encode(digest(&SHA256, SUBMIT.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }
}
