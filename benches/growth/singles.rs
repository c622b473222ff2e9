//! Very many jobs of one code, as a shop requests them one by one, and then a job of a million.

use crate::measure::{SECONDS_HEADER, median, seconds_row};
use crate::more::mint;
use crate::place::{DENSE, Job, Place};

const ROUNDS: usize = 3;
const SINGLES: &str = "singles";
const SINGLES_AND_LARGE: &str = "singles_and_large";

pub async fn run(place: &mut Place) -> bool {
    place.fill(SINGLES, fill_with_singles).await;
    let both = async |place: &Place| {
        fill_with_singles(place).await;
        mint(place, DENSE, 10).await;
    };
    place.fill(SINGLES_AND_LARGE, both).await;
    let (mut first, mut over_singles, mut over_both) = (Vec::new(), Vec::new(), Vec::new());
    for _round in 0..ROUNDS {
        place.make_empty().await;
        first.push(place.time(&Job::million_of(DENSE)).await);
        place.restore(SINGLES).await;
        over_singles.push(place.time(&Job::million_of(DENSE)).await);
        println!("(over singles: {})", place.last_job_screening().await);
        place.restore(SINGLES_AND_LARGE).await;
        over_both.push(place.time(&Job::million_of(DENSE)).await);
        println!("(over both: {})", place.last_job_screening().await);
    }
    println!("a million codes of {DENSE}");
    println!("{SECONDS_HEADER}");
    println!("{}", seconds_row("the first million", &first));
    println!("{}", seconds_row("over 100,000 jobs of one code", &over_singles));
    println!("{}", seconds_row("over these and 10 million in large jobs", &over_both));
    println!("to the first million: {:.2} and {:.2}", ratio(&over_singles, &first), ratio(&over_both, &first));
    true
}

fn ratio(ours: &[f64], reference: &[f64]) -> f64 {
    median(ours) / median(reference)
}

/// Mints codes in one job and then gives each a job of its own, which leaves the same rows as that many calls.
async fn fill_with_singles(place: &Place) {
    place.codemint(&Job { count: 100_000, ..Job::million_of(DENSE) }).run().await.expect_code(0);
    let split = "
        create temporary table made as
            select code, row_number() over (order by md5(code)) as n, gen_random_uuid() as id from codes;
        create temporary table one as select * from jobs;
        create temporary table one_chunk as select * from chunks limit 1;
        truncate codes, chunks, jobs restart identity cascade;
        insert into jobs (id, mask, canonical_mask, mask_no, count, state, generator_version, chunk_size, minted, rejected,
                          conflicts, reserved, denied, false_positives, digest, created_at, started_at, finished_at)
            select m.id, o.mask, o.canonical_mask, o.mask_no, 1, 'completed', o.generator_version, o.chunk_size, 1, 0,
                   0, 0, 0, 0, sha256(m.code::bytea), now(), now(), now()
              from made m, one o order by m.n;
        insert into chunks (job_no, mask_no, round, chunk_no, range_first, range_last, quota, state, minted, digest,
                            screening, done_at)
            select m.n, c.mask_no, 0, 0, m.code, m.code, 1, 'done', 1, sha256(m.code::bytea), 'look_up_few_codes', now()
              from made m, one_chunk c order by m.n;
        insert into codes (code, run_no) select range_first, run_no from chunks order by run_no;";
    place.execute(split).await;
}
