//! A real PostgreSQL for the tests of one binary: made in a folder of its own, ended with the process however that ends.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// A cluster. It is listening on 127.0.0.1 and in its folder.
pub(crate) struct Postgres {
    folder: PathBuf,
    port: u16,
    /// As long as it is open, the cluster runs.
    commands: Mutex<ChildStdin>,
    answers: Mutex<Box<dyn BufRead + Send>>,
    _shell: Child,
}

impl Postgres {
    /// The one that all tests share; `None`, said once, where none is installed. With `CI=true` that is a failure.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A cluster for one test that stops it.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                env::var("CI").as_deref() != Ok("true"),
                "PostgreSQL's `initdb` is neither in PATH nor below /usr/lib/postgresql: install `postgresql`"
            );
            let _ = writeln!(
                std::io::stderr(),
                "NOT RUN: tests with PostgreSQL, since its `initdb` is neither in PATH nor below /usr/lib/postgresql"
            );
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = unprivileged();
        let mut shell = command
            .args(["sh", "-c", SCRIPT, "postgres"])
            .arg(&programs)
            .arg(port.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = Mutex::new(shell.stdin.take().unwrap());
        let mut answers = BufReader::new(shell.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let folder = line
            .trim_end()
            .strip_prefix("ready ")
            .unwrap_or_else(|| panic!("no cluster: {line}"));
        Some(Self {
            folder: folder.into(),
            port,
            commands,
            answers: Mutex::new(Box::new(answers)),
            _shell: shell,
        })
    }

    /// An address for a test of its own: a schema that nothing is in yet.
    pub(crate) fn fresh(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let schema = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.run(&format!("CREATE SCHEMA {schema}"));
        self.address(&schema)
    }

    /// The address of this schema.
    pub(crate) fn address(&self, schema: &str) -> String {
        format!(
            "postgres://tollgate@127.0.0.1:{}/postgres?options=-csearch_path%3D{schema}",
            self.port
        )
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL past Tollgate, and gives what it selects, a row a line.
    pub(crate) fn run(&self, sql: &str) -> String {
        let psql = programs().unwrap().join("psql");
        let out = Command::new(psql)
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "tollgate",
                "-d",
                "postgres",
            ])
            .arg("-h")
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-c", sql])
            .output()
            .unwrap();
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    }

    /// Stops it as a crash would.
    pub(crate) fn stop(&self) {
        self.tell("stop");
    }

    /// Starts it again.
    pub(crate) fn go_on(&self) {
        self.tell("start");
    }

    /// Lets it fall silent: connections stay, and nothing answers.
    pub(crate) fn pause(&self) {
        self.tell("pause");
    }

    /// Lets it speak again.
    pub(crate) fn unpause(&self) {
        self.tell("unpause");
    }

    /// From now on it speaks TLS with the certificate in `certificate` and the key in `key`, and asks the user `secret` for a password.
    pub(crate) fn secure(&self, certificate: &str, key: &str) {
        let folder = tempfile::tempdir().unwrap();
        let open = |path: &Path| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        open(folder.path());
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            fs::write(folder.path().join(name), text).unwrap();
            open(&folder.path().join(name));
        }
        self.tell(&format!("secure {}", folder.path().display()));
    }

    fn tell(&self, word: &str) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(commands, "{word}").unwrap();
        let mut line = String::new();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), "done");
    }
}

/// The folder of the newest PostgreSQL's programs. Debian does not have them in PATH.
fn programs() -> Option<PathBuf> {
    let has_all = |folder: &Path| {
        ["initdb", "postgres", "psql"]
            .iter()
            .all(|name| folder.join(name).exists())
    };
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort_by_key(|path| {
        let version = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    let path = env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .chain(env::split_paths(&path))
        .find(|folder| has_all(folder))
}

/// What runs a command as somebody who may run PostgreSQL: it refuses root.
fn unprivileged() -> Command {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        return Command::new("env");
    }
    let known = fs::read_to_string("/etc/passwd").unwrap();
    let user = ["postgres", "nobody"].into_iter().find_map(|name| {
        let line = known.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    });
    let (user, group) = user.unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &group, "--clear-groups", "--"]);
    command
}

const SCRIPT: &str = r#"
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
"#;
