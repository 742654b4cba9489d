//! Members of a JSON body that some servers take for one that a route reads, and others for another one.

use serde_json::Value;

use super::{Route, Sign, Source};

/// The first member that one of these routes reads and that the document also has, or has only, in other letters that none of them
/// reads. Some servers match names without regard to case, and the last one counts there (Go's `encoding/json`; SCIM, RFC 7643 §2.1).
pub fn read_in_other_letters<'r>(routes: impl Iterator<Item = &'r Route> + Clone, document: &Value) -> Option<&'r str> {
    let known: Vec<&str> = routes.clone().flat_map(Route::pointers).collect();
    let mut pointers = known.iter().copied();
    let in_document = pointers.find_map(|pointer| in_other_letters(document, pointer, &known));
    in_document.or_else(|| {
        let mut routes =
            routes.filter_map(|route| Some((route, document.pointer(route.each.as_deref()?)?.as_array()?)));
        routes.find_map(|(route, items)| {
            let known: Vec<&str> = route.pointers_of_items().collect();
            let mut pairs = known
                .iter()
                .flat_map(|pointer| items.iter().map(move |item| (item, *pointer)));
            pairs.find_map(|(item, pointer)| in_other_letters(item, pointer, &known))
        })
    })
}

impl Route {
    /// Where this route looks into the body.
    fn pointers(&self) -> impl Iterator<Item = &str> {
        let of_signs = self.only_if.iter().filter_map(|sign| match sign {
            Sign::Json(mark) => Some(mark.name.as_str()),
            _ => None,
        });
        let of_facts = self.facts.values().flat_map(|sources| &sources.0);
        let of_facts = of_facts.filter_map(|source| match source {
            Source::Json(pointer) => Some(pointer.as_str()),
            _ => None,
        });
        of_signs.chain(of_facts).chain(self.each.as_deref())
    }

    /// Where it looks into an element of `each`.
    fn pointers_of_items(&self) -> impl Iterator<Item = &str> {
        let of_facts = self.facts.values().flat_map(|sources| &sources.0);
        of_facts.filter_map(|source| match source {
            Source::Item(pointer) => Some(pointer.as_str()),
            _ => None,
        })
    }
}

/// The first name on the way of a pointer that has a twin beside it, or in its place, which no `known` pointer names.
fn in_other_letters<'p>(document: &Value, pointer: &'p str, known: &[&str]) -> Option<&'p str> {
    let (mut here, mut above) = (document, String::new());
    for name in pointer.split('/').skip(1) {
        let next = match here {
            Value::Object(members) => {
                let due = name.replace("~1", "/").replace("~0", "~");
                let folded = folded(&due);
                let is_twin = |member: &&String| {
                    let place = format!("{above}/{}", member.replace('~', "~0").replace('/', "~1"));
                    let named = |pointer: &&str| {
                        let rest = pointer.strip_prefix(&place);
                        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    };
                    **member != due && self::folded(member) == folded && !known.iter().any(named)
                };
                if members.keys().any(|member| is_twin(&member)) {
                    return Some(name);
                }
                members.get(&due)
            }
            Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
            _ => None,
        };
        here = next?;
        above = format!("{above}/{name}");
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

    fn found(document: &Value) -> Option<String> {
        let route: Route = toml::from_str(
            "name = \"r\"\npath = \"/r\"\ndoes = \"consult\"\neach = \"/people\"\nonly_if = [\"json:/kind=person\"]\n[facts]\n\"user.name\" = [\"json:/traits/name\", \"json:/userName\", \"json:/username\"]\n\"user.email\" = \"item:/create/emails/0/value\"\n",
        )
        .unwrap();
        read_in_other_letters([&route].into_iter(), document).map(str::to_owned)
    }

    #[test]
    fn a_twin_of_what_is_read_is_found_wherever_it_is() {
        for (document, due) in [
            (json!({"People": []}), "people"),
            (json!({"people": [], "PEOPLE": []}), "people"),
            (json!({"\u{212a}ind": "person"}), "kind"),
            (json!({"trait\u{17f}": {}}), "traits"),
            (json!({"traits": {"Name": "Ada"}}), "name"),
            (json!({"UserName": "ada", "username": "ada"}), "userName"),
            (json!({"people": [{}, {"Create": {}}]}), "create"),
            (json!({"people": [{"create": {"emails": [{"VALUE": "a"}]}}]}), "value"),
        ] {
            assert_eq!(found(&document).as_deref(), Some(due), "{document}");
        }
    }

    #[test]
    fn what_is_read_by_its_name_and_what_is_not_read_pass() {
        for document in [
            json!({"kind": "person", "traits": {"name": "Ada"}, "people": [{"create": {"emails": [{"value": "a"}]}}]}),
            json!({"Other": {"Kind": 1}, "traits": {"nick": {"Name": 1}}, "people": "none"}),
            json!({"people": [{"create": {"emails": [{}, {"VALUE": "not read"}]}}]}),
            json!({"userName": "ada"}),
            json!({"username": "ada"}),
            json!(["kind"]),
            json!(null),
        ] {
            assert_eq!(found(&document), None, "{document}");
        }
    }
}
