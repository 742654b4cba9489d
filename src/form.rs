//! Form fields read strictly: what two parsers could read in two ways is refused.

mod multipart;
mod urlencoded;

use form_urlencoded::Serializer;

/// Parameters of a form or a query, in the order they came. A name may come again, as in a choice of several; whether it
/// may is for who acts on it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    fields: Vec<(String, String)>,
}

/// Why a form was refused, in a sentence for the client. Names a parameter at most, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misread(String);

impl Form {
    /// Reads an `application/x-www-form-urlencoded` body.
    ///
    /// Refused: malformed percent escapes, bytes that are not ASCII or are controls, `;`, a name that is empty or has a
    /// control character or a byte-order mark, and values that are not UTF-8 or have a NUL.
    pub fn urlencoded(body: &[u8]) -> Result<Self, Misread> {
        urlencoded::read(body)
    }

    /// Reads the query of a request target, by the same rules as [`Form::urlencoded`].
    pub fn query(query: &str) -> Result<Self, Misread> {
        urlencoded::read(query.as_bytes())
    }

    /// Reads a `multipart/form-data` body of text fields (RFC 7578); `content_type` is the header's value.
    ///
    /// Refused: files, parts that are not `text/plain` in UTF-8, transfer encodings, and names as in [`Form::urlencoded`].
    pub fn multipart(body: &[u8], content_type: &str) -> Result<Self, Misread> {
        multipart::read(body, content_type)
    }

    /// The value of a parameter; the first, where there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Replaces a parameter's value where it first stands, or adds the parameter at the end. It occurs once then.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let at = self.fields.iter().position(|(key, _)| key == name);
        self.fields.retain(|(key, _)| key != name);
        let at = at.unwrap_or(self.fields.len());
        self.fields.insert(at, (name.to_owned(), value.into()));
    }

    /// The same with all names in small letters. Two that differ in case alone become one name that occurs twice.
    pub fn with_small_names(self) -> Self {
        let small = |(name, value): (String, String)| (name.to_lowercase(), value);
        Self {
            fields: self.fields.into_iter().map(small).collect(),
        }
    }

    /// Takes a parameter out, however often it occurs, and returns its first value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let first = self.get(name).map(str::to_owned);
        self.fields.retain(|(key, _)| key != name);
        first
    }

    /// All parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The form as `application/x-www-form-urlencoded`, for a body or a query.
    pub fn to_urlencoded(&self) -> String {
        Serializer::new(String::new()).extend_pairs(self.iter()).finish()
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Misread> {
        if name.is_empty() {
            return Err(Misread("a parameter has no name".into()));
        }
        if name.chars().any(|c| c.is_control() || c == BYTE_ORDER_MARK) {
            return Err(Misread(
                "a parameter's name has a control character or a byte-order mark".into(),
            ));
        }
        if value.contains('\0') {
            return Err(Misread(format!("the parameter {} has a NUL", shown(&name))));
        }
        self.fields.push((name, value));
        Ok(())
    }
}

impl std::fmt::Debug for Form {
    // Values may be passwords and codes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// A name as it may stand in a message: escaped, and cut where somebody sends a novel.
fn shown(name: &str) -> String {
    let cut: String = name.chars().take(SHOWN_NAME).collect();
    format!("`{}`", cut.escape_debug())
}

const BYTE_ORDER_MARK: char = '\u{feff}';
const SHOWN_NAME: usize = 64;

#[cfg(test)]
mod tests;
