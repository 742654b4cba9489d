//! What a `proxy.toml` of a test says.

use std::{collections::HashMap, fmt::Write as _};

use tollgate::{clock::Clock, event::Trigger};

/// A configuration in the making. Every trigger has one interceptor, named like it, that fails closed.
#[derive(Clone)]
pub(crate) struct Setup {
    environment: &'static str,
    preset: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) clock: Clock,
    routes: &'static str,
    sections: HashMap<&'static str, String>,
    policies: HashMap<Trigger, String>,
    triggers: Vec<Trigger>,
    more: String,
}

/// Where everything is.
pub(crate) struct Places<'a> {
    pub(crate) address: &'a str,
    pub(crate) public: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) hooks: &'a str,
    pub(crate) keys: &'a str,
}

impl Setup {
    /// In front of the demo provider, with its signup and its invitations as operator's routes.
    pub(crate) fn generic() -> Self {
        Self::preset("generic", DEMO_ROUTES)
    }

    pub(crate) fn keycloak() -> Self {
        Self::preset("keycloak", "")
    }

    /// With this preset and no route of the operator's.
    pub(crate) fn of(preset: &'static str) -> Self {
        Self::preset(preset, "")
    }

    /// Lines at the end of the file; `{hooks}` stands for the interceptors' address.
    pub(crate) fn more(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self.more.push('\n');
        self
    }

    /// Lines in `[listen]`, `[upstream]`, `[tokens]`, `[admin]`, or at the top (`""`).
    pub(crate) fn section(mut self, name: &'static str, lines: &str) -> Self {
        let section = self.sections.entry(name).or_default();
        section.push_str(lines);
        section.push('\n');
        self
    }

    /// Other lines for the interceptor of a trigger, in the place of `on_failure = "deny"`.
    pub(crate) fn policy(mut self, trigger: Trigger, lines: &str) -> Self {
        self.policies.insert(trigger, lines.to_owned());
        self
    }

    /// Interceptors for these triggers alone.
    pub(crate) fn only(mut self, triggers: &[Trigger]) -> Self {
        self.triggers = triggers.to_vec();
        self
    }

    /// With a public URL of `https`.
    pub(crate) fn https(mut self) -> Self {
        self.scheme = "https";
        self
    }

    /// In another environment than `test`.
    pub(crate) fn environment(mut self, name: &'static str) -> Self {
        self.environment = name;
        self
    }

    /// By another clock than the machine's.
    pub(crate) fn at(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn toml(&self, places: &Places<'_>) -> String {
        let Places {
            address,
            public,
            upstream,
            hooks,
            keys,
        } = places;
        let section = |name: &str| self.sections.get(name).map(String::as_str).unwrap_or_default();
        let mut text = format!(
            "environment = \"{}\"\n{}\n\
             [listen]\naddress = \"{address}\"\npublic_url = \"{}://{public}\"\n{}\n\
             [upstream]\nurl = \"{upstream}\"\npreset = \"{}\"\n{}\n\
             [tokens]\nkeys = \"{keys}/signing\"\ncapsule_secret = {{ file = \"{keys}/capsule.key\" }}\n{}\n\
             [admin]\n{}\n",
            self.environment,
            section(""),
            self.scheme,
            section("listen"),
            self.preset,
            section("upstream"),
            section("tokens"),
            match section("admin") {
                lines if lines.contains("address") => lines.to_owned(),
                lines => format!("address = \"127.0.0.1:0\"\n{lines}"),
            },
        );
        for trigger in &self.triggers {
            let policy = self
                .policies
                .get(trigger)
                .map_or("on_failure = \"deny\"", String::as_str);
            write!(
                text,
                "[[interceptor]]\nname = \"{trigger}\"\ntrigger = \"{trigger}\"\nendpoint = \"{hooks}/{trigger}\"\n\
                 secret = {{ file = \"hook.key\" }}\n{policy}\n\n",
            )
            .unwrap();
        }
        text.push_str(self.routes);
        text.push_str(&self.more.replace("{hooks}", hooks));
        text
    }

    fn preset(preset: &'static str, routes: &'static str) -> Self {
        Self {
            environment: "test",
            preset,
            scheme: "http",
            clock: Clock::system(),
            routes,
            sections: HashMap::new(),
            policies: HashMap::new(),
            triggers: Trigger::ALL.to_vec(),
            more: String::new(),
        }
    }
}

const DEMO_ROUTES: &str = r#"
[[route]]
name = "signup"
methods = ["POST"]
path = "/signup"
does = "consult"
trigger = "PRE_SIGNUP"
bodies = ["form", "multipart"]
denial = "page"
facts = { "user.email" = "form:email", "user.name" = "form:name" }

[[route]]
name = "create-user"
methods = ["POST"]
path = "/api/users"
does = "consult"
trigger = "PRE_USER_INVITATION"
bodies = ["json"]
facts = { "user.email" = "json:/email", "user.name" = "json:/name", "inviter.id" = "caller:/sub", "inviter.email" = "caller:/email" }

[[route]]
name = "invite"
methods = ["POST"]
path = "/api/organizations/{organization}/invitations"
does = "consult"
trigger = "PRE_USER_INVITATION"
bodies = ["json"]
facts = { "organization.id" = "path:organization", "user.email" = "json:/email", "inviter.id" = "caller:/sub" }
"#;
