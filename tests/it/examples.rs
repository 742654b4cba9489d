//! The examples on the pages are right: what stands there as a configuration is one, what stands there as a command is understood, and events,
//! answers and cases are what they are said to be.

use std::{fs, process::Command};

use jiff::Timestamp;
use serde_json::Value;
use tollgate::{
    config::Config,
    event::Trigger,
    preset::Preset,
    trial::{Case, Submission},
};

use crate::world::{Reply, World};

/// A block between fences.
#[derive(Debug)]
struct Block {
    page: String,
    line: usize,
    language: String,
    text: String,
}

impl Block {
    fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}

/// All blocks of all pages.
fn blocks() -> Vec<Block> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir("docs").unwrap() {
        let path = entry.unwrap().path().display().to_string();
        pages.extend(path.ends_with(".md").then_some(path));
    }
    pages.sort();
    let mut found: Vec<Block> = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let mut open = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    open = Some(Block {
                        page: page.clone(),
                        line: number,
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{page} has a fence that is never closed");
    }
    found
}

fn of(language: &str, page: &str) -> Vec<Block> {
    let mut found = blocks();
    found.retain(|block| block.language == language && block.page.contains(page));
    assert!(!found.is_empty(), "{page} has no example in {language}");
    found
}

#[test]
fn every_configuration_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    for block in of("toml", "") {
        if block.text.lines().any(|line| line.starts_with("extends = ")) {
            let own = folder.path().join("own.toml");
            fs::write(&own, &block.text).unwrap();
            Preset::load("own.toml", folder.path(), &[]).unwrap_or_else(|e| panic!("{}: {e:?}", block.place()));
            continue;
        }
        let mut text = String::new();
        for (section, lines) in [
            (
                "[listen]",
                "address = \"127.0.0.1:0\"\npublic_url = \"https://id.example.com\"",
            ),
            ("[upstream]", "url = \"http://127.0.0.1:8080\"\npreset = \"keycloak\""),
        ] {
            if !block.text.lines().any(|line| line.trim() == section) {
                text += &format!("{section}\n{lines}\n");
            }
        }
        // What is commented out is an example like the rest.
        let own = block.text.lines().map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") => rest,
            _ => line,
        });
        text.extend(own.map(|line| format!("{line}\n")));
        fs::write(&file, &text).unwrap();
        Config::load(&file, []).unwrap_or_else(|errors| panic!("{}: {errors}\n{text}", block.place()));
    }
}

#[test]
fn every_command_of_tollgate_is_understood() {
    let mut tried = 0;
    for block in blocks() {
        if !matches!(block.language.as_str(), "" | "sh") {
            continue;
        }
        for line in block.text.lines() {
            let mut words = words(line);
            if words.first().is_none_or(|word| word != "tollgate")
                || words.get(1).is_some_and(|word| word == "audit" && words.len() < 3)
            {
                continue;
            }
            words.truncate(
                words
                    .iter()
                    .position(|word| matches!(word.as_str(), ">" | "&" | "|"))
                    .unwrap_or(words.len()),
            );
            // What the text of a signature begins with is no command.
            if words[1..] == ["audit", "head", "1"] {
                continue;
            }
            let told = Command::new(env!("CARGO_BIN_EXE_tollgate"))
                .args(&words[1..])
                .arg("--help")
                .output()
                .unwrap();
            assert!(
                told.status.success(),
                "{}: {line}\n{}",
                block.place(),
                String::from_utf8_lossy(&told.stderr)
            );
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
}

/// The words of a line of a shell, without what it comments.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), None);
    for c in line.chars().chain([' ']) {
        match c {
            '"' | '\'' if quoted.is_none() => quoted = Some(c),
            _ if quoted == Some(c) => quoted = None,
            '#' if word.is_empty() && quoted.is_none() => break,
            ' ' if quoted.is_none() => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            c => word.push(c),
        }
    }
    words
}

#[tokio::test]
async fn every_event_answer_and_case_is_what_it_is_said_to_be() {
    let (mut events, mut answers, mut cases) = (0, 0, 0);
    for block in blocks() {
        if block.language != "json" {
            continue;
        }
        let place = block.place();
        let document: Value = serde_json::from_str(&block.text).unwrap_or_else(|e| panic!("{place}: {e}"));
        if document.get("trigger_point").is_some() {
            assert_eq!(submit(&block.text, &place).notes, [], "{place}");
            events += 1;
        } else if document.get("expect").is_some() {
            let case: Case = serde_json::from_value(document).unwrap_or_else(|e| panic!("{place}: {e}"));
            // A case leaves out what is filled in.
            submit(&case.event.to_string(), &place);
            cases += 1;
        } else if let Some(decision) = document.get("decision") {
            let world = World::start("").await;
            world
                .hook
                .reply(Trigger::PreSessionCreation, Reply::Json(document.clone()));
            let code = world.code("web").await;
            let status = world.redeem(&code).await.status;
            assert_eq!(status == 200, decision == "ALLOW", "{place}");
            assert_eq!(world.audit()[0].entry.failure, None, "{place}");
            answers += 1;
        }
    }
    assert!(events >= 1 && answers >= 2 && cases >= 1, "{events} {answers} {cases}");
}

fn submit(text: &str, place: &str) -> Submission {
    let document: Value = serde_json::from_str(text).unwrap();
    let trigger: Trigger = document["trigger_point"].as_str().unwrap().parse().unwrap();
    let read = Submission::read(text, trigger, "test", Timestamp::UNIX_EPOCH);
    read.unwrap_or_else(|marks| panic!("{place}: {marks:?}"))
}
