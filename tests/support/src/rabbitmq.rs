//! A private RabbitMQ server: created in a directory of its own, and removed with the process that started it.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::processes::{reserved_port, send_signal};
use crate::waiting::DEADLINE;

/// Debian's path. Its commands change neither the directory nor the user, unlike those in /usr/sbin.
const DEBIAN: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

#[derive(Debug)]
pub struct Broker {
    directory: PathBuf,
    ports: Ports,
    owner: Option<Owner>,
    /// Maps names of servers to ports; every server has its own. Its process group holds all processes started here.
    epmd: Child,
    /// The Erlang virtual machine.
    server: Mutex<Child>,
    /// Kills the group and removes the directory as soon as its standard input ends, however this process ends.
    watcher: Child,
}

/// What makes a server different from the usual private one.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Lines of rabbitmq.conf; `{directory}` stands for the place of `files`, `{tls_port}` for the port of `tls_url`.
    pub settings: String,
    /// Names and contents of files that the settings name.
    pub files: Vec<(String, String)>,
}

/// A virtual host, with its own exchanges and queues.
#[derive(Clone, Debug)]
pub struct Vhost {
    pub name: String,
    port: u16,
    tls_port: u16,
}

/// The time limit of a start, which recovers all queues on a machine that a soak test keeps busy.
const STARTED_WITHIN: Duration = Duration::from_secs(600);

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    pub ready: u64,
    /// Delivered, but not acknowledged.
    pub unacknowledged: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    amqp: u16,
    tls: u16,
    distribution: u16,
    epmd: u16,
}

/// The user that the server runs as when this process runs as root.
#[derive(Clone, Copy, Debug)]
struct Owner {
    user: u32,
    group: u32,
}

/// Returns the server that the tests of this process share. It ends with the process.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(Broker::start)
}

impl Broker {
    pub fn start() -> Self {
        Self::start_with(&Setup::default())
    }

    pub fn start_with(setup: &Setup) -> Self {
        let directory = tempfile::Builder::new().prefix("codemint-test-").tempdir().expect("a directory").keep();
        let mut watcher = watch(&directory);
        let ports = Ports::choose();
        let owner = Owner::find();
        furnish(&directory, ports, owner, setup);
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &ports.epmd.to_string(), "-address", "127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let epmd = run_as(&mut epmd, owner, 0).spawn().expect("epmd, which RabbitMQ needs; ./tests/run installs it");
        let group = epmd.id();
        writeln!(watcher.stdin.as_mut().expect("a pipe"), "{group}").expect("a watcher");
        wait_until_open(ports.epmd);
        let server = Mutex::new(start_server(&directory, ports, owner, group));
        let broker = Self { directory, ports, owner, epmd, server, watcher };
        broker.wait_until_up();
        broker
    }

    /// Creates a virtual host in which `guest` may do everything.
    pub fn vhost(&self) -> Vhost {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.ask(&format!("rabbit_vhost:add({}, {})", binary(&name), binary("test")));
        self.permit("guest", &name, [".*", ".*", ".*"]);
        Vhost { name, port: self.ports.amqp, tls_port: self.ports.tls }
    }

    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Closes the connections of all clients, with a notice to each.
    pub fn close_all_connections(&self) {
        self.close_connections_where("true");
    }

    /// Closes the connections of the clients of one virtual host, where others share the server.
    pub fn close_connections_of(&self, vhost: &Vhost) {
        self.close_connections_where(&format!("Vhost =:= {}", binary(&vhost.name)));
    }

    fn close_connections_where(&self, condition: &str) {
        // A connection that has just ended needs no closing.
        let close = "(catch rabbit_networking:close_connection(Connection, \"closed by a test\"))";
        let all = connections("pid, vhost");
        self.ask(&format!("[{close} || [{{pid, Connection}}, {{vhost, Vhost}}] <- {all}, {condition}]"));
    }

    /// Stops the broker, so that nothing listens any longer; the virtual machine keeps running.
    pub fn stop_app(&self) {
        self.ask("rabbit:stop()");
    }

    pub fn start_app(&self) {
        self.ask("rabbit:start()");
        self.wait_until_up();
    }

