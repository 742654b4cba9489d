//! A hostile upstream hands out every defective token that there is a name for, in each family of algorithms and in the place
//! of both tokens. None comes out signed by Tollgate.

mod spoilt;

use jsonwebtoken::Algorithm;
use serde_json::json;
use tollgate::event::Trigger;

use self::spoilt::{Defect, Sound};
use crate::world::{Idp, Setup, keys::Key};

/// Hands out every defect of both kinds under one key, and counts them.
async fn hands_out_the_corpus(algorithm: Algorithm) {
    let idp = Idp::generic(Setup::generic()).await;
    let key = Key::of(algorithm, "hostile-1");
    // A second key, so that a token without a `kid` has several to choose from.
    idp.publishes(vec![idp.key.jwk(), key.jwk()]);
    let access = key.sign(&idp.access_claims());
    let mut id_claims = idp.id_claims(&access);
    id_claims["at_hash"] = json!(key.half_hash(&access));
    id_claims["c_hash"] = json!(key.half_hash("code-1"));
    let tokens_with = |name: &str, token: &str| match name {
        "access_token" => json!({"access_token": token, "token_type": "Bearer"}),
        _ => json!({"access_token": access, "id_token": token, "token_type": "Bearer"}),
    };
    let stranger = Key::of(algorithm, "hostile-1");

    for (name, claims) in [("access_token", idp.access_claims()), ("id_token", id_claims)] {
        let sound = Sound {
            key: &key,
            stranger: &stranger,
            header: key.header(),
            claims,
            is_id: name == "id_token",
        };
        idp.hands_out(tokens_with(name, &key.sign(&sound.claims)));
        let answer = idp.redeem().await;
        assert_eq!(
            answer.status, 200,
            "the sound {name} under {algorithm:?} is refused: {answer:?}"
        );
        let asked = idp.hook.asked(Trigger::PreSessionCreation).len();
        let failures = unverified(&idp);

        let defects = sound.defects();
        println!("{algorithm:?} {name} {}", defects.len());
        assert!(defects.len() >= 60, "{algorithm:?}, {name}: {}", defects.len());
        for Defect { what, token } in &defects {
            let case = format!("{algorithm:?}, {name}: {what}");
            idp.hands_out(tokens_with(name, token));
            let answer = idp.redeem().await;
            assert_eq!(answer.status, 502, "{case}: {answer:?}");
            assert_eq!(answer.json()["error"], "server_error", "{case}");
            assert!(!answer.text().contains("eyJ"), "{case}: the answer has a token");
        }
        assert_eq!(
            idp.hook.asked(Trigger::PreSessionCreation).len(),
            asked,
            "{name}: somebody was asked"
        );
        assert_eq!(
            unverified(&idp) - failures,
            defects.len(),
            "{name}: one record for each"
        );
    }
}

/// How many tokens of the upstream were refused, by the audit.
fn unverified(idp: &Idp) -> usize {
    let records = idp.audit();
    let failures = records.iter().filter_map(|record| record.entry.failure.as_ref());
    failures.filter(|failure| failure.kind == "unverified_token").count()
}

#[tokio::test]
async fn no_defective_token_under_rs256_is_signed_again() {
    hands_out_the_corpus(Algorithm::RS256).await;
}

#[tokio::test]
async fn no_defective_token_under_ps256_is_signed_again() {
    hands_out_the_corpus(Algorithm::PS256).await;
}

#[tokio::test]
async fn no_defective_token_under_es256_is_signed_again() {
    hands_out_the_corpus(Algorithm::ES256).await;
}

#[tokio::test]
async fn no_defective_token_under_eddsa_is_signed_again() {
    hands_out_the_corpus(Algorithm::EdDSA).await;
}

#[tokio::test]
async fn a_piece_of_a_token_is_neither_signed_nor_passed_as_an_opaque_one() {
    let idp = Idp::generic(Setup::generic()).await;
    let token = idp.key.sign(&idp.access_claims());
    let (unsigned, signature) = token.rsplit_once('.').unwrap();
    for piece in [
        unsigned.to_owned(),
        format!("{token}.{signature}"),
        format!("{token}."),
        format!("x{token}"),
    ] {
        idp.hands_out(json!({"access_token": piece, "token_type": "Bearer"}));
        let answer = idp.redeem().await;
        assert_eq!(answer.status, 502, "{piece}: {answer:?}");
        assert!(!answer.text().contains("eyJ"), "{piece}: {answer:?}");
    }
    idp.hands_out(json!({"access_token": "opaque", "token_type": "Bearer"}));
    let wrapped = idp.redeem().await.json();
    assert!(
        wrapped["access_token"].as_str().unwrap().starts_with("tg1."),
        "{wrapped}"
    );
}
