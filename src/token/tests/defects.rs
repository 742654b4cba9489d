//! Every defect that a strict relying party refuses: a token that has one must never be signed anew.

use super::*;

mod in_claims;
mod in_signature;

/// A sound token of one kind, to be spoilt in one way at a time.
struct Sound {
    algorithm: Algorithm,
    expected: Expected<'static>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

type Defects = Vec<(String, String)>;

#[test]
fn no_token_with_a_defect_is_verified() {
    let mut kinds_of_defects = 0;
    for algorithm in ALGORITHMS {
        for (claims, expected) in [(access_claims(), EXPECTED_ACCESS), (id_claims(algorithm), EXPECTED_ID)] {
            let sound = Sound {
                algorithm,
                expected,
                header: header(&world().upstream, algorithm),
                claims,
            };
            assert!(sound.verify(&sound.token()).is_ok());
            let mut defects = sound.in_structure();
            defects.extend(sound.in_header());
            defects.extend(sound.in_signature());
            defects.extend(sound.in_claims());
            kinds_of_defects = kinds_of_defects.max(defects.len());
            for (defect, raw) in &defects {
                let outcome = sound.verify(raw);
                assert!(outcome.is_err(), "{algorithm}, id token: {}: {defect}", sound.is_id());
            }
        }
    }
    assert!(kinds_of_defects >= 57, "{kinds_of_defects}");
}

#[test]
fn what_cannot_be_signed_anew_is_told_from_what_is_wrong() {
    let algorithm = Algorithm::RS256;
    let check = |raw: &str| verify(raw, &world().upstream_keys, &EXPECTED_ACCESS, now()).unwrap_err();
    let mut header = header(&world().upstream, algorithm);

    assert_eq!(check("opaque"), Unverified::NotAJwt);
    assert_eq!(check("e30.e30"), Unverified::NotAJwt);
    assert_eq!(check("e30.e30.e30.e30.e30"), Unverified::Encrypted);
    header.insert("kid".into(), "unheard-of".into());
    assert_eq!(
        check(&sign_values(&world().upstream, algorithm, &header, &access_claims())),
        Unverified::UnknownKey {
            kid: Some("unheard-of".into())
        }
    );
    header.insert("alg".into(), "HS512".into());
    assert_eq!(
        check(&sign_values(&world().upstream, algorithm, &header, &access_claims())),
        Unverified::Symmetric("HS512".into())
    );
}

#[test]
fn the_key_decides_which_algorithm_may_be_named() {
    // The key set says RS256; a sound PS256 signature of the same key is refused.
    let kid = world().upstream.signing_kid(Algorithm::RS256, now()).unwrap();
    let mut jwks = world().upstream.jwks(now());
    for key in jwks["keys"].as_array_mut().unwrap() {
        if key["kid"] == kid {
            key["alg"] = "RS256".into();
        }
    }
    let keys = UpstreamKeys::parse(jwks.to_string().as_bytes()).unwrap();
    let check = |raw: &str| verify(raw, &keys, &EXPECTED_ACCESS, now()).map(|_| ());
    assert_eq!(check(&access_token(Algorithm::RS256)), Ok(()));
    assert_eq!(check(&access_token(Algorithm::PS256)), Err(Unverified::Algorithm));
}

#[test]
fn an_id_token_is_for_somebody_even_where_the_client_is_not_known() {
    let upstream = &world().upstream;
    let check = |audiences: Value| {
        let mut claims = id_claims(Algorithm::ES256);
        claims.insert("aud".into(), audiences);
        let raw = sign_values(upstream, Algorithm::ES256, &header(upstream, Algorithm::ES256), &claims);
        verify(&raw, &world().upstream_keys, &EXPECTED_ID_OF_ANYBODY, now()).map(|_| ())
    };
    assert_eq!(check(json!(["another"])), Ok(()));
    let missing = Unverified::Claim {
        claim: "aud",
        problem: "is missing",
    };
    assert_eq!(check(json!([])), Err(missing));
}

impl Sound {
    fn is_id(&self) -> bool {
        matches!(self.expected.kind, Kind::IdToken { .. })
    }