    /// Kills the server: nothing is flushed, no client is notified, the files stay. But declarations are written first:
    /// RabbitMQ 3.10 takes half a second to write the name of a new quorum queue, and cannot open the queue without it, and up
    /// to two seconds to write a binding, so that a queue would get nothing afterwards; no test is about that.
    pub fn kill_9(&self) {
        // A suspended server does not answer.
        let declarations = "mnesia:sync_log(), [dets:sync(Table) || Table <- dets:all()]";
        let _written = self.try_to_ask(declarations, Duration::from_secs(5));
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.kill().expect("a running server");
        server.wait().expect("an ended server");
    }

    pub fn start_again(&self) {
        let server = start_server(&self.directory, self.ports, self.owner, self.epmd.id());
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
        self.wait_until_up();
    }

    /// Suspends the server (`STOP`), which keeps its connections and does not answer, or resumes it (`CONT`).
    pub fn signal_all(&self, signal: &str) {
        let pid = self.server.lock().unwrap_or_else(PoisonError::into_inner).id();
        assert!(send_signal(signal, &[pid.to_string()]), "kill -{signal} {pid}");
    }

    /// Sets the limit as a fraction of the machine's memory: 0.4 is usual, 0.0001 blocks every publisher.
    pub fn set_vm_memory_high_watermark(&self, fraction: f64) {
        self.ask(&format!("vm_memory_monitor:set_vm_memory_high_watermark({fraction:?})"));
    }

    /// Adds a user. Permissions are regular expressions of what the user may configure, write and read.
    pub fn add_user(&self, name: &str, password: &str, vhost: &Vhost, permissions: [&str; 3]) {
        let (user, password, actor) = (binary(name), binary(password), binary("test"));
        self.ask(&format!("rabbit_auth_backend_internal:add_user({user}, {password}, {actor})"));
        self.permit(name, &vhost.name, permissions);
    }

    /// Makes the queue refuse messages while it holds one.
    pub fn close_when_filled(&self, vhost: &Vhost, queue: &str) {
        let limits = "[{<<\"max-length\">>, 1}, {<<\"overflow\">>, <<\"reject-publish\">>}]";
        let (vhost, queue, who) = (binary(&vhost.name), binary(&format!("^{queue}$")), binary("test"));
        let applies_to = binary("queues");
        self.ask(&format!("rabbit_policy:set({vhost}, <<\"closed\">>, {queue}, {limits}, 0, {applies_to}, {who})"));
    }

    /// Undoes [`Broker::close_when_filled`].
    pub fn open_queues(&self, vhost: &Vhost) {
        self.ask(&format!("rabbit_policy:delete({}, <<\"closed\">>, {})", binary(&vhost.name), binary("test")));
    }

    pub fn import_definitions(&self, file: &Path) {
        // The server's user may have no access to the directory of this file.
        let copy = self.directory.join("definitions.json");
        fs::copy(file, &copy).expect("definitions");
        self.ctl(&["import_definitions", copy.to_str().expect("a name")]);
    }

    /// Returns exact counts; ready: what a consumer could take now. The server's lists of quorum queues lag by seconds.
    pub fn queue_depth(&self, vhost: &Vhost, queue: &str) -> Depth {
        let name = format!("rabbit_misc:r({}, queue, {})", binary(&vhost.name), binary(queue));
        let answer = self.ask(&format!(
            "{{ok, Queue}} = rabbit_amqqueue:lookup({name}),
             Count = fun(What) -> {{ok, {{_, Number}}, _}} = ra:leader_query(amqqueue:get_pid(Queue), What), Number end,
             case amqqueue:get_type(Queue) of
                 rabbit_quorum_queue ->
                     [Count(fun rabbit_fifo:query_messages_ready/1), Count(fun rabbit_fifo:query_messages_checked_out/1)];
                 _ ->
                     [Number || {{_, Number}} <- rabbit_amqqueue:info(Queue, [messages_ready, messages_unacknowledged])]
             end"
        ));
        let mut numbers = answer.trim_matches(['[', ']']).split(',').map(|number| number.parse().expect("a number"));
        let (ready, unacknowledged) = (numbers.next().expect("ready"), numbers.next().expect("unacknowledged"));
        Depth { ready, unacknowledged }
    }

