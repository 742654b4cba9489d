//! What is wrong between the upstreams of a file, with its place and how to mend it.

use std::fs;

use tollgate::{clock::Clock, config::Config, serve};

use crate::world::{keys, two::upstream};

/// What an operator reads of a file that begins with `[listen]`.
async fn wrong(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    fs::write(folder.path().join("hook.key"), crate::world::hook::SECRET).unwrap();
    fs::write(
        &file,
        format!("[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n{text}"),
    )
    .unwrap();
    let errors = match Config::load(&file, []) {
        Err(errors) => errors,
        Ok(config) => match serve::start(&config, Clock::system()).await {
            Err(errors) => errors,
            Ok(_) => panic!("nothing is wrong"),
        },
    };
    errors
        .to_string()
        .replace(folder.path().to_str().unwrap(), "")
        .replace("/proxy.toml", "proxy.toml")
}

fn customers() -> String {
    upstream("customers", "login.example.com", "http://127.0.0.1:1", keys::shared())
}

fn staff() -> String {
    upstream("staff", "sso.example.com", "http://127.0.0.1:2", keys::second())
}

#[tokio::test]
async fn an_upstream_without_a_name_among_several() {
    let text = wrong(&(customers() + &staff().replace("name = \"staff\"\n", ""))).await;
    assert!(
        text.starts_with("proxy.toml:11:1: `name` is missing in `[[upstream]]`: where there are several, each has one"),
        "{text}"
    );
}

#[tokio::test]
async fn two_upstreams_of_one_name_or_one_host() {
    let text = wrong(&(customers() + &staff().replace("\"staff\"", "\"customers\""))).await;
    assert!(
        text.contains("proxy.toml:12:8: there are two upstreams with the `name` `customers`"),
        "{text}"
    );
    for same in [
        "http://login.example.com",
        "http://LOGIN.example.com:80",
        "http://login.example.com/",
    ] {
        let text = wrong(&(customers() + &staff().replace("http://sso.example.com", same))).await;
        let expected =
            "proxy.toml:13:14: `public_url`: `login.example.com` is a name of the upstream `customers` as well";
        assert!(text.contains(expected), "{text}");
    }
    // A host without a port may be either's where one is reached by HTTPS and the other is not.
    let text = wrong(&(customers() + &staff().replace("http://sso.example.com", "https://login.example.com"))).await;
    assert!(text.contains("is a name of the upstream `customers` as well"), "{text}");
    let names = customers() + "names = [\"other.example.com\", \"sso.example.com\"]\n" + &staff();
    let text = wrong(&names).await;
    assert!(
        text.contains("`sso.example.com` is a name of the upstream `customers` as well"),
        "{text}"
    );
}

