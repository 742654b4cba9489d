//! A connection, for threads that wait: every question has a deadline, also when the other side just falls silent.

use std::{
    error::Error,
    future::Future,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    task::AbortHandle,
    time::timeout,
};
use tokio_postgres::{Client, NoTls, config::TargetSessionAttrs, error::SqlState};

use super::{Address, SCHEMA};
use crate::audit::StoreError;

/// An open connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Session {
    client: Arc<Client>,
    connection: AbortHandle,
}

/// What a database, or the way to it, did not do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database refused, or the connection broke.
    #[error("{}", said(.0))]
    Database(#[from] tokio_postgres::Error),
    /// There was no answer in time. Whether what was asked for is done is not known.
    #[error("it did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// No thread could be started.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
    /// Somebody else has written to the chain that this process writes.
    #[error("another Tollgate writes to the same chain")]
    Taken,
    /// The tables were made by a newer version.
    #[error("its tables have schema {found}; this version knows schema {SCHEMA}")]
    Newer {
        /// Their schema.
        found: i32,
    },
    /// There are no tables.
    #[error("there is no audit in it: `tollgate run` makes it when it first starts")]
    Missing,
}

impl Session {
    /// Connects, with the writable one of several hosts if `writes`. `name` is what the database knows the session by.
    pub(super) fn open(address: &Address, name: &str, writes: bool) -> Result<Self, Failure> {
        let mut config = address.config.clone();
        config.application_name(name);
        if writes {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let tls = address.tls.clone();
        let within = Address::CONNECT * u32::try_from(config.get_hosts().len()).unwrap_or(1);
        let (client, connection) = wait(within, async move {
            Ok(match tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    (client, tokio::spawn(ended(connection)).abort_handle())
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, tokio::spawn(ended(connection)).abort_handle())
                }
            })
        })?;
        let session = Self {
            client: Arc::new(client),
            connection,
        };
        session.ask(DEADLINE, |client| async move { client.batch_execute(SETUP).await })?;
        Ok(session)
    }

    /// Asks, and waits for the answer until the deadline. After [`Failure::Silent`] the session is of no use any more.
    pub(super) fn ask<T, F>(&self, within: Duration, ask: impl FnOnce(Arc<Client>) -> F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, tokio_postgres::Error>> + Send + 'static,
    {
        wait(within, ask(Arc::clone(&self.client)))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Otherwise it would wait for a silent server.
        self.connection.abort();
    }
}

impl Failure {
    /// The failure of this database.
    pub(in crate::audit) fn at(self, address: &Address) -> StoreError {
        StoreError::Postgres {
            at: address.to_string(),
            source: Arc::new(self),
        }
    }

    /// Whether it may go away without anybody changing a setting.
    pub(in crate::audit) fn passes(&self) -> bool {
        match self {
            Self::Database(error) => match error.code() {
                None => true,
                Some(code) => !LASTING.contains(code),
            },
            Self::Silent(_) | Self::Thread(_) | Self::Taken => true,
            Self::Newer { .. } | Self::Missing => false,
        }
    }

    /// What to do about it.
    pub(in crate::audit) fn hint(&self) -> &'static str {
        match self {
            Self::Database(error) if error.code().is_some_and(|code| LASTING.contains(code)) => {
                "the user in `audit.store` must be able to log in to that database, and to make tables in it"
            }
            Self::Newer { .. } => "run the newer version, or name another database",
            _ => {
                "is the database running and reachable from here? With `on_failure = \"spool\"` Tollgate starts without it"
            }
        }
    }
}

/// What a failure came from, without the detail in which a database quotes values.
fn said(error: &tokio_postgres::Error) -> String {
    if let Some(refused) = error.as_db_error() {
        return refused.message().to_owned();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn ended<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    tokio_postgres::Connection<S, T>: Future<Output = Result<(), tokio_postgres::Error>>,
{
    // Whoever asks next is told the same.
    if let Err(error) = connection.await {
        tracing::debug!(error = %said(&error), "a connection to the audit store ended: {}", said(&error));
    }
}

/// Runs it on the thread that drives all sessions, and waits.
fn wait<T, F>(within: Duration, ask: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, tokio_postgres::Error>> + Send + 'static,
{
    let (reply, answer) = mpsc::sync_channel(1);
    driver()?.spawn(async move {
        let answered = match timeout(within, ask).await {
            Ok(answered) => answered.map_err(Failure::from),
            Err(_) => Err(Failure::Silent(within)),
        };
        // Whoever asked waits for longer than this.
        let _ = reply.send(answered);
    });
    answer
        .recv_timeout(within + GRACE)
        .unwrap_or(Err(Failure::Silent(within)))
}

/// The thread that drives all sessions of this process. It is apart from those that serve, so that a reader on one of those may wait for it.
fn driver() -> Result<Handle, Failure> {
    static DRIVER: Mutex<Option<Handle>> = Mutex::new(None);
    let mut driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = driver.as_ref() {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Thread)?;
    let handle = runtime.handle().clone();
    let thread = thread::Builder::new().name("audit-postgres".into());
    thread
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .map_err(Failure::Thread)?;
    *driver = Some(handle.clone());
    Ok(handle)
}

/// How long a question may take that is asked in passing.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// How long a replica waits for another one that makes the tables, or makes them itself.
pub(super) const MIGRATION: Duration = Duration::from_secs(60);

/// What the driving thread may be late by.
const GRACE: Duration = Duration::from_secs(1);

/// What trying again does not mend.
const LASTING: [SqlState; 6] = [
    SqlState::INVALID_PASSWORD,
    SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    SqlState::INVALID_CATALOG_NAME,
    SqlState::INSUFFICIENT_PRIVILEGE,
    SqlState::INVALID_SCHEMA_NAME,
    SqlState::UNDEFINED_COLUMN,
];

// A commit waits for the disk, whatever the role or the database are set to; one that waits for a standby as well may go on to.
const SETUP: &str = "
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');
    SET idle_in_transaction_session_timeout = '60s';
    SET lock_timeout = '3s';
    SET client_min_messages = warning;
    SET TimeZone = 'UTC';
";
