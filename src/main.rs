//! Hands the arguments to the library and the exit code back.

use std::process::ExitCode;

/// A third of what a request costs in user space is memory that comes and goes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tollgate::cli::run(std::env::args_os())
}
