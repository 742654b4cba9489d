//! The binary under systemd: it says when it is ready and when it stops, takes the sockets that it is handed, and answers health checks.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::world::keys;

#[test]
fn systemd_is_told_when_it_serves_when_it_reloads_and_when_it_stops() {
    let unit = Unit::new();
    let (mut server, told) = unit.started();
    let health = unit.says(&["health"]);
    assert_eq!(
        (health.status.code(), health.stdout.as_slice()),
        (Some(0), &b"ready\n"[..])
    );

    server.signal("HUP");
    let reloading = next(&told);
    assert!(
        reloading.contains("RELOADING=1\n") && reloading.contains("MONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(next(&told), "READY=1\n");

    server.signal("TERM");
    let stopping = next(&told);
    assert!(stopping.contains("STOPPING=1\n"), "{stopping}");
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn connections_that_wait_at_a_socket_of_systemd_are_served_across_a_restart() {
    let unit = Unit::new();
    for _ in 0..2 {
        let (mut page, mut health) = (ask(unit.public, "/"), ask(unit.admin, "/readyz"));
        let (mut server, _told) = unit.started();
        assert!(answer(&mut health).starts_with("HTTP/1.1 200 "));
        // The upstream is not there; who answers is Tollgate.
        assert!(answer(&mut page).starts_with("HTTP/1.1 502 "));
        server.signal("TERM");
        assert!(server.0.wait().unwrap().success());
    }
}

#[test]
fn a_socket_of_systemd_at_another_address_is_named() {
    let unit = Unit::new();
    let file = unit.path().join("proxy.toml");
    let other = format!("0.0.0.0:{}", unit.public.port());
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace(&unit.public.to_string(), &other);
    fs::write(&file, text).unwrap();
    let mut server = Server(unit.activated().spawn().unwrap());
    let mut said = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(64), "{said}");
    assert!(said.contains(&format!("cannot listen on {other}")), "{said}");
    assert!(
        said.contains(&format!("hint: systemd handed over {}", unit.public)),
        "{said}"
    );
}

#[test]
fn health_says_what_it_cannot_ask() {
    let unit = Unit::new();
    let file = unit.path().join("proxy.toml");
    let text = fs::read_to_string(&file).unwrap();
    for (admin, why) in [
        (
            "address = \"127.0.0.1:0\"".to_owned(),
            "the port of `[admin] address` is 0",
        ),
        (
            format!(
                "address = \"{}\"\ntls = {{ certificate = \"a\", key = \"b\" }}",
                unit.admin
            ),
            "asks without TLS",
        ),
    ] {
        let own = format!("address = \"{}\"", unit.admin);
        fs::write(&file, text.replace(&own, &admin)).unwrap();
        let said = unit.says(&["health"]);
        let error = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(2), "{error}");
        assert!(error.contains(why), "{error}");
    }
    fs::write(&file, text).unwrap();
    drop(unit.sockets);
    let health = tollgate(unit.folder.path(), &["health"]).output().unwrap();
    assert_eq!(health.status.code(), Some(1));
    let text = String::from_utf8(health.stdout).unwrap();
    assert!(
        text.starts_with(&format!("nothing answers on {}", unit.admin)),
        "{text}"
    );
}

/// What systemd starts: a configuration in a folder, and the sockets of a socket unit.
struct Unit {
    folder: TempDir,
    public: SocketAddr,
    admin: SocketAddr,
    sockets: [TcpListener; 2],
}

fn tollgate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null());
    command
}

/// The process.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Unit {
    fn new() -> Self {
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [public, admin] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        let keys = keys::shared().to_str().unwrap();
        let text = format!(
            "[listen]\naddress = \"{public}\"\npublic_url = \"http://id.example.com\"\n\
             [upstream]\nurl = \"http://127.0.0.1:9\"\npreset = \"keycloak\"\n\
             [tokens]\nkeys = \"{keys}/signing\"\ncapsule_secret = {{ file = \"{keys}/capsule.key\" }}\n\
             [admin]\naddress = \"{admin}\"\n"
        );
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("proxy.toml"), text).unwrap();
        Self {
            folder,
            public,
            admin,
            sockets,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn says(&self, arguments: &[&str]) -> Output {
        tollgate(self.path(), arguments).output().unwrap()
    }

    /// As systemd starts it: the sockets are descriptors 3 and 4, and it is the process that they are for.
    fn activated(&self) -> Command {
        let [public, admin] = self
            .sockets
            .each_ref()
            .map(|socket| OwnedFd::from(socket.try_clone().unwrap()));
        let script = "exec 3<&0 4>&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" run";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_tollgate")]);
        command.current_dir(self.path()).env_clear();
        command.stdin(public).stdout(admin).stderr(Stdio::piped());
        command
    }

    /// As above, once it is ready; and where it tells what follows.
    fn started(&self) -> (Server, UnixDatagram) {
        let place = self.path().join("notify");
        // One that was there before is of the process before.
        _ = fs::remove_file(&place);
        let told = UnixDatagram::bind(&place).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        let server = Server(self.activated().env("NOTIFY_SOCKET", &place).spawn().unwrap());
        let ready = next(&told);
        assert!(ready.contains("READY=1\n"), "{ready}");
        assert!(ready.contains(&format!("STATUS=on {}", self.public)), "{ready}");
        (server, told)
    }
}

impl Server {
    fn signal(&self, name: &str) {
        let told = Command::new("/bin/sh")
            .args(["-c", &format!("kill -{name} {}", self.0.id())])
            .status();
        assert!(told.unwrap().success());
    }
}

fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = if path == "/readyz" {
        address.to_string()
    } else {
        "id.example.com".to_owned()
    };
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream
}

fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn next(told: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = told.recv(&mut bytes).expect("systemd is told something");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

const PATIENCE: Duration = Duration::from_secs(60);
