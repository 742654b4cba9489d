//! A family of metrics, and the series in it, each made once.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

use super::catalogue as the;

/// What all series of one name have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name, with its unit; `_total` for what only grows.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// The labels, in order.
    pub labels: &'static [Label],
    /// A sentence for who scrapes it.
    pub help: &'static str,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows, and starts at 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size: `_bucket`, `_sum`, `_count`.
    Histogram,
}

/// A label, and where its values come from. Never from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The label's name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// The values that a label may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// These.
    Words(&'static [&'static str]),
    /// What the configuration names; the text says what that is.
    Configured(&'static str),
}

/// The counters of a family, or of a part of it, found by their words without a lock.
pub(super) struct Tally(Vec<(Vec<&'static str>, IntCounter)>);

impl Label {
    pub(super) const fn words(name: &'static str, words: &'static [&'static str]) -> Self {
        let values = Values::Words(words);
        Self { name, values }
    }

    pub(super) const fn configured(name: &'static str, what: &'static str) -> Self {
        let values = Values::Configured(what);
        Self { name, values }
    }
}

impl Family {
    /// The labels that its series may have: its own, and the upstream's name where each upstream has series of its own.
    pub fn labels(&self) -> impl Iterator<Item = &'static Label> {
        let upstream = the::OF_UPSTREAMS.contains(&self).then_some(&the::UPSTREAM);
        self.labels.iter().chain(upstream)
    }

    pub(super) fn counters(&self, registry: &Registry) -> IntCounterVec {
        let made = IntCounterVec::new(self.options(), &self.label_names());
        register(registry, made.expect("the names in the catalogue are valid"))
    }

    pub(super) fn gauges(&self, registry: &Registry) -> IntGaugeVec {
        let made = IntGaugeVec::new(self.options(), &self.label_names());
        register(registry, made.expect("the names in the catalogue are valid"))
    }

    pub(super) fn histograms(&self, registry: &Registry) -> HistogramVec {
        let options = HistogramOpts::from(self.options()).buckets(BUCKETS.to_vec());
        let made = HistogramVec::new(options, &self.label_names());
        register(registry, made.expect("the names in the catalogue are valid"))
    }

    /// All counters of a family whose labels have fixed words.
    pub(super) fn tally(&self, registry: &Registry) -> Tally {
        self.tally_of(&self.counters(registry), &[])
    }

    /// The counters whose first labels have these values.
    pub(super) fn tally_of(&self, counters: &IntCounterVec, first: &[&str]) -> Tally {
        let mut combinations = vec![Vec::new()];
        for label in self.labels.iter().skip(first.len()) {
            let Values::Words(words) = label.values else { continue };
            let longer = |start: &Vec<&'static str>| {
                let start = start.clone();
                words.iter().map(move |word| [start.as_slice(), &[*word]].concat())
            };
            combinations = combinations.iter().flat_map(longer).collect();
        }
        let series = |words: Vec<&'static str>| {
            let counter = counters.with_label_values(&[first, &words].concat());
            (words, counter)
        };
        Tally(combinations.into_iter().map(series).collect())
    }

    /// The one gauge of a family without labels.
    pub(super) fn gauge(&self, registry: &Registry) -> IntGauge {
        self.gauges(registry).with_label_values::<&str>(&[])
    }

    fn options(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }
}

impl Tally {
    /// Adds one to the series with these words. Others than the catalogue's have no series.
    pub(super) fn add(&self, words: &[&str]) {
        self.add_many(words, 1);
    }

    pub(super) fn add_many(&self, words: &[&str], many: u64) {
        let series = self.0.iter().find(|(known, _)| known == words);
        debug_assert!(series.is_some(), "{words:?} are not in the catalogue");
        if let Some((_, counter)) = series {
            counter.inc_by(many);
        }
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, made: C) -> C {
    registry
        .register(Box::new(made.clone()))
        .expect("no name is in the catalogue twice");
    made
}

/// Upper bounds in seconds: from an endpoint on the same machine to the longest `timeout` that makes sense.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
