//! `docs/routes.md`: every key of the language of routes and presets, from the types that read it.

use std::{fmt::Write, fs};

use super::is_up_to_date;

/// A type, the file that it is in, and its chapter.
const CHAPTERS: [(&str, &str, &str, &str); 22] = [
    (
        "src/route.rs",
        "Route",
        "`[[route]]`",
        "One recognised kind of request, in a preset or in `proxy.toml`.",
    ),
    ("src/route.rs", "Action", "`does`", "What is done with the request."),
    (
        "src/route.rs",
        "BodyKind",
        "`bodies`",
        "The encodings of a body that are read. A request with another one is refused with 415.",
    ),
    (
        "src/route/sign.rs",
        "Sign",
        "`only_if`",
        "Signs by which a request is told from others of the same path. One of them must be there.",
    ),
    (
        "src/route/source.rs",
        "Source",
        "`facts`",
        "Where a field of the event comes from. Several are joined by a space; what is not there is left out.",
    ),
    ("src/route.rs", "Rule", "`refuse`", "What a request may not ask for."),
    (
        "src/route.rs",
        "Protocol",
        "`protocol`",
        "A protocol that the operator can leave unguarded as a whole.",
    ),
    (
        "src/preset/written.rs",
        "Written",
        "A preset",
        "The keys at the top of a preset's file.",
    ),
    (
        "src/preset.rs",
        "Issuer",
        "`[issuer]`",
        "Where an issuer's documents are.",
    ),
    (
        "src/preset.rs",
        "NamedBy",
        "`issuer.named_by`",
        "What tells which issuer a token request is about.",
    ),
    (
        "src/preset.rs",
        "Console",
        "`[console]`",
        "Who logs in to the provider's own console.",
    ),
    (
        "src/route.rs",
        "Group",
        "`[group.NAME]`",
        "What several routes share; a route takes it in with `use = [\"NAME\"]`.",
    ),
    (
        "src/preset.rs",
        "Denial",
        "`[denial.NAME]`",
        "How the provider's own error looks; a route names it with `denial = \"NAME\"`.",
    ),
    (
        "src/preset.rs",
        "Learn",
        "`[learn.NAME]`",
        "A value that only the provider knows, for the sign `learned:NAME`.",
    ),
    (
        "src/preset/accounts.rs",
        "Accounts",
        "`[accounts]`",
        "The admin API, for the operator's service account.",
    ),
    (
        "src/preset/accounts.rs",
        "Mark",
        "`[accounts.mark]`",
        "How an account is marked as asked about.",
    ),
    (
        "src/preset/accounts.rs",
        "Membership",
        "`[accounts.membership]`",
        "How an account becomes a member of an organization.",
    ),
    (
        "src/preset/sessions.rs",
        "Sessions",
        "`[sessions]`",
        "Sessions of the provider's own, beside OpenID Connect, for routes with `does = \"session\"`.",
    ),
    ("src/preset/accounts.rs", "Call", "A call", "One call of the admin API."),
    (
        "src/preset/way.rs",
        "Way",
        "`[[way]]`",
        "A way in or out without a route of its own, for `tollgate coverage`.",
    ),
    (
        "src/preset/way.rs",
        "Area",
        "`way.area`",
        "The chapter in which it is listed.",
    ),
    (
        "src/preset/way.rs",
        "Outcome",
        "`way.does`",
        "What becomes of it, where its route does not say.",
    ),
];

/// A field of a struct or a variant of an enum.
struct Item {
    key: String,
    kind: String,
    needed: bool,
    doc: String,
}

#[test]
fn the_reference_of_routes_is_what_the_types_say() {
    let mut page = String::from(PREFACE);
    for (file, name, title, about) in CHAPTERS {
        let (is_struct, items) = items(file, name);
        write!(page, "\n## {title}\n\n{about}\n\n").unwrap();
        page.push_str(if is_struct {
            "| key | value | |\n|---|---|---|\n"
        } else {
            "| value | |\n|---|---|\n"
        });
        for item in items {
            assert!(!item.doc.is_empty(), "{file}: `{name}` says nothing of `{}`", item.key);
            let doc = item.doc.replace('|', "\\|");
            if is_struct {
                let needed = if item.needed { ", needed" } else { "" };
                writeln!(page, "| `{}` | {}{needed} | {doc} |", item.key, item.kind).unwrap();
            } else {
                writeln!(page, "| `{}` | {doc} |", item.key).unwrap();
            }
        }
    }
    is_up_to_date("docs/routes.md", &page);
}

