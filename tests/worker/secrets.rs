//! Everything that a worker outputs anywhere, at the most verbose level: it contains no password, no key and no code.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use uuid::Uuid;

use codemint_test_support::amqp::Message;
use codemint_test_support::codemint::Ran;
use codemint_test_support::postgres::{Durability, Server, Setup, create_database};
use codemint_test_support::rabbitmq;
use codemint_test_support::roles::PASSWORD;
use codemint_test_support::site::{DEAD, KEPT, Site, publish, request};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;

const BROKER_PASSWORD: &str = "Rabbit-Pa55word";
const WRONG_PASSWORD: &str = "Wr0ng-Pa55word";
const CHECK_SECRET: &str = "Check-5ecret-of-characters";
/// A mask whose codes the store rejects.
const REFUSED_MASK: &str = "REFUSED-????";
const IN_THE_WAY: u64 = 50;
/// The number of jobs that wait before a worker starts, and of jobs that each worker is sent.
const ENQUEUED: i64 = 4;
const PUBLISHED: i64 = 4;

mod no_output_of_a_worker_contains_a_password_a_key_or_a_code {
    use codemint_test_support::stores::TestStore;

    #[tokio::test(flavor = "multi_thread")]
    async fn sqlite() {
        super::look_for_secrets(TestStore::sqlite().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn postgres() {
        let server = super::server_with_passwords().await;
        super::look_for_secrets(TestStore::postgres_at(&server.url("codemint")).await).await;
    }
}

/// Returns a server with an empty database `codemint`, where all but the superuser need a password.
async fn server_with_passwords() -> Server {
    let rules = "local all all trust\nhost all postgres all trust\nhost all all all scram-sha-256\n";
    let server = Server::start_with(&Setup {
        durability: Durability::None,
        settings: String::new(),
        access_rules: Some(rules.to_owned()),
        files: Vec::new(),
    });
    create_database(&server.url("postgres"), "codemint").await;
    server
}

async fn look_for_secrets(place: TestStore) {
    // Programs started from here may dump their memory, unless they give that up themselves.
    let maximum = getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: maximum, maximum }).expect("a limit");
    let mut site = Site::new(place).await;
    let user = format!("worker-{}", Uuid::now_v7());
    rabbitmq::shared().add_user(&user, BROKER_PASSWORD, site.vhost(), [".*"; 3]);
    site.amqp_url = site.vhost().url_of(&user, BROKER_PASSWORD);
    let key_file = site.store.path().join("check.key");
    fs::write(&key_file, CHECK_SECRET).expect("a file");
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("permissions");
    let key_file = key_file.to_str().expect("a name").to_owned();
    let peer = site.keep_events().await;
    make_trouble(&site.store).await;
    let keys = enqueue_without_a_worker(&site, &key_file).await;

    let mut said = Vec::new();
    for (number, format) in (1..).zip(["json", "text"]) {
        let settings = [
            ("CODEMINT__LOG__LEVEL", "trace"),
            ("CODEMINT__LOG__FORMAT", format),
            ("CODEMINT__CHECK__KEY_FILE", &key_file),
            ("CODEMINT__JOB__CHUNK_SIZE", "100"),
        ];
        let worker = site.start(&settings, &[]);
        worker.wait_until_ready().await;
        for (mask, count) in [("J????##", 300), ("V####[:check:]", 700), (REFUSED_MASK, 10), ("##", 101)] {
            publish(&peer, &request(Uuid::now_v7(), mask, count)).await;
        }
        publish(&peer, &serde_json::json!({ "mask": "A##", "count": "many" })).await;
        wait_until("all jobs have ended", async || {
            let ended = "select count(*) from jobs where state in ('completed', 'failed')";
            site.count(ended).await == ENQUEUED + PUBLISHED * number && i64::from(peer.depth(DEAD).await) == number
        })
        .await;
        let process = format!("/proc/{}", worker.child.id().expect("a process"));
        let limits = fs::read_to_string(format!("{process}/limits")).expect("limits");
        let of_core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(of_core.split_whitespace().nth(4), Some("0"), "memory with keys in it is never dumped: {of_core}");
        said.push(("arguments", fs::read_to_string(format!("{process}/cmdline")).expect("arguments")));
        for path in ["/metrics", "/readyz", "/livez"] {
            said.push((path, worker.get(path).expect("an answer").1));
        }
        said.push(("log", worker.terminate().await.expect_code(0).stderr));
    }
    said.extend(wrong_passwords(&mut site).await);
    for args in [&["jobs", "list", "--json"][..], &["jobs", "list"], &["config", "show"], &["config", "show", "--json"]]
    {
        said.push(("commands", all_of(site.codemint(args).run().await)));
    }
    let mut inbox = peer.consume(KEPT).await;
    let is_end = |event: &&Message| ["job.completed", "job.failed"].contains(&event.routing_key.as_str());
    let all = 2 * PUBLISHED as usize;
    inbox.collect("all events", |events| events.iter().filter(is_end).count() >= all).await;
    said.extend(inbox.messages.iter().map(|event| ("events", text_of(event))));
    said.push(("the reason of a dead letter", format!("{:?}", peer.take(DEAD).await.properties)));

