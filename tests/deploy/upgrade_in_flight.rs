//! The upgrade of a store of the previous version, whose workers are replaced one by one while everything is in flight: jobs
//! that run, wait, or were interrupted, messages in the queue and events in the outbox. Afterwards the store is used with
//! all that the previous version did not have.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use codemint_test_support::amqp::{Peer, quorum};
use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::codemint::{Codemint, send_signal};
use codemint_test_support::console::{Console, text_of};
use codemint_test_support::oracle::{Asked, Known};
use codemint_test_support::postgres::Database;
use codemint_test_support::rabbitmq::{self, Vhost};
use codemint_test_support::redeem_steps::{definition, judge_redemptions};
use codemint_test_support::roles::{create_user, grant, url_of_owner_by};
use codemint_test_support::site::{EVENTS, JOBS, KEPT, Site, Worker, publish};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::judge_site;

use crate::upgrades::wait_until_all_work;

const OPEN: &str = "select count(*) from jobs where state in ('queued', 'running')";
const OUTBOX: &str = "select count(*) from outbox";
const COUNT: u64 = 300_000;
const SMALL_COUNT: u64 = 20_000;
/// What a command that is killed was to mint.
const INTERRUPTED: &str = "PX??????";
/// A campaign that takes up codes of the previous version, one for each customer.
const OLD_CAMPAIGN: &str = "spring of old";
/// A campaign whose pool takes up codes of the previous version.
const OLD_POOL: &str = "customers of old";
/// The relay stops where the broker has the events and the outbox does as well.
const RELAY: &str = "events-published";

/// A store of the previous version.
struct Before {
    program: PathBuf,
    directory: TempDir,
    database: Option<Database>,
    vhost: Vhost,
    /// The URL with which `migrate` reaches the store, and that of all others.
    owner_url: String,
    url: String,
}

impl Before {
    async fn create(kind: Kind) -> Self {
        let (program, roles) = previous_version();
        let directory = tempfile::tempdir().expect("a directory");
        let vhost = rabbitmq::shared().vhost();
        let (database, owner_url, url) = match kind {
            Kind::Sqlite => {
                let url = format!("sqlite://{}/store.db", directory.path().display());
                (None, url.clone(), url)
            }
            Kind::Postgres => {
                let database = Database::create().await;
                let owner_url = url_of_owner_by(&database.url, &roles).await;
                (Some(database), owner_url, String::new())
            }
        };
        let mut before = Self { program, directory, database, vhost, owner_url, url };
        let migrate = before.codemint(&["migrate"]).env("CODEMINT__STORE__URL", &before.owner_url);
        migrate.run().await.expect_code(0);
        if let Some(database) = &before.database {
            grant(&database.url, &roles).await;
            before.url = create_user(&database.url, "generator", "old_worker").await;
        }
        before
    }

    /// Returns the previous program, with chunks that take a moment.
    fn codemint(&self, args: &[&str]) -> Codemint {
        Codemint::built_elsewhere(&self.program, self.directory.path())
            .env("CODEMINT__STORE__URL", &self.url)
            .env("CODEMINT__AMQP__URL", &self.vhost.url())
            .env("CODEMINT__JOB__CHUNK_SIZE", "1500")
            .env("CODEMINT__LOG__LEVEL", "debug")
            .args(args)
    }

    async fn start(&self, failpoints: &str) -> Worker {
        let program = self.codemint(&["worker"]).env("FAILPOINTS", failpoints);
        let worker = Worker::start(program, self.directory.path());
        worker.wait_until_ready().await;
        worker
    }

    async fn jobs(&self) -> Vec<Value> {
        let listed = self.codemint(&["jobs", "list", "--json"]).run().await.expect_code(0).json();
        listed.as_array().expect("a list").clone()
    }

    async fn job(&self, id: Uuid) -> Value {
        let jobs = self.jobs().await;
        jobs.into_iter().find(|job| job["job_id"] == id.to_string()).unwrap_or_default()
    }

    /// Starts a command that mints, and kills it when it has minted a part.
    async fn interrupt_a_command(&self) -> Asked {
        let asked = Asked { id: Uuid::now_v7(), mask: INTERRUPTED.to_owned(), count: COUNT };
        let (id, count) = (asked.id.to_string(), COUNT.to_string());
        let command = self.codemint(&["generate", INTERRUPTED, "--count", &count, "--job-id", &id]);
        let mut command = command.into_command().stderr(std::process::Stdio::null()).spawn().expect("a command");
        wait_until("a part is minted", async || self.job(asked.id).await["minted"].as_u64() > Some(0)).await;
        send_signal("KILL", &command);
        command.wait().await.expect("an end");
        asked
    }

    /// Migrates with today's program, as an operator does: first the schema, then the rights. Also returns the directory of the logs,
    /// unless it is that of the store.
    async fn upgrade(self) -> (Site, Option<TempDir>) {
        let todays = Codemint::new(self.directory.path());
        let migrated = todays.args(["--store", &self.owner_url, "migrate"]).run().await.expect_code(0);
        assert_names(&migrated.stdout, &["the schema is current"]);
        let (store, logs) = match self.database {
            Some(database) => (TestStore::postgres_in(database).await, Some(self.directory)),
            None => (TestStore::sqlite_in(self.directory).await, None),
        };
        (Site::on(store, self.vhost).await, logs)
    }
}

