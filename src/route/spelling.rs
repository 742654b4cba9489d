//! Members of a JSON body that some servers take for one that a route reads, and others for another one.

use serde_json::Value;

use super::{Route, Sign, Source};

impl Route {
    /// The first member that this route reads and that the document also has, or has only, in other letters. Some servers match names
    /// without regard to case, and the last one counts there (Go's `encoding/json`; SCIM, RFC 7643 §2.1).
    pub fn read_in_other_letters(&self, document: &Value) -> Option<&str> {
        let sources = || self.facts.values().flat_map(|sources| &sources.0);
        let of_signs = self.only_if.iter().filter_map(|sign| match sign {
            Sign::Json(mark) => Some(mark.name.as_str()),
            _ => None,
        });
        let of_facts = sources().filter_map(|source| match source {
            Source::Json(pointer) => Some(pointer.as_str()),
            _ => None,
        });
        let mut pointers = of_signs.chain(of_facts).chain(self.each.as_deref());
        let in_document = pointers.find_map(|pointer| in_other_letters(document, pointer));
        in_document.or_else(|| {
            let items = document.pointer(self.each.as_deref()?)?.as_array()?;
            let mut of_items = sources().filter_map(|source| match source {
                Source::Item(pointer) => Some(pointer.as_str()),
                _ => None,
            });
            of_items.find_map(|pointer| items.iter().find_map(|item| in_other_letters(item, pointer)))
        })
    }
}

/// The first name on the way of a pointer that has a twin beside it, or in its place.
fn in_other_letters<'p>(document: &Value, pointer: &'p str) -> Option<&'p str> {
    let mut here = document;
    for name in pointer.split('/').skip(1) {
        let next = match here {
            Value::Object(members) => {
                let due = name.replace("~1", "/").replace("~0", "~");
                let folded = folded(&due);
                if members
                    .keys()
                    .any(|known| *known != due && self::folded(known) == folded)
                {
                    return Some(name);
                }
                members.get(&due)
            }
            Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
            _ => None,
        };
        here = next?;
    }
    None
}

/// Without regard to case: there and back, so that the long s and the sign for kelvin are letters like others, as in Go.
fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route() -> Route {
        toml::from_str(
            "name = \"r\"\npath = \"/r\"\ndoes = \"consult\"\neach = \"/people\"\nonly_if = [\"json:/kind=person\"]\n[facts]\n\"user.name\" = \"json:/traits/name\"\n\"user.email\" = \"item:/create/emails/0/value\"\n",
        )
        .unwrap()
    }

    #[test]
    fn a_twin_of_what_is_read_is_found_wherever_it_is() {
        for (document, due) in [
            (json!({"People": []}), "people"),
            (json!({"people": [], "PEOPLE": []}), "people"),
            (json!({"\u{212a}ind": "person"}), "kind"),
            (json!({"trait\u{17f}": {}}), "traits"),
            (json!({"traits": {"Name": "Ada"}}), "name"),
            (json!({"people": [{}, {"Create": {}}]}), "create"),
            (json!({"people": [{"create": {"emails": [{"VALUE": "a"}]}}]}), "value"),
        ] {
            assert_eq!(route().read_in_other_letters(&document), Some(due), "{document}");
        }
    }

    #[test]
    fn what_is_read_by_its_name_and_what_is_not_read_pass() {
        for document in [
            json!({"kind": "person", "traits": {"name": "Ada"}, "people": [{"create": {"emails": [{"value": "a"}]}}]}),
            json!({"Other": {"Kind": 1}, "traits": {"nick": {"Name": 1}}, "people": "none"}),
            json!({"people": [{"create": {"emails": [{}, {"VALUE": "not read"}]}}]}),
            json!(["kind"]),
            json!(null),
        ] {
            assert_eq!(route().read_in_other_letters(&document), None, "{document}");
        }
    }
}
