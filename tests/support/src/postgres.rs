//! A private PostgreSQL server: created in a directory of its own, and removed with the process that started it.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};

use crate::processes::{reserved_port, send_signal};

/// The variable that points tests to a given server instead: a URL of a role that may create databases.
const GIVEN_SERVER: &str = "CODEMINT_TEST_POSTGRES_URL";

#[derive(Debug)]
pub struct Server {
    binaries: PathBuf,
    directory: PathBuf,
    port: u16,
    /// Stops the server and removes its directory as soon as its standard input ends, however this process ends.
    watcher: Child,
}

/// Whether the server may lose what it has committed, for speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Full,
    None,
}

/// What makes a server different from the usual private one.
#[derive(Clone, Debug)]
pub struct Setup {
    pub durability: Durability,
    /// Lines of its settings; `{directory}` stands for the place of `files`.
    pub settings: String,
    /// Lines of pg_hba.conf, instead of trusting every user of this machine.
    pub access_rules: Option<String>,
    /// Names and contents of files that the settings name.
    pub files: Vec<(String, String)>,
}

impl Server {
    pub fn start(durability: Durability) -> Self {
        Self::start_with(&Setup { durability, settings: String::new(), access_rules: None, files: Vec::new() })
    }

    /// Starts a server with a linguistic default collation, so that a forgotten collate "C" is noticed.
    pub fn start_with(setup: &Setup) -> Self {
        let binaries = binaries();
        let directory = tempfile::Builder::new().prefix("codemint-test-").tempdir().expect("a directory").keep();
        give_to_postgres(&directory);
        let at = directory.display();
        run(&format!("cp -r {}/server {at}/server", new_cluster(&binaries).display()), &directory);
        let port = reserved_port();
        let fsync = if setup.durability == Durability::Full { "on" } else { "off" };
        let settings = setup.settings.replace("{directory}", &at.to_string());
        let settings = format!(
            "port = {port}\nunix_socket_directories = '{at}'\nlisten_addresses = '127.0.0.1'\nfsync = {fsync}\n\
             max_connections = 200\n{settings}\n"
        );
        append(&directory.join("server/postgresql.conf"), &settings);
        if let Some(rules) = &setup.access_rules {
            fs::write(directory.join("server/pg_hba.conf"), rules).expect("access rules");
        }
        for (name, content) in &setup.files {
            let path = directory.join(name);
            fs::write(&path, content).expect("a file");
            // The server refuses private keys that others can read.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
            give_to_postgres(&path);
        }
        let watcher = watch(&binaries, &directory);
        let server = Self { binaries, directory, port, watcher };
        server.control("start");
        server
    }

