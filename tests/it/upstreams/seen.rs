//! Events, records, metrics and pages say which upstream.

use serde_json::json;
use tollgate::event::Trigger;

use crate::world::{
    Reply, World,
    two::{Two, interceptor},
};

#[tokio::test]
async fn events_and_records_say_which_and_say_nothing_where_there_is_no_name() {
    let two = Two::start(&interceptor("both", Trigger::PreM2mTokenCreation, "")).await;
    two.customers.machine_token("reports:read").await;
    two.staff.machine_token("reports:read").await;
    let asked = two.hook.asked("both");
    let upstreams: Vec<_> = asked
        .iter()
        .map(|asked| asked.event["interceptor_context"]["upstream"].clone())
        .collect();
    assert_eq!(upstreams, [json!("customers"), json!("staff")]);
    let records = two.proxy.audit();
    let upstreams: Vec<_> = records.iter().map(|record| record.entry.upstream.as_deref()).collect();
    assert_eq!(upstreams, [Some("customers"), Some("staff")]);
    assert!(records[0].to_json().contains("\"upstream\":\"customers\""));

    let one = World::start("").await;
    one.machine_token("reports:read").await;
    let records = one.audit();
    assert!(records[0].entry.upstream.is_none() && !records[0].to_json().contains("\"upstream\""));
    let event = one.hook.event(Trigger::PreM2mTokenCreation);
    assert!(event["interceptor_context"].get("upstream").is_none(), "{event}");
}

#[tokio::test]
async fn metrics_of_an_upstream_have_its_name_and_go_with_it() {
    let two = Two::start(&interceptor("both", Trigger::PreM2mTokenCreation, "")).await;
    two.hook.reply("both", Reply::Allow);
    two.customers.machine_token("reports:read").await;
    two.staff.machine_token("reports:read").await;
    two.staff.machine_token("reports:read").await;
    let scrape = two.proxy.metrics();
    for (upstream, count) in [("customers", 1.0), ("staff", 2.0)] {
        let of = [("upstream", upstream)];
        assert_eq!(scrape.sum("tollgate_consults_total", &of), count, "{upstream}");
        assert_eq!(scrape.sum("tollgate_requests_total", &of), count, "{upstream}");
        assert_eq!(scrape.sum("tollgate_upstream_address_healthy", &of), 1.0, "{upstream}");
        assert_eq!(scrape.sum("tollgate_interceptor_breaker_state", &of), 0.0, "{upstream}");
    }
    assert_eq!(
        scrape.sum("tollgate_audit_records_total", &[]),
        3.0,
        "what the process has once"
    );

    let text = two.proxy.text();
    let (before, rest) = text.split_once("[[upstream]]\nname = \"staff\"").unwrap();
    let (_, after) = rest.split_once("[admin]").unwrap();
    two.proxy.write(&format!("{before}[admin]{after}"));
    two.proxy.reloaded().await;
    two.customers.machine_token("reports:read").await;
    let scrape = two.proxy.metrics();
    assert_eq!(scrape.sum("tollgate_consults_total", &[("upstream", "customers")]), 2.0);
    assert!(scrape.series().all(|series| !series.contains("upstream=\"staff\"")));

    let one = World::start("").await;
    one.machine_token("reports:read").await;
    assert!(one.metrics().series().all(|series| !series.contains("upstream=")));
}

#[tokio::test]
async fn the_dashboard_shows_each_with_its_keys_routes_and_interceptors() {
    let text = [
        interceptor("plan", Trigger::PreSessionCreation, "upstreams = [\"customers\"]"),
        interceptor("badge", Trigger::PreSessionCreation, "upstreams = [\"staff\"]"),
        interceptor("both", Trigger::PreM2mTokenCreation, ""),
    ];
    let route = "[[route]]\nname = \"badge-signup\"\nupstreams = [\"staff\"]\nmethods = [\"POST\"]\npath = \"/signup\"\ndoes = \"consult\"\n\
                 trigger = \"PRE_SIGNUP\"\nbodies = [\"form\"]\nfacts = { \"user.email\" = \"form:email\" }\n\n";
    let two = Two::start(&(text.concat() + route)).await;
    two.customers.log_in().await;
    two.staff.machine_token("reports:read").await;
    let pages = two.proxy.dashboard();

    let overview = pages.get("/").send().await.text();
    for text in [
        "http://login.example.com",
        "http://sso.example.com",
        ">customers</a>",
        ">staff</a>",
        "3 signing",
    ] {
        assert!(overview.contains(text), "no {text} in {overview}");
    }

    let list = pages.get("/interceptors").send().await.text();
    let order: Vec<_> = ["plan", "badge", "both"]
        .iter()
        .map(|name| list.find(&format!(">{name}</a>")).unwrap())
        .collect();
    assert!(order.is_sorted(), "as in the file: {list}");
    for cell in [">customers</td>", ">staff</td>", ">customers, staff</td>"] {
        assert!(list.contains(cell), "no {cell} in {list}");
    }
    // Where a value was written is said by the line of the file.
    let line = two
        .proxy
        .text()
        .lines()
        .position(|line| line.contains("/badge\""))
        .unwrap()
        + 1;
    let configuration = pages.get("/interceptors/badge").send().await.text();
    assert!(
        configuration.contains(&format!("proxy.toml:{line}")),
        "no line {line} in {configuration}"
    );

    let test = pages.get("/interceptors/badge/test").send().await.text();
    assert!(
        test.contains("upstream&#34;: &#34;staff")
            || test.contains("upstream&quot;: &quot;staff")
            || test.contains("\"upstream\": \"staff\""),
        "{test}"
    );

    let keys = pages.get("/keys").send().await.text();
    let kid = |jwks: serde_json::Value| jwks["keys"][0]["kid"].as_str().unwrap().to_owned();
    let own = [kid(two.customers.jwks().await), kid(two.staff.jwks().await)];
    let places = [">customers</h2>", &own[0], ">staff</h2>", &own[1]]
        .map(|text| keys.find(text).unwrap_or_else(|| panic!("no {text}")));
    assert!(places.is_sorted(), "{keys}");

    let routes = |upstream: &str| format!("/routes?upstream={upstream}");
    assert!(
        !pages
            .get(&routes("customers"))
            .send()
            .await
            .text()
            .contains("badge-signup")
    );
    assert!(pages.get(&routes("staff")).send().await.text().contains("badge-signup"));

    let record = pages.get("/log/1").send().await.text();
    assert!(
        record.contains("<dt>Upstream</dt><dd>customers</dd>") || record.contains("customers"),
        "{record}"
    );
}

