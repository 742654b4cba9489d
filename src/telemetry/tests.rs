use super::*;

fn otlp(endpoint: &str) -> Otlp {
    toml::from_str(&format!("endpoint = {endpoint:?}")).unwrap()
}

#[test]
fn a_path_is_added_where_there_is_none() {
    for (endpoint, url) in [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("https://otlp.example.com/", "https://otlp.example.com/v1/traces"),
        ("https://otlp.example.com/in", "https://otlp.example.com/in"),
    ] {
        assert_eq!(otlp(endpoint).url().unwrap(), url);
    }
    for endpoint in [
        "127.0.0.1:4318",
        "grpc://x:4317",
        "http://a:b@x",
        "http://x/?token=1",
        "",
    ] {
        let finding = otlp(endpoint).url().unwrap_err();
        assert_eq!(finding.key, "telemetry.otlp.endpoint", "{endpoint}");
    }
}

#[tokio::test]
async fn a_share_of_traces_is_sampled_and_every_replica_takes_the_same() {
    let with = |sample: f64| {
        let settings = Settings {
            otlp: Some(Otlp {
                sample,
                ..otlp("http://127.0.0.1:4318")
            }),
        };
        Telemetry::start(&settings, "test", Path::new("."), Metrics::default())
    };
    let ids: Vec<String> = (0..1000).map(|_| uuid::Uuid::now_v7().simple().to_string()).collect();
    let taken = |sample: f64| {
        let telemetry = with(sample).unwrap();
        ids.iter()
            .filter(|id| telemetry.samples(id))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(taken(1.0).len(), 1000);
    assert_eq!(taken(0.0).len(), 0);
    let some = taken(0.25);
    assert!((150..350).contains(&some.len()), "{}", some.len());
    assert_eq!(some, taken(0.25));
    assert_eq!(with(1.5).unwrap_err().key, "telemetry.otlp.sample");
}

#[test]
fn only_a_recorded_trace_is_a_parent() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = Parent::of(&format!("00-{trace}-00f067aa0ba902b7-01")).unwrap();
    let span = parent.consult("consult x", "0190a5c4-7b1e-7def-8123-456789abcdef");
    assert_eq!(span.traceparent(), format!("00-{trace}-8123456789abcdef-01"));
    assert_eq!(Parent::of(&format!("00-{trace}-00f067aa0ba902b7-00")), None);
}
