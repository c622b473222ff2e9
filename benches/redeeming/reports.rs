//! How long does a report over 10 million redemptions take, and what does adding up cost the redemptions?

use std::sync::Arc;
use std::time::{Duration, Instant};

use codemint_campaigns::keeping::RedemptionKeeper;
use codemint_offers::report::figures::Subject;
use codemint_store::figures::report::ReportFilter;
use codemint_test_support::postgres::Server;
use codemint_test_support::redeem_steps::{asking, cart, create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use crate::load::run;
use crate::measure::{Pairs, SECONDS_HEADER, Turn, median, turns};
use crate::scale::Scale;
use crate::{NO_PAUSE, QUOTA, TIME, place, redeemer};

const REPORT_MS_MAX: f64 = 200.0;
/// Redemptions take at most this many times as long while they are added up.
const SLOWER_MAX: f64 = 1.05;
const CAMPAIGNS: u64 = 1000;
const REDEMPTIONS: u64 = 10_000_000;
const DAYS: u64 = 90;
const SOURCES: u64 = 3;
const PAIRS: usize = 5;
const CALLERS: usize = 512;

pub async fn measure_reports(server: &Server, scale: Scale) -> bool {
    let is_quick = time_reports(server, scale).await;
    let is_cheap = cost_of_adding_up(server, scale).await;
    is_quick && is_cheap
}

async fn time_reports(server: &Server, scale: Scale) -> bool {
    let (place, _url) = place(server, "reports").await;
    let campaigns = scale.codes(CAMPAIGNS);
    fill(&place, campaigns, scale.codes(REDEMPTIONS)).await;
    println!(
        "{} sums of {} redemptions of {campaigns} campaigns on {DAYS} days from {SOURCES} sources",
        place.number("select count(*) from tallies").await,
        place.number("select cast(sum(amount) as bigint) from tallies where metric = 'redeemed'").await
    );
    let mut holds = true;
    for (what, subject, campaign_no) in [
        ("by campaign", Subject::Campaigns, None),
        ("by source", Subject::Sources, None),
        ("by day", Subject::Days, None),
        ("by day, of one campaign", Subject::Days, Some(1)),
    ] {
        let filter = ReportFilter { subject, from: None, to: None, campaign_no };
        let mut milliseconds = Vec::new();
        for _ in 0..7 {
            let begun = Instant::now();
            let rows = place.store.report(&filter).await.expect("a report").expect("few sums");
            milliseconds.push(begun.elapsed().as_secs_f64() * 1000.0);
            assert!(!rows.is_empty());
        }
        holds &= scale.at_most(&format!("report {what}, median in ms"), median(&milliseconds), REPORT_MS_MAX);
    }
    place.store.close().await.expect("a close");
    holds
}

/// Fills in the sums that so many redemptions leave behind: reports read nothing else.
async fn fill(place: &TestStore, campaigns: u64, redemptions: u64) {
    create_campaign(place, &definition("campaign-1", "public", "C1", &json!({})), 1).await;
    let copies = format!(
        "insert into campaigns (name, kind, active, version)
         select 'campaign-' || number, 'public', true, 1 from generate_series(2, {campaigns}) number"
    );
    place.execute(&copies).await;
    let each = redemptions / (campaigns * DAYS * SOURCES);
    let sums = format!(
        "insert into tallies (campaign_no, day, source, ad, affiliate, currency, metric, amount)
         select no, date '2027-01-01' + day, 'source-' || source, '', '', currency, metric, amount
           from campaigns, generate_series(1, {DAYS}) day, generate_series(1, {SOURCES}) source,
                (values ('', 'redeemed', {each}), ('EUR', 'discount', {each} * 250), ('EUR', 'revenue', {each} * 5000))
                    as sums(currency, metric, amount)"
    );
    place.execute(&sums).await;
    place.execute("vacuum analyze tallies").await;
}

async fn cost_of_adding_up(server: &Server, scale: Scale) -> bool {
    let (place, _url) = place(server, "adding_up").await;
    let limits = json!({ "limits": { "redeemed": QUOTA } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let (redeemer, mut pairs) = (redeemer(&place).await, Pairs::default());
    let redeemed = async || {
        let redeemer = redeemer.clone();
        let seen = run(CALLERS, TIME, NO_PAUSE, move |number| {
            let redeemer = redeemer.clone();
            let context = json!({ "source": format!("source-{}", number % 20), "ad": format!("ad-{}", number % 7) });
            let request = asking("SPRING", &json!({ "cart": cart(1000), "context": context }));
            async move { redeemer.redeem(Uuid::now_v7(), request, true).await.is_ok() }
        });
        seen.await.per_second()
    };
    redeemed().await;
    for pair in 0..PAIRS {
        for turn in turns(pair) {
            let adding =
                (turn == Turn::Ours).then(|| tokio::spawn(add_up(RedemptionKeeper::new(place.store.clone(), false))));
            let rate = redeemed().await;
            if let Some(adding) = adding {
                adding.abort();
            }
            // Both begin without sums that wait.
            while place.store.add_up_tallies().await.expect("sums") > 0 {}
            pairs.add(turn, 1e6 / rate);
        }
    }
    println!("{SECONDS_HEADER}, for a million redemptions");
    let holds = pairs.print(["while they are added up", "without"], SLOWER_MAX);
    judge_redemptions(&place).await;
    holds || !scale.is_full()
}

/// Adds up as a worker does.
async fn add_up(keeper: RedemptionKeeper) {
    let keeper = Arc::new(keeper);
    loop {
        let kept = keeper.look().await.expect("a look");
        if !kept.is_full() {
            sleep(Duration::from_secs(1)).await;
        }
    }
}
