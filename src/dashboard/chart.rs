//! Small charts, drawn here: bars on a common baseline, as SVG without style.

/// Bars over time.
pub(super) struct Chart {
    /// The width of the drawing, in its own units; its height is [`HEIGHT`].
    pub(super) width: usize,
    pub(super) bars: Vec<Bar>,
    /// What it shows, for whoever does not see it.
    pub(super) summary: String,
}

/// One step of time.
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) height: usize,
    pub(super) title: String,
}

/// Units from the baseline to the highest value.
pub(super) const HEIGHT: usize = 48;
/// From one bar to the next, and how much of that it fills.
const STEP: usize = 6;

impl Chart {
    /// A chart of counts, each with the name of its step. `what` is counted; `ceiling` is the value that reaches the top, at least
    /// the highest one, so that charts beside each other can be compared.
    pub(super) fn of(what: &str, counts: &[(String, u64)], ceiling: u64) -> Self {
        let highest = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let ceiling = ceiling.max(highest).max(1);
        let bars = counts.iter().enumerate().filter(|(_, (_, count))| *count > 0);
        let bars = bars.map(|(index, (name, count))| {
            let scaled = u128::from(*count) * (HEIGHT as u128) / u128::from(ceiling);
            // Whatever happened at all is seen.
            let height = usize::try_from(scaled).unwrap_or(HEIGHT).clamp(2, HEIGHT);
            Bar {
                x: index * STEP,
                y: HEIGHT - height,
                height,
                title: format!("{name}: {count}"),
            }
        });
        let total: u64 = counts.iter().map(|(_, count)| count).sum();
        let peak = counts
            .iter()
            .max_by_key(|(_, count)| *count)
            .filter(|(_, count)| *count > 0);
        let summary = match peak {
            Some((name, count)) => format!("{what}: {total}, most of them at {name}: {count}"),
            None => format!("{what}: none"),
        };
        Self {
            width: (counts.len() * STEP).max(STEP),
            bars: bars.collect(),
            summary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_height_and_the_smallest_is_seen() {
        let counts = [("a".into(), 1000), ("b".into(), 0), ("c".into(), 1)];
        let chart = Chart::of("Denied", &counts, 10);
        let heights: Vec<_> = chart.bars.iter().map(|bar| (bar.x, bar.y, bar.height)).collect();
        assert_eq!(heights, [(0, 0, HEIGHT), (2 * STEP, HEIGHT - 2, 2)]);
        assert_eq!(chart.summary, "Denied: 1001, most of them at a: 1000");
        assert_eq!(Chart::of("Denied", &[], 0).summary, "Denied: none");
    }
}