/// Returns the program of the commit in tests/previous-version, and its roles of PostgreSQL.
fn previous_version() -> (PathBuf, String) {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/previous");
    let read = |name: &str| fs::read_to_string(built.join(name)).unwrap_or_default();
    let (commit, roles) = (read("commit"), read("roles.sql"));
    let wanted = include_str!("../previous-version");
    assert_eq!(commit, wanted, "run tests/previous: it builds the previous version, as ./tests/run does");
    (built.join("codemint"), roles)
}

struct Order<'a> {
    mask: &'a str,
    count: u64,
    priority: u8,
    campaign: Option<&'a str>,
}

async fn ask(peer: &Peer, order: Order<'_>) -> Asked {
    let asked = Asked { id: Uuid::now_v7(), mask: order.mask.to_owned(), count: order.count };
    let Order { mask, count, priority, campaign } = order;
    let message = json!({
        "job_id": asked.id, "mask": mask, "count": count, "priority": priority, "campaign": campaign
    });
    publish(peer, &message).await;
    asked
}

/// An order of codes that are minted before others.
fn urgent(mask: &str) -> Order<'_> {
    Order { mask, count: COUNT, priority: 9, campaign: None }
}

#[tokio::test]
async fn a_file_of_the_previous_version_is_upgraded_with_everything_in_flight() {
    upgrade_with_everything_in_flight(Kind::Sqlite).await;
}

#[tokio::test]
async fn a_database_of_the_previous_version_is_upgraded_with_everything_in_flight() {
    upgrade_with_everything_in_flight(Kind::Postgres).await;
}

async fn upgrade_with_everything_in_flight(kind: Kind) {
    let before = Before::create(kind).await;
    let interrupted = before.interrupt_a_command().await;
    let killed = before.start("").await;
    let peer = Peer::connect(&before.vhost.url()).await;
    peer.declare(KEPT, quorum()).await;
    peer.bind(KEPT, EVENTS, "job.*").await;
    let mut asked = Vec::new();
    // The masks share codes, so that each version meets what the other one has written.
    for mask in ["P???????", "PA??????", "P?A?????"] {
        asked.push(ask(&peer, urgent(mask)).await);
    }
    wait_until("the first jobs run", async || {
        let jobs = before.jobs().await;
        jobs.iter().filter(|job| job["priority"] == 9 && job["minted"].as_u64() > Some(0)).count() == 3
    })
    .await;
    // Workers take it once the others are done.
    let queued = ask(&peer, Order { priority: 0, ..urgent("PQ??????") }).await;
    wait_until("the last job is known", async || before.job(queued.id).await["state"] == "queued").await;
    killed.signal("KILL");
    killed.finish().await.expect_code(-9);

    // Workers store the job of a message, and acknowledge it seconds later. Events stay in the outbox after they were published.
    let slow = format!("job-committed=2*return(stall);{RELAY}=return(error)");
    let (one, two) = (before.start(&slow).await, before.start(&slow).await);
    wait_until_all_work(&[&one, &two]).await;
    let state = async |id: Uuid| before.job(id).await["state"].as_str().unwrap_or_default().to_owned();
    assert_eq!([state(queued.id).await, state(interrupted.id).await], ["queued", "running"]);
    for (mask, campaign) in
        [("OLD?????", OLD_CAMPAIGN), ("OWN?????", OLD_POOL), ("PB??????", "none"), ("PC??????", "none")]
    {
        let order = Order { count: SMALL_COUNT, campaign: Some(campaign), ..urgent(mask) };
        asked.push(ask(&peer, order).await);
    }
    wait_until("a message is taken, and not acknowledged", async || {
        rabbitmq::shared().queue_depth(&before.vhost, JOBS).unacknowledged > 0
    })
    .await;
    let (program, url) = (before.program.clone(), before.url.clone());

    let (site, _logs) = before.upgrade().await;
    // The workers may have acknowledged the message while the schema changed.
    let in_flight = [site.count(OPEN).await, site.count(OUTBOX).await];
    assert!(in_flight.iter().all(|count| *count > 0), "open jobs, events: {in_flight:?}");
    for args in [&["jobs", "list"][..], &["generate", "P###", "--count", "1"], &["worker"], &["migrate"]] {
        let old = Codemint::built_elsewhere(&program, site.store.path()).env("CODEMINT__STORE__URL", &url).args(args);
        let refused = old.env("CODEMINT__ADMIN__LISTEN", "off").run().await.expect_code(2);
        assert_names(
            &refused.stderr,
            &["this program knows 4 at most; use the codemint that migrated it, or a newer one"],
        );
    }
    asked.extend([queued, interrupted]);
    replace_workers(&site, &peer, [one, two], &mut asked).await;
    use_with_campaigns(&site).await;
}

