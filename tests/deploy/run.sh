#!/usr/bin/env bash
# What deploy/ has, as far as it can be tried without a cluster: the Helm chart linted and rendered in each mode, and every proxy.toml in it
# checked by Tollgate itself.
#
#   tests/deploy/run.sh      needs Go (Helm is built from the Go module proxy into the cache), openssl, node and target/debug/tollgate
#
# TOLLGATE_CACHE is where Helm is kept (~/.cache/tollgate).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=${TOLLGATE_CACHE:-$HOME/.cache/tollgate}
chart=deploy/helm/tollgate
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [[ ! -x $cache/helm ]]; then
  mkdir -p "$cache"
  GOBIN=$cache go install helm.sh/helm/v3/cmd/helm@v3.22.0
fi
helm=$cache/helm

fail() {
  echo "$*" >&2
  exit 1
}

# render NAME ARGUMENT…: what would be installed, in $scratch/NAME.yaml. A Helm built by `go install` knows no version of Kubernetes.
render() {
  local name=$1
  shift
  "$helm" lint --strict --quiet "$chart" "$@"
  "$helm" template t "$chart" --namespace apps --kube-version 1.31.0 "$@" >"$scratch/$name.yaml"
}

# says NAME COUNT TEXT: the text stands so often in what was rendered.
says() {
  local found
  found=$(grep -cF -- "$3" "$scratch/$1.yaml" || true)
  ((found == $2)) || fail "$1: \`$3\` stands there $found times, not $2"
}

render default
says default 1 'kind: StatefulSet'
says default 0 'kind: PodDisruptionBudget'
says default 2 'kind: NetworkPolicy'
says default 3 'tcpSocket:'
says default 1 'readOnlyRootFilesystem: true'

render standalone -f "$chart/ci/standalone-values.yaml"
says standalone 1 'kind: PodDisruptionBudget'
says standalone 1 'replicas: 3'
says standalone 1 'path: /readyz'
says standalone 1 'namespace: identity'

render inplace --set restartOnChange=false
says inplace 0 'tollgate/config:'
says default 1 'tollgate/config:'

render sidecar -f "$chart/ci/sidecar-values.yaml"
says sidecar 0 'kind: StatefulSet'
says sidecar 1 'kind: NetworkPolicy'
says sidecar 2 'app.kubernetes.io/name: keycloak'
says sidecar 0 'port: 8080'

# What the schema and the templates refuse.
if "$helm" lint "$chart" --set mode=beside >"$scratch/refused.log" 2>&1; then fail "a mode that there is not was taken"; fi
if "$helm" lint "$chart" --set replica=3 >"$scratch/refused.log" 2>&1; then fail "a misspelt value was taken"; fi
if "$helm" template t "$chart" --kube-version 1.31.0 --set mode=sidecar --set identityProvider.namespace=elsewhere >"$scratch/refused.log" 2>&1; then
  fail "a sidecar in another namespace was taken"
fi

# checked NAME: the proxy.toml in $scratch/NAME is taken, with the files that it names where they would be mounted.
checked() {
  local files=$scratch/files-$1
  mkdir -p "$files/run/tls" "$files/lib"
  sed -i "s#/run/tollgate#$files/run#g; s#/var/lib/tollgate#$files/lib#g" "$scratch/$1"
  cp "$scratch/tls.crt" "$scratch/tls.key" "$files/run/tls/"
  printf 'whsec_%s\n' "$(openssl rand -base64 32)" >"$files/lib/hook.key"
  target/debug/tollgate keys init --config "$scratch/$1" >/dev/null
  target/debug/tollgate check --offline --config "$scratch/$1" >"$scratch/check.log" || fail "$1: $(<"$scratch/check.log")"
}

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=id.example.com -addext subjectAltName=DNS:id.example.com \
  -keyout "$scratch/tls.key" -out "$scratch/tls.crt" 2>/dev/null
sed -n '/^  proxy.toml: |$/,/^---$/{s/^    //p}' "$scratch/default.yaml" >"$scratch/chart.toml"
checked chart.toml
cp deploy/compose/proxy.toml "$scratch/compose.toml"
checked compose.toml
cp deploy/debian/proxy.toml "$scratch/debian.toml"
checked debian.toml

# The build stage of the image has everything that the build reads.
mkdir "$scratch/src"
sed -n 's/^COPY \(.*\) \(.*\)$/\1|\2/p' deploy/Containerfile | grep -v -- --from | while IFS='|' read -r from to; do
  if [[ -d $from ]]; then cp -r "$from" "$scratch/src/$to"; else cp $from "$scratch/src/"; fi
done
(cd "$scratch/src" && CARGO_TARGET_DIR=$OLDPWD/target cargo check --locked --quiet --bin tollgate)

echo "The chart renders in 4 ways; the configurations of the chart, the compose file and the Debian package are taken; the image has what its build needs."
