#!/usr/bin/env bash
# Mutation testing of what must not be wrong: .cargo/mutants.toml lists the files. Ends with 2 when a mutant is missed.
#
#   tests/mutants/run.sh                          all of it: hours, so it belongs to a release and not to each change
#   tests/mutants/run.sh --shard 0/8              an eighth
#   tests/mutants/run.sh --in-diff FILE           what a diff touches
#   tests/mutants/run.sh --list                   what there is to change
#
# Needs `cargo install cargo-mutants --locked`. Each mutant is built and tested in a copy of the tree, so the work tree stays as it is; results are
# in target/mutants.out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export CARGO_PROFILE_DEV_DEBUG=0
exec cargo mutants --output target --no-shuffle "$@" -- --locked
