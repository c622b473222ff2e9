//! docs/backup.md: its commands, run word for word in the middle of jobs and redemptions, and a restore into an empty place, after
//! which nothing is missing but what the page says.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use uuid::Uuid;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::codemint::{Codemint, program};
use codemint_test_support::postgres::{
    Durability, Server, Setup, binaries, create_database, give_to_postgres, is_root,
};
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::roles::url_of_member;
use codemint_test_support::site::Worker;
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::tools::read;
use codemint_test_support::waiting::wait_until;

use crate::traffic::{Redeemed, Traffic};

const DOCUMENT: &str = "docs/backup.md";
/// What the settings of the page name as the place of backups.
const PLACE: &str = "/var/backups/codemint";
const SECTIONS: [(&str, usize); 7] = [
    ("SQLite: back up", 1),
    ("SQLite: restore", 1),
    ("PostgreSQL: dump", 1),
    ("PostgreSQL: restore a dump", 1),
    ("PostgreSQL: archive the log", 1),
    ("PostgreSQL: restore to a moment", 1),
    ("After a restore", 3),
];
/// Jobs that are unfinished at the time of the backup.
const UNFINISHED: [&str; 2] = ["RUN?????", "RUM?????"];
const COUNT: &str = "60000";
const CAMPAIGN_CODES: i128 = 5000;
/// Codes that are minted after the backup.
const LOST: i64 = 500;

/// Returns the commands of each block of a section.
fn blocks(section: &str) -> Vec<String> {
    let page = read(DOCUMENT);
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
    let section = rest.split("\n## ").next().unwrap_or_default();
    let rests = section.split("```sh\n").skip(1);
    rests.map(|rest| rest.split("```").next().unwrap_or_default().replace("\n   ", "\n").trim().to_owned()).collect()
}

#[test]
fn every_command_of_the_page_about_backups_is_run_by_a_test() {
    for (section, count) in SECTIONS {
        assert_eq!(blocks(section).len(), count, "{section}");
    }
    let all: usize = SECTIONS.iter().map(|(_, count)| count).sum();
    assert_eq!(read(DOCUMENT).matches("```sh\n").count(), all, "another section has commands");
}

/// A directory for backups, and the variables of the page.
struct Operator {
    directory: TempDir,
    backups: PathBuf,
    variables: BTreeMap<&'static str, String>,
}

impl Operator {
    /// Keeps backups in this directory, or in one of its own.
    fn new(backups: Option<&Path>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        symlink(program(), directory.path().join("codemint")).expect("a link");
        let backups = backups.map_or_else(|| directory.path().join("backups"), Path::to_owned);
        std::fs::create_dir_all(&backups).expect("a directory");
        let variables = BTreeMap::from([("BACKUPS", backups.display().to_string())]);
        Self { directory, backups, variables }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    async fn run(&self, section: &str, block: usize) -> String {
        self.run_as(&[], section, block).await
    }

    /// Runs commands as the user of the server.
    async fn run_as_postgres(&self, section: &str) -> String {
        let runuser = ["runuser", "-u", "postgres", "--"];
        self.run_as(if is_root() { &runuser } else { &[] }, section, 0).await
    }

    async fn run_as(&self, user: &[&str], section: &str, block: usize) -> String {
        let installed = binaries();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut words: Vec<String> = user.iter().map(|word| (*word).to_owned()).collect();
        words.extend([
            "env".to_owned(),
            format!("PATH={}:{}:{path}", self.directory.path().display(), installed.display()),
        ]);
        words.extend(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        words.extend(["bash", "-euo", "pipefail", "-c"].map(str::to_owned));
        words.push(blocks(section)[block].clone());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.backups).stdin(Stdio::null());
        // What the commands start in the background must not keep the pipes open.
        let output = command.output().await.expect("a shell");
        let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{section}, block {block}: {said}{error}");
        said.into_owned()
    }
}

/// A store in use: jobs, redemptions, and a key that is revoked later.
struct Shop {
    server: ApiServer,
    traffic: Traffic,
    key: String,
    revoked: String,
    /// A worker, where the server runs none.
    worker: Option<Worker>,
}

fn codemint(place: &TestStore, args: &[&str]) -> Codemint {
    place.codemint(args).env("CODEMINT__JOB__CHUNK_SIZE", "1000")
}

async fn jobs(place: &TestStore) -> Vec<Value> {
    let listed = place.codemint(["jobs", "list", "--json", "--limit", "100"]).run().await.expect_code(0).json();
    listed.as_array().expect("a list").clone()
}

/// Returns the digest of each of the unfinished jobs by its mask.
async fn digests(place: &TestStore) -> Vec<(String, String)> {
    let text = |job: &Value, name: &str| job[name].as_str().unwrap_or_default().to_owned();
    let jobs = jobs(place).await;
    let of_job = |mask: &&str| {
        let job = jobs.iter().find(|job| job["mask"] == **mask).expect("the job");
        assert_eq!((&job["state"], &job["minted"]), (&"completed".into(), &job["requested"]), "{job}");
        (text(job, "mask"), text(job, "digest"))
    };
    UNFINISHED.iter().map(of_job).collect()
}

impl Shop {
    /// Opens a shop in an empty store. Its processes reach a database by the URLs of a worker and of a server.
    async fn open(place: &TestStore) -> Self {
        let limits = json!({ "limits": { "per_code": 1, "redeemed": 1_000_000 } });
        create_campaign(place, &definition("spring", "private", "SPR??????", &limits), CAMPAIGN_CODES).await;
        let (key, revoked) = (create_key(place, "redeem,manage").await, create_key(place, "manage").await);
        let small = [("CODEMINT__JOB__CHUNK_SIZE", "1000")];
        let (server, worker) = match place.kind {
            Kind::Sqlite => (ApiServer::start_with(place, &small, &[]).await, None),
            Kind::Postgres => {
                let (url, worker) = (url_of_member(&place.url, "server").await, Self::start_worker(place).await);
                (ApiServer::start_at(place, &url, &small).await, Some(worker))
            }
        };
        let codes = place.texts("select code from codes where code like 'SPR%'").await;
        let traffic = Traffic::start(&server, &key, codes);
        Self { server, traffic, key, revoked, worker }
    }

