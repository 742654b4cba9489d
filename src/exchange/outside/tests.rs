use super::*;

fn outside(trusted: &[&str]) -> Outside {
    let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
    Outside::new("https://ID.example.com:443/", &["id.example.org:8443".into()], &trusted).unwrap()
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

#[test]
fn only_our_names_are_served() {
    for (hosts, fine) in [
        (&["id.example.com"][..], true),
        (&["ID.Example.COM:443"], true),
        (&["id.example.org:8443"], true),
        (&["id.example.org"], false),
        (&["id.example.com:8443"], false),
        (&["id.example.com."], false),
        (&["evil.example"], false),
        (&["id.example.com", "id.example.com"], false),
        (&["id.example.com, evil.example"], false),
        (&["user@id.example.com"], false),
        (&["id.example.com/"], false),
        (&["id.example.com:"], false),
        (&["id.example.com:0443"], true),
        (&["id.example.com:443:443"], false),
        (&["localhost"], false),
        (&[""], false),
        (&["\u{e9}"], false),
        (&[], false),
    ] {
        let pairs: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let read = outside(&[]).check_host(Version::HTTP_11, &Uri::from_static("/"), &headers(&pairs));
        assert_eq!(read.is_ok(), fine, "{hosts:?}");
    }
}

#[test]
fn http2s_authority_is_a_host_too_and_both_must_agree() {
    for (authority, host, fine) in [
        ("https://id.example.com/", None, true),
        ("https://id.example.com/", Some("ID.example.com"), true),
        ("https://id.example.com/", Some("id.example.org:8443"), false),
        ("https://evil.example/", None, false),
        ("https://evil.example/", Some("id.example.com"), false),
    ] {
        let pairs: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
        let read = outside(&[]).check_host(Version::HTTP_2, &Uri::from_static(authority), &headers(&pairs));
        assert_eq!(read.is_ok(), fine, "{authority} {host:?}");
    }
}

#[test]
fn the_clients_address_is_the_rightmost_that_no_trusted_proxy_has() {
    let proxy = "10.0.0.1";
    for (trusted, peer, chain, client) in [
        (&[][..], "192.0.2.7", &["198.51.100.1"][..], "192.0.2.7"),
        (&[], proxy, &["198.51.100.1"], proxy),
        (&["10.0.0.0/8"], "192.0.2.7", &["198.51.100.1"], "192.0.2.7"),
        (&["10.0.0.0/8"], proxy, &["198.51.100.1"], "198.51.100.1"),
        (
            &["10.0.0.0/8"],
            proxy,
            &["1.1.1.1, 198.51.100.1, 10.0.0.2"],
            "198.51.100.1",
        ),
        (
            &["10.0.0.0/8"],
            proxy,
            &["1.1.1.1", "198.51.100.1", "10.0.0.2"],
            "198.51.100.1",
        ),
        (&["10.0.0.0/8"], proxy, &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (&["10.0.0.0/8"], proxy, &["198.51.100.1, unknown"], proxy),
        (&["10.0.0.0/8"], proxy, &["198.51.100.1, rubbish, 10.0.0.2"], "10.0.0.2"),
        (&["10.0.0.0/8"], proxy, &[""], proxy),
        (&["10.0.0.0/8"], proxy, &[], proxy),
        (
            &["10.0.0.0/8"],
            "::ffff:10.0.0.1",
            &["::ffff:198.51.100.1"],
            "198.51.100.1",
        ),
        (&["2001:db8::/32"], "2001:db8::1", &["2001:db9::5"], "2001:db9::5"),
    ] {
        let pairs: Vec<_> = chain.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let found = outside(trusted).client_ip(peer.parse().unwrap(), &headers(&pairs));
        assert_eq!(found.to_string(), client, "{peer} {chain:?}");
    }
}

#[test]
fn the_upstream_is_told_the_public_address() {
    let mut headers = headers(&[("host", "id.example.org:8443"), ("x-forwarded-for", "1.1.1.1")]);
    outside(&[]).stamp(&mut headers, Some([192, 0, 2, 7].into()));
    for (name, value) in [
        ("host", "id.example.com"),
        ("x-forwarded-host", "id.example.com"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-for", "192.0.2.7"),
    ] {
        assert_eq!(headers[name], value);
    }
    assert_eq!(outside(&[]).origin(), "https://id.example.com");
}

#[test]
fn a_public_url_that_cannot_be_one_is_a_finding() {
    for wrong in [
        "",
        "id.example.com",
        "ftp://id.example.com",
        "https://id.example.com/auth",
        "https://a@b",
        "https://x/?q",
    ] {
        let finding = Outside::new(wrong, &[], &[]).unwrap_err();
        assert_eq!(finding.key, "listen.public_url", "{wrong}");
        assert!(finding.hint.is_some());
    }
    let finding = Outside::new("http://x:8080", &["ok".into(), "not ok/".into()], &[]).unwrap_err();
    assert_eq!(finding.key, "listen.names.1");
}
