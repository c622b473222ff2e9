//! Two processes that mint overlapping masks at the same time.

use std::time::Instant;

use crate::measure::verdict;
use crate::place::{Job, MILLION, Place};
use codemint_test_support::codemint::finish;

/// Masks of four million codes each, with three quarters in common, starting at the first code.
const MASKS: [&str; 2] = ["[ABCD]######", "[ABCE]######"];

pub async fn run(place: &Place) -> bool {
    let alone = run_at_once(place, [MASKS[0], "[WXYZ]######"]).await;
    println!("{alone:.2} s for two masks that share nothing");
    let mut all_hold = true;
    for masks in [MASKS, [MASKS[0], MASKS[0]]] {
        let seconds = run_at_once(place, masks).await;
        let codes = place.number("select count(*) from codes").await;
        let completed =
            place.number(&format!("select count(*) from jobs where state = 'completed' and minted = {MILLION}")).await;
        let of_jobs = place
            .number("select count(*) from codes c join chunks k on k.run_no = c.run_no and k.state = 'done'")
            .await;
        let conflicts = place.number("select sum(conflicts) from chunks").await;
        let met = place.number("select count(*) from chunks where conflicts > 0").await;
        let chunks = place.number("select count(*) from chunks").await;
        let holds = codes == 2 * MILLION as i64 && of_jobs == codes && completed == 2;
        println!(
            "{} and {}: {seconds:.2} s, {conflicts} conflicts in {met} of {chunks} chunks, {codes} codes, counts: {}",
            masks[0],
            masks[1],
            verdict(holds)
        );
        all_hold &= holds;
    }
    all_hold
}

async fn run_at_once(place: &Place, masks: [&str; 2]) -> f64 {
    place.make_empty().await;
    let started = Instant::now();
    let children = masks.map(|mask| place.codemint(&Job::million_of(mask)).start());
    for child in children {
        finish(child).await.expect_code(0);
    }
    started.elapsed().as_secs_f64()
}
