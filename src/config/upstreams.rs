//! Several upstreams in one file: each `[[upstream]]`, with what is shared, becomes the tree of a file that has it alone, so that
//! nothing behind the configuration has to know of the others.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{environment, source::Source, tree::Node, words};

/// What an upstream has of its own beside the keys of `[upstream]`, and where that stands in a file with one upstream.
const LIFTED: [(&str, &str); 2] = [("public_url", "listen"), ("names", "listen")];
/// The sections that are defaults for all; each upstream may have keys of its own in them.
const SECTIONS: [&str; 3] = ["tokens", "jwks", "denial"];
/// The lists whose items may be for some upstreams only, and the key that says for which.
const LISTS: [(&str, &str); 3] = [
    ("interceptor", "upstreams"),
    ("route", "upstreams"),
    ("logout", "upstream"),
];
/// A name is a value of a metric's label and of a field of records.
const LONGEST_NAME: usize = 63;

/// What is one upstream's in a file.
pub(super) struct Share<'t> {
    /// As a file with this upstream alone.
    pub(super) root: Node<'t>,
    /// Where its keys stand in the file.
    pub(super) keys: Keys,
}

/// Where the keys of an upstream's share stand in the file: `upstream.url` is `upstream.1.url` of the second one.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<(String, String)>);

/// What is wrong between the upstreams of a file.
pub(super) struct Mistake {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// An upstream as it is written.
struct Written<'n, 't> {
    path: String,
    node: &'n Node<'t>,
    table: &'n DeTable<'t>,
    name: Option<&'n str>,
}

impl Keys {
    /// The key in the file.
    pub(super) fn in_file(&self, key: &str) -> String {
        let rest = |from: &str| {
            let rest = key.strip_prefix(from)?;
            (rest.is_empty() || rest.starts_with(['.', '/'])).then_some(rest)
        };
        let found = self
            .0
            .iter()
            .filter_map(|(from, to)| Some((from.len(), to, rest(from)?)));
        match found.max_by_key(|(length, ..)| *length) {
            Some((_, to, rest)) => format!("{to}{rest}"),
            None => key.to_owned(),
        }
    }

    fn put(&mut self, from: impl Into<String>, to: impl Into<String>) {
        self.0.push((from.into(), to.into()));
    }
}

/// The share of every upstream, and what is wrong between them. A file without one has one share, which is all of it.
pub(super) fn shares<'t>(root: &Node<'t>, source: &Source) -> (Vec<Share<'t>>, Vec<Mistake>) {
    let written = written(root);
    let mut mistakes = Vec::new();
    if written.is_empty() {
        let all = Share {
            root: root.clone(),
            keys: Keys::default(),
        };
        return (vec![all], mistakes);
    }
    let is_list = get(root, "upstream").is_some_and(|node| node.get_ref().is_array());
    judge_names(&written, &mut mistakes);
    judge_addresses(root, &written, &mut mistakes);
    let lists = LISTS.map(|(list, key)| chosen(root, source, list, key, &written, &mut mistakes));
    let share = |(index, one): (usize, &Written<'_, 't>)| share(root, one, index, &lists, is_list);
    (written.iter().enumerate().map(share).collect(), mistakes)
}

/// The keys that are known at a place beside those of the settings that are read there.
pub(super) fn known_beside(table: &[String]) -> Vec<&'static str> {
    match table {
        [section] if section == "upstream" => {
            let lifted = LIFTED.iter().map(|(key, _)| *key);
            lifted.chain(["tls"]).chain(SECTIONS).collect()
        }
        [list, _] => {
            let lists = LISTS.iter().filter(|(known, _)| known == list);
            lists.map(|(_, key)| *key).collect()
        }
        _ => Vec::new(),
    }
}

fn written<'n, 't>(root: &'n Node<'t>) -> Vec<Written<'n, 't>> {
    let one = |path: String, node: &'n Node<'t>| {
        let table = node.get_ref().as_table()?;
        let name = table.get("name").and_then(|name| name.get_ref().as_str());
        Some(Written {
            path,
            node,
            table,
            name,
        })
    };
    let Some(node) = get(root, "upstream") else {
        return Vec::new();
    };
    match node.get_ref() {
        // One that is no table is for `serde` to speak of.
        DeValue::Array(items) => {
            let items = items.iter().enumerate();
            let all = items.map(|(index, item)| one(format!("upstream.{index}"), item));
            all.collect::<Option<_>>().unwrap_or_default()
        }
        _ => one("upstream".into(), node).into_iter().collect(),
    }
}

