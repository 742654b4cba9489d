//! Metrics as whoever scrapes them reads them.

use std::collections::{BTreeMap, BTreeSet};

/// The series of one scrape with their values, by name and labels: `name{label="value"}`.
pub(crate) struct Scrape {
    series: BTreeMap<String, f64>,
    families: BTreeSet<String>,
}

impl Scrape {
    pub(crate) fn of(text: &str) -> Self {
        let mut scrape = Self {
            series: BTreeMap::new(),
            families: BTreeSet::new(),
        };
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                scrape.families.insert(help.split(' ').next().unwrap().to_owned());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line:?}"));
                let before = scrape.series.insert(series.to_owned(), value.parse().unwrap());
                assert!(before.is_none(), "`{series}` is there twice");
            }
        }
        scrape
    }

    /// The sum of all series of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |series: &str| {
            let (found, rest) = series.split_once('{').unwrap_or((series, ""));
            let has = |(label, value): &(&str, &str)| rest.contains(&format!("{label}=\"{value}\""));
            found == name && labels.iter().all(has)
        };
        let fitting: Vec<_> = self.series.iter().filter(|(series, _)| fits(series)).collect();
        assert!(!fitting.is_empty(), "there is no `{name}` with {labels:?}");
        fitting.into_iter().map(|(_, value)| value).sum()
    }

    /// The names and labels of all series.
    pub(crate) fn series(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// The names of all families.
    pub(crate) fn families(&self) -> &BTreeSet<String> {
        &self.families
    }
}
