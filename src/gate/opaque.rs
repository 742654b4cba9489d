//! Opaque access tokens on their way out: wrapped, or made JWTs where the operator wants that and all that it takes is known.

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Gate,
    consult::Allowed,
    issued::{Issued, Tokens, subject},
    tokens::{Grant, unsigned},
};
use crate::{
    audit::Entry,
    event::{Event, Trigger},
    form::Form,
    json,
    refusal::Refusal,
    token::{AccessWrap, Opaque, Wrap},
};

/// Claims of the ID token that say how its user logged in (RFC 9068 §2.2.1).
const OF_THE_LOGIN: [&str; 3] = ["auth_time", "acr", "amr"];

impl Gate {
    /// What the client gets in the place of an opaque access token.
    ///
    /// # Errors
    /// It cannot be sealed or signed, or the audit cannot be written.
    pub(super) async fn opaque(
        &self,
        grant: &Grant<'_>,
        issued: &Issued,
        original: &str,
        tokens: &Tokens,
        event: &Event,
        allowed: &Allowed,
    ) -> Result<String, Refusal> {
        let add = &allowed.additions;
        if self.opaque == Opaque::Jwt {
            match self.profile(grant, issued, original, tokens, event).await {
                Ok(claims) => {
                    let like = tokens.id.as_ref().map(|id| id.algorithm());
                    let now = self.clock.now();
                    let signed = self
                        .reissuer
                        .opaque_token(original, claims, &add.access_token, like, now);
                    let signed = signed.map_err(|e| unsigned(&e))?;
                    self.metrics.reissued("access_token");
                    return Ok(signed);
                }
                Err(missing) => self.stays_wrapped(event, missing).await?,
            }
        }
        let existing = tokens.claims();
        let mut claims = Map::new();
        claims.insert("iss".into(), json!(grant.issuer.identifier()));
        for (name, value) in [
            ("sub", subject(&existing)),
            ("client_id", event.context.client_id.as_deref()),
        ] {
            if let Some(value) = value {
                claims.insert(name.into(), json!(value));
            }
        }
        let wrap = Wrap::Access(AccessWrap {
            original: original.to_owned(),
            added: add.access_token.clone(),
            told: add.id_token.clone(),
            claims,
        });
        let wrapped = self.reissuer.wrap(&wrap, self.clock.now()).map_err(|e| unsigned(&e))?;
        self.metrics.wrapped("access_token");
        Ok(wrapped)
    }

    /// The claims of RFC 9068 §2.2, each from where it is known. None is made up: an error says what is not known.
    async fn profile(
        &self,
        grant: &Grant<'_>,
        issued: &Issued,
        original: &str,
        tokens: &Tokens,
        event: &Event,
    ) -> Result<Map<String, Value>, &'static str> {
        let about = &issued.about;
        let is_bearer = about
            .token_type
            .as_deref()
            .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        if grant.target.may_be_bound || !is_bearer {
            return Err("the provider may have bound it to a key or a certificate, and does not say to which");
        }
        let audience = self.audience_for(grant.target.resource.as_deref())?;
        let client_id = event.context.client_id.as_deref().ok_or("the client is not known")?;
        let lifetime = about.expires_in.ok_or("the answer has no `expires_in`")?;
        let subject = if event.trigger == Trigger::PreM2mTokenCreation {
            client_id.to_owned()
        } else {
            match subject(&tokens.claims()) {
                Some(subject) => subject.to_owned(),
                None => self
                    .subject_of(grant, original)
                    .await
                    .ok_or("neither an ID token, nor userinfo, nor introspection says whose it is")?,
            }
        };
        let now = self.clock.now().as_second();
        let mut claims = Map::new();
        claims.insert("iss".into(), json!(grant.issuer.identifier()));
        claims.insert("sub".into(), json!(subject));
        claims.insert("aud".into(), json!(audience));
        claims.insert("client_id".into(), json!(client_id));
        claims.insert("iat".into(), json!(now));
        claims.insert("exp".into(), json!(now.saturating_add(lifetime)));
        claims.insert("jti".into(), json!(Uuid::now_v7().to_string()));
        // RFC 6749 §5.1: an answer without a scope means the one that was asked for. A refresh need not ask again.
        let asked = event
            .context
            .auth_request
            .as_ref()
            .and_then(|asked| asked.scope.as_ref());
        if let Some(scope) = about.scope.as_ref().or(asked) {
            claims.insert("scope".into(), json!(scope));
        }
        for name in OF_THE_LOGIN {
            if let Some(value) = tokens.id.as_ref().and_then(|id| id.claims().get(name)) {
                claims.insert(name.into(), value.clone());
            }
        }
        Ok(claims)
    }

    /// The resource server that a token is for. One that a client names counts only where the operator lists it: an upstream
    /// that does not know the parameter overlooks it, and a client must not choose by itself who takes its token.
    fn audience_for<'a>(&'a self, asked: Option<&'a str>) -> Result<&'a str, &'static str> {
        let Some(asked) = asked else {
            let mut usual = self.audience.iter().filter(|listed| !listed.ends_with('*'));
            let usual = usual.next().map(String::as_str);
            return usual.ok_or("neither the request nor `tokens.audience` says which resource server it is for");
        };
        let fits = |listed: &String| match listed.strip_suffix('*') {
            Some(prefix) => asked.starts_with(prefix),
            None => listed == asked,
        };
        if self.audience.iter().any(fits) {
            return Ok(asked);
        }
        Err("the resource server that the request names is not listed in `tokens.audience`")
    }

    /// Whose an opaque token is, by the upstream's own word.
    async fn subject_of(&self, grant: &Grant<'_>, original: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {original}")).ok()?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(path) = grant.issuer.endpoint("userinfo_endpoint")
            && let Some(told) = self.told(Method::GET, &path, headers, Form::default()).await
            && let Some(Value::String(subject)) = told.get("sub")
        {
            return Some(subject.clone());
        }
        let path = grant.issuer.endpoint("introspection_endpoint")?;
        let (mut headers, mut form) = (HeaderMap::new(), Form::default());
        form.set("token", original);
        form.set("token_type_hint", "access_token");
        if !grant.target.authentication.as_ref()?.repeat(&mut headers, &mut form) {
            return None;
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let told = self.told(Method::POST, &path, headers, form).await?;
        if told.get("active") != Some(&Value::Bool(true)) {
            return None;
        }
        told.get("sub")?.as_str().map(str::to_owned)
    }

    /// A JSON object that the upstream answers with.
    async fn told(&self, method: Method, path: &str, headers: HeaderMap, form: Form) -> Option<Map<String, Value>> {
        let body = form.to_urlencoded().into_bytes();
        let answer = self.send(method, path, headers, body.into()).await.ok()?;
        match json::parse(answer.body()) {
            Ok(Value::Object(members)) if answer.status().is_success() => Some(members),
            _ => None,
        }
    }

    async fn stays_wrapped(&self, event: &Event, missing: &'static str) -> Result<(), Refusal> {
        let request_id = &event.context.request_id;
        tracing::warn!(
            request_id,
            client_id = event.context.client_id.as_deref(),
            "an opaque access token stays opaque, with `opaque = \"jwt\"`: {missing}"
        );
        let entry = Entry::of_failure("opaque_token_stays_wrapped", missing).about(event);
        let recorded = self.audit.record(vec![entry]).await;
        recorded.map_err(|e| Refusal::ourselves(format!("the audit cannot be written: {e}")))?;
        Ok(())
    }
}
