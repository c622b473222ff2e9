//! How fast are codes redeemed and validated in a file of SQLite? No bounds: a file has one writer.

use std::sync::Arc;

use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;
use serde_json::{Value, json};

use crate::load::Seen;
use crate::{QUOTA, ours, redeemer, validate_each};

const PRIVATE_CODES: i128 = 400_000;

pub async fn measure_sqlite() {
    println!("{:<52} {:>8} {:>10} {:>10} {:>10}", "SQLite", "callers", "a second", "median ms", "p99 ms");
    let shared = json!({ "limits": { "redeemed": QUOTA } });
    let (place, codes) = store("public", "SPRING", &shared, 1).await;
    let redeemer = redeemer(&place).await;
    // The first figure meets a warm file, too.
    ours(&redeemer, 64, &codes).await;
    for callers in [1, 64, 512] {
        print_row("public code with a shared limit", callers, &ours(&redeemer, callers, &codes).await);
    }
    judge_redemptions(&place).await;
    let both = json!({ "limits": { "per_code": 1, "redeemed": QUOTA } });
    private_codes("private codes with a shared limit", &both).await;
    private_codes("private codes without a shared limit", &json!({ "limits": { "per_code": 1 } })).await;
}

/// Lets callers validate private codes, and then use them.
async fn private_codes(what: &str, limits: &Value) {
    let (place, codes) = store("private", "SPRING-[:safe:]{10}", limits, PRIVATE_CODES).await;
    let redeemer = redeemer(&place).await;
    print_row(&format!("validations, {what}"), 512, &validate_each(&redeemer, 512, &codes).await);
    print_row(what, 512, &ours(&redeemer, 512, &codes).await);
    judge_redemptions(&place).await;
}

/// Returns a new file with a campaign, and its codes in a scattered order.
async fn store(kind: &str, mask: &str, limits: &Value, count: i128) -> (TestStore, Arc<Vec<String>>) {
    let place = TestStore::sqlite().await;
    create_campaign(&place, &definition("spring", kind, mask, limits), count).await;
    let codes = place.texts("select code from codes order by random()").await;
    (place, Arc::new(codes))
}

fn print_row(what: &str, callers: usize, seen: &Seen) {
    let (median, p99) = (seen.quantile(0.5), seen.quantile(0.99));
    println!("{what:<52} {callers:>8} {:>10.0} {median:>10.2} {p99:>10.1}", seen.per_second());
}
