//! docs/api.md: its ten requests are run word for word and its programs as printed; and the commands of docs/triggers.md.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::cli_steps::EmptyPlace;
use codemint_test_support::codemint::{Codemint, Ran, finish};
use codemint_test_support::processes::reserved_port;
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::shown::{blocks_below, commands, run_shown, without_chance};
use codemint_test_support::site::Worker;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const PAGE: &str = "docs/api.md";

#[tokio::test]
async fn the_ten_requests_of_the_page_are_answered_as_it_shows() {
    let place = EmptyPlace::create();
    let shown = blocks_below(PAGE, "### Ten requests", "console");
    let [serve, requests @ ..] = &shown[..] else { panic!("a server and requests") };
    let [serve] = &commands(serve)[..] else { panic!("one command") };
    // The page names the default port, which another process may use.
    let port = reserved_port();
    place.write(".curlrc", &format!("connect-to = 127.0.0.1:8080:127.0.0.1:{port}\n"));
    let arguments = serve.strip_prefix("codemint ").expect("a command of codemint").split(' ');
    let program = Codemint::new(place.path()).args(arguments);
    let server = Worker::start(program.env("CODEMINT__SERVER__LISTEN", &format!("127.0.0.1:{port}")), place.path());
    // It listens before it looks for keys.
    wait_until("the server misses a key", async || server.said().contains("there is no API key yet")).await;
    let requests = requests.concat();
    let home = place.path().to_str().expect("a path in Unicode");
    let seen = run_shown(&requests, place.path(), &[("CURL_HOME", home)]).await;
    assert_eq!(without_chance(&seen), without_chance(&requests));
    assert_eq!(commands(&requests).iter().filter(|command| command.starts_with("ask ")).count(), 10);
    server.terminate().await.expect_code(0);
}

/// The files, the commands and the request with curl, which repeats the trigger of the commands.
#[tokio::test]
async fn the_commands_and_the_request_of_the_page_about_triggers_work_as_printed() {
    const TRIGGERS: &str = "docs/triggers.md";
    const FIRST: &str = "## The first trigger";
    let place = TestStore::sqlite().await;
    let files = blocks_below(TRIGGERS, FIRST, "json");
    for (file, content) in ["welcome.json", "created.json"].into_iter().zip(files) {
        std::fs::write(place.path().join(file), content).expect("a file");
    }
    let server = ApiServer::start(&place).await;
    let curl = format!("silent\nfail\nconnect-to = 127.0.0.1:8080:{}\n", server.address);
    std::fs::write(place.path().join(".curlrc"), curl).expect("a file");
    let key = create_key(&place, "issue").await;
    let home = place.path().to_str().expect("a path in Unicode");
    let environment = [("CURL_HOME", home), ("KEY", &key), ("CODEMINT__STORE__URL", &place.url)];
    let mut said = Vec::new();
    for block in [blocks_below(TRIGGERS, FIRST, "sh").concat(), blocks_below(TRIGGERS, "## Over HTTP", "sh").concat()] {
        // As blocks with prompts, in which the lines that continue a command are indented further.
        let block = block.trim_end().replace("\n  ", "\n    ").replace("\ncodemint", "\n$ codemint");
        let seen = run_shown(&format!("$ {block}\n"), place.path(), &environment).await;
        said.extend(seen.split("\n$ ").map(str::to_owned).collect::<Vec<_>>());
    }
    let [_created, _codes, sent, shown, owned, answered] = &said[..] else { panic!("{said:?}") };
    let code = sent.split("issued   ").nth(1).and_then(|line| line.strip_suffix("  welcome")).expect(sent);
    assert!(code.starts_with("WELCOME-") && owned.contains(code), "{sent} {owned}");
    let document = |text: &str| {
        let (_, json) = text.split_once("\n{").unwrap_or_else(|| panic!("no JSON: {text}"));
        serde_json::from_str::<serde_json::Value>(&format!("{{{json}")).expect("JSON")
    };
    let expected = json!({ "id": "0193f0a4-6c1e-7b6e-9a53-2f6f0b1c9d77",
        "issued": [{ "campaign": "welcome", "code": code }], "skipped": [], "waiting": [] });
    assert_eq!(document(answered), expected, "the same trigger again");
    assert_eq!(document(shown), expected);
    server.stop().await;
}

