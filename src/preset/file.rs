//! A preset of the operator's own, in a file.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use serde::{Deserialize, de::IgnoredAny};
use toml::Spanned;

use super::{Preset, written::Written};
use crate::misconfigured::Misconfigured;

/// Reads a preset and checks its routes. `name` is the path as the operator wrote it, relative to `base`.
///
/// # Errors
/// A file that cannot be read; a mistake in it, with its line and column.
pub(super) fn read(name: &str, base: &Path) -> Result<Preset, Misconfigured> {
    let path = base.join(name);
    let text = fs::read_to_string(&path).map_err(|e| {
        Misconfigured::new("upstream.preset", format!("`{}` cannot be read: {e}", path.display()))
            .hint("a path starts at the folder of this file; begin with a copy of one in the repository's `presets/`")
    })?;
    let at = |span: Option<Range<usize>>, message: &str| {
        let (line, column) = place(&text, span.map_or(0, |span| span.start));
        Misconfigured::new(
            "upstream.preset",
            format!("{}:{line}:{column}: {message}", path.display()),
        )
    };
    let written: Written = toml::from_str(&text).map_err(|e| at(e.span(), e.message()))?;
    // A row of the preset that it extends has no place in this file.
    let wrong_at = |wrong: Misconfigured| {
        let mut found = at(key(&text, &wrong.key), &wrong.message);
        found.hint = wrong.hint;
        found
    };
    let base = Preset::extended(&written).map_err(wrong_at)?;
    let preset = written.complete(base).map_err(wrong_at)?;
    for (index, route) in preset.routes.iter().enumerate() {
        if let Err(wrong) = route.check().and_then(|()| preset.check(route)) {
            let mut found = at(place_of(&text, index, &wrong.key), &wrong.message);
            found.hint = wrong.hint;
            return Err(found);
        }
    }
    Ok(preset)
}

/// Where a key at the top stands.
fn key(text: &str, key: &str) -> Option<Range<usize>> {
    let keys = toml::from_str::<BTreeMap<String, Spanned<IgnoredAny>>>(text).ok()?;
    keys.get(key).map(Spanned::span)
}

/// Where a key of the route with this index stands; the route itself, where it has no such key.
fn place_of(text: &str, index: usize, key: &str) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Routes {
        route: Vec<Spanned<BTreeMap<String, Spanned<IgnoredAny>>>>,
    }
    let routes = toml::from_str::<Routes>(text).ok()?.route;
    let route = routes.get(index)?;
    let value = route.get_ref().get(key);
    Some(value.map_or_else(|| route.span(), Spanned::span))
}

/// Line and column, from 1.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