#[tokio::test]
async fn a_public_url_that_does_not_say_for_whom_and_one_that_is_missing() {
    let shared = customers() + &staff();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    fs::write(
        &file,
        format!("[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://login.example.com\"\n{shared}"),
    )
    .unwrap();
    let text = Config::load(&file, []).unwrap_err().to_string();
    assert!(
        text.contains("proxy.toml:3:14: `public_url` in `[listen]` does not say which upstream it is for"),
        "{text}"
    );

    let text = wrong(&(customers() + &staff().replace("public_url = \"http://sso.example.com\"\n", ""))).await;
    assert!(
        text.contains("proxy.toml:11:1: `public_url` is missing in `[[upstream]]`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_choice_of_upstreams_that_there_are_not() {
    let interceptor = "[[interceptor]]\nname = \"Plan\"\ntrigger = \"PRE_SIGNUP\"\nendpoint = \"http://127.0.0.1:1/\"\nsecret = { file = \"hook.key\" }\n";
    let both = customers() + &staff() + interceptor;
    for (choice, expected) in [
        (
            "upstreams = [\"custommers\"]",
            "`upstreams`: no upstream has the name `custommers`",
        ),
        ("upstreams = [\"custommers\"]", "hint: did you mean `customers`?"),
        (
            "upstreams = [\"partners\"]",
            "hint: the upstreams of this file are `customers` and `staff`",
        ),
        (
            "upstreams = []",
            "`upstreams` must be a list of names of upstreams, at least one",
        ),
        (
            "upstreams = \"staff\"",
            "`upstreams` must be a list of names of upstreams, at least one",
        ),
        ("upstream = [\"staff\"]", "hint: did you mean `upstreams`?"),
    ] {
        let text = wrong(&format!("{both}{choice}\n")).await;
        assert!(text.contains(expected), "{choice}: {text}");
        assert!(text.contains("proxy.toml:22:"), "{choice}: {text}");
    }
    let text = wrong(&format!(
        "{both}[[logout]]\nclient_id = \"web\"\nurl = \"http://127.0.0.1:1/\"\nupstream = \"stuff\"\n"
    ))
    .await;
    assert!(
        text.contains("`upstream`: no upstream has the name `stuff`") && text.contains("did you mean `staff`?"),
        "{text}"
    );
}

#[tokio::test]
async fn keys_that_two_upstreams_share() {
    let text =
        wrong(&(customers() + &upstream("staff", "sso.example.com", "http://127.0.0.1:2", keys::shared()))).await;
    assert!(
        text.contains(
            "the upstream `staff` signs with a key of `customers`, so tokens of one would count at the other"
        ),
        "{text}"
    );
    assert!(
        text.contains("the upstream `staff` seals with the secret of `customers`"),
        "{text}"
    );
    assert!(
        text.contains("tokens = { keys = \"certs/staff\", capsule_secret = { file = \"certs/staff.capsule\" } }"),
        "{text}"
    );
    assert_eq!(text.matches("signs with a key of").count(), 1, "{text}");
    // Also where neither says so, and both have the shared ones.
    let plain = |text: String| {
        text.lines()
            .filter(|line| !line.starts_with("tokens"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let keys = keys::shared().display();
    let tokens = format!("[tokens]\nkeys = \"{keys}/signing\"\ncapsule_secret = {{ file = \"{keys}/capsule.key\" }}\n");
    let text = wrong(&(plain(customers()) + &plain(staff()) + &tokens)).await;
    assert!(text.contains("signs with a key of `customers`"), "{text}");
    // An old secret opens as well as a new one.
    let previous = format!(
        "capsule_secret = {{ file = \"{}/capsule.key\" }}, previous_capsule_secret = {{ file = \"{keys}/capsule.key\" }}",
        keys::second().display()
    );
    let own = staff().replace(
        &format!(
            "capsule_secret = {{ file = \"{}/capsule.key\" }}",
            keys::second().display()
        ),
        &previous,
    );
    let text = wrong(&(customers() + &own)).await;
    assert!(
        text.contains("the upstream `staff` seals with the secret of `customers`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_mistake_inside_of_an_upstream_is_at_its_line() {
    let text = wrong(&(customers() + &staff().replace("preset = \"generic\"", "preset = \"generik\""))).await;
    assert!(text.contains("proxy.toml:15:10:"), "{text}");
    let text = wrong(&(customers() + &staff() + "publik_url = \"x\"\nresponse_timout = \"3s\"\n")).await;
    assert!(
        text.contains("proxy.toml:17:1: unknown key `publik_url` in `[[upstream]]`")
            && text.contains("did you mean `public_url`?"),
        "{text}"
    );
    assert!(
        text.contains("proxy.toml:18:1: unknown key `response_timout` in `[[upstream]]`"),
        "{text}"
    );
    let text = wrong(&(customers() + &staff().replace("tokens = { ", "tokens = { algoritm = \"RS256\", "))).await;
    assert!(
        text.contains("proxy.toml:16:12: unknown key `algoritm` in `[tokens]`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_login_at_an_upstream_that_there_is_not() {
    let login = "login = { client_id = \"x\", client_secret = { file = \"hook.key\" }, operators = [\"y\"], upstream = \"partners\" }\n";
    let text = wrong(&(login.to_owned() + &customers() + &staff())).await;
    assert!(
        text.starts_with("proxy.toml:5:") && text.contains("no upstream has the name `partners`"),
        "{text}"
    );
}
