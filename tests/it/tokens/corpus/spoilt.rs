//! A sound token, spoilt in one way at a time.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::world::keys::{Key, b64, input};

/// What a token is spoilt from.
pub(super) struct Sound<'a> {
    pub(super) key: &'a Key,
    /// Somebody else's key of the same kind, under the same `kid`.
    pub(super) stranger: &'a Key,
    pub(super) header: Value,
    pub(super) claims: Value,
    pub(super) is_id: bool,
}

/// A token that a strict relying party refuses, and why.
pub(super) struct Defect {
    pub(super) what: String,
    pub(super) token: String,
}

impl Sound<'_> {
    pub(super) fn defects(&self) -> Vec<Defect> {
        let mut all = self.of_header();
        all.extend(self.of_claims());
        all.extend(self.of_hashes());
        let texts = self
            .of_signature()
            .into_iter()
            .chain(self.of_serialisation())
            .chain(self.of_duplicates());
        all.extend(texts.map(|(what, token)| Defect {
            what: what.to_owned(),
            token,
        }));
        all
    }

    fn of_header(&self) -> Vec<Defect> {
        let mut edits = vec![
            json!({"alg": "none"}),
            json!({"alg": "nOnE"}),
            json!({"alg": ""}),
            json!({"alg": null}),
            json!({"alg": 256}),
            json!({"alg": "HS256"}),
            json!({"alg": "ES256K"}),
            json!({"alg": "RS512"}),
            json!({"alg": "ES384"}),
            json!({"kid": "unheard-of"}),
            json!({"kid": "upstream-1", "alg": "RS256"}),
            json!({"kid": ""}),
            json!({"kid": 1}),
            json!({"kid": null}),
            json!({"crit": ["exp"]}),
            json!({"crit": ["b64"], "b64": false}),
            json!({"b64": false}),
            json!({"enc": "A256GCM"}),
            json!({"typ": "logout+jwt"}),
            json!({"typ": "dpop+jwt"}),
            json!({"typ": "token-introspection+jwt"}),
            json!({"typ": 1}),
        ];
        if self.is_id {
            edits.push(json!({"typ": "at+jwt"}));
        }
        let mut defects = self.each(edits, |sound, edit| {
            sound.key.sign_as(&merged(&sound.header, edit), &sound.text())
        });
        for name in ["alg", "kid"] {
            let mut header = self.header.clone();
            header.as_object_mut().unwrap().shift_remove(name);
            defects.push(Defect {
                what: format!("no `{name}`"),
                token: self.key.sign_as(&header, &self.text()),
            });
        }
        defects
    }

    fn of_claims(&self) -> Vec<Defect> {
        let now = self.claims["iat"].as_i64().unwrap();
        let iss = self.claims["iss"].as_str().unwrap();
        let mut edits = vec![
            json!({"iss": "https://attacker.example"}),
            json!({"iss": format!("{iss}/")}),
            json!({"iss": [iss]}),
            json!({"iss": null}),
            json!({"exp": now - 120}),
            json!({"exp": (now + 300).to_string()}),
            json!({"exp": null}),
            json!({"exp": -1}),
            json!({"nbf": now + 600}),
            json!({"nbf": "0"}),
            json!({"iat": now + 600}),
            json!({"iat": "0"}),
            json!({"aud": 1}),
            json!({"aud": ["web", 1]}),
            json!({"aud": null}),
            json!({"sub": 1}),
            json!({"azp": "another"}),
            json!({"azp": 1}),
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        ];
        let mut missing = vec!["iss", "exp"];
        if self.is_id {
            edits.extend([
                json!({"aud": []}),
                json!({"aud": "another"}),
                json!({"aud": ["web", "another"], "azp": "another"}),
                json!({"sub": ""}),
                json!({"nonce": [1]}),
            ]);
            missing.extend(["aud", "sub", "iat"]);
        } else {
            edits.extend([json!({"client_id": "another"}), json!({"client_id": 1})]);
        }
        let mut defects = self.each(edits, |sound, edit| sound.key.sign(&merged(&sound.claims, edit)));
        for name in missing {
            let mut claims = self.claims.clone();
            claims.as_object_mut().unwrap().shift_remove(name);
            defects.push(Defect {
                what: format!("no `{name}`"),
                token: self.key.sign(&claims),
            });
        }
        defects
    }

    /// An access token has no hashes.
    fn of_hashes(&self) -> Vec<Defect> {
        if !self.is_id {
            return Vec::new();
        }
        let edits = vec![
            json!({"at_hash": self.key.half_hash("another")}),
            json!({"at_hash": self.key.half_hash("code-1")}),
            json!({"at_hash": ""}),
            json!({"at_hash": null}),
            json!({"at_hash": format!("{}==", self.claims["at_hash"].as_str().unwrap())}),
            json!({"c_hash": self.key.half_hash("another")}),
            json!({"c_hash": 1}),
            json!({"s_hash": 1}),
        ];
        self.each(edits, |sound, edit| sound.key.sign(&merged(&sound.claims, edit)))
    }

    fn of_signature(&self) -> Vec<(&'static str, String)> {
        let token = self.key.sign(&self.claims);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let bytes = base64_url(signature);
        let with = |bytes: &[u8]| format!("{signed}.{}", b64(bytes));
        let flipped = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            with(&bytes)
        };
        let stranger = |edit: Value| self.stranger.sign_as(&merged(&self.header, &edit), &self.text());
        let other = self.key.sign(&merged(&self.claims, &json!({"jti": "another"})));
        let (other, of_another) = other.rsplit_once('.').unwrap();
        // The public key as an HMAC secret, as confused libraries took it.
        let hashed = input(
            merged(&self.header, &json!({"alg": "HS256"})).to_string().as_bytes(),
            self.text().as_bytes(),
        );
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.key.jwk().to_string().as_bytes());
        vec![
            ("its first bit flipped", flipped(0)),
            ("its last bit flipped", flipped(bytes.len() - 1)),
            ("no signature", format!("{signed}.")),
            ("half of it", with(&bytes[..bytes.len() / 2])),
            ("a zero more", with(&[bytes.as_slice(), &[0]].concat())),
            ("a zero in front", with(&[&[0], bytes.as_slice()].concat())),
            ("zeros", with(&vec![0; bytes.len()])),
            ("ones", with(&vec![0xff; bytes.len()])),
            ("another token's", format!("{signed}.{of_another}")),
            ("over another payload", format!("{other}.{signature}")),
            ("a stranger's", stranger(json!({}))),
            ("a stranger's, by jwk", stranger(json!({"jwk": self.stranger.jwk()}))),
            (
                "a stranger's, by jku",
                stranger(json!({"jku": "https://attacker.example/jwks"})),
            ),
            ("a stranger's, by x5c", stranger(json!({"x5c": ["AAAA"]}))),
            (
                "the public key as a secret",
                format!("{hashed}.{}", b64(hmac::sign(&secret, hashed.as_bytes()).as_ref())),
            ),
        ]
    }

    fn of_serialisation(&self) -> Vec<(&'static str, String)> {
        let token = self.key.sign(&self.claims);
        let (header, text) = (self.header.to_string(), self.text());
        let payload = |text: &[u8]| self.key.sign_input(&input(header.as_bytes(), text));
        let own_header = |header: &str| self.key.sign_input(&input(header.as_bytes(), text.as_bytes()));
        // Until the encoding needs one of the two characters that differ.
        let standard = ["?", "??", "???"]
            .map(|odd| STANDARD_NO_PAD.encode(merged(&self.claims, &json!({"x": odd.repeat(9)})).to_string()))
            .into_iter()
            .find(|encoded| encoded.contains(['+', '/']))
            .unwrap();
        vec![
            ("a padded signature", format!("{token}==")),
            (
                "a padded payload",
                self.key
                    .sign_input(&format!("{}=", input(header.as_bytes(), text.as_bytes()))),
            ),
            (
                "the standard alphabet",
                self.key.sign_input(&format!("{}.{standard}", b64(header.as_bytes()))),
            ),
            ("a space in front", format!(" {token}")),
            ("a line break behind", format!("{token}\n")),
            ("a header that is no JSON", own_header("alg=RS256")),
            ("a header that is a list", own_header("[]")),
            ("a payload that is a list", payload(b"[]")),
            ("an empty payload", payload(b"")),
            (
                "a payload that is not UTF-8",
                payload(&[text.as_bytes(), b"\xff"].concat()),
            ),
            ("a byte-order mark", payload(format!("\u{feff}{text}").as_bytes())),
            ("a second document", payload(format!("{text}{{}}").as_bytes())),
            ("a trailing comma", payload(text.replace('}', ",}").as_bytes())),
            (
                "half a surrogate pair",
                payload(text.replacen('{', "{\"x\":\"\\ud800\",", 1).as_bytes()),
            ),
        ]
    }

    fn of_duplicates(&self) -> Vec<(&'static str, String)> {
        let (header, text) = (self.header.to_string(), self.text());
        let payload = |more: &str| {
            let text = text.replacen('{', &format!("{{{more},"), 1);
            self.key.sign_input(&input(header.as_bytes(), text.as_bytes()))
        };
        let twice = header.replacen('{', "{\"kid\":\"other\",", 1);
        vec![
            ("a claim twice", payload("\"sub\":\"root\"")),
            ("a claim twice, once escaped", payload("\"\\u0073ub\":\"root\"")),
            (
                "the issuer twice, alike",
                payload(&format!("\"iss\":{}", self.claims["iss"])),
            ),
            ("a nested claim twice", payload("\"x\":{\"a\":1,\"a\":2}")),
            (
                "a header member twice",
                self.key.sign_input(&input(twice.as_bytes(), text.as_bytes())),
            ),
        ]
    }

    fn text(&self) -> String {
        self.claims.to_string()
    }

    fn each(&self, edits: Vec<Value>, token: impl Fn(&Self, &Value) -> String) -> Vec<Defect> {
        let spoilt = edits.into_iter().map(|edit| Defect {
            token: token(self, &edit),
            what: edit.to_string(),
        });
        spoilt.collect()
    }
}

fn merged(members: &Value, edit: &Value) -> Value {
    let mut all: Map<String, Value> = members.as_object().unwrap().clone();
    all.extend(edit.as_object().unwrap().clone());
    Value::Object(all)
}

fn base64_url(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}
