//! Capsules where they do not belong. An attacker who could place one would borrow another's token.

use super::*;

/// A payload without its capsule, and the capsule.
fn parts(reissued: &str) -> (String, String) {
    let payload = payload_of(reissued);
    let (before, after) = payload.split_once(",\"tgc\":\"").unwrap();
    let (capsule, after) = after.split_once('"').unwrap();
    (format!("{before}{after}"), capsule.to_owned())
}

/// Signs with our own key, as no attacker can, so that only the capsule stands between.
fn planted(tollgate: &Reissuer, algorithm: Algorithm, payload: &str, capsule: &Value) -> String {
    let payload = splice(payload, [("tgc", capsule.clone())]).unwrap().text;
    let ring = tollgate.ring();
    sign(ring, algorithm, &bytes(&header(ring, algorithm)), payload.as_bytes())
}

fn reissued(tollgate: &Reissuer, edit: Value) -> String {
    let mut claims = access_claims();
    claims.extend(object(edit));
    let ring = &world().upstream;
    let raw = sign_values(ring, Algorithm::ES256, &header(ring, Algorithm::ES256), &claims);
    tollgate
        .access_token(&verified_access(&raw), &object(json!({"plan": "gold"})), now())
        .unwrap()
}

#[test]
fn a_capsule_opens_in_its_own_token_alone() {
    let tollgate = &world().tollgate;
    let (payload, capsule) = parts(&reissued(tollgate, json!({})));
    let own = planted(tollgate, Algorithm::ES256, &payload, &json!(capsule));
    assert!(tollgate.restore(&own).is_ok());

    for other in [
        json!({"sub": "u-2"}),
        json!({"sub": ""}),
        json!({"jti": "j-9"}),
        json!({"aud": "another"}),
        json!({"aud": ["account"]}),
        json!({"exp": NOW + 301}),
        json!({"azp": CLIENT, "scope": "openid"}),
    ] {
        let (payload, _) = parts(&reissued(tollgate, other.clone()));
        let transplanted = planted(tollgate, Algorithm::ES256, &payload, &json!(capsule));
        assert_eq!(
            tollgate.restore(&transplanted).unwrap_err(),
            Unrestorable::Forged,
            "{other}"
        );
    }
    let absent = payload.replace("\"sub\":\"u-1\",", "");
    assert_ne!(absent, payload);
    let transplanted = planted(tollgate, Algorithm::ES256, &absent, &json!(capsule));
    assert_eq!(tollgate.restore(&transplanted).unwrap_err(), Unrestorable::Forged);
    // The same payload under another key of ours.
    let transplanted = planted(tollgate, Algorithm::EdDSA, &payload, &json!(capsule));
    assert_eq!(tollgate.restore(&transplanted).unwrap_err(), Unrestorable::Forged);
}

#[test]
fn a_spoilt_capsule_is_refused_wherever_it_is_spoilt() {
    let tollgate = &world().tollgate;
    let (payload, capsule) = parts(&reissued(tollgate, json!({})));
    let bytes = URL_SAFE_NO_PAD.decode(&capsule).unwrap();
    let mut spoilt: Vec<Value> = vec![
        json!(""),
        json!(null),
        json!(1),
        json!([capsule]),
        json!(format!("{capsule}=")),
    ];
    for at in 0..bytes.len() {
        spoilt.push(URL_SAFE_NO_PAD.encode(&bytes[..at]).into());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        spoilt.push(URL_SAFE_NO_PAD.encode(flipped).into());
    }
    spoilt.push(URL_SAFE_NO_PAD.encode([bytes.as_slice(), &[0]].concat()).into());
    for capsule in spoilt {
        let raw = planted(tollgate, Algorithm::ES256, &payload, &capsule);
        assert_eq!(tollgate.restore(&raw).unwrap_err(), Unrestorable::Forged, "{capsule}");
    }
}

#[test]
fn a_capsule_that_is_not_the_last_claim_or_not_there_is_refused() {
    let tollgate = &world().tollgate;
    let (payload, capsule) = parts(&reissued(tollgate, json!({})));
    let ring = tollgate.ring();
    let header = bytes(&header(ring, Algorithm::ES256));
    let inside = payload.strip_prefix('{').unwrap();
    for payload in [
        payload.clone(),
        format!("{{\"tgc\":\"{capsule}\",{inside}"),
        format!("{{\"x\":{{\"tgc\":\"{capsule}\"}},{inside}"),
        format!("{{\"tgc\":\"{capsule}\"}}"),
        "{}".to_owned(),
        "[]".to_owned(),
        String::new(),
    ] {
        let raw = sign(ring, Algorithm::ES256, &header, payload.as_bytes());
        assert_eq!(tollgate.restore(&raw).unwrap_err(), Unrestorable::Forged, "{payload}");
    }
}

#[test]
fn the_previous_secret_opens_and_any_other_does_not() {
    let dir = tempfile::tempdir().unwrap();
    KeyRing::init(dir.path(), now()).unwrap();
    let tollgate = |current: u8, previous: Option<u8>| {
        let sealer = Sealer::new(&secret(current), previous.map(secret).as_ref()).unwrap();
        Reissuer::new(KeyRing::load(dir.path()).unwrap(), sealer, AlgorithmChoice::Match).unwrap()
    };
    let raw = reissued(&tollgate(b'a', None), json!({}));
    assert!(tollgate(b'a', None).restore(&raw).is_ok());
    assert!(tollgate(b'b', Some(b'a')).restore(&raw).is_ok());
    assert_eq!(tollgate(b'b', None).restore(&raw).unwrap_err(), Unrestorable::Forged);
    assert_eq!(
        tollgate(b'c', Some(b'b')).restore(&raw).unwrap_err(),
        Unrestorable::Forged
    );
}

#[test]
fn two_replicas_with_the_same_keys_restore_each_others_tokens() {
    let dir = tempfile::tempdir().unwrap();
    KeyRing::init(dir.path(), now()).unwrap();
    let replica = || Reissuer::new(KeyRing::load(dir.path()).unwrap(), sealer(b'a'), AlgorithmChoice::Match).unwrap();
    let (one, other) = (replica(), replica());
    for algorithm in [Algorithm::RS256, Algorithm::PS512, Algorithm::ES256, Algorithm::EdDSA] {
        let raw = access_token(algorithm);
        let reissued = one.access_token(&verified_access(&raw), &Map::new(), now()).unwrap();
        assert_eq!(other.restore(&reissued).unwrap().original, raw);
    }
}

#[test]
fn sealing_twice_gives_two_capsules() {
    let (_, one) = parts(&reissued(&world().tollgate, json!({})));
    let (_, other) = parts(&reissued(&world().tollgate, json!({})));
    assert_ne!(one, other);
}
