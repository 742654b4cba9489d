//! Values that only the upstream knows and recognition needs, such as the id of a registration form.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::time::Instant;

use super::Gate;
use crate::{
    form::Form,
    preset::{Learn, Preset},
    route::Captures,
};

/// How long a value counts before the upstream is asked again. A flow that was edited has a new one.
const FRESH: Duration = Duration::from_secs(60);

/// How many values are kept; past that they are learned anew.
const MOST: usize = 1000;

/// What was learned, by the path that was asked.
#[derive(Default)]
pub(super) struct Learned(Mutex<HashMap<String, (Instant, Option<String>)>>);

impl Learned {
    fn fresh(&self, key: &str) -> Option<Option<String>> {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (at, value) = known.get(key)?;
        (at.elapsed() < FRESH).then(|| value.clone())
    }

    fn keep(&self, key: String, value: Option<String>) {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, (Instant::now(), value));
    }
}

impl Gate {
    /// Whether one of the parameters is the value of `[learn.NAME]`.
    pub(super) async fn carries_learned<'a>(
        &self,
        preset: &Preset,
        name: &str,
        captures: &Captures,
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        let Some(learn) = preset.learn.get(name) else {
            return false;
        };
        let carried: Vec<&str> = parameters
            .filter(|(name, _)| *name == learn.parameter)
            .map(|(_, value)| value)
            .collect();
        let Some(path) = learn.path.fill(captures).filter(|_| !carried.is_empty()) else {
            return false;
        };
        let value = match self.learned.fresh(&path) {
            Some(value) => value,
            None => {
                let value = self.learn(preset, learn, captures, &path).await;
                self.learned.keep(path, value.clone());
                value
            }
        };
        value.is_some_and(|value| carried.contains(&value.as_str()))
    }

    async fn learn(&self, preset: &Preset, learn: &Learn, captures: &Captures, path: &str) -> Option<String> {
        let issuer = format!("{}{}", self.origin, preset.issuer.path.fill(captures)?);
        let mut query = Form::default();
        for (name, value) in &learn.query {
            query.set(name, value.replace("{issuer}", &issuer));
        }
        let target = format!("{path}?{}", query.to_urlencoded());
        let answer = self
            .send(Method::GET, &target, HeaderMap::new(), Bytes::new())
            .await
            .ok()?;
        let page = std::str::from_utf8(answer.body()).ok()?;
        let (_, behind) = page.split_once(&learn.after)?;
        let value = behind.split(learn.until.as_slice()).next()?;
        (answer.status().is_success() && !value.is_empty()).then(|| value.to_owned())
    }
}
