//! What clients of the demo provider do, from the first request to the tokens.

use serde_json::Value;

use super::{Answer, CALLBACK, Tokens, VERIFIER, challenge, client::Client};

impl Client {
    /// Signs somebody up by the provider's own form.
    pub(crate) async fn sign_up(&self, email: &str) -> Answer {
        self.post("/signup")
            .form(&[("name", "Somebody"), ("email", email), ("password", "a password")])
            .send()
            .await
    }

    /// Logs Ada in and gives the code that the client would get.
    pub(crate) async fn code(&self, client: &str) -> String {
        let answer = self
            .post("/authorize")
            .form(&[
                ("client_id", client),
                ("redirect_uri", CALLBACK),
                ("response_type", "code"),
                ("scope", "openid profile email"),
                ("nonce", "n-0S6_WzA2Mj"),
                ("code_challenge", &challenge()),
                ("code_challenge_method", "S256"),
                ("login_hint", "ada@example.com"),
                ("password", "correct-horse"),
            ])
            .send()
            .await;
        answer
            .location_parameter("code")
            .unwrap_or_else(|| panic!("no code: {answer:?}"))
    }

    /// Redeems a code as the confidential client `web`.
    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        self.post("/token")
            .basic("web", "web-secret")
            .form(&[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", VERIFIER),
            ])
            .send()
            .await
    }

    /// A login of Ada at `web` by code and PKCE that is expected to work.
    pub(crate) async fn log_in(&self) -> Tokens {
        let code = self.code("web").await;
        Tokens::of(&self.redeem(&code).await)
    }

    /// The device code of a device that Ada has let in.
    pub(crate) async fn paired_device(&self) -> String {
        let begun = self
            .post("/device_authorization")
            .form(&[("client_id", "cli"), ("scope", "openid email")])
            .send()
            .await
            .json();
        self.let_device_in(begun["user_code"].as_str().unwrap()).await;
        begun["device_code"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn let_device_in(&self, user_code: &str) {
        let answer = self
            .post("/device")
            .form(&[
                ("user_code", user_code),
                ("email", "ada@example.com"),
                ("password", "correct-horse"),
            ])
            .send()
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// A machine token of `batch`.
    pub(crate) async fn machine_token(&self, scope: &str) -> Answer {
        self.post("/token")
            .basic("batch", "batch-secret")
            .form(&[("grant_type", "client_credentials"), ("scope", scope)])
            .send()
            .await
    }

    /// Ada invites somebody.
    pub(crate) async fn invite(&self, token: &str, email: &str) -> Answer {
        self.post("/api/users")
            .bearer(token)
            .json(&serde_json::json!({"email": email, "name": "Guest"}))
            .send()
            .await
    }

    /// The keys that a relying party finds through discovery.
    pub(crate) async fn jwks(&self) -> Value {
        let discovery = self.get("/.well-known/openid-configuration").send().await.json();
        let uri = discovery["jwks_uri"].as_str().unwrap().to_owned();
        let path = uri.strip_prefix(&self.public_url()).unwrap().to_owned();
        self.get(&path).send().await.json()
    }
}
