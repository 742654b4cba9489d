use proptest::prelude::*;

use super::*;

const TOKEN: &str = "/realms/demo/protocol/openid-connect/token";

fn read(target: &str) -> Result<Target, Unreadable> {
    let uri: Uri = target.parse().map_err(|_| Unreadable::bad("hyper refuses it"))?;
    Target::read(&uri)
}

/// Every way to write the same path that some server reads as the same path.
fn refused() -> Vec<String> {
    let mut all = Vec::new();
    let segments: Vec<&str> = TOKEN.split('/').skip(1).collect();
    for at in 0..segments.len() {
        let with = |segment: &str| {
            let mut changed = segments.clone();
            changed[at] = segment;
            format!("/{}", changed.join("/"))
        };
        let own = segments[at];
        let first = own.as_bytes()[0];
        for variant in [
            format!("/{own}"),
            format!("./{own}"),
            format!("x/../{own}"),
            format!("%2e/{own}"),
            format!("%2E/{own}"),
            format!("x/%2e%2e/{own}"),
            format!("x/.%2e/{own}"),
            format!("x/..%2f{own}"),
            format!("x%2F..%2F{own}"),
            format!("{own};a=b"),
            format!("{own};"),
            format!(";x/{own}"),
            format!("..;/{own}"),
            format!("{own}%3Bjsessionid=1"),
            format!("\\{own}"),
            format!("%5C{own}"),
            format!("%2F{own}"),
            format!("%2f{own}"),
            format!("%{first:02x}{}", &own[1..]),
            format!("%25{first:02x}{}", &own[1..]),
            format!("%252e/{own}"),
            format!("%00{own}"),
            format!("{own}%00"),
            format!("{own}%0d%0a"),
            format!("{own}%09"),
            format!("{own}%7f"),
            format!("{own}%"),
            format!("{own}%2"),
            format!("{own}%zz"),
            format!("%c0%ae/{own}"),
            format!("%c0%af{own}"),
            format!("%e0%80%af{own}"),
            format!("%ff{own}"),
            format!("%ef%bc%8f{own}"),
            format!("%ef%bc%8e/{own}"),
            format!("\u{e9}{own}"),
            format!("{own}\u{2215}"),
            format!("{own}%c2%85"),
            format!("%ef%bb%bf{own}"),
            format!("{own}|"),
            format!("{{{own}}}"),
            format!("\"{own}\""),
            format!("{own}^"),
            format!("[{own}]"),
        ] {
            all.push(with(&variant));
        }
    }
    for end in [
        "//",
        "/.",
        "/..",
        "/./",
        "/../token",
        "/%2e",
        ";jsessionid=1",
        "%2F",
        "/%2f",
        "\\",
        "%5c",
    ] {
        all.push(format!("{TOKEN}{end}"));
    }
    all.extend(["//", "/.", "/..", "*", "id.example.com:443", "//id.example.com/token"].map(str::to_owned));
    all
}

#[test]
fn what_could_be_read_as_another_path_is_refused() {
    let refused = refused();
    assert!(refused.len() >= 111, "{}", refused.len());
    for target in refused {
        assert!(read(&target).is_err(), "{target}");
    }
}

#[test]
fn a_refusal_says_what_is_wrong() {
    for (target, wrong) in [
        ("/a\\b", "the path has a backslash"),
        ("/a;b", "the path has a `;` parameter"),
        ("/a\u{e9}", "the path has a raw non-ASCII byte"),
        ("/a|b", "the path has a raw `|`"),
        ("/a%2fb", "the path has an encoded slash (%2F)"),
        ("/a%5cb", "the path has an encoded backslash (%5C)"),
        ("/a%3bb", "the path has an encoded `;` (%3B)"),
        ("/a%2eb", "the path has an encoded dot (%2E)"),
        ("/a%00b", "the path has an encoded control character"),
        (
            "/a%7eb",
            "the path has a percent-encoding of a character that needs none",
        ),
        ("/a%2541", "the path is percent-encoded twice (%25)"),
        ("//a", "the path has an empty segment (//)"),
        ("/a//b", "the path has an empty segment (//)"),
        ("/a/../b", "the path has a dot segment"),
    ] {
        assert_eq!(read(target).unwrap_err().to_string(), wrong, "{target}");
    }
    let control = Target::parse("/a\u{7f}", None).unwrap_err().to_string();
    assert_eq!(control, "the path has a control character");
}

