#!/bin/sh
# A PostgreSQL in a folder of its own, as long as the standard input is open: postgres.sh BIN PORT
#
# Says `ready FOLDER`, takes the words below, a line each, and answers each with `done`. PostgreSQL refuses root, so whoever starts this is not.
set -eu
bin=$1 port=$2
unset PGDATA PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGOPTIONS || true
folder=$(mktemp -d /tmp/tollgate-postgres-XXXXXX)
trap 'rm -rf "$folder"' EXIT
export HOME=$folder LC_ALL=C
"$bin/initdb" -D "$folder/data" -A trust -U tollgate -E UTF8 --no-locale --no-sync >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }
start() {
  "$bin/postgres" -D "$folder/data" -k "$folder" -p "$port" -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=32MB \
    </dev/null >>"$folder/log" 2>&1 &
  server=$!
  until "$bin/psql" -X -q -h "$folder" -p "$port" -U tollgate -d postgres -c 'SELECT 1' >/dev/null 2>&1; do
    kill -0 "$server" || { cat "$folder/log" >&2; exit 1; }
    sleep 0.05
  done
}
start
echo "ready $folder"
while read -r word from; do
  case $word in
    stop) kill -QUIT "$server"; wait "$server" || true; server= ;;
    start) start ;;
    secure)
      cp "$from/server.crt" "$from/server.key" "$folder/data/"
      chmod 600 "$folder/data/server.key"
      { echo 'host all secret 127.0.0.1/32 scram-sha-256'; cat "$folder/data/pg_hba.conf"; } >"$folder/hba"
      mv "$folder/hba" "$folder/data/pg_hba.conf"
      echo 'ssl = on' >>"$folder/data/postgresql.conf"
      kill -INT "$server"; wait "$server" || true
      start ;;
    pause) pkill -STOP -P "$server" || true; kill -STOP "$server" ;;
    unpause) kill -CONT "$server"; pkill -CONT -P "$server" || true ;;
  esac
  echo done
done
if [ -n "$server" ]; then
  kill -CONT "$server" || true
  pkill -CONT -P "$server" || true
  kill -QUIT "$server"
  wait "$server" || true
fi
