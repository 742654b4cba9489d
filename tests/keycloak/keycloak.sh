#!/usr/bin/env bash
# A real Keycloak for the suites, from Maven Central alone.
#
#   keycloak.sh get      download and unpack once into the cache (177 MB; needs mvn and unzip)
#   keycloak.sh start    start in the background, wait until it answers, print pid and seconds
#   keycloak.sh stop     stop what `start` started, by its pid
#
# Environment:
#   TOLLGATE_CACHE     where downloads are kept             (~/.cache/tollgate)
#   KEYCLOAK_VERSION                                        (26.7.3)
#   KEYCLOAK_PORT      its own port, on loopback            (8180; KEYCLOAK_PORT + 1 is for management)
#   KEYCLOAK_PUBLIC    the origin that clients see: Tollgate's public_url; without it, its own
#   KEYCLOAK_RUN       folder for the log and the pid file  ($TOLLGATE_CACHE/run)
#   KEYCLOAK_OPTIONS   further options of kc.sh
#   KEYCLOAK_ADMIN     password of `admin` in the realm `master`   (admin-pw)
#   RP_PORT, SMTP_PORT what the realms refer to, see realm.mjs
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${TOLLGATE_CACHE:-$HOME/.cache/tollgate}
version=${KEYCLOAK_VERSION:-26.7.3}
export KEYCLOAK_PORT=${KEYCLOAK_PORT:-8180}
port=$KEYCLOAK_PORT
run=${KEYCLOAK_RUN:-$cache/run}
home=$cache/keycloak-$version
limit=180

get() {
  if [[ -x $home/bin/kc.sh ]]; then return; fi
  local part
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/part.XXXXXX")
  echo "fetching Keycloak $version into $cache"
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
    -Dartifact="org.keycloak:keycloak-quarkus-dist:$version:zip" -DoutputDirectory="$part" -Dmdep.useBaseVersion=true
  unzip -q "$part/keycloak-quarkus-dist-$version.zip" -d "$part"
  # Moved into place only when whole: a download that broke off is never taken for an installation.
  mv "$part/keycloak-$version" "$home"
  rm -r "$part"
}

start() {
  get
  mkdir -p "$run" "$home/data/import"
  if [[ -s $run/keycloak.pid ]] && kill -0 "$(<"$run/keycloak.pid")" 2>/dev/null; then
    echo "already running with pid $(<"$run/keycloak.pid"); stop it first" >&2
    exit 1
  fi
  local realm
  for realm in partner tg; do node "$here/realm.mjs" "$realm" >"$home/data/import/$realm-realm.json"; done
  local args=(start-dev --db=dev-mem --import-realm --features=docker,oid4vc-vci,oid4vc-vci-preauth-code,scim-api --health-enabled=true
    --http-host=127.0.0.1 --http-port="$port" --http-management-port="$((port + 1))")
  if [[ -n ${KEYCLOAK_PUBLIC:-} ]]; then
    args+=(--hostname="$KEYCLOAK_PUBLIC" --proxy-headers=xforwarded --proxy-trusted-addresses=127.0.0.1)
  fi
  local extra=()
  read -ra extra <<<"${KEYCLOAK_OPTIONS:-}"
  export KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD="${KEYCLOAK_ADMIN:-admin-pw}"
  export JAVA_OPTS_KC_HEAP="-Xms256m -Xmx768m" JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1
  # A session of its own, so that `stop` ends the launcher and the JVM together.
  setsid "$home/bin/kc.sh" "${args[@]}" "${extra[@]}" >"$run/keycloak.log" 2>&1 </dev/null &
  local pid=$!
  echo "$pid" >"$run/keycloak.pid"
  SECONDS=0
  until curl -fs -o /dev/null "http://127.0.0.1:$port/realms/tg/.well-known/openid-configuration"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -40 "$run/keycloak.log" >&2
      echo "Keycloak ended while it was starting; its log is $run/keycloak.log" >&2
      rm "$run/keycloak.pid"
      exit 1
    fi
    if ((SECONDS > limit)); then
      tail -40 "$run/keycloak.log" >&2
      echo "Keycloak was not ready within $limit s; its log is $run/keycloak.log" >&2
      stop
      exit 1
    fi
    sleep 0.5
  done
  echo "Keycloak $version on port $port, pid $pid, ready after $SECONDS s"
}

stop() {
  if [[ ! -s $run/keycloak.pid ]]; then return; fi
  local pid
  pid=$(<"$run/keycloak.pid")
  kill -- "-$pid" 2>/dev/null || true
  for _ in $(seq 60); do
    if ! kill -0 -- "-$pid" 2>/dev/null; then break; fi
    sleep 0.5
  done
  kill -KILL -- "-$pid" 2>/dev/null || true
  rm -f "$run/keycloak.pid"
}

case ${1:-} in
get | start | stop) "$1" ;;
*)
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
  exit 2
  ;;
esac