#[test]
fn what_means_the_same_is_recognised_as_the_same() {
    for same in [
        TOKEN.to_owned(),
        format!("{TOKEN}/"),
        format!("{TOKEN}?"),
        format!("{TOKEN}?x=y"),
        format!("{TOKEN}?x=/../%2F;"),
        format!("{TOKEN}#x"),
        TOKEN.to_uppercase(),
        "/Realms/demo/Protocol/openid-connect/TOKEN/".to_owned(),
        "/realms/demo/protocol/openid-connect/to%e2%84%aaen".to_owned(),
        "/realm%C5%BF/demo/protocol/openid-connect/token".to_owned(),
        format!("http://id.example.com{TOKEN}"),
        format!("http://evil.example{TOKEN}?a"),
        format!("https://user@evil.example:1{TOKEN}"),
    ] {
        assert_eq!(read(&same).unwrap().match_path(), TOKEN, "{same}");
    }
}

#[test]
fn what_is_another_path_stays_another_path() {
    for (target, path, matched) in [
        ("/token%20", "/token%20", "/token "),
        ("/token.", "/token.", "/token."),
        ("/tok%c3%a9n", "/tok%C3%A9n", "/tokén"),
        ("/a%40b", "/a%40b", "/a@b"),
        ("/100%25", "/100%25", "/100%"),
        ("/100%25z", "/100%25z", "/100%z"),
        ("/a%3fb", "/a%3Fb", "/a?b"),
        ("/a%23b", "/a%23b", "/a#b"),
        ("/...", "/...", "/..."),
        ("/", "/", "/"),
        ("http://id.example.com", "/", "/"),
        (
            "/a:b@c,d=e!$&'()*+~-._",
            "/a:b@c,d=e!$&'()*+~-._",
            "/a:b@c,d=e!$&'()*+~-._",
        ),
        (
            "/admin/realms/demo/users/",
            "/admin/realms/demo/users/",
            "/admin/realms/demo/users",
        ),
    ] {
        let read = read(target).unwrap();
        assert_eq!((read.path(), read.match_path()), (path, matched), "{target}");
    }
}

#[test]
fn captures_keep_the_clients_case() {
    let read = read("/Realms/My%20Realm/users/").unwrap();
    assert_eq!(read.decoded_path(), "/Realms/My Realm/users");
    assert_eq!(read.match_path(), "/realms/my realm/users");
}

#[test]
fn a_query_goes_on_as_it_came() {
    for (target, query) in [
        ("/a?b=c%2Fd&e=[x]", Some("b=c%2Fd&e=[x]")),
        ("/a?", None),
        ("/a", None),
        ("/a?b?c", Some("b?c")),
    ] {
        let read = read(target).unwrap();
        assert_eq!(read.query(), query);
        assert_eq!(read.to_uri().query(), query);
    }
    assert!(Target::parse("/a", Some("b=\u{e9}")).is_err());
    // The http crate takes the last four for no part of a URI, so they could not be forwarded.
    for byte in [" ", "\"", "<", ">", "#"] {
        assert!(Target::parse("/a", Some(&format!("b={byte}c"))).is_err(), "{byte}");
    }
    assert!(
        Target::parse("/a", None)
            .unwrap()
            .with_query("x=1&y=%20")
            .unwrap()
            .to_uri()
            == "/a?x=1&y=%20"
    );
}

proptest! {
    #[test]
    fn reading_never_panics_and_what_is_accepted_reads_the_same_again(
        path in "[/a-zA-Z0-9%2eEfF5cC.;\\\\ \u{0}\u{e9}\u{2126}~_+@:-]{0,40}",
        query in proptest::option::of("[ -~\u{e9}]{0,20}"),
    ) {
        if let Ok(first) = Target::parse(&path, query.as_deref()) {
            let again = Target::read(&first.to_uri()).unwrap();
            prop_assert_eq!(&again, &first);
            let uri = again.to_uri();
            prop_assert_eq!(uri.path(), first.path());
            let count = |text: &str| text.split('/').count();
            prop_assert_eq!(count(first.match_path()), count(first.decoded_path()));
        }
    }

    #[test]
    fn any_bytes_that_hyper_takes_for_a_target_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut target = b"/".to_vec();
        target.extend(bytes);
        if let Ok(uri) = Uri::try_from(target.as_slice()) && let Ok(read) = Target::read(&uri) {
            prop_assert!(!read.path().contains("//"));
            prop_assert_eq!(Target::read(&read.to_uri()).unwrap(), read);
        }
    }
}
