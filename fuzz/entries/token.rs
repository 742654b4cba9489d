//! The upstream's key sets and tokens, and the search for them in what streams by. What verifies says what it is; a token under a key that is known is
//! found wherever it stands and however it is cut.
//!
//! Input: a key set in a line of its own, and a token.

use jiff::Timestamp;
use tollgate::token::{
    Expected, Kind, Known, Owner, Scanner, UpstreamKeys, claimed_audience, claimed_issuer, claims_to_be_id_token,
    is_jwt_shaped, peek_kid, sight, verify,
};

pub(crate) fn run(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (set, token) = bytes.split_at(end);
    is_found_however_it_is_cut(bytes);
    let Ok(raw) = std::str::from_utf8(token.get(1..).unwrap_or_default()) else {
        return;
    };
    let kid = peek_kid(raw);
    let peeked = (claimed_issuer(raw), claimed_audience(raw), claims_to_be_id_token(raw));
    let Ok(keys) = UpstreamKeys::parse(set) else { return };
    assert!(keys.verification_keys().count() <= 100);
    for kind in [
        Kind::AccessToken { client_id: Some("app") },
        Kind::IdToken {
            client_id: Some("app"),
            nonce: None,
            access_token: None,
            code: None,
            state: None,
        },
        Kind::AuthorizationResponse { client_id: Some("app") },
        Kind::Userinfo { client_id: None },
        Kind::Introspection { client_id: None },
        Kind::LogoutToken { client_id: "app" },
    ] {
        let expected = Expected { issuer: ISSUER, kind };
        let Ok(verified) = verify(raw, &keys, &expected, Timestamp::UNIX_EPOCH) else {
            continue;
        };
        assert_eq!(verified.raw(), raw);
        assert!(is_jwt_shaped(raw));
        assert_eq!(verified.claims().get("iss").and_then(|iss| iss.as_str()), Some(ISSUER));
        assert_eq!(peeked.0.as_deref(), Some(ISSUER), "a peek sees another issuer");
        assert!(
            kid.as_deref().is_none_or(|kid| keys.holds(kid)),
            "verified by a key of another name"
        );
    }
}

fn is_found_however_it_is_cut(bytes: &[u8]) {
    let whole = sight(bytes, &Names);
    let mut scanner = Scanner::new(Names);
    let mut passed = Vec::new();
    let size = usize::from(bytes.first().copied().unwrap_or(1) % 7) + 1;
    let mut in_pieces = bytes
        .chunks(size)
        .find_map(|piece| match scanner.feed(piece.to_vec().into()) {
            Ok(free) => {
                passed.extend_from_slice(&free);
                None
            }
            Err(found) => Some(found),
        });
    if in_pieces.is_none() {
        match scanner.finish() {
            Ok(free) => passed.extend_from_slice(&free),
            Err(found) => in_pieces = Some(found),
        }
    }
    assert_eq!(in_pieces, whole, "it depends on how it is cut");
    match whole {
        None => assert_eq!(passed, bytes, "what is harmless goes on unchanged"),
        Some(_) => assert!(bytes.starts_with(&passed)),
    }
}

/// One key of ours and one of the upstream's.
struct Names;

impl Known for Names {
    fn owner(&self, kid: &str) -> Option<Owner> {
        match kid {
            "ours" => Some(Owner::Ours),
            "k1" => Some(Owner::Upstream),
            _ => None,
        }
    }

    fn is_issuer(&self, iss: &str) -> bool {
        iss == ISSUER
    }
}

const ISSUER: &str = "https://id.example.com";
