//! The environment of the soak test: the servers, the store, and a record of the actions.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use codemint_test_support::codemint::{Codemint, Ran};
use codemint_test_support::postgres::{Durability, Server, Setup, create_database};
use codemint_test_support::rabbitmq::Broker;
use codemint_test_support::roles::url_of_member;
use codemint_test_support::site::{EVENTS, KEPT, Site};
use codemint_test_support::small_disk::SmallDisk;
use codemint_test_support::stores::TestStore;

const DATABASE: &str = "soak";
/// Many times what PostgreSQL keeps of its log: the disk must be full when it is filled, and never by itself.
const LOG_DISK_MIB: u32 = 4096;
const LOG_SETTINGS: &str = "max_wal_size = 256MB";
/// The time limit of a command that waits for servers: each fault may cost it a chunk.
const ANSWERED_WITHIN: Duration = Duration::from_secs(600);

pub struct Ground {
    pub postgres: Server,
    pub broker: Broker,
    /// The disk of PostgreSQL's log, if the machine allows one.
    pub log_disk: Option<SmallDisk>,
    pub site: Site,
    /// The URL of the store for shops, which have the rights of the HTTP API and no others.
    pub server_url: String,
    started: Instant,
    done: Mutex<BTreeMap<String, u64>>,
}

impl Ground {
    pub async fn prepare() -> Self {
        let postgres = Server::start_with(&Setup {
            durability: Durability::Full,
            settings: LOG_SETTINGS.to_owned(),
            access_rules: None,
            files: Vec::new(),
        });
        let log_disk = SmallDisk::mount(LOG_DISK_MIB);
        if let Some(disk) = &log_disk {
            postgres.move_log_to(disk.path());
        }
        create_database(&postgres.url("postgres"), DATABASE).await;
        let broker = Broker::start();
        let site = Site::at(TestStore::postgres_at(&postgres.url(DATABASE)).await, &broker).await;
        site.keep_events().await.bind(KEPT, EVENTS, "redemption.*").await;
        let server_url = url_of_member(&site.store.url, "server").await;
        Self { postgres, broker, log_disk, site, server_url, started: Instant::now(), done: Mutex::default() }
    }

    /// Returns the store over new connections, which have seen no fault.
    pub async fn fresh_store(&self) -> TestStore {
        TestStore::postgres_at(&self.postgres.url(DATABASE)).await
    }

    /// Repeats a command until it ends with one of these exit codes: its store may be away.
    pub async fn run_until_answered(&self, what: &str, codes: &[i32], command: impl Fn() -> Codemint) -> Ran {
        loop {
            let ran = command().run_within(ANSWERED_WITHIN).await;
            match ran.code {
                code if codes.contains(&code) => return ran,
                _ if ran.stderr.contains("panicked") => panic!("{}", ran.stderr),
                code => self.count(&format!("{what} again after exit code {code}")),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Prints an action, and counts it.
    pub fn note(&self, what: &str) {
        println!("{:8.1} s  {what}", self.started.elapsed().as_secs_f64());
        self.count(what);
    }

    /// Counts an action that is too frequent to be printed.
    pub fn count(&self, what: &str) {
        self.add(what, 1);
    }

    pub fn add(&self, what: &str, times: u64) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default() += times;
    }

    pub fn counted(&self) -> BTreeMap<String, u64> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
