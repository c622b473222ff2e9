//! A hundred million codes: ten jobs of fresh prefixes in random order, one large job, or ten jobs that crowd one mask.

use crate::grown::{GROWN_HEADER, Grown};
use crate::measure::median;
use crate::place::{Job, MILLION, Place};
use crate::plot::Curve;

/// The name of the database that the ten jobs leave.
pub const FRESH: &str = "fresh_100_million";
/// The order is such that the next prefix may lie anywhere among the earlier ones.
const PREFIXES: [&str; 10] = ["Q7", "C4", "X3", "H9", "T2", "A8", "M5", "V1", "E6", "K3"];
const FRESH_CODES: u64 = 10 * MILLION;
const LAST_TO_SECOND_MIN: f64 = 0.85;
const INDEX_BYTES_MAX: f64 = 50.0;
const PEAK_MIB_MAX: f64 = 64.0;

const SINGLE_CODES: u64 = 100 * MILLION;
/// The number of points of its curve.
const SINGLE_POINTS: u64 = 20;

const CROWD_KEYSPACE: u64 = 25 * MILLION;
const CROWD_JOBS: u64 = 10;
const CROWD_SHARE_PERCENT: u64 = 80;

/// Measures ten jobs, each with a prefix of its own.
pub async fn fresh(place: &mut Place, curves: &mut Vec<Curve>) -> bool {
    let mut jobs = Vec::new();
    place.fill(FRESH, async |place| jobs = mint_fresh(place).await).await;
    curves.push(Curve {
        name: "ten jobs of fresh prefixes in random order",
        points: jobs.iter().map(Grown::point).collect(),
    });
    let scale = place.scale;
    let [_, second, .., last] = jobs.as_slice() else { panic!("{} jobs", jobs.len()) };
    let slowed = last.codes_per_second() / second.codes_per_second();
    let steady = scale.at_least("the last job's speed relative to the second one's", slowed, LAST_TO_SECOND_MIN);
    let small = scale.at_most("index bytes per code", last.index_bytes_per_code(), INDEX_BYTES_MAX);
    let peak = jobs.iter().map(Grown::peak_mib).fold(0.0, f64::max);
    let modest = scale.at_most("client peak, MiB", peak, PEAK_MIB_MAX);
    steady && small && modest
}

/// Mints the ten jobs into an empty store.
pub async fn mint_fresh(place: &Place) -> Vec<Grown> {
    let count = place.scale.codes(FRESH_CODES);
    println!("ten jobs of fresh prefixes: {PREFIXES:?} with [:safe:]{{10}} behind them\n{GROWN_HEADER}");
    let mut jobs = Vec::new();
    for (prefix, before) in PREFIXES.iter().zip((0..).step_by(count as usize)) {
        let mask = format!("{prefix}[:safe:]{{10}}");
        let job = place.grow(&Job { mask: &mask, count, environment: &[] }, before).await;
        println!("{}", job.row());
        jobs.push(job);
    }
    assert_eq!(place.number("select count(*) from codes").await, 10 * count as i64, "codes in the table");
    jobs
}

/// Measures one job of 100 million codes.
pub async fn single(place: &Place, curves: &mut Vec<Curve>) -> bool {
    let count = place.scale.codes(SINGLE_CODES);
    place.make_empty().await;
    let job = Job { mask: "J[:safe:]{11}", count, environment: &[] };
    let (grown, samples) = place.grow_and_follow(&job).await;
    println!("one job of {}\n{GROWN_HEADER}\n{}", job.mask, grown.row());
    assert_eq!(place.number("select count(*) from codes").await, count as i64, "codes in the table");
    let points = speeds(&samples, count / SINGLE_POINTS);
    for (codes, speed) in &points {
        println!("at {codes:>12.0} codes {speed:>9.0} codes/s");
    }
    if let [first, .., last] = points.as_slice() {
        let middle = median(&points.iter().map(|(_, speed)| *speed).collect::<Vec<_>>());
        println!("the last piece relative to the first {:.2}, median {middle:.0} codes/s", last.1 / first.1);
    }
    curves.push(Curve { name: "one job", points });
    let small = place.scale.at_most("index bytes per code", grown.index_bytes_per_code(), INDEX_BYTES_MAX);
    let modest = place.scale.at_most("client peak, MiB", grown.peak_mib(), PEAK_MIB_MAX);
    small && modest
}

/// Returns the codes a second between samples at least `codes_apart` codes apart, each at the middle of its interval.
fn speeds(samples: &[(f64, u64)], codes_apart: u64) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut begun = samples[0];
    for &(seconds, codes) in &samples[1..] {
        let minted = codes - begun.1;
        if minted >= codes_apart.max(1) {
            points.push((begun.1 as f64 + minted as f64 / 2.0, minted as f64 / (seconds - begun.0)));
            begun = (seconds, codes);
        }
    }
    points
}

/// Measures job after job of one mask, until four fifths of its codes are taken.
pub async fn crowd(place: &Place, curves: &mut Vec<Curve>) {
    let (mask, size) = mask_of_about(place.scale.codes(CROWD_KEYSPACE));
    let count = size * CROWD_SHARE_PERCENT / 100 / CROWD_JOBS;
    place.make_empty().await;
    println!("{CROWD_JOBS} jobs of {mask}, {size} codes\n{GROWN_HEADER}");
    let mut points = Vec::new();
    for number in 0..CROWD_JOBS {
        let grown = place.grow(&Job { mask: &mask, count, environment: &[] }, number * count).await;
        println!("{}   ({})", grown.row(), place.last_job_screening().await);
        points.push(grown.point());
    }
    assert_eq!(place.number("select count(*) from codes").await, (CROWD_JOBS * count) as i64, "codes in the table");
    curves.push(Curve { name: "ten jobs of one mask, to 80 % of its codes", points });
}

/// Returns a mask of a letter and digits, and its number of codes: at most `size`, and at least half of it.
fn mask_of_about(size: u64) -> (String, u64) {
    let digits = size.ilog10().saturating_sub(u32::from(size / 10_u64.pow(size.ilog10()) < 3));
    let letters = (size / 10_u64.pow(digits)).clamp(1, 26);
    let last = char::from(b'A' + u8::try_from(letters - 1).expect("a letter"));
    (format!("[A-{last}]{}", "#".repeat(digits as usize)), letters * 10_u64.pow(digits))
}
