//! Claims that are missing, wrong, or of the wrong type.

use super::*;

impl Sound {
    pub(super) fn in_claims(&self) -> Defects {
        let mut edits = vec![
            json!({"iss": "https://attacker.example"}),
            json!({"iss": format!("{ISSUER}/")}),
            json!({"iss": ISSUER.to_uppercase()}),
            json!({"iss": [ISSUER]}),
            json!({"iss": null}),
            json!({"iss": ""}),
            json!({"exp": NOW - 60}),
            json!({"exp": NOW - 600}),
            json!({"exp": 0}),
            json!({"exp": -1}),
            json!({"exp": (NOW + 300).to_string()}),
            json!({"exp": null}),
            json!({"exp": true}),
            json!({"exp": [NOW + 300]}),
            json!({"nbf": NOW + 61}),
            json!({"nbf": NOW + 600}),
            json!({"nbf": "0"}),
            json!({"nbf": null}),
            json!({"iat": NOW + 61}),
            json!({"iat": NOW + 600}),
            json!({"iat": "0"}),
            json!({"aud": 1}),
            json!({"aud": [CLIENT, 1]}),
            json!({"aud": {"web": true}}),
            json!({"aud": null}),
            json!({"sub": 1}),
            json!({"sub": null}),
            json!({"azp": "another"}),
            json!({"azp": 1}),
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        ];
        let mut missing = vec!["iss", "exp"];
        if self.is_id() {
            edits.extend([
                json!({"aud": []}),
                json!({"aud": "another"}),
                json!({"aud": ["another"]}),
                json!({"aud": ""}),
                json!({"aud": format!("{CLIENT} ")}),
                json!({"aud": ["another", "third"], "azp": "another"}),
                json!({"aud": [CLIENT, "another"], "azp": "another"}),
                json!({"sub": ""}),
                json!({"nonce": "another"}),
                json!({"nonce": ""}),
                json!({"nonce": [NONCE]}),
                json!({"nonce": null}),
                json!({"at_hash": self.algorithm.half_hash("another")}),
                json!({"at_hash": self.algorithm.half_hash(CODE)}),
                json!({"at_hash": ""}),
                json!({"at_hash": null}),
                json!({"at_hash": format!("{}==", self.algorithm.half_hash(ACCESS_TOKEN))}),
                json!({"c_hash": self.algorithm.half_hash("another")}),
                json!({"c_hash": 1}),
                json!({"s_hash": 1}),
            ]);
            edits.extend(
                [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512]
                    .into_iter()
                    .filter(|other| !other.hashes_like(self.algorithm))
                    .map(|other| json!({"at_hash": other.half_hash(ACCESS_TOKEN)})),
            );
            missing.extend(["aud", "sub", "iat", "nonce"]);
        } else {
            edits.extend([json!({"client_id": "another"}), json!({"client_id": 1})]);
        }
        let mut defects: Defects = edits
            .into_iter()
            .map(|edit| {
                let mut claims = self.claims.clone();
                claims.extend(object(edit.clone()));
                (edit.to_string(), self.signed(&self.header, &claims))
            })
            .collect();
        for claim in missing {
            let mut claims = self.claims.clone();
            claims.remove(claim);
            defects.push((format!("no `{claim}`"), self.signed(&self.header, &claims)));
        }
        if self.is_id() {
            let mut claims = self.claims.clone();
            claims.insert("aud".into(), json!([CLIENT, "another"]));
            claims.remove("azp");
            defects.push((
                "several audiences without azp".into(),
                self.signed(&self.header, &claims),
            ));
        }
        // Beyond what a double holds, and what JSON does not know.
        let text = String::from_utf8(bytes(&self.claims)).unwrap();
        let exp = format!("\"exp\":{}", NOW + 300);
        for number in ["1e999", "NaN", "Infinity", "0x7fffffff", "01795000300"] {
            let changed = text.replace(&exp, &format!("\"exp\":{number}"));
            assert_ne!(changed, text);
            defects.push((format!("exp {number}"), self.with_payload(changed)));
        }
        defects
    }
}
