//! From a whole request to the route it is. Every request that a token endpoint would act upon is asked about or refused, and so is every signup form.
//!
//! Input: the method, the request target and the body, each on a line of its own.

use std::{path::Path, sync::OnceLock};

use http::{Method, Uri};
use tollgate::{
    form::Form,
    gate::preview::{Explanation, Question, explain},
    json,
    preset::Preset,
    route::Action,
};

pub(crate) fn run(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let (method, url, body) = (lines.next(), lines.next(), lines.next());
    let (Some(Ok(method)), Some(Ok(url))) = (method.map(Method::from_bytes), url.map(Uri::try_from)) else {
        return;
    };
    // A form that cannot be read is refused where a route takes one.
    let Ok(form) = Form::urlencoded(body.unwrap_or_default()) else {
        return;
    };
    let asked = Question {
        method,
        url,
        form,
        json: json::parse(body.unwrap_or_default()).ok(),
        ..Question::default()
    };
    for preset in presets() {
        judge(preset, &asked);
    }
}

fn judge(preset: &Preset, asked: &Question) {
    let explanation = explain(preset, "fuzz", asked);
    let is_post = asked.method == Method::POST;
    let path = asked.url.path();
    let is_token = path.ends_with("/protocol/openid-connect/token")
        && path.split('/').count() == 6
        && path.starts_with("/realms/");
    let Explanation::Routed { found, .. } = explanation else {
        return;
    };
    let Some(found) = found else {
        assert!(
            !is_token || preset.name != "keycloak",
            "{} {path:?} streams through",
            asked.method
        );
        return;
    };
    let route = &found.candidate.route;
    if route.does == Action::Tokens && found.refusal.is_none() {
        assert!(
            !found.consults.is_empty(),
            "nobody would be asked about {:?}",
            asked.form
        );
    }
    if is_token && is_post && preset.name == "keycloak" {
        assert_eq!(route.does, Action::Tokens, "{path:?} is {}", route.name);
    }
    let is_login = matches!(
        path.split('/').collect::<Vec<_>>()[..],
        ["", "realms", _, "login-actions", _]
    );
    let has = |field: &&str| asked.form.get(field).is_some();
    if is_post && is_login && preset.name == "keycloak" && ["email", "firstName", "password-confirm"].iter().all(has) {
        assert!(
            found.refusal.is_some() || !found.consults.is_empty(),
            "{path:?} is no signup"
        );
    }
}

fn presets() -> &'static [Preset] {
    static PRESETS: OnceLock<Vec<Preset>> = OnceLock::new();
    PRESETS.get_or_init(|| {
        let known = Preset::names().map(|name| Preset::load(name, Path::new("."), &[]).expect("a built-in preset"));
        let endpoint = |member: &str| Some(format!("/oauth2/{}", member.trim_end_matches("_endpoint")));
        known.map(|preset| preset.discovered(endpoint)).collect()
    })
}
