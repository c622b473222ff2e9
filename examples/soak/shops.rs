//! Runs shops as processes of their own, and kills some of them at random.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::api_servers::Access;
use crate::ground::Ground;
use crate::lot::Lot;
use crate::offers::file_of_owned_codes;
use crate::shop::now;
use codemint_test_support::codemint::{program, send_signal};
use codemint_test_support::redemption_histories::{Call, read_journal};
use codemint_test_support::waiting::DEADLINE;

const SHOPS: usize = 3;
/// Failpoints of shops and servers: a few transactions stall for 5 s before they commit, or fail before or after it.
pub const FAILPOINTS: &str = "redemptions-inserted=0.1%return(error);allowances-locked=0.03%return(stall);\
     allowances-changed=0.1%return(error);redemptions-written=0.06%return(stall);redemptions-committed=0.5%return(error)";

/// Keeps shops at work until the time is up, and returns what they asked and were answered.
pub async fn run(ground: &Ground, access: &Access, seed: u64, mut lot: Lot, until: Instant) -> Vec<Call> {
    let began = now();
    let mut journals: Vec<PathBuf> = Vec::new();
    let mut start = || {
        let process = journals.len();
        let journal = ground.site.store.path().join(format!("shop-{process}.journal"));
        let shop = Command::new(program())
            .args(["shop", "--store", &ground.server_url, "--seed", &seed.to_string()])
            .args(["--process", &process.to_string(), "--began", &began.to_string(), "--journal"])
            .arg(&journal)
            .arg("--owned-codes")
            .arg(file_of_owned_codes(ground))
            .args(["--server", &access.address.to_string(), "--key-file"])
            .arg(&access.key_file)
            .env("FAILPOINTS", FAILPOINTS)
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a shop");
        journals.push(journal);
        shop
    };
    let mut shops: Vec<Child> = (0..SHOPS).map(|_| start()).collect();
    loop {
        sleep(lot.pause(Duration::from_secs(1), Duration::from_secs(6))).await;
        if Instant::now() >= until {
            break;
        }
        let has_ended = |shop: &mut Child| shop.try_wait().expect("its state").is_some();
        assert!(!shops.iter_mut().any(has_ended), "a shop ended by itself");
        let mut killed = shops.remove(lot.below(SHOPS));
        ground.note("killed a shop");
        send_signal("KILL", &killed);
        killed.wait().await.expect("its end");
        shops.push(start());
    }
    for shop in shops {
        close(shop).await;
    }
    let existing = journals.iter().enumerate().filter(|(_, journal)| journal.exists());
    existing.flat_map(|(process, journal)| read_journal(process, journal)).collect()
}

/// Closes the standard input of a shop, which ends it.
async fn close(mut shop: Child) {
    drop(shop.stdin.take());
    let ended = timeout(DEADLINE, shop.wait()).await;
    assert!(ended.expect("an end in time").expect("its state").success(), "a shop failed");
}