    async fn start_worker(place: &TestStore) -> Worker {
        let url = url_of_member(&place.url, "generator").await;
        let worker = Codemint::new(place.path()).args(["--store", &url, "worker"]);
        let worker =
            worker.env("CODEMINT__JOB__CHUNK_SIZE", "1000").env("CODEMINT__STORE__REQUIRE_LEAST_PRIVILEGE", "true");
        Worker::start(worker, place.path())
    }

    /// Orders codes, and waits until jobs and redemptions are in progress.
    async fn keep_busy(&self, place: &TestStore) {
        self.traffic.wait_for_more(50).await;
        for mask in UNFINISHED {
            codemint(place, &["enqueue", mask, "--count", COUNT]).run().await.expect_code(0);
        }
        let minted = "select count(*) from codes where code like 'RU%'";
        wait_until("jobs run", async || place.number(minted).await > 1000).await;
        let open = "select count(*) from jobs where state in ('queued', 'running')";
        assert!(place.number(open).await > 0, "the jobs ended before the backup");
    }

    /// Goes on after the backup: jobs end, more codes are minted and handed out, a key is revoked. Then all processes die. Returns the
    /// redemptions, the digests of the jobs, the file that was handed out, and the keys.
    async fn go_on_and_die(self, place: &TestStore) -> Afterwards {
        self.traffic.wait_for_more(50).await;
        let lost = place.path().join("lost.csv");
        let (count, file) = (LOST.to_string(), lost.display().to_string());
        let generate = ["generate", "LOST????", "--count", &count, "--campaign", "spring", "--output", &file];
        place.codemint(generate).run().await.expect_code(0);
        let keys = place.codemint(["keys", "list", "--json"]).run().await.expect_code(0).json();
        let last = keys.as_array().and_then(|keys| keys.iter().find(|key| key["scopes"] == json!(["manage"])));
        let id = last.expect("the key")["id"].as_str().expect("an id").to_owned();
        place.codemint(["keys", "revoke", &id]).run().await.expect_code(0);
        let all = "select count(*) from jobs where state <> 'completed'";
        wait_until("all jobs are completed", async || place.number(all).await == 0).await;
        let digests = digests(place).await;
        let redeemed = self.traffic.stop().await;
        for process in [Some(self.server.process), self.worker].into_iter().flatten() {
            process.signal("KILL");
            process.finish().await.expect_code(-9);
        }
        Afterwards { redeemed, digests, lost, key: self.key, revoked: self.revoked }
    }
}

/// What is known after the end of all processes.
struct Afterwards {
    redeemed: Vec<Redeemed>,
    digests: Vec<(String, String)>,
    lost: PathBuf,
    key: String,
    revoked: String,
}

impl Afterwards {
    /// Follows the page in the restored store. The first `known` redemptions were answered before the backup.
    async fn recover(&self, operator: Operator, place: &TestStore, known: usize) {
        let operator = operator.with("STORE_URL", &place.url).with("CAMPAIGN", "spring");
        let operator = operator.with("FILE", &self.lost.display().to_string());
        let checked = operator.run("After a restore", 0).await;
        assert_eq!(checked.matches("verification passed").count(), 3, "{checked}");
        judge_redemptions(place).await;
        let unfinished = "select count(*) from jobs where state <> 'completed'";
        assert!(place.number(unfinished).await > 0, "the backup holds unfinished jobs");
        operator.run("After a restore", 1).await;
        assert_eq!(place.number("select count(*) from codes where code like 'LOST%'").await, LOST);
        operator.run("After a restore", 2).await;
        assert_eq!(digests(place).await, self.digests, "resumed jobs have the codes that they had");

        let server = match place.kind {
            Kind::Sqlite => ApiServer::start(place).await,
            Kind::Postgres => ApiServer::start_at(place, &place.url, &[]).await,
        };
        server.get("/v1/campaigns", &self.revoked).await.expect(200);
        let mut lost = 0;
        for (number, Redeemed { id, code }) in self.redeemed.iter().enumerate() {
            let path = format!("/v1/redemptions/{id}");
            let status = server.ask("PUT", &path, &self.key, Some(json!({ "code": code }))).await.status;
            assert!(status == 200 || status == 201 && number >= known, "redemption {number} of {known}: {status}");
            lost += usize::from(status == 201);
        }
        assert!(lost > 0, "nothing was lost: the backup was not in the middle");
        let handed_out = &place.texts("select code from codes where code like 'LOST%' limit 1").await[0];
        let path = format!("/v1/redemptions/{}", Uuid::now_v7());
        server.ask("PUT", &path, &self.key, Some(json!({ "code": handed_out }))).await.expect(201);
        server.stop().await;
        let stored = place.number("select count(*) from redemptions").await as usize;
        assert_eq!(stored, self.redeemed.len() + 1);
        judge_redemptions(place).await;
        let checked = operator.run("After a restore", 0).await;
        assert_eq!(checked.matches("verification passed").count(), 4, "{checked}");
    }
}

#[tokio::test]
async fn a_file_is_restored_from_a_backup_in_the_middle_of_jobs_and_redemptions() {
    let place = TestStore::sqlite().await;
    let operator = Operator::new(None).with("STORE", place.url.trim_start_matches("sqlite://"));
    let shop = Shop::open(&place).await;
    shop.keep_busy(&place).await;
    let known = shop.traffic.count();
    operator.run("SQLite: back up", 0).await;
    let after = shop.go_on_and_die(&place).await;

    place.store.close().await.expect("a close");
    operator.run("SQLite: restore", 0).await;
    let restored = TestStore::sqlite_in(place.directory).await;
    after.recover(operator, &restored, known).await;
}

#[tokio::test]
async fn a_database_is_restored_from_a_dump_in_the_middle_of_jobs_and_redemptions() {
    let (server, empty) = (Server::start(Durability::None), Server::start(Durability::None));
    create_database(&server.url("postgres"), "codemint").await;
    let place = TestStore::postgres_at(&server.url("codemint")).await;
    let operator = Operator::new(None).with("ADMIN", &place.url).with("SERVER", &empty.url("postgres"));
    let shop = Shop::open(&place).await;
    shop.keep_busy(&place).await;
    let known = shop.traffic.count();
    operator.run("PostgreSQL: dump", 0).await;
    let after = shop.go_on_and_die(&place).await;

    operator.run("PostgreSQL: restore a dump", 0).await;
    let restored = TestStore::postgres_at(&empty.url("codemint")).await;
    after.recover(operator, &restored, known).await;
    assert_rights(&empty).await;
}

/// Requires that a user of the old server works in the restored database, with no more rights than before.
async fn assert_rights(server: &Server) {
    let url = server.url("codemint").replace("postgres@", "codemint_user_generator@");
    let directory = tempfile::tempdir().expect("a directory");
    let run = async |args: &[&str]| Codemint::new(directory.path()).args(["--store", &url]).args(args).run().await;
    run(&["generate", "R#####", "--count", "10"]).await.expect_code(0);
    let denied = run(&["keys", "list"]).await;
    assert!(denied.code != 0 && denied.stderr.contains("permission denied"), "{denied:?}");
}

#[tokio::test]
async fn a_database_is_restored_to_a_moment_in_the_middle_of_jobs_and_redemptions() {
    let page = read(DOCUMENT);
    let settings = page.split("```\n").find(|block| block.starts_with("archive_mode")).expect("settings");
    let settings = settings.replace(PLACE, "{directory}/backups");
    let server =
        Server::start_with(&Setup { durability: Durability::None, settings, access_rules: None, files: Vec::new() });
    let backups = server.directory().join("backups");
    std::fs::create_dir_all(backups.join("wal")).expect("a directory");
    give_to_postgres(&backups);
    give_to_postgres(&backups.join("wal"));
    create_database(&server.url("postgres"), "codemint").await;
    let place = TestStore::postgres_at(&server.url("codemint")).await;
    let data = server.directory().join("server").display().to_string();
    let operator = Operator::new(Some(&backups)).with("ADMIN", &place.url).with("PGDATA", &data);
    let shop = Shop::open(&place).await;
    operator.run_as_postgres("PostgreSQL: archive the log").await;
    shop.keep_busy(&place).await;
    let known = shop.traffic.count();
    let moment = place.texts("select clock_timestamp()::text").await.remove(0);
    let after = shop.go_on_and_die(&place).await;
    // The rest of the log is archived within a minute; this test does not wait for it.
    let wal = place.texts("select pg_walfile_name(pg_switch_wal())").await.remove(0);
    let archived = backups.join("wal").join(wal);
    wait_until("the log is archived", async || archived.exists()).await;
    place.store.close().await.expect("a close");

    let operator = operator.with("MOMENT", &moment);
    operator.run_as_postgres("PostgreSQL: restore to a moment").await;
    let restored = TestStore::postgres_at(&server.url("codemint")).await;
    after.recover(operator, &restored, known).await;
}
