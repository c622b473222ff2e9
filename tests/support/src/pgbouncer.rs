//! A private pgbouncer in transaction mode, in front of the server that all tests of this process share.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use url::Url;

use crate::postgres::{free_port, give_to_postgres, is_root, shared_server_url};
use crate::waiting::DEADLINE;

/// So few sessions that two processes have to share them.
const SESSIONS_PER_DATABASE: u32 = 5;

#[derive(Debug)]
pub struct Pgbouncer {
    port: u16,
    /// Stops pgbouncer and removes its directory as soon as its standard input ends, however this process ends.
    _watcher: Child,
}

/// Returns the URL of the same database through the pgbouncer of this process.
pub fn by_way_of_pgbouncer(database_url: &str) -> String {
    static SHARED: OnceLock<Pgbouncer> = OnceLock::new();
    let port = SHARED.get_or_init(Pgbouncer::start).port;
    let database = Url::parse(database_url).expect("a URL").path().to_owned();
    format!("postgres://anybody@127.0.0.1:{port}{database}?sslmode=disable")
}

impl Pgbouncer {
    /// Starts a pgbouncer; settings that are not given here have their defaults.
    fn start() -> Self {
        let server = Url::parse(&shared_server_url()).expect("a URL");
        let directory = tempfile::Builder::new().prefix("codemint-test-").tempdir().expect("a directory").keep();
        let port = free_port();
        let at = directory.display();
        let settings = format!(
            "[databases]\n* = {}\n[pgbouncer]\npool_mode = transaction\nauth_type = any\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nlogfile = {at}/log\n\
             default_pool_size = {SESSIONS_PER_DATABASE}\nserver_idle_timeout = 5\n",
            target(&server)
        );
        fs::write(directory.join("pgbouncer.ini"), settings).expect("settings");
        give_to_postgres(&directory);
        let script = format!(
            "trap '' INT TERM; {} -q {} {at}/pgbouncer.ini > /dev/null 2>&1 < /dev/null & \
             cat > /dev/null; kill -9 $!; rm -rf {at}",
            program(),
            // pgbouncer refuses to run as root.
            if is_root() { "-u postgres" } else { "" }
        );
        let watcher = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("a shell");
        wait_for(port);
        Self { port, _watcher: watcher }
    }
}

/// Returns the connection string; it makes every client the server's own user.
fn target(server: &Url) -> String {
    let (host, port) = (server.host_str().expect("a host"), server.port().unwrap_or(5432));
    let password = server.password().map(|password| format!(" password={password}"));
    format!("host={host} port={port} user={}{}", server.username(), password.unwrap_or_default())
}

fn program() -> &'static str {
    let places = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
    let found = places.into_iter().find(|place| fs::exists(place).unwrap_or_default());
    found.expect("pgbouncer; ./tests/run installs it")
}

fn wait_for(port: u16) {
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < DEADLINE, "pgbouncer does not answer");
        std::thread::sleep(Duration::from_millis(5));
    }
}
