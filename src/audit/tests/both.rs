//! What holds for every store. Each test runs twice: with a file, and with a PostgreSQL that it starts itself.

#[path = "../../../tests/it/world/postgres.rs"]
mod postgres;

mod chains;
mod searching;
mod spooling;
mod tampered;
mod writing;

pub(super) use self::postgres::Postgres;
use super::*;

/// A store for one test.
struct Place {
    dir: tempfile::TempDir,
    settings: Settings,
    cluster: Option<&'static Postgres>,
}

impl Place {
    fn sqlite() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            settings: settings(),
            cluster: None,
        }
    }

    /// `None` where PostgreSQL is not installed.
    fn postgres() -> Option<Self> {
        let cluster = Postgres::shared()?;
        Some(Self {
            dir: tempfile::tempdir().unwrap(),
            settings: Settings {
                store: cluster.fresh(),
                ..settings()
            },
            cluster: Some(cluster),
        })
    }

    fn open(&self) -> Audit {
        self.open_at(clock())
    }

    fn open_at(&self, clock: Clock) -> Audit {
        Audit::open(&self.settings, self.dir.path(), clock).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.settings, self.dir.path()).unwrap()
    }

    /// All records, oldest first.
    fn all(&self) -> Vec<Record> {
        let everything = Query {
            limit: Some(u32::MAX),
            ..Query::default()
        };
        let mut records = self.reader().records(&everything, clock().now()).unwrap();
        records.reverse();
        records
    }

    fn verify(&self) -> Vec<Report> {
        self.reader().verify(&Heads::default()).unwrap()
    }

    fn holds(&self) {
        for report in self.verify() {
            assert!(report.holds(), "{report}");
        }
    }

    /// Changes the store past Tollgate. The statements name tables as they are in a file.
    fn tamper(&self, sql: &str) {
        match self.cluster {
            None => raw(self.dir.path()).execute_batch(sql).unwrap(),
            Some(cluster) => {
                let schema = self.settings.store.rsplit("%3D").next().unwrap();
                let sql = sql.replace(" record ", " tollgate_audit_record ");
                cluster.run(&format!("SET search_path = {schema}; {sql}"));
            }
        }
    }
}

/// Waits until something holds; a test that waits longer than 20 s has failed.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited too long until {what}");
}

/// Each function as a test with a file and as one with PostgreSQL.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Place::sqlite()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(place) = super::Place::postgres() {
                    super::$name(place).await;
                }
            })*
        }
    };
}
use on_both;
