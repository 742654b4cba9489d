//! The command line: load the configuration, make one call into the library, print what came of it.

mod audit;
mod check;
mod coverage;
mod demo;
mod diff;
mod explain;
mod health;
mod keys;
mod outcome;
mod paint;
mod replay;
mod run;
mod test;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use self::outcome::{Outcome, Stop};
use crate::config::Config;

/// Auth interceptors for the identity provider you already run
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "proxy.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, until SIGTERM or Ctrl-C; SIGHUP loads the configuration again
    Run,
    /// Look whether everything that `run` needs is there, and say how to mend what is not
    Check(check::Arguments),
    /// Ask the running server of this configuration whether it is ready
    Health,
    /// Show what would change if this configuration took the place of the one that runs, key by key
    Diff(diff::Arguments),
    /// Say what would become of a request, without sending it anywhere
    Explain(explain::Arguments),
    /// List every way in and out of the provider and what becomes of it, as Markdown
    Coverage(coverage::Arguments),
    /// Ask one interceptor about a sample or an event of your own; nobody obeys and nothing is recorded
    Test(test::Arguments),
    /// Send recorded events again, and show what would be decided otherwise; nobody obeys and nothing is recorded
    Replay(replay::Arguments),
    /// Make, list and rotate the keys that tokens are signed with
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look at recorded decisions, and check that nobody changed them
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show what Tollgate does, with a small provider and four sample interceptors and nothing to install
    Demo(demo::Arguments),
    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Does what the arguments say. The exit code: 0 well, 1 the answer is no, 2 wrong usage, 64 a wrong configuration,
/// 70 ourselves.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => {
            let code = if message.use_stderr() { Stop::USAGE } else { 0 };
            // Nobody is there to be told when even this cannot be printed.
            let _ = message.print();
            return ExitCode::from(code);
        }
    };
    let mut out = io::BufWriter::new(io::stdout());
    let done = cli.run(&mut out).and_then(|outcome| {
        out.flush()?;
        Ok(outcome)
    });
    match done {
        Ok(outcome) => outcome.into(),
        Err(stop) => {
            let _ = out.flush();
            stop.report()
        }
    }
}

impl Cli {
    fn run(self, out: &mut (impl Write + Send)) -> Result<Outcome, Stop> {
        match self.command {
            Command::Run => run::run(&load(&self.config)?),
            Command::Check(arguments) => check::run(&load(&self.config)?, &arguments, out),
            Command::Health => health::run(&load(&self.config)?, out),
            Command::Diff(arguments) => diff::run(&load(&self.config)?, &arguments, out),
            Command::Explain(arguments) => explain::run(&load(&self.config)?, &arguments, out),
            Command::Coverage(arguments) => coverage::run(&self.config, &arguments, out),
            Command::Test(arguments) => test::run(&load(&self.config)?, &arguments, out),
            Command::Replay(arguments) => replay::run(&load(&self.config)?, &arguments, out),
            Command::Keys(command) => keys::run(&self.config, command, out),
            Command::Audit(command) => audit::run(&self.config, command, out),
            Command::Demo(arguments) => demo::run(&arguments, out),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "tollgate", &mut script);
                out.write_all(&script)?;
                Ok(Outcome::Well)
            }
        }
    }
}

fn load(path: &std::path::Path) -> Result<Config, Stop> {
    Ok(Config::load(path, std::env::vars_os())?)
}

/// Runs what waits for the network.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::Ours(format!("no threads could be started: {error}")))?;
    Ok(runtime.block_on(future))
}

const EXIT_CODES: &str = "Exit codes: 0 well; 1 the answer is no; 2 wrong usage; 64 a wrong configuration; 70 a fault of Tollgate or its machine.
Any setting can come from the environment: TOLLGATE_LISTEN__ADDRESS is `address` of `[listen]`.";