#[tokio::test]
async fn the_commands_say_which_upstream() {
    let text = interceptor("badge", Trigger::PreM2mTokenCreation, "upstreams = [\"staff\"]");
    let two = Two::start(&text).await;
    let tollgate = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(arguments)
            .args(["--config", two.proxy.folder.path().join("proxy.toml").to_str().unwrap()])
            .output()
            .unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let explained = tollgate(&["explain", "POST", "http://sso.example.com/token"]);
    assert!(
        explained.contains("upstream      staff, http://sso.example.com"),
        "{explained}"
    );
    assert!(!explained.contains("customers"), "{explained}");
    let explained = tollgate(&["explain", "POST", "/x", "--upstream", "customers"]);
    assert!(
        explained.contains("upstream      customers") && !explained.contains("staff"),
        "{explained}"
    );
    let explained = tollgate(&["explain", "POST", "/x"]);
    assert!(
        explained.contains("upstream      customers") && explained.contains("upstream      staff"),
        "{explained}"
    );
    let explained = tollgate(&["explain", "POST", "http://other.example.com/token"]);
    assert!(
        explained.contains("421") && explained.contains("`other.example.com`"),
        "{explained}"
    );
    let explained = tollgate(&["explain", "POST", "/x", "--upstream", "partners"]);
    assert!(
        explained.contains("there is no upstream `partners`; there are `customers`, `staff`"),
        "{explained}"
    );

    let checked = tollgate(&["check", "--offline"]);
    for line in [
        "customers: public URL",
        "staff: public URL",
        "customers: signing keys",
        "staff: capsule secret",
        "staff: preset",
    ] {
        assert!(checked.contains(line), "no {line} in {checked}");
    }
    assert!(
        checked.contains("0 failures") || checked.contains("no failures"),
        "{checked}"
    );
    let keys = tollgate(&["keys", "list"]);
    assert!(
        keys.contains("Upstream `customers`:") && keys.contains("Upstream `staff`:"),
        "{keys}"
    );
    let coverage = tollgate(&["coverage", "--upstream", "staff"]);
    assert!(
        coverage.contains("# Upstream `staff`, http://sso.example.com"),
        "{coverage}"
    );
    let tested = tollgate(&["test", "--interceptor", "badge", "--json"]);
    assert!(tested.contains("\"upstream\": \"staff\""), "{tested}");

    let file = two.proxy.folder.path().join("other.toml");
    std::fs::write(
        &file,
        two.proxy
            .text()
            .replace("name = \"staff\"", "name = \"staff\"\nresponse_timeout = \"9s\""),
    )
    .unwrap();
    let changed = tollgate(&["diff", "--against", file.to_str().unwrap()]);
    assert!(changed.contains("upstream.\"staff\".response_timeout"), "{changed}");
}

#[tokio::test]
async fn keys_are_made_for_every_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    let own = |name: &str| {
        format!(
            "[[upstream]]\nname = \"{name}\"\npublic_url = \"http://{name}.example.com\"\nurl = \"http://127.0.0.1:1\"\npreset = \"generic\"\n\
             tokens = {{ keys = \"certs/{name}\", capsule_secret = {{ file = \"certs/{name}.capsule\" }} }}\n"
        )
    };
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n{}{}",
        own("customers"),
        own("staff")
    );
    std::fs::write(&file, text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["keys", "init", "--config", file.to_str().unwrap()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for made in [
        "certs/customers",
        "certs/customers.capsule",
        "certs/staff",
        "certs/staff.capsule",
    ] {
        assert!(folder.path().join(made).exists(), "no {made}: {told}");
    }
}