    /// Starts a streaming standby, from which can be read.
    pub fn start_standby(&self) -> Self {
        let directory = tempfile::Builder::new().prefix("codemint-test-").tempdir().expect("a directory").keep();
        give_to_postgres(&directory);
        let (at, binaries) = (directory.display(), self.binaries.clone());
        let copy = binaries.join("pg_basebackup");
        let source = format!("-h 127.0.0.1 -p {} -U postgres", self.port);
        run(
            &format!("{} {source} -D {at}/server -R -c fast -C -S standby_{}", copy.display(), std::process::id()),
            &directory,
        );
        let port = reserved_port();
        let settings = format!("port = {port}\nunix_socket_directories = '{at}'\n");
        append(&directory.join("server/postgresql.conf"), &settings);
        let watcher = watch(&binaries, &directory);
        let standby = Self { binaries, directory, port, watcher };
        standby.control("start");
        standby
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Restarts as after a power cut: nothing is flushed, and no client is notified.
    pub fn crash_and_restart(&self) {
        self.control("-m immediate restart");
    }

    /// Signals all processes of the server: after `STOP` it keeps its connections and does not answer, until `CONT`.
    pub fn signal_all(&self, name: &str) {
        let _all = send_signal(name, &self.processes());
    }

    /// Returns all processes of the server; the first one comes last.
    fn processes(&self) -> Vec<String> {
        let Ok(file) = fs::read_to_string(self.directory.join("server/postmaster.pid")) else { return Vec::new() };
        let first = file.lines().next().expect("its process");
        let children = Command::new("pgrep").args(["--parent", first]).output().expect("pgrep").stdout;
        let children = String::from_utf8(children).expect("numbers");
        children.lines().chain([first]).map(str::to_owned).collect()
    }

    /// Kills the server's first process and all others at once.
    pub fn kill_9(&self) {
        // The first one is suspended, or it would start others, and the server could not start again while one lives.
        let first = self.processes().pop();
        let _stopped = send_signal("STOP", first.as_slice());
        let _all = send_signal("KILL", &self.processes());
        while self.is_running() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_running(&self) -> bool {
        let pg_ctl = self.binaries.join("pg_ctl");
        let script = format!("{}{} -D {}/server status", as_postgres(), pg_ctl.display(), self.directory.display());
        let asked = Command::new("sh").args(["-c", &script]).current_dir(&self.directory).output();
        asked.expect("a shell").status.success()
    }

    /// Moves the write-ahead log to this directory.
    pub fn move_log_to(&self, directory: &Path) {
        self.stop();
        let (from, to) = (self.directory.join("server/pg_wal"), directory.join("pg_wal"));
        run(&format!("mv {0} {1} && ln -s {1} {0}", from.display(), to.display()), &self.directory);
        self.start_again();
    }

    /// Makes a standby the primary server.
    pub fn promote(&self) {
        self.control("promote");
    }

    pub fn stop(&self) {
        self.control("-m fast stop");
    }

    pub fn start_again(&self) {
        self.control("start");
    }

    /// Makes this role need its password; others are trusted as before.
    pub fn demand_password_of(&self, role: &str) {
        let at = self.directory.display();
        let rules = format!("'host all {role} all scram-sha-256' 'host all all all trust' 'local all all trust'");
        run(&format!("printf '%s\\n' {rules} > {at}/server/pg_hba.conf"), &self.directory);
        self.control("-m fast restart");
    }

    fn control(&self, action: &str) {
        let at = self.directory.display();
        let pg_ctl = self.binaries.join("pg_ctl");
        run(
            &format!("{} -D {at}/server -l {at}/log -w -t 60 {action} > {at}/pg_ctl.log 2>&1", pg_ctl.display()),
            &self.directory,
        );
    }

    /// A program of the same installation, such as `psql`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ended = self.watcher.wait();
    }
}

fn watch(binaries: &Path, directory: &Path) -> Child {
    let at = directory.display();
    let script = format!(
        "trap '' INT TERM; cat > /dev/null; {}{} -D {at}/server -m immediate stop > /dev/null 2>&1; rm -rf {at}",
        as_postgres(),
        binaries.join("pg_ctl").display()
    );
    Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("a shell")
}

/// Returns the programs of the newest installation. Without one the test fails: there is no mock of PostgreSQL.
pub fn binaries() -> PathBuf {
    let mut found: Vec<PathBuf> = ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/homebrew/opt"]
        .iter()
        .filter_map(|root| fs::read_dir(root).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    found.sort();
    found.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let newest = found.iter().find(|directory| directory.join("initdb").exists() && directory.join("pg_ctl").exists());
    newest
        .cloned()
        .expect("PostgreSQL's server programs; ./tests/run installs them, CODEMINT_TEST_POSTGRES_URL names a server")
}

/// Returns the directory of a cluster that was never started, for copying: `initdb` takes ten times as long. It is removed with this
/// process.
fn new_cluster(binaries: &Path) -> &'static Path {
    static CLUSTER: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (directory, _watcher) = CLUSTER.get_or_init(|| {
        let directory = tempfile::Builder::new().prefix("codemint-test-").tempdir().expect("a directory").keep();
        give_to_postgres(&directory);
        let watcher = watch(binaries, &directory);
        let (at, initdb) = (directory.display(), binaries.join("initdb"));
        let locale = "-E UTF8 --locale-provider=icu --icu-locale=en-US --locale=C.UTF-8";
        run(&format!("{} -D {at}/server -U postgres -A trust {locale} --no-sync", initdb.display()), &directory);
        (directory, watcher)
    });
    directory
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(path).expect("a settings file");
    file.write_all(text.as_bytes()).expect("settings");
}

pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout.trim_ascii() == b"0"
}

/// Returns what makes a shell command run as the server's user: the server refuses to run as root.
fn as_postgres() -> &'static str {
    if is_root() { "runuser -u postgres -- " } else { "" }
}

pub fn give_to_postgres(directory: &Path) {
    if is_root() {
        let status = Command::new("chown").arg("postgres:").arg(directory).status().expect("chown");
        assert!(status.success(), "chown");
    }
}

fn run(script: &str, directory: &Path) {
    let script = format!("cd {} && {script}", directory.display());
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh", "-c", &script]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command
    };
    let output = command.stdin(Stdio::null()).output().expect("a shell");
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A database of one test, on the server that all tests of this process share.
#[derive(Debug)]
pub struct Database {
    pub url: String,
    server_url: String,
    name: String,
}

impl Database {
    pub async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let server_url = shared_server_url();
        let name = format!("codemint_test_{}_{number}", std::process::id());
        create_database(&server_url, &name).await;
        let mut url = url::Url::parse(&server_url).expect("a URL");
        url.set_path(&name);
        Self { url: url.into(), server_url, name }
    }
}

pub async fn create_database(server_url: &str, name: &str) {
    let mut connection = PgConnection::connect(server_url).await.expect("the test server");
    let sql = format!(
        "create database {name} template template0 encoding 'UTF8' locale_provider icu icu_locale 'en-US' locale 'C.UTF-8'"
    );
    connection.execute(sql.as_str()).await.expect("a database with a linguistic collation");
}

impl Drop for Database {
    fn drop(&mut self) {
        // Dropped even where the server will be removed with everything in it: all databases together take gigabytes.
        let (server_url, name) = (self.server_url.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server_url).await.expect("the test server");
                let sql = format!("drop database if exists {name} with (force)");
                connection.execute(sql.as_str()).await.expect("no database");
                let roles = format!("select rolname::text from pg_roles where starts_with(rolname, '{name}_')");
                let roles: Vec<String> = sqlx::query_scalar(&roles).fetch_all(&mut connection).await.expect("roles");
                for role in roles {
                    connection.execute(format!("drop role {role}").as_str()).await.expect("no role");
                }
            });
        });
        let _ended = dropped.join();
    }
}

pub fn shared_server_url() -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    match std::env::var(GIVEN_SERVER) {
        Ok(url) => url,
        Err(_) => SHARED.get_or_init(|| Server::start(Durability::None)).url("postgres"),
    }
}
