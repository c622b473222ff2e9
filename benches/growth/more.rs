//! A million more codes of a mask that already holds millions.

use crate::measure::{SECONDS_HEADER, median, seconds_row, verdict};
use crate::place::{DENSE, Job, LOOKED_UP, MILLION, Place, SPARSE, UNSCREENED};

const TIMES_FIRST_MAX: f64 = 3.0;
const TIMES_UNSCREENED_MAX: f64 = 1.15;
const STAGING_TIMES_MIN: f64 = 4.0;
const ROUNDS: usize = 5;
const STAGING_ROUNDS: usize = 3;

pub const SPARSE_10_MILLION: &str = "sparse_10_million";
const DENSE_9_MILLION: &str = "dense_9_million";

pub async fn fill_sparse(place: &mut Place) {
    place.fill(SPARSE_10_MILLION, async |place| mint(place, SPARSE, 10).await).await;
}

/// Mints `jobs` jobs of a million codes each.
pub async fn mint(place: &Place, mask: &str, jobs: usize) {
    for _job in 0..jobs {
        place.codemint(&Job::million_of(mask)).run().await.expect_code(0);
    }
}

/// Seconds of each way, measured one after the other in each round.
#[derive(Default)]
struct Ways {
    first: Vec<f64>,
    more: Vec<f64>,
    unscreened: Vec<f64>,
    looked_up: Vec<f64>,
}

pub async fn sparse(place: &mut Place) -> bool {
    fill_sparse(place).await;
    let ways = measure(place, SPARSE, SPARSE_10_MILLION).await;
    let staging = time_staging(place).await;
    ways.print();
    println!("{}", seconds_row("unsorted staging, on conflict", &staging));
    let first_holds = ways.print_times_first();
    let over_unscreened = median_of_ratios(&ways.more, &ways.unscreened);
    let unscreened_holds = over_unscreened <= TIMES_UNSCREENED_MAX;
    println!(
        "to the same without screening {over_unscreened:.2}, bound {TIMES_UNSCREENED_MAX:.2}: {}",
        verdict(unscreened_holds)
    );
    let faster = median(&staging) / median(&ways.more);
    let staging_holds = faster >= STAGING_TIMES_MIN;
    println!(
        "unsorted staging takes        {faster:.2} times as long, bound {STAGING_TIMES_MIN:.2}: {}",
        verdict(staging_holds)
    );
    first_holds && unscreened_holds && staging_holds
}

pub async fn dense(place: &mut Place) -> bool {
    place.fill(DENSE_9_MILLION, async |place| mint(place, DENSE, 9).await).await;
    let ways = measure(place, DENSE, DENSE_9_MILLION).await;
    ways.print();
    ways.print_times_first()
}

async fn measure(place: &Place, mask: &str, full: &str) -> Ways {
    let mut ways = Ways::default();
    let more = Job::million_of(mask);
    for round in 0..ROUNDS {
        place.make_empty().await;
        ways.first.push(place.time(&Job::million_of(mask)).await);
        // The two ways that are compared most closely alternate in beginning.
        let take = async |environment, seconds: &mut Vec<f64>| {
            place.restore(full).await;
            seconds.push(place.time(&Job { environment, ..Job::million_of(mask) }).await);
        };
        if round.is_multiple_of(2) {
            take(more.environment, &mut ways.more).await;
            take(UNSCREENED, &mut ways.unscreened).await;
        } else {
            take(UNSCREENED, &mut ways.unscreened).await;
            take(more.environment, &mut ways.more).await;
        }
        take(LOOKED_UP, &mut ways.looked_up).await;
        if round == 0 {
            place.restore(full).await;
            place.time(&more).await;
            println!("(screening of a million more of {mask}: {})", place.last_job_screening().await);
        }
    }
    ways
}

/// Measures the usual way to insert codes of which some may exist, with codes of which none does.
async fn time_staging(place: &Place) -> Vec<f64> {
    let file = place.file("unsorted.tsv");
    place.restore(SPARSE_10_MILLION).await;
    place.time(&Job::million_of(SPARSE)).await;
    let newest = format!("select code, run_no from codes order by run_no desc limit {MILLION}");
    let unsorted = format!("select code, run_no from ({newest}) newest order by md5(code)");
    place.time_psql(&format!("\\copy ({unsorted}) to '{}'\n", file.display())).await;
    let script = format!(
        "create temporary table staging (code text, run_no bigint);\n\\copy staging from '{}'\n\
         insert into codes (code, run_no) select code, run_no from staging on conflict do nothing;\n",
        file.display()
    );
    let mut seconds = Vec::new();
    for _round in 0..STAGING_ROUNDS {
        place.restore(SPARSE_10_MILLION).await;
        seconds.push(place.time_psql(&script).await);
        assert_eq!(place.number("select count(*) from codes").await, 11 * MILLION as i64, "codes after staging");
    }
    seconds
}

impl Ways {
    fn print(&self) {
        println!("{SECONDS_HEADER}");
        println!("{}", seconds_row("the first million", &self.first));
        println!("{}", seconds_row("a million more", &self.more));
        println!("{}", seconds_row("a million more, without screening", &self.unscreened));
        println!("{}", seconds_row("a million more, all looked up", &self.looked_up));
    }

    fn print_times_first(&self) -> bool {
        let ratio = median_of_ratios(&self.more, &self.first);
        let holds = ratio <= TIMES_FIRST_MAX;
        println!("to the first million          {ratio:.2}, bound {TIMES_FIRST_MAX:.2}: {}", verdict(holds));
        holds
    }
}

fn median_of_ratios(ours: &[f64], reference: &[f64]) -> f64 {
    let ratios: Vec<f64> = ours.iter().zip(reference).map(|(ours, reference)| ours / reference).collect();
    median(&ratios)
}
