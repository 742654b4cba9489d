use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::*;
use crate::{event::Trigger, interceptor, preset::Preset, route::Route, token};

async fn started() -> Demo {
    Demo::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap()
}

fn section<T: serde::de::DeserializeOwned>(file: &toml::Table, name: &str) -> T {
    file[name].clone().try_into().unwrap()
}

#[tokio::test]
async fn the_configuration_is_one_that_every_module_takes() {
    let demo = started().await;
    let text = std::fs::read_to_string(demo.config_path()).unwrap();
    let file: toml::Table = toml::from_str(&text).unwrap();

    let routes: Vec<Route> = section(&file, "route");
    let preset = Preset::load("generic", Path::new("."), &routes).unwrap();
    for path in ["/signup", "/api/users", "/api/organizations/org_tea/invitations"] {
        assert!(preset.candidates("POST", path)[0].route.trigger.is_some(), "{path}");
        assert!(preset.candidates("GET", path).is_empty(), "{path}");
    }

    let base = demo.folder.path();
    section::<token::Settings>(&file, "tokens").reissuer(base).unwrap();
    let interceptors: Vec<interceptor::Settings> = section(&file, "interceptor");
    for (_, trigger) in config::INTERCEPTORS {
        let own = interceptors.iter().find(|i| i.trigger == trigger).unwrap();
        assert_eq!(own.endpoint, demo.hooks.endpoint(trigger));
        let secret = own.secret.read(base).unwrap();
        assert!(demo.hooks.secrets().contains(&(trigger, secret)));
    }
}

#[tokio::test]
async fn the_folder_is_the_owners_alone_and_goes_with_the_demo() {
    let demo = started().await;
    let folder = demo.folder.path().to_owned();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join(config::secret_file(Trigger::PreSignup))), 0o600);
    drop(demo);
    assert!(!folder.exists());
}

#[tokio::test]
async fn the_playground_has_a_line_for_each_trigger_and_the_real_addresses() {
    let demo = started().await;
    let text = demo.playground("127.0.0.1:9443".parse().unwrap());
    for (_, trigger) in config::INTERCEPTORS {
        assert!(text.contains(trigger.as_str()), "{trigger}");
    }
    assert!(text.contains(&format!("curl -i {}/signup", demo.public_url())));
    assert!(text.contains("http://127.0.0.1:9443"));
    assert!(text.contains(&demo.config_path().display().to_string()));
}