fn judge_names(written: &[Written<'_, '_>], mistakes: &mut Vec<Mistake>) {
    for (index, one) in written.iter().enumerate() {
        let Some(name) = one.table.get("name") else {
            if written.len() > 1 {
                mistakes.push(Mistake {
                    span: one.node.span(),
                    message: "`name` is missing in `[[upstream]]`: where there are several, each has one".into(),
                    hint: Some(
                        "add `name = \"customers\"`; records, metrics and `upstreams = [\"…\"]` call it so".into(),
                    ),
                });
            }
            continue;
        };
        let Some(text) = name.get_ref().as_str() else { continue };
        let is_fine = (1..=LONGEST_NAME).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !is_fine {
            mistakes.push(Mistake {
                span: name.span(),
                message: "the `name` of an upstream is up to 63 letters, digits, `-` and `_`".into(),
                hint: Some("for example `name = \"customers\"`".into()),
            });
        } else if written.iter().take(index).any(|other| other.name == Some(text)) {
            mistakes.push(Mistake {
                span: name.span(),
                message: format!("there are two upstreams with the `name` `{text}`"),
                hint: Some("each has its own: records and metrics tell them apart by it".into()),
            });
        }
    }
}

/// Each upstream has a public URL of its own, or one has that of `[listen]`.
fn judge_addresses(root: &Node<'_>, written: &[Written<'_, '_>], mistakes: &mut Vec<Mistake>) {
    let several = written.len() > 1;
    for (key, section) in LIFTED {
        let shared = get(root, section).and_then(|listen| get(listen, key));
        let own = written.iter().any(|one| one.table.contains_key(key));
        if let Some(shared) = shared.filter(|_| several || own) {
            mistakes.push(Mistake {
                span: shared.span(),
                message: format!("`{key}` in `[{section}]` does not say which upstream it is for"),
                hint: Some(format!("each `[[upstream]]` has its own `{key}`; take this one out")),
            });
        }
    }
    let without = written
        .iter()
        .filter(|one| several && !one.table.contains_key("public_url"));
    mistakes.extend(without.map(|one| Mistake {
        span: one.node.span(),
        message: "`public_url` is missing in `[[upstream]]`: its host says which requests are this upstream's".into(),
        hint: Some("add `public_url = \"https://login.example.com\"`".into()),
    }));
}

/// For each item of a list, whether it is for an upstream, by the upstream's index.
fn chosen(
    root: &Node<'_>,
    source: &Source,
    list: &str,
    key: &str,
    written: &[Written<'_, '_>],
    mistakes: &mut Vec<Mistake>,
) -> Vec<Vec<bool>> {
    let Some(items) = get(root, list).and_then(|list| list.get_ref().as_array()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in items.iter() {
        let names = match get(item, key) {
            None => None,
            Some(choice) => match names(choice, source, key.ends_with('s')) {
                Ok(names) => Some(names),
                Err(mistake) => {
                    mistakes.push(mistake);
                    None
                }
            },
        };
        for (name, span) in names.iter().flatten() {
            if written.iter().all(|one| one.name != Some(name)) {
                mistakes.push(unknown(name, span.clone(), key, written));
            }
        }
        let is_for = |one: &Written<'_, '_>| match &names {
            None => true,
            Some(names) => names.iter().any(|(name, _)| one.name == Some(name)),
        };
        found.push(written.iter().map(is_for).collect());
    }
    found
}

/// The names of a choice: one text, or a list of at least one.
fn names(choice: &Node<'_>, source: &Source, is_list: bool) -> Result<Vec<(String, Range<usize>)>, Mistake> {
    let of_list = |node: &Node<'_>| {
        let items = node.get_ref().as_array()?;
        let names = items
            .iter()
            .map(|item| Some((item.get_ref().as_str()?.to_owned(), item.span())));
        names.collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
    };
    let found = match choice.get_ref().as_str() {
        Some(name) if !is_list => Some(vec![(name.to_owned(), choice.span())]),
        Some(text) if source.variable(&choice.span()).is_some() => {
            environment::reread(text, true, &choice.span()).and_then(|list| of_list(&list))
        }
        None if is_list => of_list(choice),
        _ => None,
    };
    found.ok_or_else(|| match is_list {
        true => Mistake {
            span: choice.span(),
            message: "`upstreams` must be a list of names of upstreams, at least one".into(),
            hint: Some("for example `upstreams = [\"customers\"]`; without it, it is for all".into()),
        },
        false => Mistake {
            span: choice.span(),
            message: "`upstream` must be the name of an upstream".into(),
            hint: Some("for example `upstream = \"customers\"`; without it, it is for all".into()),
        },
    })
}

fn unknown(name: &str, span: Range<usize>, key: &str, written: &[Written<'_, '_>]) -> Mistake {
    let known: Vec<_> = written.iter().filter_map(|one| one.name).collect();
    let hint = match words::nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "the upstream of this file has no `name`; give it one, or take this out".into(),
        None => format!("the upstreams of this file are {}", words::listed(&known, "and")),
    };
    Mistake {
        span,
        message: format!("`{key}`: no upstream has the name `{}`", name.escape_debug()),
        hint: Some(hint),
    }
}

