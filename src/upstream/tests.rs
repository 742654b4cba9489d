use super::*;

fn finding(settings: &str) -> Misconfigured {
    Upstream::new(&toml::from_str(settings).unwrap(), Path::new(".")).unwrap_err()
}

#[test]
fn a_url_that_names_no_upstream_is_a_finding() {
    for url in ["", "127.0.0.1:8080", "ftp://a", "http://user:pass@a", "http://a/?b=c"] {
        let finding = finding(&format!("url = '{url}'"));
        assert_eq!(finding.key, "upstream.url", "{url}");
        assert!(!finding.to_string().contains("pass@"), "{finding}");
        assert!(finding.hint.is_some());
    }
}

#[test]
fn rewriting_the_issuer_is_said_to_be_missing() {
    let finding = finding("url = 'http://127.0.0.1:8080'\nissuer = 'rewrite'");
    assert_eq!(finding.key, "upstream.issuer");
}

#[test]
fn a_file_of_authorities_without_one_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    for file in ["none.pem", "empty.pem"] {
        let settings = toml::from_str(&format!("url = 'https://a'\nca = '{file}'")).unwrap();
        assert_eq!(Upstream::new(&settings, folder.path()).unwrap_err().key, "upstream.ca");
    }
}

#[test]
fn the_base_path_has_no_slash_at_its_end() {
    for (url, path) in [
        ("http://a", ""),
        ("http://a/", ""),
        ("http://a/auth", "/auth"),
        ("http://a/auth/", "/auth"),
    ] {
        let settings = toml::from_str(&format!("url = '{url}'")).unwrap();
        assert_eq!(Upstream::new(&settings, Path::new(".")).unwrap().base_path(), path);
    }
}
