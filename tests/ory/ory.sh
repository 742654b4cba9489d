#!/usr/bin/env bash
# Ory Hydra 2.3.0 and Ory Kratos 1.3.1, built from the Go module proxy into ${TOLLGATE_CACHE:-~/.cache/tollgate}/ory.
#   ory.sh built     whether both are there
#   ory.sh build     builds what is missing; some minutes, a gigabyte of sources, a C compiler
set -euo pipefail

cache=${TOLLGATE_CACHE:-$HOME/.cache/tollgate}/ory
export GOTOOLCHAIN=local CGO_ENABLED=1

# build NAME MODULE VERSION TAGS MAIN REPLACE…: neither can be installed by itself, since their modules replace others; a module around them can.
build() {
  local name=$1 module=$2 version=$3 tags=$4 main=$5
  shift 5
  [[ -x $cache/$name-$version ]] && return
  local around
  around=$(mktemp -d)
  (
    cd "$around"
    {
      printf 'module %srun\n\ngo 1.23\n\nrequire %s %s\n' "$name" "$module" "$version"
      printf 'replace %s\n' "$@"
    } >go.mod
    printf 'package main\n\nimport (\n\t"os"\n\n\t"%s/cmd"\n)\n\nfunc main() { %s }\n' "$module" "$main" >main.go
    go mod tidy -e
    go build -tags "$tags" -o "$cache/$name-$version.part" .
  )
  mv "$cache/$name-$version.part" "$cache/$name-$version"
  rm -rf "$around"
}

case ${1:-} in
built)
  [[ -x $cache/hydra-v2.3.0 && -x $cache/kratos-v1.3.1 ]]
  ;;
build)
  mkdir -p "$cache"
  build hydra github.com/ory/hydra/v2 v2.3.0 sqlite 'cmd.Execute(); os.Exit(0)' \
    'github.com/gobuffalo/pop/v6 => github.com/ory/pop/v6 v6.2.1-0.20241121111754-e5dfc0f3344b'
  build kratos github.com/ory/kratos v1.3.1 sqlite,json1 'os.Exit(cmd.Execute())' \
    'github.com/gobuffalo/pop/v6 => github.com/ory/pop/v6 v6.2.0' \
    'github.com/gorilla/sessions => github.com/ory/sessions v1.2.2-0.20220110165800-b09c17334dc2' \
    'github.com/mattn/go-sqlite3 => github.com/mattn/go-sqlite3 v1.14.22'
  ;;
*)
  sed -n 2,4p "$0"
  exit 2
  ;;
esac
