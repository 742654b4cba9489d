use std::{
    collections::HashSet,
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use super::*;

const FOLDER: &str = "TOLLGATE_TEST_AUDIT_FOLDER";

#[test]
fn a_killed_process_loses_no_acknowledged_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..20 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "audit::tests::crash::the_process_that_is_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let due = acknowledged.len() + 1 + round % 5 * 9;
        while acknowledged.len() < due {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            acknowledged.extend(id(&line));
        }
        child.kill().unwrap();
        // What it said before it died counts as well.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| id(&line)));
        child.wait().unwrap();

        let report = reader(dir.path()).only_chain(None).unwrap();
        assert!(report.holds(), "round {round}: {report}");
        let stored: HashSet<String> = all(dir.path())
            .into_iter()
            .map(|record| record.id.to_string())
            .collect();
        for id in &acknowledged {
            assert!(stored.contains(id), "round {round}: {id} was acknowledged and is gone");
        }
    }
}

/// Not a test by itself: it writes for the one above, which kills it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let audit = open(&folder);
    let tasks = (0..8).map(|task| {
        let audit = audit.clone();
        tokio::spawn(async move {
            loop {
                for receipt in audit.record(vec![numbered(task), numbered(task)]).await.unwrap() {
                    writeln!(std::io::stdout(), "acknowledged {};", receipt.id).unwrap();
                }
            }
        })
    });
    futures_util::future::join_all(tasks.collect::<Vec<_>>()).await;
}

fn id(line: &str) -> Option<String> {
    // The test harness writes on the same line; one that was cut off has no end mark.
    let (_, id) = line.split_once("acknowledged ")?;
    id.strip_suffix(';').map(str::to_owned)
}
