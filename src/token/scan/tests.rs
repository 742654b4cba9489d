use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::json;

use super::*;

#[derive(Clone, Copy)]
struct Names;

impl Known for Names {
    fn owner(&self, kid: &str) -> Option<Owner> {
        match kid {
            "upstream" => Some(Owner::Upstream),
            "ours" => Some(Owner::Ours),
            _ => None,
        }
    }

    fn is_issuer(&self, iss: &str) -> bool {
        iss.starts_with("https://id.example/")
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn token(header: &Value, claims: &Value) -> String {
    format!("{}.{}.c2lnbmF0dXJl", part(header), part(claims))
}

fn native() -> String {
    token(
        &json!({"alg": "RS256", "typ": "JWT", "kid": "upstream"}),
        &json!({"sub": "ada"}),
    )
}

/// What comes out of chunks, and what was found.
fn scanned<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> (Vec<u8>, Option<Sighting>) {
    let (mut scanner, mut out) = (Scanner::new(Names), Vec::new());
    for chunk in chunks {
        match scanner.feed(Bytes::copy_from_slice(chunk)) {
            Ok(free) => out.extend_from_slice(&free),
            Err(found) => return (out, Some(found)),
        }
    }
    match scanner.finish() {
        Ok(free) => out.extend_from_slice(&free),
        Err(found) => return (out, Some(found)),
    }
    (out, None)
}

#[test]
fn a_token_is_found_wherever_it_stands_and_however_it_is_cut() {
    let native = native();
    for (before, after) in [
        ("", ""),
        ("{\"access_token\":\"", "\"}"),
        ("state=x&id_token=", "&token_type=Bearer"),
        ("https://rp.example/cb#id_token=", ""),
        ("<input name=\"id_token\" value=\"", "\"/>"),
        ("&#34;", "&#34;"),
        ("%22", "%22"),
        ("eyeyJeyJ", "eyJ"),
    ] {
        let text = format!("{before}{native}{after}");
        for first in 0..=text.len() {
            for second in [first, first + 1, first + 2, text.len()] {
                let second = second.min(text.len());
                let bytes = text.as_bytes();
                let (out, found) = scanned([&bytes[..first], &bytes[first..second], &bytes[second..]]);
                assert_eq!(
                    found.unwrap().kid.as_deref(),
                    Some("upstream"),
                    "{first} {second} {text}"
                );
                let leaked = out.len().saturating_sub(before.len());
                assert!(leaked <= 2, "{} got out", String::from_utf8_lossy(&out));
            }
        }
        let (_, found) = scanned(text.as_bytes().chunks(1));
        assert_eq!(found.unwrap().typ.as_deref(), Some("JWT"), "{text}");
    }
}

#[test]
fn a_dot_that_is_escaped_hides_no_token_of_a_known_key() {
    for dot in ["%2E", "&#46;", "\\u002e", "\\/"] {
        let (_, found) = scanned([native().replace('.', dot).as_bytes()]);
        assert!(found.is_some(), "{dot}");
    }
}

#[test]
fn what_names_no_known_key_is_told_by_its_issuer() {
    let theirs = json!({"iss": "https://id.example/realms/tg"});
    for header in [
        json!({"alg": "RS256", "kid": "FCB6:3FRX:6AXD"}),
        json!({"alg": "ES256"}),
        json!({"alg": "EdDSA", "kid": 7}),
        json!({"alg": "RS256", "kid": "upstream", "x": "y"}),
    ] {
        let text = format!("x{}x", token(&header, &theirs));
        for at in 0..text.len() {
            let (before, behind) = text.as_bytes().split_at(at);
            assert!(scanned([before, behind]).1.is_some(), "{header} {at}");
        }
    }
}

#[test]
fn a_header_is_read_as_the_most_lenient_party_would() {
    let payload = part(&json!({"iss": "https://id.example/realms/tg"}));
    for (header, is_token) in [
        (r#"{"x":{"alg":[1,{"kid":2}]},"alg":"RS256","kid":"upstream"}"#, true),
        (
            r#"{"alg":"HS256","\u0061lg":"RS256","kid":"x","k\u0069d":"upstream"}"#,
            true,
        ),
        (r#"{"alg":"RS256","kid":"upstream","alg":"HS256"}"#, false),
        (r#"{"alg":"RS256","kid":"upstream","enc":null}"#, false),
        (r#"{"alg":7,"kid":"upstream"}"#, false),
        (r#"{"kid":"upstream","long":"LONG","alg":"RS256"}"#, true),
    ] {
        let header = header.replace("LONG", &"a".repeat(2 * BEGINNING));
        let text = format!("{}.{payload}.c2ln", URL_SAFE_NO_PAD.encode(&header));
        assert_eq!(sight(text.as_bytes(), &Names).is_some(), is_token, "{header:.80}");
    }
}

#[test]
fn everything_else_passes_unchanged() {
    let theirs = json!({"iss": "https://id.example/realms/tg"});
    let others = json!({"iss": "https://accounts.example.org"});
    let encrypted = json!({"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "upstream"});
    for text in [
        token(&json!({"alg": "RS256", "kid": "ours"}), &theirs),
        token(&json!({"alg": "RS256", "kid": "x"}), &others),
        token(&json!({"alg": "RS256", "kid": "x"}), &json!({"sub": "ada"})),
        token(&json!({"alg": "HS512", "kid": "upstream"}), &theirs),
        token(&json!({"alg": "none"}), &theirs),
        token(&encrypted, &theirs),
        token(&json!({"ru": "https://rp.example", "rt": "code"}), &theirs),
        format!("{}..c2ln", part(&json!({"alg": "RS256", "kid": "x"}))),
        format!("{}&x", part(&json!({"alg": "RS256", "kid": "x"}))),
        "eyJ".to_owned(),
        "eyJeyJeyJ.eyJ".to_owned(),
        "the key eye ey e".to_owned(),
        format!("eyJ{}", "a".repeat(2 * MAX_HEADER)),
        part(&json!({"alg": "RS256", "kid": "x"})) + "." + &"a".repeat(MAX_TOKEN + 10),
    ] {
        for size in [1, 2, 3, 1000, text.len()] {
            let (out, found) = scanned(text.as_bytes().chunks(size));
            assert!(found.is_none(), "{size} {:.200}", text);
            assert!(out == text.as_bytes(), "{size} {:.200}", text);
        }
    }
}

#[test]
fn what_is_held_is_bounded() {
    let header = part(&json!({"alg": "RS256", "kid": "x"}));
    for endless in ["eyJ".to_owned(), header + "."] {
        let mut scanner = Scanner::new(Names);
        scanner.feed(endless.into()).unwrap();
        for _ in 0..1000 {
            scanner.feed(Bytes::from(vec![b'a'; 1024])).unwrap();
            assert!(scanner.held() <= MAX_HEADER + MAX_TOKEN + 2048, "{}", scanner.held());
        }
    }
}

#[test]
fn a_text_made_of_nothing_but_beginnings_is_read_in_good_time() {
    // Objects within objects: each beginning can be read as far as JSON is nested.
    let nested = URL_SAFE_NO_PAD.encode("{\"a\":".repeat(40_000));
    for text in ["eyJ".repeat(100_000), nested] {
        let started = std::time::Instant::now();
        let (out, found) = scanned(text.as_bytes().chunks(8000));
        assert!(found.is_none() && out == text.as_bytes());
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}

#[test]
fn what_is_given_up_comes_out_as_it_went_in() {
    let text = format!("key {} rest", native());
    for at in 0..text.len() {
        let (mut scanner, mut out) = (Scanner::new(Names), Vec::new());
        let (before, behind) = text.as_bytes().split_at(at);
        for chunk in [before, behind] {
            let chunk = Bytes::copy_from_slice(chunk);
            out.extend(scanner.feed(chunk).unwrap_or_else(|_| scanner.release()));
        }
        out.extend(scanner.finish().unwrap_or_default());
        assert_eq!(out, text.as_bytes(), "{at}");
    }
}

#[test]
fn bytes_that_are_all_there_are_looked_through_at_once() {
    assert!(sight(native().as_bytes(), &Names).is_some());
    assert!(sight(b"eyJ.eyJ.eyJ", &Names).is_none());
    assert!(sight(b"", &Names).is_none());
}

fn texts() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        "[ -~]{0,12}",
        Just("eyJ".to_owned()),
        Just("ey".to_owned()),
        Just(".".to_owned()),
        Just(part(&json!({"alg": "RS256", "kid": "x"}))),
        Just(part(&json!({"iss": "https://accounts.example.org"}))),
    ];
    proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn text_without_a_token_comes_out_as_it_went_in(text in texts(), cuts in proptest::collection::vec(0..400usize, 0..5)) {
        let (out, found) = scanned(cut(text.as_bytes(), cuts));
        prop_assert!(found.is_none());
        prop_assert_eq!(out, text.as_bytes());
    }

    #[test]
    fn a_token_in_any_text_is_found(
        before in texts(), after in texts(), cuts in proptest::collection::vec(0..400usize, 0..5)
    ) {
        // What continues the token's own first part makes another header of it.
        let text = format!("{before} {}{after}", native());
        let (out, found) = scanned(cut(text.as_bytes(), cuts));
        prop_assert!(found.is_some());
        prop_assert!(out.len() <= before.len() + 3);
        prop_assert!(text.as_bytes().starts_with(&out));
    }
}

fn cut(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let (mut chunks, mut from) = (Vec::new(), 0);
    for to in cuts.into_iter().map(|at| at.min(bytes.len())) {
        chunks.push(&bytes[from..to]);
        from = to;
    }
    chunks
}
