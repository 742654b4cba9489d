//! Files are looked at by their contents.

use std::{fs, os::unix::fs::symlink, path::Path};

use tollgate::event::Trigger;

use crate::world::{Setup, World, log, until};

async fn watched() -> World {
    World::with(Setup::generic().more("[reload]\nevery = \"50ms\"\n")).await
}

async fn runs(world: &World, environment: &str) {
    let labels = [("environment", environment)];
    until("the file is applied", || async {
        let info = world.metrics();
        info.series()
            .any(|series| series.starts_with("tollgate_config_info") && series.contains(environment))
    })
    .await;
    assert_eq!(world.metrics().sum("tollgate_config_info", &labels), 1.0);
}

#[tokio::test]
async fn a_file_is_applied_when_it_changes_and_a_half_written_one_when_it_is_whole() {
    let world = watched().await;
    let whole = world
        .text()
        .replace("environment = \"test\"", "environment = \"whole\"");
    let half = whole.split_at(whole.find("[[route]]").unwrap() - 30).0;
    fs::write(world.folder.path().join("proxy.toml"), half).unwrap();
    until("the half file is refused", || async {
        world.standing().refused.is_some()
    })
    .await;
    assert_eq!(world.sign_up("ann@example.com").await.status, 201);
    assert_eq!(
        world.hook.event(Trigger::PreSignup)["interceptor_context"]["environment_id"],
        "test"
    );
    fs::write(world.folder.path().join("proxy.toml"), &whole).unwrap();
    runs(&world, "whole").await;
    assert!(world.standing().refused.is_none());
}

#[tokio::test]
async fn what_is_wrong_is_tried_and_said_once_until_something_changes() {
    let world = watched().await;
    let mark = format!("canary-{}", world.address.port());
    world.change("environment = \"test\"", &format!("environment = \"test\"\n{mark} = 1"));
    until("it is refused", || async { world.standing().refused.is_some() }).await;
    let refused = || world.metrics().sum("tollgate_reloads_total", &[("outcome", "refused")]);
    assert_eq!(refused(), 1.0);
    assert_eq!(world.metrics().sum("tollgate_reload_refused", &[]), 1.0);
    // Another change is noticed, so the files were looked at again meanwhile.
    world.change(&format!("{mark} = 1"), &format!("{mark} = 2"));
    until("it is refused again", || async { refused() == 2.0 }).await;
    let lines = log::text();
    let said: Vec<_> = lines
        .lines()
        .filter(|line| line.contains("was refused") && line.contains("ERROR") && line.contains(&mark))
        .collect();
    assert_eq!(said.len(), 2, "once for each change");
    let is_one_line = |line: &&str| line.contains("; hint: ") && !line.contains('^');
    assert!(said.iter().all(is_one_line), "{said:?}");
    world.change(&format!("{mark} = 2\n"), "");
    until("the one that runs is found again", || async {
        world.standing().refused.is_none()
    })
    .await;
    assert_eq!(world.metrics().sum("tollgate_reload_refused", &[]), 0.0);
}

#[tokio::test]
async fn a_secret_that_is_missing_is_waited_for() {
    let world = watched().await;
    world.change("{ file = \"hook.key\" }", "{ file = \"late.key\" }");
    until("it is refused", || async { world.standing().refused.is_some() }).await;
    assert_eq!(
        world.sign_up("ann@example.com").await.status,
        201,
        "the one before runs on"
    );
    fs::copy(
        world.folder.path().join("hook.key"),
        world.folder.path().join("late.key"),
    )
    .unwrap();
    until("it is applied", || async {
        world.standing().refused.is_none() && world.standing().revision != world.config.revision
    })
    .await;
}

/// As Kubernetes mounts a ConfigMap: files are links through `..data`, which is turned to another folder at once.
#[tokio::test]
async fn links_that_are_turned_to_another_folder_are_seen() {
    let world = watched().await;
    let folder = world.folder.path();
    let text = world.text();
    let version = |name: &str, environment: &str| {
        let dir = folder.join(name);
        fs::create_dir(&dir).unwrap();
        let text = text.replace("environment = \"test\"", &format!("environment = \"{environment}\""));
        fs::write(dir.join("proxy.toml"), text).unwrap();
    };
    let turn = |to: &str| {
        symlink(Path::new(to), folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    version("..1", "mounted");
    turn("..1");
    symlink("..data/proxy.toml", folder.join("link")).unwrap();
    fs::rename(folder.join("link"), folder.join("proxy.toml")).unwrap();
    runs(&world, "mounted").await;
    version("..2", "turned");
    turn("..2");
    runs(&world, "turned").await;
}