    fn verify(&self, raw: &str) -> Result<Verified, Unverified> {
        verify(raw, &world().upstream_keys, &self.expected, now())
    }

    fn token(&self) -> String {
        self.signed(&self.header, &self.claims)
    }

    fn signed(&self, header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
        sign_values(&world().upstream, self.algorithm, header, claims)
    }

    fn with_payload(&self, payload: impl AsRef<[u8]>) -> String {
        sign(
            &world().upstream,
            self.algorithm,
            &bytes(&self.header),
            payload.as_ref(),
        )
    }

    fn with_header_text(&self, header: impl AsRef<[u8]>) -> String {
        sign(&world().upstream, self.algorithm, header.as_ref(), &bytes(&self.claims))
    }

    /// Defects of the serialisation, each signed as it stands where that can be.
    fn in_structure(&self) -> Defects {
        let token = self.token();
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            unreachable!()
        };
        let claims = String::from_utf8(bytes(&self.claims)).unwrap();
        let own = |input: String| sign_input(&world().upstream, self.algorithm, input);
        let inside = claims.strip_prefix('{').unwrap();
        // Three bytes more or less until bits are left over behind the last one.
        let padded = (0..3)
            .map(|spaces| format!("{claims}{}", " ".repeat(spaces)))
            .find(|text| text.len() % 3 == 1)
            .unwrap();
        let left_over = {
            let encoded = URL_SAFE_NO_PAD.encode(&padded);
            let (rest, last) = encoded.split_at(encoded.len() - 1);
            let next = char::from(last.as_bytes()[0] + 1);
            format!("{rest}{next}")
        };
        named([
            ("nothing", String::new()),
            ("two parts", format!("{header}.{payload}")),
            ("four parts", format!("{token}.{signature}")),
            ("five parts", format!("{token}.{payload}.{signature}")),
            ("a dot behind", format!("{token}.")),
            ("a dot in front", format!(".{token}")),
            ("a padded signature", format!("{token}=")),
            ("a padded header", own(format!("{header}=.{payload}"))),
            ("a padded payload", own(format!("{header}.{payload}=="))),
            ("bits left over", own(format!("{header}.{left_over}"))),
            ("a space in front", format!(" {token}")),
            ("a line break behind", format!("{token}\n")),
            ("a line break inside", own(format!("{header}.{payload}\n"))),
            ("the standard alphabet", self.with_standard_alphabet()),
            (
                "the JSON serialisation",
                json!({"protected": header, "payload": payload, "signature": signature}).to_string(),
            ),
            ("a header that is no JSON", self.with_header_text("alg=RS256")),
            ("a header that is a list", self.with_header_text("[]")),
            ("an empty header", own(format!(".{payload}"))),
            ("a payload that is a list", self.with_payload("[]")),
            ("a payload that is a string", self.with_payload("\"iss\"")),
            ("an empty payload", own(format!("{header}."))),
            (
                "a payload that is not UTF-8",
                self.with_payload([claims.as_bytes(), b"\xff"].concat()),
            ),
            (
                "a payload in UTF-16",
                self.with_payload(claims.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
            ),
            ("a byte-order mark", self.with_payload(format!("\u{feff}{claims}"))),
            ("a second document", self.with_payload(format!("{claims}{{}}"))),
            ("a NUL behind", self.with_payload(format!("{claims}\0"))),
            ("a comment", self.with_payload(format!("{claims}//"))),
            (
                "a trailing comma",
                self.with_payload(format!("{},}}", claims.strip_suffix('}').unwrap())),
            ),
            (
                "a claim twice",
                self.with_payload(format!("{{\"sub\":\"u-2\",{inside}")),
            ),
            (
                "a claim twice, once escaped",
                self.with_payload(format!("{{\"\\u0073ub\":\"u-2\",{inside}")),
            ),
            (
                "a nested claim twice",
                self.with_payload(format!("{{\"x\":{{\"a\":1,\"a\":2}},{inside}")),
            ),
            (
                "nested too deep",
                self.with_payload(format!("{{\"x\":{}{},{inside}", "[".repeat(40), "]".repeat(40))),
            ),
            (
                "half a surrogate pair",
                self.with_payload(format!("{{\"x\":\"\\ud800\",{inside}")),
            ),
            (
                "a control character",
                self.with_payload(format!("{{\"x\":\"\u{1}\",{inside}")),
            ),
            (
                "too long",
                self.with_payload(format!("{{\"x\":\"{}\",{inside}", "a".repeat(jws::MAX_TOKEN))),
            ),
            ("a header member twice", {
                let text = String::from_utf8(bytes(&self.header)).unwrap();
                self.with_header_text(text.replacen('{', "{\"kid\":\"other\",", 1))
            }),
        ])
    }