/// A printed program.
#[derive(Clone, Copy, Debug)]
struct Printed {
    heading: &'static str,
    language: &'static str,
    interpreter: &'static str,
    file: &'static str,
}

const PYTHON: Printed = Printed {
    heading: "## A checkout in Python",
    language: "python",
    interpreter: "/usr/bin/python3",
    file: "checkout.py",
};
const JAVASCRIPT: Printed = Printed {
    heading: "## A checkout in JavaScript",
    language: "javascript",
    interpreter: "node",
    file: "checkout.mjs",
};

/// A server behind a gate, with a campaign of which each order may use the code once.
struct Shop {
    place: TestStore,
    server: Option<ApiServer>,
    key: String,
    gate: Gate,
}

impl Shop {
    async fn open() -> Self {
        let place = TestStore::sqlite().await;
        let fields = json!({ "limits": { "redeemed": 2 } });
        create_campaign(&place, &definition("spring", "public", "SPRING", &fields), 1).await;
        let (server, key) = (ApiServer::start(&place).await, create_key(&place, "redeem").await);
        let gate = Gate::open(server.address).await;
        Self { place, server: Some(server), key, gate }
    }

    /// Starts the program exactly as printed.
    fn start(&self, printed: Printed, args: [&str; 3]) -> Child {
        let [program] = &blocks_below(PAGE, printed.heading, printed.language)[..] else { panic!("one program") };
        std::fs::write(self.place.path().join(printed.file), program).expect("a file");
        let mut command = Command::new(printed.interpreter);
        command.arg(printed.file).args(args).current_dir(self.place.path());
        command.env("CODEMINT_API_URL", format!("http://{}", self.gate.address)).env("CODEMINT_KEY", &self.key);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}; tests/run installs it", printed.interpreter))
    }

    async fn run(&self, printed: Printed, args: [&str; 3]) -> Ran {
        finish(self.start(printed, args)).await
    }

    async fn restart_after_kill(&mut self) {
        let server = self.server.take().expect("a server");
        server.process.signal("KILL");
        drop(server);
        let server = ApiServer::start(&self.place).await;
        self.gate.lead_to(server.address);
        self.server = Some(server);
    }

    async fn close(self) {
        self.server.expect("a server").stop().await;
        judge_redemptions(&self.place).await;
    }
}

/// Forwards connections to a server, which may change, and withholds an answer on demand.
struct Gate {
    address: SocketAddr,
    orders: Arc<Orders>,
}

#[derive(Debug)]
struct Orders {
    server: Mutex<SocketAddr>,
    loses_next: Mutex<bool>,
    has_lost: Notify,
}

impl Gate {
    async fn open(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let server = Mutex::new(server);
        let orders = Arc::new(Orders { server, loses_next: Mutex::default(), has_lost: Notify::new() });
        let forwarded = Arc::clone(&orders);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, Arc::clone(&forwarded)));
            }
        });
        Self { address, orders }
    }

    fn lead_to(&self, server: SocketAddr) {
        *self.orders.server.lock().expect("no panic") = server;
    }

    /// Lets the next request be carried out, and loses its answer.
    fn lose_next_answer(&self) {
        *self.orders.loses_next.lock().expect("no panic") = true;
    }
}

