//! What a setting looks like, for hints.

use toml::de::DeTable;

use super::tree::{self, Node};

/// Settings that must be there or are often mistaken; `*` is the index of a list item.
const EXAMPLES: [(&str, &str); 0] = [];

/// How the setting at a path is written.
pub(super) fn of(path: &[String]) -> Option<&'static str> {
    let fits = |pattern: &str| {
        let mut steps = pattern.split('.');
        path.iter().all(|have| {
            steps
                .next()
                .is_some_and(|step| step == have || (step == "*" && have.parse::<usize>().is_ok()))
        }) && steps.next().is_none()
    };
    EXAMPLES
        .iter()
        .find(|(pattern, _)| fits(pattern))
        .map(|(_, text)| *text)
}

/// The value of the example for a path; its place is nowhere.
pub(super) fn value(path: &[String]) -> Option<Node<'static>> {
    let table = DeTable::parse(of(path)?).ok()?.into_inner();
    let (_, value) = table.into_iter().next()?;
    let nowhere = usize::MAX - 1..usize::MAX;
    Some(tree::place(value.into_inner(), &nowhere))
}
