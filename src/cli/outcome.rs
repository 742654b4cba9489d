//! How a command ends, and the exit code of that.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::config::ConfigErrors;

/// What a command that came to its end has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should be.
    Well,
    /// The answer is no: a failed check, another decision than expected, a broken chain.
    No,
}

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// The arguments fit each other or the configuration badly.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Something failed that is not the operator's to mend in the configuration.
    #[error("{0}")]
    Ours(String),
    /// The output could not be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Stop {
    /// clap's code for wrong usage.
    pub(super) const USAGE: u8 = 2;

    /// Tells the operator, and says with which code to end.
    pub(super) fn report(self) -> ExitCode {
        let code = match &self {
            // Whoever reads our output has seen enough of it, as in `tollgate audit list | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Usage(_) => Self::USAGE,
            Self::Config(_) => 64,
            Self::Ours(_) | Self::Output(_) => 70,
        };
        // Nobody is there to be told when even this cannot be printed.
        let _ = writeln!(io::stderr(), "{self}");
        ExitCode::from(code)
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Well => Self::SUCCESS,
            Outcome::No => Self::from(1),
        }
    }
}

impl From<bool> for Outcome {
    fn from(well: bool) -> Self {
        if well { Self::Well } else { Self::No }
    }
}
