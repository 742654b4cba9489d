//! Rows that take requests from each other.

use std::sync::Arc;

use super::Preset;
use crate::route::Route;

/// Two rows that fit the same requests; the first one gets them.
#[derive(Clone, Debug)]
pub struct Overlap {
    /// The row that stands in front.
    pub first: Arc<Route>,
    /// The row behind it.
    pub second: Arc<Route>,
    /// How much it takes.
    pub verdict: Verdict,
    /// A method and path that both fit.
    pub example: String,
}

/// How much of a row's requests the row in front of it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All: the second row is never reached.
    Hidden,
    /// Some, while each also fits requests that the other does not: the order decides, which is easily overlooked.
    Crossing,
    /// The first row's own: it is the narrower one, which is how exceptions are written.
    Exception,
}

impl Preset {
    /// Every pair of rows of which the first takes requests from the second by method and path. Rows with signs (`only_if`) let
    /// other requests of their path go on, so they only hide rows whose signs are all among theirs.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let pairs = self.routes.iter().enumerate().flat_map(|(index, second)| {
            let before = self.routes.iter().take(index);
            before.map(move |first| (first, second))
        });
        let mut found = Vec::new();
        for (first, second) in pairs {
            let Some(method) = common_method(first, second) else {
                continue;
            };
            let Some(path) = first.path.common(&second.path) else {
                continue;
            };
            let decides = first.only_if.is_empty();
            let all = covers(first, second);
            let same_signs =
                !second.only_if.is_empty() && second.only_if.iter().all(|sign| first.only_if.contains(sign));
            let verdict = match (decides, all) {
                (true, true) => Verdict::Hidden,
                (false, true) if same_signs => Verdict::Hidden,
                (true, false) if covers(second, first) => Verdict::Exception,
                (true, false) => Verdict::Crossing,
                (false, _) => continue,
            };
            found.push(Overlap {
                first: Arc::clone(first),
                second: Arc::clone(second),
                verdict,
                example: format!("{method} {path}"),
            });
        }
        found
    }
}

/// Whether every request that `inner` fits by method and path fits `outer` too.
fn covers(outer: &Route, inner: &Route) -> bool {
    let methods =
        outer.methods.is_empty() || (!inner.methods.is_empty() && inner.methods.iter().all(|m| outer.takes(m)));
    methods && outer.path.covers(&inner.path)
}

fn common_method<'r>(first: &'r Route, second: &'r Route) -> Option<&'r str> {
    match (first.methods.as_slice(), second.methods.as_slice()) {
        ([], []) => Some("POST"),
        ([], [method, ..]) | ([method, ..], []) => Some(method),
        (methods, _) => methods.iter().map(String::as_str).find(|method| second.takes(method)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(routes: &str) -> Vec<(String, String, Verdict, String)> {
        let head = "name = \"own\"\nsummary = \"\"\nmachine_grants = []\n[issuer]\npath = \"/\"\ndiscovery = \"/d\"\n";
        let written: super::super::written::Written = toml::from_str(&format!("{head}{routes}")).unwrap();
        let preset = written.complete(None).unwrap();
        let told = |o: Overlap| (o.first.name.clone(), o.second.name.clone(), o.verdict, o.example);
        preset.overlaps().into_iter().map(told).collect()
    }

    fn row(name: &str, methods: &str, path: &str, signs: &str) -> String {
        format!(
            "[[route]]\nname = \"{name}\"\nmethods = [{methods}]\npath = \"{path}\"\ndoes = \"pass\"\nonly_if = [{signs}]\n"
        )
    }

    #[test]
    fn a_wider_row_in_front_hides_one_behind_it() {
        let found = verdicts(&(row("wide", "", "/a/{rest*}", "") + &row("narrow", "\"POST\"", "/a/{id}/b", "")));
        assert_eq!(
            found,
            [("wide".into(), "narrow".into(), Verdict::Hidden, "POST /a/{id}/b".into())]
        );
    }

    #[test]
    fn a_narrower_row_in_front_is_an_exception() {
        let found = verdicts(&(row("narrow", "\"POST\"", "/a/users", "") + &row("wide", "", "/a/{id}", "")));
        assert_eq!(found[0].2, Verdict::Exception);
    }

    #[test]
    fn rows_that_cross_are_found_with_a_request_that_both_fit() {
        let found = verdicts(&(row("left", "\"GET\", \"PUT\"", "/{a}/x", "") + &row("right", "\"PUT\"", "/y/{b}", "")));
        assert_eq!(
            found,
            [("left".into(), "right".into(), Verdict::Crossing, "PUT /y/x".into())]
        );
    }

    #[test]
    fn rows_with_signs_hide_only_rows_with_the_same() {
        let signed = row("signed", "", "/a", "\"form:x\", \"form:y\"");
        assert!(verdicts(&(signed.clone() + &row("plain", "", "/a", ""))).is_empty());
        assert!(verdicts(&(signed.clone() + &row("other", "", "/a", "\"form:x\", \"form:z\""))).is_empty());
        assert_eq!(
            verdicts(&(signed + &row("same", "", "/a", "\"form:y\"")))[0].2,
            Verdict::Hidden
        );
    }

    #[test]
    fn rows_of_other_methods_or_paths_leave_each_other_alone() {
        let rows = row("post", "\"POST\"", "/a", "") + &row("get", "\"GET\"", "/a", "") + &row("b", "", "/b", "");
        assert!(verdicts(&(rows + &row("below", "", "/a/b", ""))).is_empty());
        let found = row("first", "", "discovery:token_endpoint", "") + &row("root", "", "/", "");
        assert!(verdicts(&found).is_empty(), "a path that is not known yet is no root");
    }
}