    /// A payload whose encoding needs `-` and `_`, spelt with `+` and `/` and signed so.
    fn with_standard_alphabet(&self) -> String {
        let mut claims = self.claims.clone();
        claims.insert("x".into(), "???>>>~~~".repeat(3).into());
        let encoded = STANDARD.encode(bytes(&claims));
        assert!(encoded.contains(['+', '/']));
        let header = URL_SAFE_NO_PAD.encode(bytes(&self.header));
        let input = format!("{header}.{}", encoded.trim_end_matches('='));
        sign_input(&world().upstream, self.algorithm, input)
    }

    fn in_header(&self) -> Defects {
        let edited = |edit: Value| {
            let mut header = self.header.clone();
            header.extend(object(edit));
            header
        };
        let mut defects: Defects = [
            json!({"alg": "none"}),
            json!({"alg": "NONE"}),
            json!({"alg": "nOnE"}),
            json!({"alg": ""}),
            json!({"alg": null}),
            json!({"alg": 256}),
            json!({"alg": ["RS256"]}),
            json!({"alg": self.algorithm.name().to_lowercase()}),
            json!({"alg": format!("{} ", self.algorithm)}),
            json!({"alg": "ES256K"}),
            json!({"alg": "RSA-OAEP"}),
            json!({"alg": "HS256"}),
            json!({"kid": 1}),
            json!({"kid": null}),
            json!({"kid": ""}),
            json!({"kid": "../../../dev/null"}),
            json!({"kid": "' OR 1=1 --"}),
            json!({"crit": ["exp"]}),
            json!({"crit": []}),
            json!({"crit": ["b64"], "b64": false}),
            json!({"b64": false}),
            json!({"b64": true}),
            json!({"enc": "A256GCM"}),
            json!({"typ": "logout+jwt"}),
            json!({"typ": "LOGOUT+JWT"}),
            json!({"typ": "application/logout+jwt"}),
            json!({"typ": "dpop+jwt"}),
            json!({"typ": "secevent+jwt"}),
            json!({"typ": "token-introspection+jwt"}),
            json!({"typ": "oauth-authz-req+jwt"}),
            json!({"typ": "JOSE"}),
            json!({"typ": ""}),
            json!({"typ": 1}),
            json!({"typ": null}),
        ]
        .into_iter()
        .map(|edit| (edit.to_string(), self.signed(&edited(edit), &self.claims)))
        .collect();

        for missing in ["alg", "kid"] {
            let mut header = self.header.clone();
            header.remove(missing);
            defects.push((format!("no `{missing}`"), self.signed(&header, &self.claims)));
        }
        // Another algorithm's label on a sound signature, of the same key or of another one.
        for label in Algorithm::ALL.into_iter().filter(|label| *label != self.algorithm) {
            let relabelled = edited(json!({"alg": label.name()}));
            defects.push((format!("labelled {label}"), self.signed(&relabelled, &self.claims)));
        }
        for other in ALGORITHMS
            .into_iter()
            .filter(|other| other.family() != self.algorithm.family())
        {
            let kid = world().upstream.signing_kid(other, now()).unwrap();
            let misled = edited(json!({"kid": kid}));
            defects.push((
                format!("the kid of the key for {other}"),
                self.signed(&misled, &self.claims),
            ));
        }
        if self.is_id() {
            defects.push((
                "typ at+jwt".into(),
                self.signed(&edited(json!({"typ": "at+jwt"})), &self.claims),
            ));
        }
        defects
    }
}

fn named<const N: usize>(defects: [(&str, String); N]) -> Defects {
    defects.into_iter().map(|(name, raw)| (name.to_owned(), raw)).collect()
}