    /// Returns the output of `rabbitmqctl`. It takes a second; [`Self::ask`] takes milliseconds.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(self.directory.join("home/sbin/rabbitmqctl"));
        command.arg("--quiet").args(arguments).envs(environment(&self.directory, self.ports)).stdin(Stdio::null());
        let output = run_as(&mut command, self.owner, self.epmd.id()).output().expect("rabbitmqctl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}\n{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// Evaluates Erlang expressions inside the server.
    pub fn ask(&self, expressions: &str) -> String {
        let answer = self.try_to_ask(expressions, DEADLINE).expect("a server that answers");
        let value = answer.strip_prefix("ok ");
        value.unwrap_or_else(|| panic!("{expressions}\n{answer}")).to_owned()
    }

    fn try_to_ask(&self, expressions: &str, timeout: Duration) -> std::io::Result<String> {
        let text = format!("{expressions}.");
        let length = u32::try_from(text.len()).expect("a short text");
        let mut door = UnixStream::connect(self.directory.join("door"))?;
        door.set_read_timeout(Some(timeout))?;
        door.write_all(&length.to_be_bytes())?;
        door.write_all(text.as_bytes())?;
        let mut answer = Vec::new();
        door.read_to_end(&mut answer)?;
        let answer = answer.get(4..).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        Ok(String::from_utf8_lossy(answer).into_owned())
    }

    fn permit(&self, user: &str, vhost: &str, permissions: [&str; 3]) {
        let [configure, write, read] = permissions.map(binary);
        let (user, vhost, actor) = (binary(user), binary(vhost), binary("test"));
        self.ask(&format!(
            "rabbit_auth_backend_internal:set_permissions({user}, {vhost}, {configure}, {write}, {read}, {actor})"
        ));
    }

    fn wait_until_up(&self) {
        let started = Instant::now();
        loop {
            // The door opens before the server listens for clients.
            match self.try_to_ask("rabbit:await_startup(), rabbit:is_running()", DEADLINE) {
                Ok(answer) if answer == "ok true" => return,
                answer => {
                    let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
                    let ended = server.try_wait().expect("its state").is_some();
                    assert!(!ended && started.elapsed() < STARTED_WITHIN, "not up: {answer:?}\n{}", self.output());
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.directory.join("output")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let server = self.server.get_mut().unwrap_or_else(PoisonError::into_inner);
        for process in [server, &mut self.epmd] {
            let _ended = process.kill();
            let _ended = process.wait();
        }
        drop(self.watcher.stdin.take());
        let _ended = self.watcher.wait();
    }
}

impl Vhost {
    pub fn url(&self) -> String {
        self.url_of("guest", "guest")
    }

    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}/{}", self.port, self.name)
    }

    /// Returns the TLS URL, for a server whose settings listen on `{tls_port}`.
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/{}", self.tls_port, self.name)
    }
}

impl Ports {
    fn choose() -> Self {
        Self { amqp: reserved_port(), tls: reserved_port(), distribution: reserved_port(), epmd: reserved_port() }
    }
}

impl Owner {
    fn find() -> Option<Self> {
        let id = |arguments: &[&str]| {
            let output = Command::new("id").args(arguments).output().expect("id").stdout;
            String::from_utf8_lossy(&output).trim().parse::<u32>().ok()
        };
        (id(&["-u"]) == Some(0)).then(|| Self {
            user: id(&["-u", "rabbitmq"]).expect("the user rabbitmq; ./tests/run installs RabbitMQ"),
            group: id(&["-g", "rabbitmq"]).expect("the group of the user rabbitmq"),
        })
    }
}

/// Writes everything that the server reads.
fn furnish(directory: &Path, ports: Ports, owner: Option<Owner>, setup: &Setup) {
    let at = directory.to_str().expect("a name");
    let settings = setup.settings.replace("{directory}", at).replace("{tls_port}", &ports.tls.to_string());
    let settings = format!("disk_free_limit.absolute = 50MB\n{settings}\n");
    let usual = [
        ("rabbitmq.conf", settings.as_str()),
        ("environment", ""),
        ("plugins", "[]."),
        ("output", ""),
        ("door.erl", include_str!("rabbitmq_door.erl")),
    ];
    let given = setup.files.iter().map(|(name, content)| (name.as_str(), content.as_str()));
    for (name, content) in usual.into_iter().chain(given) {
        let path = directory.join(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        give(&path, owner);
    }
    link_libraries(directory);
    give(directory, owner);
}

/// Creates a home without plugins: the server looks for each of its thousand modules in each directory of its
/// libraries, and 40 of these 60 belong to plugins. Without them it starts in two thirds of the time.
fn link_libraries(directory: &Path) {
    let program = fs::canonicalize(DEBIAN).expect("rabbitmq-server; ./tests/run installs it");
    let installed = program.ancestors().nth(2).expect("its home");
    let home = directory.join("home");
    fs::create_dir_all(home.join("plugins")).expect("a directory");
    for part in ["sbin", "escript"] {
        symlink(installed.join(part), home.join(part)).expect("a link");
    }
    for library in fs::read_dir(installed.join("plugins")).expect("libraries") {
        let name = library.expect("a library").file_name();
        let text = name.to_string_lossy();
        if !text.starts_with("rabbitmq_") || text.starts_with("rabbitmq_prelaunch") {
            symlink(installed.join("plugins").join(&name), home.join("plugins").join(&name)).expect("a link");
        }
    }
}

fn environment(directory: &Path, ports: Ports) -> Vec<(String, String)> {
    let at = directory.display();
    let mut erlang = String::from("-noinput -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none");
    write!(erlang, " -door {at}/door -eval file:eval(\"{at}/door.erl\")").expect("a text");
    let pairs = [
        ("HOME", at.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", ports.epmd.to_string()),
        // With this, the script becomes the virtual machine instead of watching it: its process is the one to kill.
        ("RABBITMQ_ALLOW_INPUT", "1".to_owned()),
        ("RABBITMQ_CONFIG_FILE", format!("{at}/rabbitmq.conf")),
        ("RABBITMQ_CONF_ENV_FILE", format!("{at}/environment")),
        ("RABBITMQ_DIST_PORT", ports.distribution.to_string()),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", format!("{at}/plugins")),
        ("RABBITMQ_LOG_BASE", format!("{at}/log")),
        ("RABBITMQ_MNESIA_BASE", format!("{at}/mnesia")),
        ("RABBITMQ_NODENAME", format!("t{}@localhost", ports.amqp)),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODE_PORT", ports.amqp.to_string()),
        ("RABBITMQ_PID_FILE", format!("{at}/pid")),
        ("RABBITMQ_SCRIPTS_DIR", format!("{at}/home/sbin")),
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

fn start_server(directory: &Path, ports: Ports, owner: Option<Owner>, group: u32) -> Child {
    let output = fs::OpenOptions::new().append(true).open(directory.join("output")).expect("a file");
    let errors = output.try_clone().expect("the same file");
    let mut command = Command::new(directory.join("home/sbin/rabbitmq-server"));
    command.envs(environment(directory, ports)).current_dir(directory).stdout(output).stderr(errors);
    run_as(&mut command, owner, group).spawn().expect("rabbitmq-server")
}

/// Makes the command run as the server's user, in this process group; 0 is a new one.
fn run_as(command: &mut Command, owner: Option<Owner>, group: u32) -> &mut Command {
    if let Some(Owner { user, group }) = owner {
        command.uid(user).gid(group);
    }
    command.process_group(i32::try_from(group).expect("a process")).stdin(Stdio::null())
}

fn watch(directory: &Path) -> Child {
    let at = directory.display();
    // A dying process may still write a file: then the removal fails, and is retried.
    let script = format!(
        "trap '' INT TERM; read group; cat > /dev/null; [ -z \"$group\" ] || kill -s KILL -- -$group 2> /dev/null; \
         until rm -rf {at} 2> /dev/null; do sleep 0.1; done"
    );
    Command::new("sh").args(["-c", &script]).process_group(0).stdin(Stdio::piped()).spawn().expect("a shell")
}

fn wait_until_open(port: u16) {
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < DEADLINE, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn give(path: &Path, owner: Option<Owner>) {
    if let Some(Owner { user, group }) = owner {
        chown(path, Some(user), Some(group)).expect("chown");
    }
}

/// Returns an Erlang expression for these items of all connections. Those that end while they are asked are left out.
#[must_use]
pub fn connections(items: &str) -> String {
    let asked = format!("try [rabbit_networking:connection_info(Asked, [{items}])] catch _:_ -> [] end");
    format!("[Info || Asked <- rabbit_networking:connections(), Info <- {asked}]")
}

/// Returns the literal of an Erlang binary.
fn binary(text: &str) -> String {
    format!("<<\"{}\"/utf8>>", text.replace('\\', "\\\\").replace('"', "\\\""))
}
