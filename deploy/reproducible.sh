#!/usr/bin/env bash
# Builds the release binary twice, from two copies of the committed tree in two folders, and compares the bytes.
#
#   deploy/reproducible.sh [COMMIT]      needs cargo, git and twice the time of a release build
#
# What a release must be built with is all here: the toolchain of rust-toolchain.toml, the versions of Cargo.lock, paths that are mapped away, and the
# time of the commit in the place of the clock's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

commit=$(git rev-parse "${1:-HEAD}")
SOURCE_DATE_EPOCH=$(git show --no-patch --format=%ct "$commit")
export SOURCE_DATE_EPOCH
cargo_home=${CARGO_HOME:-$HOME/.cargo}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# built FOLDER: the binary's hash, built there.
built() {
  local folder=$scratch/$1
  mkdir -p "$folder"
  git archive "$commit" | tar -x -C "$folder"
  (
    cd "$folder"
    # The sources of C libraries name themselves in what they write; the compilers map their paths likewise.
    export CFLAGS="-ffile-prefix-map=$folder=/src -ffile-prefix-map=$cargo_home=/cargo"
    export RUSTFLAGS="--remap-path-prefix=$folder=/src --remap-path-prefix=$cargo_home=/cargo"
    cargo build --release --locked --bin tollgate --target-dir "$folder/target" >&2
    sha256sum <target/release/tollgate | cut -d' ' -f1
  )
}

first=$(built first)
second=$(built the-second-one)
echo "$first  first"
echo "$second  second"
if [[ $first != "$second" ]]; then
  echo "the two builds of $commit differ" >&2
  exit 1
fi
echo "Two builds of $commit are the same."
