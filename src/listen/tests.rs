use super::*;

fn settings(more: &str) -> Settings {
    toml::from_str(&format!(
        "address = '127.0.0.1:0'\npublic_url = 'https://id.example.com'\n{more}"
    ))
    .unwrap()
}

#[test]
fn every_limit_has_a_default_and_an_unknown_key_is_an_error() {
    let settings = settings("");
    assert_eq!(settings.max_connections, 10_000);
    assert_eq!(settings.idle_timeout.to_string(), "75s");
    assert!(settings.trusted_proxies.is_empty());
    let unknown = "address = '127.0.0.1:0'\npublic_url = 'x'\ntrusted_proxy = []";
    assert!(toml::from_str::<Settings>(unknown).is_err());
}

#[tokio::test]
async fn a_limit_that_would_end_all_service_is_a_finding() {
    for (setting, key) in [
        ("max_connections = 0", "listen.max_connections"),
        ("max_requests = 0", "listen.max_requests"),
        ("max_paused = 0", "listen.max_paused"),
        ("max_head = 100", "listen.max_head"),
        ("min_body_rate = 0", "listen.min_body_rate"),
    ] {
        let finding = Listener::bind(&settings(setting), Path::new(".")).await.err().unwrap();
        assert_eq!(finding.key, key);
        assert!(finding.hint.is_some());
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_finding() {
    let first = Listener::bind(&settings(""), Path::new(".")).await.unwrap();
    let mut second = settings("");
    second.address = first.local_addr().unwrap();
    let finding = Listener::bind(&second, Path::new(".")).await.err().unwrap();
    assert_eq!(finding.key, "listen.address");
}