/// Replaces old workers by new ones under load, and requires that every job has its codes.
async fn replace_workers(site: &Site, peer: &Peer, old: [Worker; 2], asked: &mut Vec<Asked>) {
    let [one, two] = old;
    asked.push(ask(peer, urgent("P??????A")).await);
    wait_until_all_work(&[&one, &two]).await;
    // Only old workers are there to publish an event about a redemption, which belongs to no job.
    let mut redemptions = peer.listen(EVENTS, "redemption.*").await;
    site.store
        .execute(
            "insert into outbox (job_no, message_id, message_type, routing_key, payload)
             values (null, 'an id', 'codemint.redemption.confirmed.v1', 'redemption.confirmed', '{}')",
        )
        .await;
    assert_eq!(redemptions.collect_count(1).await[0].body, b"{}");
    let settings = [("CODEMINT__JOB__CHUNK_SIZE", "1500"), ("CODEMINT__LOG__LEVEL", "debug")];
    let first = site.start(&settings, &[]);
    first.wait_until_ready().await;
    asked.push(ask(peer, urgent("P???A???")).await);
    wait_until_all_work(&[&one, &two, &first]).await;
    end_without_errors(one).await;
    let second = site.start(&settings, &[]);
    second.wait_until_ready().await;
    asked.push(ask(peer, urgent("P????A??")).await);
    wait_until_all_work(&[&two, &first, &second]).await;
    end_without_errors(two).await;

    let all = asked.len() as i64;
    wait_until("all jobs are completed", async || site.completed().await == all).await;
    for job in asked.iter() {
        site.codemint(&["verify", &job.id.to_string()]).run().await.expect_code(0);
    }
    first.terminate().await.expect_code(0);
    // Requests to the previous version have no row in the audit log.
    let known = Known { asked, is_audited_in_part: true, ..Known::default() };
    judge_site(rabbitmq::shared(), "an upgrade", site, second, known).await;
}

/// Ends a worker, which has logged no error but those of its failpoint.
async fn end_without_errors(worker: Worker) {
    let ended = worker.terminate().await.expect_code(0);
    let errors: Vec<&str> =
        ended.stderr.lines().filter(|line| line.contains("ERROR") && !line.contains(RELAY)).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Redeems codes that the previous version minted, one without and one with a customer, mints more, and reads pages and reports.
async fn use_with_campaigns(site: &Site) {
    let place = &site.store;
    let server = ApiServer::start(place).await;
    let key = create_key(place, "manage,redeem,issue,report").await;
    let path = |name: &str| format!("/v1/campaigns/{}", name.replace(' ', "%20"));
    for (name, kind, mask) in [(OLD_CAMPAIGN, "private", "NEW?????"), (OLD_POOL, "restricted", "OWN?????")] {
        let mut document = definition(name, kind, mask, &json!({ "limits": { "per_code": 1 } }));
        document.as_object_mut().expect("fields").remove("name");
        server.ask("PUT", &path(name), &key, Some(document)).await.expect(201);
    }
    assert_eq!(place.number("select count(*) from pool").await as u64, SMALL_COUNT, "codes of old in the pool");
    let ordered =
        server.ask("POST", &format!("{}/codes", path(OLD_CAMPAIGN)), &key, Some(json!({ "count": 50 }))).await;
    let job = ordered.expect(202)["job_id"].as_str().expect("a job").to_owned();
    place.codemint(["jobs", "resume", &job]).run().await;
    place.codemint(["verify", &job]).run().await.expect_code(0);

    let own = place.codemint(["issue", OLD_POOL, "ann"]).run().await.expect_code(0).stdout.trim().to_owned();
    let any = |like: &str| format!("select code from codes where code like '{like}' limit 1");
    let (old, new) = (place.texts(&any("OLD%")).await[0].clone(), place.texts(&any("NEW%")).await[0].clone());
    assert!(own.starts_with("OWN"), "a code of the old pool");
    for (code, identity, status) in [(&old, None, 201), (&new, None, 201), (&own, Some("ann"), 201), (&old, None, 422)]
    {
        let request = match identity {
            Some(identity) => json!({ "code": code, "identity": identity }),
            None => json!({ "code": code }),
        };
        let answer = server.ask("PUT", &format!("/v1/redemptions/{}", Uuid::now_v7()), &key, Some(request)).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let report = server.get("/v1/reports/campaigns", &key).await.expect(200).to_string();
    assert_names(&report, &[OLD_CAMPAIGN, OLD_POOL]);
    let console = Console::sign_in(&server, place, "admin").await;
    for (page, shown) in
        [("/campaigns", OLD_CAMPAIGN), ("/jobs", OLD_CAMPAIGN), ("/reports", OLD_POOL), ("/system", "")]
    {
        assert_names(&text_of(&console.page(page).await), &[shown]);
    }
    server.stop().await;
    place.codemint(["report", "recount"]).run().await.expect_code(0);
    judge_redemptions(place).await;
}
