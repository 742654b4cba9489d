#!/usr/bin/env bash
# Mutation testing of what must not be wrong: gamma.toml beside this file says what is changed. Ends with 2 when a change is noticed by no test.
#
#   tests/mutants/run.sh                          all of it: an hour or two on two cores, so it belongs to a release and not to each change
#   tests/mutants/run.sh --in-diff FILE           what a diff touches
#   tests/mutants/run.sh --only-survivors         once more what was not noticed the last time
#
# What there is to change: `cargo gamma list mutants --config tests/mutants/gamma.toml`.
#
# Needs `cargo install cargo-gamma@0.3.0 --locked`. All changes are compiled into one copy of the tree, and the tests are run with one of them switched on at
# a time, so the work tree stays as it is. The report is target/mutants/gamma-report.html.
#
# Left out are the tests that read the tree itself, which differs, and those that take long and are about other things: a change that only they notice
# counts as unnoticed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

elsewhere=(layers:: project:: kills:: supervised:: dashboard:: observed:: replicas:: audit:: keyring:: metrics:: listen:: http:: cli::)

export CARGO_PROFILE_DEV_DEBUG=0
exec cargo gamma run --config tests/mutants/gamma.toml --cache-dir target/mutants/tree --artifact-dir target/mutants \
  --jobs 2 --minimum-test-timeout 120 --memory off --min-score 100 "$@" \
  -- --test-threads=3 "${elsewhere[@]/#/--skip=}"