fn share<'t>(
    root: &Node<'t>,
    one: &Written<'_, 't>,
    index: usize,
    lists: &[Vec<Vec<bool>>; LISTS.len()],
    is_list: bool,
) -> Share<'t> {
    let mut keys = Keys::default();
    let mut share = root.clone();
    let DeValue::Table(table) = share.get_mut() else {
        return Share { root: share, keys };
    };
    let mut own = one.table.clone();
    if is_list {
        keys.put("upstream", &*one.path);
    }
    for (key, section) in LIFTED {
        if let Some(value) = own.remove(key) {
            keys.put(format!("{section}.{key}"), format!("{}.{key}", one.path));
            if let Some(DeValue::Table(section)) = table.get_mut(section).map(Spanned::get_mut) {
                section.insert(Spanned::new(value.span(), key.into()), value);
            }
        }
    }
    if let (Some(tls), Some(DeValue::Table(listen))) =
        (own.remove("tls"), table.get_mut("listen").map(Spanned::get_mut))
    {
        certify(listen, tls, &one.path, &mut keys);
    }
    for section in SECTIONS {
        lay_over(table, section, own.remove(section), &one.path, is_list, &mut keys);
    }
    for ((list, key), chosen) in LISTS.iter().zip(lists) {
        choose(table, list, key, chosen, index, &mut keys);
    }
    table.insert(
        Spanned::new(one.node.span(), "upstream".into()),
        Spanned::new(one.node.span(), DeValue::Table(own)),
    );
    Share { root: share, keys }
}

/// Puts an upstream's own certificate over the shared one; what is shared beside that stays.
fn certify<'t>(listen: &mut DeTable<'t>, own: Node<'t>, path: &str, keys: &mut Keys) {
    if let (Some(DeValue::Table(shared)), DeValue::Table(own)) =
        (listen.get_mut("tls").map(Spanned::get_mut), own.get_ref())
    {
        for (key, value) in own {
            keys.put(
                format!("listen.tls.{}", key.get_ref()),
                format!("{path}.tls.{}", key.get_ref()),
            );
            shared.insert(key.clone(), value.clone());
        }
        return;
    }
    keys.put("listen.tls", format!("{path}.tls"));
    listen.insert(Spanned::new(own.span(), "tls".into()), own);
}

/// Puts an upstream's own keys of a section over the shared ones.
fn lay_over<'t>(
    table: &mut DeTable<'t>,
    section: &'static str,
    own: Option<Node<'t>>,
    path: &str,
    is_list: bool,
    keys: &mut Keys,
) {
    if is_list {
        // What is written nowhere is missing at the upstream.
        keys.put(section, format!("{path}.{section}"));
    }
    if let Some(DeValue::Table(shared)) = table.get(section).map(Spanned::get_ref) {
        for (key, _) in shared {
            let key = format!("{section}.{}", key.get_ref());
            keys.put(key.clone(), key);
        }
    }
    let Some(own) = own else { return };
    let over = match (table.get_mut(section).map(Spanned::get_mut), own.get_ref()) {
        (Some(DeValue::Table(shared)), DeValue::Table(own)) => {
            for (key, value) in own {
                let (from, to) = (
                    format!("{section}.{}", key.get_ref()),
                    format!("{path}.{section}.{}", key.get_ref()),
                );
                keys.0.retain(|(known, _)| *known != from);
                keys.put(from, to);
                shared.insert(key.clone(), value.clone());
            }
            return;
        }
        _ => own,
    };
    keys.0.retain(|(known, _)| known != section);
    keys.put(section, format!("{path}.{section}"));
    table.insert(Spanned::new(over.span(), section.into()), over);
}

/// Leaves in a list what is for an upstream, and takes out what says so.
fn choose(table: &mut DeTable<'_>, list: &str, key: &str, chosen: &[Vec<bool>], index: usize, keys: &mut Keys) {
    let Some(DeValue::Array(items)) = table.get_mut(list).map(Spanned::get_mut) else {
        return;
    };
    let all = std::mem::replace(items, std::iter::empty().collect());
    let mut kept = Vec::new();
    for (at, (mut item, chosen)) in all.into_iter().zip(chosen).enumerate() {
        if !chosen.get(index).copied().unwrap_or(true) {
            continue;
        }
        if let DeValue::Table(item) = item.get_mut() {
            item.remove(key);
        }
        if at != kept.len() {
            keys.put(format!("{list}.{}", kept.len()), format!("{list}.{at}"));
        }
        kept.push(item);
    }
    *items = kept.into_iter().collect();
}

fn get<'n, 't>(node: &'n Node<'t>, key: &str) -> Option<&'n Node<'t>> {
    node.get_ref().as_table()?.get(key)
}
