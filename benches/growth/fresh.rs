//! A job on a fresh prefix amid other people's codes: the usual case.

use crate::measure::{Pairs, SECONDS_HEADER, Turn, turns};
use crate::place::{DENSE, Job, Place};

const RATIO_MAX: f64 = 1.15;
const PAIRS: usize = 5;
const OTHERS: &str = "others_30_million";

pub async fn run(place: &mut Place) -> bool {
    place.fill(OTHERS, fill_with_others).await;
    let file = place.file("fresh.tsv");
    place.make_empty().await;
    place.time(&Job::million_of(DENSE)).await;
    place.time_psql(&format!("\\copy (select code, run_no from codes order by code) to '{}'\n", file.display())).await;
    let copy = format!("\\copy codes (code, run_no) from '{}'\n", file.display());
    let mut pairs = Pairs::default();
    for pair in 0..PAIRS {
        for turn in turns(pair) {
            place.restore(OTHERS).await;
            // Where it was restored to, the server knows the files and nothing of the disk's caches is colder than usual.
            let seconds = match turn {
                Turn::Ours => place.time(&Job::million_of(DENSE)).await,
                Turn::Reference => place.time_psql(&copy).await,
            };
            pairs.add(turn, seconds);
        }
    }
    println!("a million codes of {DENSE} amid 30 million of other prefixes, {PAIRS} pairs");
    println!("{SECONDS_HEADER}");
    pairs.print(["codemint generate", "psql \\copy of the sorted file"], RATIO_MAX)
}

/// Thirty prefixes, half of them before ours and half behind it, as campaigns leave them; the codes belong to no job, as
/// codes do that somebody put in by hand.
async fn fill_with_others(place: &Place) {
    for half in ["chr(65 + p % 12)", "chr(78 + p % 12)"] {
        let sql = format!(
            "insert into codes (code, run_no)
             select code, 0
               from (select {half} || 'Y_CAMPAIGN_' || lpad(p::text, 2, '0') || upper(substr(md5(n::text || p), 1, 4))
                            || lpad(n::text, 7, '0') as code
                       from generate_series(1, 15) p, generate_series(1, 1000000) n) made
              order by code"
        );
        place.execute(&sql).await;
    }
}
