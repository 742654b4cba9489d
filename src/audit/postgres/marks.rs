//! How far sinks have come.

use std::sync::Arc;

use super::{
    Address, Failure, number, place,
    session::{DEADLINE, Session},
};

/// The table of sinks, over a connection of its own.
pub(in crate::audit) struct Marks {
    address: Arc<Address>,
    session: Option<Session>,
}

impl Marks {
    pub(in crate::audit) fn new(address: &Arc<Address>) -> Self {
        Self {
            address: Arc::clone(address),
            session: None,
        }
    }

    /// The last record of the chain that the sink was given; `None` when it is new there.
    pub(in crate::audit) fn read(&mut self, name: &str, chain: u32) -> Result<Option<u64>, Failure> {
        let name = name.to_owned();
        let session = self.open()?;
        let at = session.ask(DEADLINE, move |client| async move {
            let row = client.query_opt(READ, &[&name, &number(chain)]).await?;
            Ok(row.map(|row| row.get::<_, i64>(0)))
        })?;
        self.session = Some(session);
        Ok(at.map(|at| u64::try_from(at).unwrap_or(0)))
    }

    /// Keeps it.
    pub(in crate::audit) fn write(&mut self, name: &str, chain: u32, at: u64) -> Result<(), Failure> {
        let name = name.to_owned();
        let session = self.open()?;
        session.ask(DEADLINE, move |client| async move {
            client.execute(WRITE, &[&name, &number(chain), &place(at)]).await
        })?;
        self.session = Some(session);
        Ok(())
    }

    /// The session of the last time, unless it failed then.
    fn open(&mut self) -> Result<Session, Failure> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => Session::open(&self.address, "tollgate-sink", true),
        }
    }
}

const READ: &str = "SELECT seq FROM tollgate_audit_sink WHERE name = $1 AND chain = $2";

const WRITE: &str = "
    INSERT INTO tollgate_audit_sink (name, chain, seq) VALUES ($1, $2, $3)
    ON CONFLICT (name, chain) DO UPDATE SET seq = excluded.seq
";
