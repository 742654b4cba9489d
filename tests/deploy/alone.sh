#!/usr/bin/env bash
# The static binary as it is in the image: alone in a read-only root, as nobody, without an environment, in a network of its own. It has to make its
# keys, find the provider by name (with nothing but resolv.conf), relay, say that it is ready, refuse to write elsewhere, and end at SIGTERM.
#
#   tests/deploy/alone.sh BINARY      needs root, unshare, python3, curl and iproute2
#
# A static binary: RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --target x86_64-unknown-linux-gnu
set -euo pipefail

if [[ ${1:-} != inside ]]; then
  binary=$(realpath "$1")
  if readelf --program-headers "$binary" | grep -q INTERP; then
    echo "$binary is not static" >&2
    exit 1
  fi
  exec unshare --mount --net --pid --mount-proc --fork --kill-child "$(realpath "${BASH_SOURCE[0]}")" inside "$binary"
fi
binary=$2

scratch=$(mktemp -d)
children=()
finish() {
  local code=$?
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  wait || true
  umount "$scratch/image/var/lib/tollgate" "$scratch"/image/dev/{random,urandom} "$scratch/image" 2>/dev/null || true
  if ((code == 0)); then rm -rf "$scratch"; else echo "failed; what was written is in $scratch" >&2; fi
}
trap finish EXIT

ip link set lo up
root=$scratch/image
mkdir -p "$root"/{dev,usr/bin,etc/tollgate,var/lib/tollgate}
# As every container runtime gives it: where the C library is linked in, randomness comes from there.
touch "$root"/dev/{random,urandom}
cp "$binary" "$root/usr/bin/tollgate"
echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
cat >"$root/etc/tollgate/proxy.toml" <<'TOML'
[listen]
address = "0.0.0.0:8443"
public_url = "http://id.example.com"
[upstream]
url = "http://provider.example.test:8080"
preset = "keycloak"
[tokens]
keys = "/var/lib/tollgate/signing"
capsule_secret = { file = "/var/lib/tollgate/capsule.key" }
[audit]
store = "sqlite:/var/lib/tollgate/audit.db"
[admin]
address = "127.0.0.1:9443"
TOML
mount --bind "$root" "$root"
for device in random urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
mount -o remount,bind,ro "$root"
mount -t tmpfs -o "mode=0700,uid=65534,gid=65534" tmpfs "$root/var/lib/tollgate"

# A provider of one page, and a name server that knows it.
mkdir "$scratch/www"
echo 'the provider' >"$scratch/www/index.html"
python3 -m http.server 8080 --bind 127.0.0.1 --directory "$scratch/www" >"$scratch/provider.log" 2>&1 &
children+=($!)
python3 - 2>"$scratch/names.log" <<'PYTHON' &
import socket

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    asked, client = server.recvfrom(512)
    end = asked.index(b"\0", 12) + 5
    is_a = asked[end - 4 : end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_a else b""
    server.sendto(asked[:2] + b"\x81\x80\0\1\0" + bytes([is_a]) + b"\0\0\0\0" + asked[12:end] + answer, client)
PYTHON
children+=($!)

tollgate() {
  env -i "$(command -v setpriv)" --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid \
    "$(command -v chroot)" --userspec=65534:65534 --groups= "$root" /usr/bin/tollgate "$@" --config /etc/tollgate/proxy.toml
}
tollgate keys init >"$scratch/keys.log"
tollgate check --offline >"$scratch/check.log"
tollgate run 2>"$scratch/tollgate.log" &
server=$!
children+=("$server")
for _ in $(seq 300); do
  if tollgate health >"$scratch/health.log"; then break; fi
  kill -0 "$server"
  sleep 0.1
done
grep -qxF ready "$scratch/health.log"
page=$(curl --silent --show-error --max-time 20 --header 'Host: id.example.com' http://127.0.0.1:8443/)
[[ $page == 'the provider' ]]
pid=$(pgrep --exact tollgate)
grep -q '^Uid:.65534.65534.65534.65534$' "/proc/$pid/status"
grep -q '^CapEff:.0000000000000000$' "/proc/$pid/status"
if touch "$root/etc/tollgate/x" 2>/dev/null; then
  echo "the root can be written" >&2
  exit 1
fi
kill -TERM "$pid"
wait "$server"
echo "Alone in a read-only root, as nobody: it makes keys, resolves names, relays, is ready, and ends."
