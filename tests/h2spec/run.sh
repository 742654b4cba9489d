#!/usr/bin/env bash
# h2spec against the TLS listener: all of its cases, strictly.
#
#   tests/h2spec/run.sh      needs Go (h2spec is built from the Go module proxy into the cache), Node, openssl, python3 and target/debug/tollgate
#
# TOLLGATE_CACHE is where h2spec is kept (~/.cache/tollgate), TOLLGATE_BINARY another build to try.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=${TOLLGATE_CACHE:-$HOME/.cache/tollgate}
binary=$(realpath "${TOLLGATE_BINARY:-target/debug/tollgate}")
expected='146 tests, 146 passed, 0 skipped, 0 failed'

# The newest version that the module proxy has; its cases are those of 2.6.0.
if [[ ! -x $cache/h2spec ]]; then
  mkdir -p "$cache"
  GOBIN=$cache go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
fi

scratch=$(mktemp -d)
children=()
finish() {
  local code=$?
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  wait || true
  if ((code == 0)); then rm -rf "$scratch"; else echo "h2spec failed; what was written is in $scratch" >&2; fi
}
trap finish EXIT

cd "$scratch"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout tls.key -out tls.crt 2>openssl.log
# It answers when a request is complete, so that what is wrong with its end is seen before the answer is.
cat >upstream.mjs <<'JS'
import { createServer } from 'node:http';

const server = createServer((request, response) => request.resume().on('end', () => response.end('hello\n')));
server.listen(0, '127.0.0.1', () => console.log(`listening on port ${server.address().port} of this machine`));
JS
node upstream.mjs >upstream.log 2>&1 &
children+=($!)
# port_in FILE PATTERN: the port that a program says it listens on, once it says so.
port_in() {
  local found
  for _ in $(seq 200); do
    found=$(sed -nE "s/$2/\1/p" "$1" 2>/dev/null | head -1) || true
    if [[ -n $found ]]; then
      echo "$found"
      return
    fi
    sleep 0.1
  done
  echo "nothing listens: see $scratch/$1" >&2
  return 1
}
upstream=$(port_in upstream.log '.* port ([0-9]+) .*')

# Clients name the port in `Host`, so it has to be in the public URL.
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >proxy.toml <<TOML
[listen]
address = "127.0.0.1:$port"
public_url = "https://127.0.0.1:$port"
tls = { certificate = "tls.crt", key = "tls.key" }
[upstream]
url = "http://127.0.0.1:$upstream"
preset = "keycloak"
[admin]
address = "127.0.0.1:0"
TOML
"$binary" keys init >keys.log
"$binary" run >tollgate.log 2>&1 &
children+=($!)
port_in tollgate.log '.* on 127\.0\.0\.1:([0-9]+), in front of .*' >listening

timeout 120 "$cache/h2spec" -t -k -h 127.0.0.1 -p "$port" --strict >h2spec.log 2>&1 || true
tail -1 h2spec.log
if ! grep -qxF "$expected" h2spec.log; then
  grep -E '×|^ +(Expected|Actual)' h2spec.log >&2 || tail -20 h2spec.log >&2
  exit 1
fi