    let failed = site.count("select count(*) from jobs where state = 'failed'").await;
    assert!(failed >= 5 && site.completed().await >= 5, "some jobs fail and some succeed");
    let log = &said.iter().find(|(place, _)| *place == "log").expect("a log").1;
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the most verbose level");
    assert_silent(&said, &secrets_of(&site, &keys).await);
}

/// Inserts codes of another job that are in the way, and makes the store reject the codes of one mask.
async fn make_trouble(place: &TestStore) {
    let in_the_way: Vec<String> = (0..IN_THE_WAY).map(|number| format!("('{number:02}', 0)")).collect();
    place.execute(&format!("insert into codes (code, run_no) values {}", in_the_way.join(", "))).await;
    place
        .execute(match place.kind {
            Kind::Postgres => "alter table codes add constraint none_refused check (code not like 'REFUSED%')",
            Kind::Sqlite => {
                "create trigger none_refused before insert on codes when new.code like 'REFUSED%'
                 begin select raise(abort, 'none refused'); end"
            }
        })
        .await;
}

/// Enqueues jobs and returns their keys, in every notation of bytes.
async fn enqueue_without_a_worker(site: &Site, key_file: &str) -> Vec<String> {
    for args in [["K????##", "500"], ["##", "50"], ["C####[:check:]{2}", "200"], [REFUSED_MASK, "10"]] {
        let enqueue = site.codemint(&["enqueue", args[0], "--count", args[1]]);
        let enqueue = enqueue.env("CODEMINT__AMQP__URL", "").env("CODEMINT__CHECK__KEY_FILE", key_file);
        enqueue.run().await.expect_code(0);
    }
    let sql = match site.store.kind {
        Kind::Postgres => "select encode(key, 'hex') from jobs where key is not null",
        Kind::Sqlite => "select lower(hex(key)) from jobs where key is not null",
    };
    let keys = site.store.texts(sql).await;
    assert_eq!(keys.len(), 4, "each job has a key");
    keys.iter().flat_map(|key| written(key)).collect()
}

fn written(hexadecimal: &str) -> [String; 3] {
    let bytes: Vec<u8> = (0..hexadecimal.len() / 2)
        .map(|at| u8::from_str_radix(&hexadecimal[2 * at..2 * at + 2], 16).expect("a byte"))
        .collect();
    let list = format!("{bytes:?}");
    [hexadecimal.to_owned(), hexadecimal.to_uppercase(), list.trim_matches(['[', ']']).to_owned()]
}

/// Returns the output of commands whose password a server refuses.
async fn wrong_passwords(site: &mut Site) -> Vec<(&'static str, String)> {
    let (store_url, amqp_url) = (site.store_url.clone(), site.amqp_url.clone());
    let mut said = Vec::new();
    if site.store.kind == Kind::Postgres {
        site.store_url = store_url.replace(PASSWORD, WRONG_PASSWORD);
        said.push((
            "a refusal of the store",
            all_of(site.codemint(&["-vv", "jobs", "list"]).run().await.expect_code(2)),
        ));
    }
    site.store_url = store_url;
    site.amqp_url = amqp_url.replace(BROKER_PASSWORD, WRONG_PASSWORD);
    let refused = site.codemint(&["-vv", "enqueue", "A##", "--count", "1"]).run().await.expect_code(2);
    said.push(("a refusal of the broker", all_of(refused)));
    site.amqp_url = amqp_url;
    said
}

fn all_of(ran: Ran) -> String {
    ran.stdout + &ran.stderr
}

fn text_of(message: &Message) -> String {
    format!("{} {:?} {}", message.routing_key, message.properties, String::from_utf8_lossy(&message.body))
}

/// Returns all passwords, keys and codes, but not the shortest codes, which any time of day would contain.
async fn secrets_of(site: &Site, keys: &[String]) -> Vec<String> {
    let codes = site.store.texts("select code from codes where length(code) > 4 order by code").await;
    assert!(codes.len() > 1000, "{}", codes.len());
    let passwords = [PASSWORD, BROKER_PASSWORD, WRONG_PASSWORD, CHECK_SECRET].map(str::to_owned);
    let check_bytes: String = CHECK_SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    codes.into_iter().chain(passwords).chain(written(&check_bytes)).chain(keys.iter().cloned()).collect()
}

/// Panics if an output contains a secret. The message does not repeat the secret.
fn assert_silent(said: &[(&str, String)], secrets: &[String]) {
    let automaton = aho_corasick::AhoCorasick::new(secrets).expect("an automaton");
    for (place, text) in said {
        if let Some(found) = automaton.find(text) {
            let around = &text[..found.start()];
            let before: String = around.chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
            panic!("a secret of {} bytes is in {place}, after: {before}", found.len());
        }
    }
}
