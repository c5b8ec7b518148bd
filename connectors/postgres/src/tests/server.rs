//! A PostgreSQL server of the tests' own, in a temporary folder, gone with its last user.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};
use tempfile::TempDir;

const INSTALL: &str = "these tests need the PostgreSQL server: apt-get install -y --no-install-recommends postgresql";

pub struct Server {
    pub port: u16,
    dir: TempDir,
    bin: PathBuf,
}

/// The server that most tests share.
pub fn shared() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::start(true));
        *shared = Arc::downgrade(&server);
        server
    })
}

impl Server {
    /// A new cluster: trusted over its socket, passwords over TCP, and TLS if wanted.
    pub fn start(tls: bool) -> Self {
        let bin = binaries();
        let dir = tempfile::Builder::new().prefix("simpul-pg-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server { port, dir, bin };
        server.own(server.dir.path());
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-N", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
                .into_iter()
                .chain(["--auth-local=trust", "--auth-host=md5"])
                .collect::<Vec<_>>(),
        );
        if tls {
            server.make_certificate();
        }
        server.up();
        server
    }

    pub fn up(&self) {
        let socket = self.dir.path().display();
        // SCRAM takes 4096 rounds of a hash for each connection, which an unoptimised build feels: the server that all
        // share does without, the one that goes down has it.
        let tls = if self.ca().exists() { "-c ssl=on -c password_encryption=md5" } else { "" };
        let options = format!(
            "-p {} -k {socket} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50 {tls}",
            self.port
        );
        let log = format!("{socket}/log");
        self.run("pg_ctl", &["start", "-w", "-s", "-D", &self.data(), "-l", &log, "-o", &options]);
    }

    pub fn down(&self) {
        self.run("pg_ctl", &["stop", "-w", "-s", "-m", "immediate", "-D", &self.data()]);
    }

    /// The authority of the server's certificate, which is for `localhost`.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Runs statements as the superuser.
    pub async fn sql(&self, sql: &str) {
        let mut admin = self.admin().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut admin).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.admin().await).await.unwrap()
    }

    pub async fn admin(&self) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass().socket(self.dir.path()).port(self.port);
        options.username("postgres").database("postgres").connect().await.unwrap()
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn make_certificate(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let data = PathBuf::from(self.data());
        let key = data.join("server.key");
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(data.join("server.crt"), made.cert.pem()).unwrap();
        std::fs::write(self.ca(), made.cert.pem()).unwrap();
        self.own(&key);
        self.own(&data.join("server.crt"));
    }

    /// The server refuses to run as root and reads only files of its own.
    fn own(&self, path: &Path) {
        if rustix::process::geteuid().is_root() {
            let id = |flag| {
                let out = Command::new("id").args([flag, "postgres"]).output().unwrap();
                String::from_utf8(out.stdout).unwrap().trim().parse().expect(INSTALL)
            };
            chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
        }
    }

    fn run(&self, program: &str, args: &[&str]) {
        let program = self.bin.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // Output goes to a file: the server inherits it and would keep a pipe open for good.
        let out = std::fs::File::create(self.dir.path().join("out")).unwrap();
        let err = out.try_clone().unwrap();
        let status = command.args(args).current_dir("/").stdout(out).stderr(err).status().expect(INSTALL);
        let said = || std::fs::read_to_string(self.dir.path().join("out")).unwrap_or_default();
        assert!(status.success(), "{} {args:?}: {}", program.display(), said());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = PathBuf::from(self.data()).join("postmaster.pid");
        if pid.exists() {
            self.down();
        }
    }
}

/// Where Debian puts the newest server, or the search path.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|v| v.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    let on_path = || std::env::split_paths(&std::env::var_os("PATH")?).find(|bin| bin.join("initdb").exists());
    found.pop().or_else(on_path).expect(INSTALL)
}
