//! Keeps a server of the HTTP API running at one address, and kills or replaces it at random.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::shops::FAILPOINTS;
use codemint_test_support::api::create_key;
use codemint_test_support::codemint::Codemint;
use codemint_test_support::processes::reserved_port;
use codemint_test_support::site::Worker;

/// Where shops find the server, and the file with their key.
#[derive(Clone)]
pub struct Access {
    pub address: SocketAddr,
    pub key_file: PathBuf,
}

impl Access {
    /// Chooses an address, and creates a key before there are any faults.
    pub async fn prepare(ground: &Ground) -> Self {
        let key_file = ground.site.store.path().join("api-key");
        let key = create_key(&ground.site.store, "redeem,issue,explain").await;
        std::fs::write(&key_file, key).expect("a file");
        Self { address: ([127, 0, 0, 1], reserved_port()).into(), key_file }
    }
}

/// Causes faults until `until`, then returns the server, which shops use until they end.
pub async fn cause(ground: &Ground, access: &Access, mut lot: Lot, until: Instant) -> Worker {
    let start = || {
        let program = Codemint::new(ground.site.store.path())
            .env("CODEMINT__STORE__URL", &ground.server_url)
            .env("CODEMINT__STORE__REQUIRE_LEAST_PRIVILEGE", "true")
            .env("CODEMINT__AMQP__URL", &ground.site.amqp_url)
            .env("CODEMINT__SERVER__LISTEN", &access.address.to_string())
            // Nobody guesses here: most codes that are refused exist.
            .env("CODEMINT__SERVER__FAILURES_PER_MINUTE", "0")
            .env("FAILPOINTS", FAILPOINTS);
        Worker::start(program.args(["serve"]), ground.site.store.path())
    };
    let mut server = start();
    loop {
        sleep(lot.pause(Duration::from_secs(2), Duration::from_secs(10))).await;
        if Instant::now() >= until {
            count_answers(ground, &server);
            return server;
        }
        count_answers(ground, &server);
        if lot.below(4) == 0 {
            ground.note("replaced a server of the HTTP API");
            let code = server.terminate().await.code;
            // 5 and 143: while it waited for the store.
            assert!([0, 5, 143].contains(&code), "a terminated server ended with exit code {code}");
        } else {
            ground.note("killed a server of the HTTP API");
            server.signal("KILL");
            server.finish().await.expect_code(-9);
        }
        server = start();
    }
}

/// Counts what a server has answered so far, if it has started.
fn count_answers(ground: &Ground, server: &Worker) {
    if server.get("/metrics").is_none() {
        return;
    }
    for status in ["2xx", "4xx", "5xx"] {
        let answers = server.metric(&format!("codemint_http_requests_total{{status=\"{status}\"}}"));
        ground.add(&format!("answers over HTTP with status {status}"), answers as u64);
    }
}
