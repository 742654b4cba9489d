//! The page, the dashboard and the alerts name the metrics that there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

use serde_json::Value;
use tollgate::metrics::{Kind, Label, Metrics, Values};

use crate::world::World;

/// The tables of `docs/observability.md`. A label that has other values in other families has them beside its name.
fn tables() -> String {
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for label in Metrics::families().flat_map(|family| family.labels()) {
        labels.entry(label.name).or_default().insert(values(label));
    }
    let mut tables = String::from("| name | type | labels | what it says |\n|---|---|---|---|\n");
    for family in Metrics::families() {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let label = |label: &Label| match labels[label.name].len() {
            1 => format!("`{}`", label.name),
            _ => format!("`{}`: {}", label.name, values(label)),
        };
        let own: Vec<String> = family.labels().map(label).collect();
        let own = own.join("; ");
        writeln!(tables, "| `{}` | {kind} | {own} | {} |", family.name, family.help).unwrap();
    }
    tables.push_str("\n| label | values |\n|---|---|\n");
    for (name, values) in labels.iter().filter(|(_, values)| values.len() == 1) {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        writeln!(tables, "| `{name}` | {} |", values.concat()).unwrap();
    }
    tables
}

fn values(label: &Label) -> String {
    match label.values {
        Values::Words(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        Values::Configured(what) => what.to_owned(),
    }
}

/// Every `tollgate_…` in a text, without what a histogram adds to its name.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("tollgate_") {
        let name: String = text[at..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_' || c.is_ascii_digit())
            .collect();
        let histograms = Metrics::families().filter(|family| family.kind == Kind::Histogram);
        let family = histograms
            .map(|family| family.name)
            .find(|family| {
                name.strip_prefix(family)
                    .is_some_and(|rest| matches!(rest, "_bucket" | "_sum" | "_count"))
            })
            .map_or(name.clone(), str::to_owned);
        names.insert(family);
    }
    names
}

fn registered() -> BTreeSet<String> {
    Metrics::families().map(|family| family.name.to_owned()).collect()
}

#[test]
fn the_page_has_the_tables_of_the_registered_metrics() {
    let page = fs::read_to_string("docs/observability.md").unwrap();
    let tables = tables();
    assert!(
        page.contains(&tables),
        "docs/observability.md is out of date; it must have\n\n{tables}"
    );
}

#[tokio::test]
async fn a_scrape_has_every_family_and_no_other() {
    let sink = "[[audit.sink]]\nname = \"file\"\nto = { file = \"events.ndjson\" }\n";
    let scrape = World::start(sink).await.metrics();
    assert_eq!(*scrape.families(), registered());
}

#[test]
fn every_name_in_the_dashboard_and_the_alerts_is_registered() {
    let registered = registered();
    for (file, some) in [
        ("deploy/grafana/tollgate.json", 20),
        ("deploy/prometheus/alerts.yml", 6),
        ("docs/observability.md", 20),
    ] {
        let names = named(&fs::read_to_string(file).unwrap());
        assert!(names.len() >= some, "{file}: {names:?}");
        let unknown: Vec<_> = names.difference(&registered).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let text = fs::read_to_string("deploy/grafana/tollgate.json").unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in panels {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{title} has an id twice");
        let place = (
            panel["gridPos"]["y"].as_i64().unwrap(),
            panel["gridPos"]["x"].as_i64().unwrap(),
        );
        assert!(places.insert(place), "{title} lies on another panel");
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{title}");
            assert!(panel["description"].as_str().is_some_and(|d| !d.is_empty()), "{title}");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(
        variables
            .iter()
            .any(|v| v["name"] == "datasource" && v["type"] == "datasource")
    );
}

#[test]
fn the_dashboard_shows_one_upstream_where_that_is_chosen() {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string("deploy/grafana/tollgate.json").unwrap()).unwrap();
    let of_upstreams = Metrics::families().filter(|family| family.labels().any(|label| label.name == "upstream"));
    let of_upstreams: BTreeSet<&str> = of_upstreams.map(|family| family.name).collect();
    let targets = dashboard["panels"].as_array().unwrap().iter();
    let targets = targets.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut chosen = BTreeSet::new();
    for target in targets {
        // `name{selector}`, and what follows it to the next one.
        let pieces: Vec<&str> = target["expr"].as_str().unwrap().split(['{', '}']).collect();
        for pair in pieces.chunks_exact(2) {
            let (name, selector) = (named(pair[0]).pop_last().unwrap(), pair[1]);
            assert_eq!(
                selector.contains("upstream=~\"$upstream\""),
                of_upstreams.contains(name.as_str()),
                "{name}"
            );
            chosen.insert(name);
        }
    }
    assert!(chosen.iter().any(|name| of_upstreams.contains(name.as_str())));
}
