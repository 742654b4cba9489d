//! Whatever a browser, or what pretends to be one, sends to any route: an answer that is no error of ours, with every header that protects
//! whoever looks at it.

use std::fs;

use super::{csrf, decide, text};
use crate::world::{Answer, Setup, World, client::Client, proxy::ADMIN_TOKEN};

/// Requests to each route with each method.
const ROUNDS: usize = 20;

const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TEAPOT"];

/// Names of pages that there are.
const KNOWN: [&str; 6] = ["PRE_SIGNUP", "PRE_SESSION_CREATION", "1", "2", "3", "dashboard.css"];

/// What a name in a path, a parameter or a field may be.
const VALUES: [&str; 46] = [
    "",
    "0",
    "1",
    "2",
    "-1",
    "+1",
    "00001",
    "1e9",
    "NaN",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "PRE_SIGNUP",
    "PRE_SESSION_CREATION",
    "pre_signup",
    "allow",
    "deny",
    "consult",
    "rule",
    "24h",
    "99999999999999999999d",
    "0s",
    "-5m",
    "9999-12-31T23:59:59Z",
    "-009999-01-01T00:00:00Z",
    "2026-02-30",
    "2026-11-23T10:15:60Z",
    "@",
    "@example.com",
    "*",
    "ada*",
    "%",
    "_",
    "\\",
    "' OR 1=1 --",
    "\"; DROP TABLE record; --",
    "../../etc/passwd",
    "..\\..\\x",
    "\u{0}",
    "\r\nSet-Cookie: a=b",
    "\u{202e}\u{feff}\u{10ffff}",
    "{\"trigger_point\":\"PRE_SIGNUP\",\"interceptor_context\":{},\"data\":{\"user\":{}}}",
    "{\"a\":[[[[[[[[",
    "[]",
];

const NAMES: [&str; 40] = [
    "text",
    "user",
    "client",
    "request",
    "trigger",
    "decision",
    "decided_by",
    "interceptor",
    "kind",
    "realm",
    "operation",
    "status",
    "since",
    "until",
    "before",
    "after",
    "live",
    "range",
    "record",
    "case",
    "event",
    "action",
    "note",
    "limit",
    "pace",
    "method",
    "url",
    "form",
    "headers",
    "token",
    "code",
    "state",
    "error",
    "error_description",
    "iss",
    "next",
    "back",
    "csrf",
    "",
    "a[b]",
];

/// Queries and bodies that no encoder makes.
const BROKEN: [&str; 8] = [
    "%",
    "%zz=%",
    "a=%ff%fe&b=%c0%af",
    "&&&===&",
    "=%00",
    "before=1&before=2",
    "%e2%80=x",
    "a;b;c",
];

/// SplitMix64: the same requests at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len())]
    }

    fn value(&mut self) -> String {
        match self.roll(20) {
            0 => "x".repeat(4_000),
            1 => "\u{1f9ea}".repeat(300),
            _ => self.of(&VALUES).to_owned(),
        }
    }

    fn pairs(&mut self, csrf: &str) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for _ in 0..self.roll(6) {
            let value = self.value();
            pairs.append_pair(self.of(&NAMES), &value);
        }
        if !csrf.is_empty() {
            pairs.append_pair("csrf", csrf);
        }
        pairs.finish()
    }

    fn target(&mut self, route: &str) -> String {
        let mut target = String::new();
        for segment in route.split_inclusive('/') {
            let (name, slash) = segment.strip_suffix('/').map_or((segment, ""), |name| (name, "/"));
            match name.starts_with('{') {
                true if self.roll(3) > 0 => target.push_str(self.of(&KNOWN)),
                true => target.extend(form_urlencoded::byte_serialize(self.value().as_bytes())),
                false => target.push_str(name),
            }
            target.push_str(slash);
        }
        match self.roll(4) {
            0 => target,
            1 => format!("{target}?{}", self.of(&BROKEN)),
            _ => format!("{target}?{}", self.pairs("")),
        }
        .replace('+', "%20")
    }

    /// A content type and a body, which fit each other or not.
    fn body(&mut self, csrf: &str) -> (&'static str, Vec<u8>) {
        let token = if self.roll(3) > 0 { csrf } else { "" };
        match self.roll(18) {
            0 => ("application/json", self.value().into_bytes()),
            1 => (
                "application/json",
                format!("csrf={csrf}&{}", self.of(&BROKEN)).into_bytes(),
            ),
            2 => (
                "multipart/form-data; boundary=x",
                format!("--x\r\ncontent-disposition: form-data; name=csrf\r\n\r\n{csrf}\r\n--x").into_bytes(),
            ),
            3 => ("multipart/form-data", b"--\r\n".to_vec()),
            4 => ("text/plain; charset=utf-16", vec![0xff, 0xfe, 0, 0xd8]),
            5 => (
                "application/x-www-form-urlencoded",
                format!("{}&csrf={csrf}", self.of(&BROKEN)).into_bytes(),
            ),
            6 => (
                "application/x-www-form-urlencoded",
                [b"event=\xff\xfe&csrf=".as_slice(), csrf.as_bytes()].concat(),
            ),
            7 if self.roll(8) == 0 => ("application/x-www-form-urlencoded", vec![b'a'; 600 * 1024]),
            _ => ("application/x-www-form-urlencoded", self.pairs(token).into_bytes()),
        }
    }
}