/// The items of a type with their documentation, and whether it is a struct.
fn items(file: &str, name: &str) -> (bool, Vec<Item>) {
    let text = fs::read_to_string(file).unwrap();
    let heads = ["pub struct", "pub(super) struct", "pub enum"].map(|kind| format!("{kind} {name} {{\n"));
    let (head, at) = heads
        .iter()
        .find_map(|head| Some((head, text.find(head.as_str())? + head.len())))
        .unwrap_or_else(|| panic!("{file} has no `{name}`"));
    let is_struct = head.contains("struct");
    let body = &text[at..at + text[at..].find("\n}").unwrap()];
    // What a preset's text leaves to the type that is made of it.
    let elsewhere = if name == "Written" {
        items("src/preset.rs", "Preset").1
    } else {
        Vec::new()
    };
    let (mut doc, mut attributes, mut found) = (Vec::new(), String::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if line.starts_with("#[") {
            attributes.push_str(line);
        } else if line.ends_with(',') {
            let (field, of) = line
                .trim_end_matches(',')
                .split_once(": ")
                .unwrap_or((line.trim_end_matches(','), ""));
            let field = field.trim_start_matches("pub(super) ").trim_start_matches("pub ");
            let renamed = attributes
                .split_once("rename = \"")
                .and_then(|(_, rest)| rest.split('"').next());
            let doc = std::mem::take(&mut doc).join(" ");
            let told = doc.split_once('`').and_then(|(_, rest)| rest.split('`').next());
            let key = match (is_struct, renamed) {
                (_, Some(renamed)) => renamed.to_owned(),
                (true, None) => field.to_owned(),
                // `Form(…)` is written `form:FIELD`, as its documentation begins.
                (false, None) if field.contains('(') => told.unwrap_or(field).to_owned(),
                (false, None) => kebab(field),
            };
            let borrowed = || {
                elsewhere
                    .iter()
                    .find(|item| item.key == field)
                    .map(|item| item.doc.clone())
            };
            found.push(Item {
                kind: kind(of),
                needed: !attributes.contains("default") && !of.starts_with("Option"),
                doc: if doc.is_empty() {
                    borrowed().unwrap_or_default()
                } else {
                    doc
                },
                key,
            });
            attributes.clear();
        }
    }
    (is_struct, found)
}

/// A type as people write it.
fn kind(of: &str) -> String {
    let inside = |prefix: &str| of.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = inside("Option<").or_else(|| inside("Arc<")) {
        return kind(inner);
    }
    if let Some(inner) = inside("Vec<") {
        return format!("list of {}", kind(inner));
    }
    if let Some(inner) = inside("BTreeMap<String, ") {
        return format!("table of {}", kind(inner));
    }
    match of {
        "String" => "text",
        "Pattern" => "path",
        "bool" => "`true` or `false`",
        "u16" => "number",
        "char" => "letter",
        "Value" => "JSON",
        "Sources" => "source, or list of sources",
        "Trigger" => "trigger",
        other => return format!("`{}`", kebab(other)),
    }
    .to_owned()
}

fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

const PREFACE: &str = "# The language of routes

One language for presets and for `[[route]]` in `proxy.toml`. A provider is a file in this language, and nothing of it is in the code. This page is made
from the types that read it, by `TOLLGATE_WRITE_PAGES=1 cargo test --test it pages`.

A request is matched in this order: the operator's `[[route]]` entries, then the preset's rows from the top. The first row whose method, path and
signs fit is the one. `tollgate explain METHOD URL` says which; `tollgate check` says which rows are never reached, and which take requests from each other.

A path such as `/realms/{realm}/users` compares its words without regard to case; `{name}` takes one segment, `{name*}` as the last one takes one or
more. `discovery:token_endpoint` is the path of that endpoint in the provider's discovery document. One slash at the end is ignored.

`[[route]]` of `proxy.toml` may use the groups, denials and learned values of the preset. With the name of one of its rows it takes that row's place.

[bring-your-own-provider.md](bring-your-own-provider.md) goes from a recording to a working preset; [the presets](../presets/) are examples.
";
