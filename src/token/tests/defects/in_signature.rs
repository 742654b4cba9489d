//! Signatures that do not hold, or hold under the wrong key.

use ring::hmac;

use super::*;

impl Sound {
    pub(super) fn in_signature(&self) -> Defects {
        let token = self.token();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let signed = |signature: &[u8]| jws::append(input.to_owned(), signature);
        let flipped = |at: usize| {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            signed(&flipped)
        };
        let half = signature.len() / 2;
        let mut later = self.claims.clone();
        later.insert("exp".into(), json!(NOW + 301));
        let (_, of_another) = self
            .signed(&self.header, &later)
            .rsplit_once('.')
            .map(|(i, s)| (i.to_owned(), s.to_owned()))
            .unwrap();

        // A stranger's key, offered in every way a header can offer one.
        let stranger = &world().stranger;
        let jwks = stranger.jwks(now());
        let kid = stranger.signing_kid(self.algorithm, now()).unwrap();
        let jwk = jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["kid"] == kid)
            .unwrap()
            .clone();
        let offered = |edit: Value| {
            let mut header = self.header.clone();
            header.extend(object(edit));
            sign_values(stranger, self.algorithm, &header, &self.claims)
        };
        let header = bytes(&self.header);
        let claims = bytes(&self.claims);
        let none = jws::signing_input(br#"{"alg":"none","typ":"JWT"}"#, &claims);

        let mut defects = named([
            ("the first bit flipped", flipped(0)),
            ("the last bit flipped", flipped(signature.len() - 1)),
            ("no signature", signed(&[])),
            ("half a signature", signed(&signature[..half])),
            ("a byte less", signed(&signature[..signature.len() - 1])),
            ("a zero more", signed(&[signature.as_slice(), &[0]].concat())),
            ("a zero in front", signed(&[&[0], signature.as_slice()].concat())),
            ("twice", signed(&signature.repeat(2))),
            ("zeros", signed(&vec![0; signature.len()])),
            ("r = 0", signed(&[vec![0; half], signature[half..].to_vec()].concat())),
            ("s = 0", signed(&[signature[..half].to_vec(), vec![0; half]].concat())),
            ("ones", signed(&vec![0xff; signature.len()])),
            (
                "r and s swapped",
                signed(&[&signature[half..], &signature[..half]].concat()),
            ),
            ("DER", signed(&der(&signature))),
            ("another token's", format!("{input}.{of_another}")),
            ("none, without a signature", format!("{none}.")),
            ("none, with the signature", jws::append(none, &signature)),
            ("a stranger's", sign(stranger, self.algorithm, &header, &claims)),
            ("a stranger's, by jwk", offered(json!({"jwk": jwk}))),
            ("a stranger's, by jwk alone", offered(json!({"jwk": jwk, "kid": kid}))),
            (
                "a stranger's, by jku",
                offered(json!({"jku": "https://attacker.example/jwks", "kid": kid})),
            ),
            (
                "a stranger's, by x5u",
                offered(json!({"x5u": "https://attacker.example/x5u"})),
            ),
            ("a stranger's, by x5c", offered(json!({"x5c": ["AAAA"]}))),
            ("over a changed payload", {
                let changed = jws::signing_input(&header, &bytes(&later));
                jws::append(changed, &signature)
            }),
            ("over a changed header", {
                let spaced = [header.as_slice(), b" "].concat();
                jws::append(jws::signing_input(&spaced, &claims), &signature)
            }),
        ]);
        // The public key as an HMAC secret, in the forms that confused libraries took.
        let own = world().upstream.jwks(now());
        let own = own["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["kid"] == self.header["kid"])
            .unwrap();
        let public = own.get("n").or(own.get("x")).and_then(Value::as_str).unwrap();
        for (form, secret) in [
            ("as text", public.as_bytes().to_vec()),
            ("as bytes", URL_SAFE_NO_PAD.decode(public).unwrap()),
            ("empty", Vec::new()),
        ] {
            let mut header = self.header.clone();
            header.insert("alg".into(), "HS256".into());
            let input = jws::signing_input(&bytes(&header), &claims);
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
            defects.push((
                format!("HS256 with the public key {form}"),
                jws::append(input, tag.as_ref()),
            ));
        }
        defects
    }
}

/// The DER form of an ECDSA signature; of any other bytes, what comes out.
fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).take(100).collect();
        if bytes.first().is_none_or(|first| first & 0x80 != 0) {
            bytes.insert(0, 0);
        }
        [vec![2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let body = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}