/// Every path that the dashboard has a route for, as its source has them.
fn routes() -> Vec<String> {
    fn read(folder: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(path.to_str().unwrap(), found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let of = source.split(".route(\"").skip(1);
                found.extend(of.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    read("src/dashboard", &mut found);
    let source = fs::read_to_string("src/dashboard.rs").unwrap();
    found.extend(
        source
            .split(".route(\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned()),
    );
    found.sort();
    found
}

fn protects(what: &str, answer: &Answer) {
    assert!(answer.status < 500, "{what}: {answer:?}");
    for name in [
        "referrer-policy",
        "x-content-type-options",
        "x-frame-options",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "cache-control",
    ] {
        assert!(answer.header(name).is_some(), "{what} has no {name}: {answer:?}");
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'"),
        "{what}: {policy}"
    );
    assert!(
        answer.header("set-cookie").is_none_or(|cookie| !cookie.contains("a=b")),
        "{what}: {answer:?}"
    );
    assert!(!answer.text().contains("panicked"), "{what}: {answer:?}");
}

async fn throw(world: &World, bearer: &str, seed: u64) -> usize {
    let mut dice = Dice(seed);
    let dashboard = world.dashboard();
    let token = match bearer {
        "" => csrf(&text(&dashboard, "/routes").await),
        _ => String::new(),
    };
    let mut sent = 0;
    for route in routes().iter().map(String::as_str).chain([
        "/nowhere",
        "/log/",
        "//",
        "/assets/../keys",
        "/interceptors/PRE_SIGNUP/test/none",
    ]) {
        for method in METHODS {
            for _ in 0..ROUNDS {
                let target = dice.target(route);
                let call = with_habits(dashboard.call(method, &target), bearer, &mut dice);
                let call = match method {
                    "POST" | "PUT" | "PATCH" => {
                        let (media_type, body) = dice.body(&token);
                        call.body(media_type, body)
                    }
                    _ => call,
                };
                let answer = call.send().await;
                protects(&format!("{method} {target}"), &answer);
                sent += 1;
            }
        }
    }
    sent
}

fn with_habits<'c>(
    call: crate::world::client::Call<'c>,
    bearer: &str,
    dice: &mut Dice,
) -> crate::world::client::Call<'c> {
    let call = match dice.roll(6) {
        0 => call.header("accept", "application/json"),
        1 => call.header("hx-request", "true").header("hx-target", "\"><script>"),
        2 => call.header("cookie", "__Host-tollgate=AAAA; tollgate=%ff; =; ;;"),
        3 => call.header("range", "bytes=5-1").header("if-none-match", "\"\"\""),
        4 => call
            .header("accept-language", "\u{7f}".trim_matches('\u{7f}'))
            .header("origin", "null"),
        _ => call.header("accept", "text/html"),
    };
    match bearer {
        "" => call,
        bearer if dice.roll(5) > 0 => call.bearer(bearer),
        _ => call.header("authorization", "Bearer \"guess\""),
    }
}

#[tokio::test]
async fn no_request_makes_an_error_of_ours_or_an_answer_without_protection() {
    let world = World::start("").await;
    decide(&world).await;
    let sent = throw(&world, "", 1).await;
    assert!(sent >= 2_000, "{sent}");
    let again: Client = world.dashboard();
    assert_eq!(again.call("GET", "/").send().await.status, 200);
}

#[tokio::test]
async fn nor_does_one_with_the_token_of_an_operator() {
    let world = World::with(Setup::generic().section("admin", "token = { file = \"admin.token\" }")).await;
    decide(&world).await;
    throw(&world, ADMIN_TOKEN, 2).await;
}
