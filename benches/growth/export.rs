//! Exporting and verifying the codes of a job, depending on how many other codes the store holds.

use crate::measure::{Pairs, SECONDS_HEADER, Turn, median, seconds_row, turns};
use crate::place::{DENSE, Job, MILLION, Place};
use crate::process::{self, Took};

const ALONE: &str = "export_alone";
const AMID: &str = "export_amid_50_million";
const CROWDED: &str = "export_crowded";
const OTHERS: u64 = 50 * MILLION;
const LARGE: u64 = 10 * MILLION;
const PAIRS: usize = 7;
const CODES_PER_SECOND_MIN: f64 = 1_000_000.0;
const AMID_RATIO_MAX: f64 = 1.3;
const PEAK_MIB_MAX: f64 = 64.0;
/// The bound for ten times the codes; the allocator alone makes peaks of the same job differ by a tenth.
const PEAK_RATIO_MAX: f64 = 1.25;

/// A finished job in a store that is only read.
struct Shelf {
    url: String,
    job_id: String,
    count: u64,
}

pub async fn run(place: &mut Place) -> bool {
    let count = place.scale.codes(MILLION);
    place.fill(ALONE, async |place| mint(place, count).await).await;
    place.fill(AMID, async |place| fill_amid(place, count).await).await;
    place.fill(CROWDED, async |place| fill_crowded(place, count).await).await;
    let alone = Shelf::find(place, ALONE, count).await;
    let amid = Shelf::find(place, AMID, count).await;
    let crowded = Shelf::find(place, CROWDED, count).await;
    let large = Shelf::find(place, CROWDED, place.scale.codes(LARGE)).await;

    let mut exports = Pairs::default();
    let (mut seconds_alone, mut seconds_verifying, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        for turn in turns(pair) {
            let shelf = if turn == Turn::Ours { &amid } else { &alone };
            let took = shelf.export(place).await;
            exports.add(turn, took.seconds);
            if turn == Turn::Reference {
                seconds_alone.push(took.seconds);
                peaks.push(took.peak_mib);
            }
        }
        seconds_verifying.push(amid.verify(place).await.seconds);
    }
    let scale = place.scale;
    println!("{count} codes of {DENSE} to CSV, {PAIRS} pairs\n{SECONDS_HEADER}");
    println!("{}", exports.rows(["amid 50 million of other prefixes", "alone in the store"]));
    println!("{}", seconds_row("verified, amid 50 million", &seconds_verifying));
    let crowd = [crowded.export(place).await, crowded.export(place).await, crowded.export(place).await];
    println!("{}", seconds_row("over 10 million of the same mask", &crowd.map(|took| took.seconds)));
    let took = large.export(place).await;
    println!("{}", seconds_row("these 10 million", &[took.seconds]));
    [
        scale.at_least("codes a second, alone", count as f64 / median(&seconds_alone), CODES_PER_SECOND_MIN),
        scale.at_most("amid others relative to alone", exports.median_of_ratios(), AMID_RATIO_MAX),
        scale.at_least("codes verified a second", count as f64 / median(&seconds_verifying), CODES_PER_SECOND_MIN),
        scale.at_most("peak of 10 million codes, MiB", took.peak_mib, PEAK_MIB_MAX),
        scale.at_most("peak of 10 million codes to that of 1 million", took.peak_mib / median(&peaks), PEAK_RATIO_MAX),
    ]
    .iter()
    .all(|holds| *holds)
}

async fn mint(place: &Place, count: u64) {
    place.codemint(&Job { count, ..Job::million_of(DENSE) }).run().await.expect_code(0);
}

/// Fills the store with half of the other codes before the job and half after it, in time as well as in order of
/// prefix.
async fn fill_amid(place: &Place, count: u64) {
    let half = place.scale.codes(OTHERS / 2);
    place.add_others("chr(65 + p % 12)", half).await;
    mint(place, count).await;
    place.add_others("chr(78 + p % 12)", half).await;
}

async fn fill_crowded(place: &Place, count: u64) {
    mint(place, place.scale.codes(LARGE)).await;
    mint(place, count).await;
}

impl Shelf {
    /// Finds the latest job of `count` codes.
    async fn find(place: &Place, name: &str, count: u64) -> Self {
        let sql = format!("select id::text from jobs where count = {count} order by no desc limit 1");
        Self { url: place.url_of(name), job_id: place.text(name, &sql).await, count }
    }

    async fn export(&self, place: &Place) -> Took {
        let file = place.file("codes.csv");
        let shown = file.display().to_string();
        let took = self.run(place, &["export", &self.job_id, "--output", &shown]).await;
        let bytes = std::fs::metadata(&file).expect("a file").len();
        // A header line, and one line per code.
        assert_eq!(bytes, 5 + self.count * 22, "the size of the file");
        took
    }

    async fn verify(&self, place: &Place) -> Took {
        self.run(place, &["verify", &self.job_id]).await
    }

    async fn run(&self, place: &Place, arguments: &[&str]) -> Took {
        let codemint = place.program().args(["--store", &self.url]).args(arguments);
        process::measure(codemint.into_command(), place.server()).await
    }
}