async fn forward(mut client: TcpStream, orders: Arc<Orders>) {
    let address = *orders.server.lock().expect("no panic");
    let Ok(mut server) = TcpStream::connect(address).await else { return };
    if !std::mem::take(&mut *orders.loses_next.lock().expect("no panic")) {
        let _broken = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    let ((mut from_client, _to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let mut request = [0; 4096];
    let mut answer = [0; 1];
    loop {
        tokio::select! {
            read = from_client.read(&mut request) => {
                let read = read.expect("a request");
                to_server.write_all(&request[..read]).await.expect("a server");
            }
            read = from_server.read(&mut answer) => {
                assert_eq!(read.expect("an answer"), 1);
                orders.has_lost.notify_one();
                return;
            }
        }
    }
}

async fn goes_through_a_checkout(printed: Printed) {
    let shop = Shop::open().await;
    let said = async |args, code| {
        let Ran { stdout, stderr, .. } = shop.run(printed, args).await.expect_code(code);
        stdout + &stderr
    };
    let paid = "A-1: 400 minor units of EUR off\nA-1: confirmed\n";
    assert_eq!(said(["A-1", "spring", "paid"], 0).await, paid);
    assert_eq!(said(["A-1", "spring", "paid"], 0).await, paid, "the same again changes nothing");
    assert_eq!(said(["A-2", "spring", "declined"], 0).await, "A-2: 400 minor units of EUR off\nA-2: released\n");
    assert_eq!(said(["A-3", "spring", "paid"], 0).await, "A-3: 400 minor units of EUR off\nA-3: confirmed\n");
    let refused = said(["A-4", "spring", "paid"], 1).await;
    assert!(refused.starts_with("campaign-limit-reached: "), "{refused}");
    assert_eq!(said(["A-1", "spring", "refunded"], 0).await, "A-1: 400 minor units of EUR off\nA-1: rolled_back\n");
    assert_eq!(said(["A-4", "spring", "paid"], 0).await, "A-4: 400 minor units of EUR off\nA-4: confirmed\n");
    let wrong = said(["A-5", "spring", "refunded"], 1).await;
    assert!(wrong.starts_with("campaign-limit-reached: "), "{wrong}");
    shop.close().await;
}

/// The server carries out the first request and is killed before the answer arrives. A second use would exceed the limit.
async fn survives_a_killed_server(printed: Printed) {
    let mut shop = Shop::open().await;
    shop.run(printed, ["A-1", "spring", "paid"]).await.expect_code(0);
    shop.gate.lose_next_answer();
    let checkout = shop.start(printed, ["A-2", "spring", "paid"]);
    shop.gate.orders.has_lost.notified().await;
    shop.restart_after_kill().await;
    let ran = finish(checkout).await.expect_code(0);
    assert_eq!(ran.stdout, "A-2: 400 minor units of EUR off\nA-2: confirmed\n", "{ran:?}");
    let uses = shop.place.number("select count(*) from redemptions").await;
    assert_eq!(uses, 2, "the repetition is the same use");
    shop.close().await;
}

/// A key that may ask once a second is answered with 429 until the next second.
async fn waits_when_it_asks_too_often(printed: Printed) {
    const REFUSED: &str = "\"status\":429";
    let mut shop = Shop::open().await;
    shop.server.take().expect("a server").stop().await;
    let server = ApiServer::start_with(&shop.place, &[("CODEMINT__SERVER__RATE_LIMIT", "1")], &[]).await;
    shop.gate.lead_to(server.address);
    // The same order again changes nothing. On a busy machine, a second may pass between two requests of the program.
    for _ in 0..20 {
        let ran = shop.run(printed, ["A-1", "spring", "paid"]).await.expect_code(0);
        assert_eq!(ran.stdout, "A-1: 400 minor units of EUR off\nA-1: confirmed\n", "{ran:?}");
        if server.process.said().contains(REFUSED) {
            break;
        }
    }
    let log = server.stop().await.stderr;
    assert!(log.contains(REFUSED), "{log}");
}

#[tokio::test]
async fn the_printed_python_program_goes_through_a_checkout() {
    goes_through_a_checkout(PYTHON).await;
}

#[tokio::test]
async fn the_printed_javascript_program_goes_through_a_checkout() {
    goes_through_a_checkout(JAVASCRIPT).await;
}

#[tokio::test]
async fn the_printed_python_program_repeats_what_a_killed_server_did_not_answer() {
    survives_a_killed_server(PYTHON).await;
}

#[tokio::test]
async fn the_printed_javascript_program_repeats_what_a_killed_server_did_not_answer() {
    survives_a_killed_server(JAVASCRIPT).await;
}

#[tokio::test]
async fn both_printed_programs_wait_when_they_ask_too_often() {
    waits_when_it_asks_too_often(PYTHON).await;
    waits_when_it_asks_too_often(JAVASCRIPT).await;
}
