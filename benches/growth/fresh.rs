//! A job on a fresh prefix amid codes of other jobs: the usual case.

use std::fs;

use crate::measure::{CHUNK_SIZE, Pairs, SECONDS_HEADER, Turn, seconds_row, turns};
use crate::place::{DENSE, Job, MILLION, Place};

const RATIO_MAX: f64 = 1.15;
const PAIRS: usize = 5;
const OTHERS: &str = "others_30_million";

pub async fn run(place: &mut Place) -> bool {
    place.fill(OTHERS, fill_with_others).await;
    let file = place.file("fresh.tsv");
    place.make_empty().await;
    place.time(&Job::million_of(DENSE)).await;
    place.time_psql(&format!("\\copy (select code, run_no from codes order by code) to '{}'\n", file.display())).await;
    let lines = fs::read_to_string(&file).expect("the file of all codes");
    let copy = format!("\\copy codes (code, run_no) from '{}'\n", file.display());
    let copy_a_chunk = copy_chunks(place, &lines.lines().collect::<Vec<_>>());
    let mut pairs = Pairs::default();
    let mut with_commits = Vec::new();
    for pair in 0..PAIRS {
        for turn in turns(pair) {
            place.restore(OTHERS).await;
            let seconds = match turn {
                Turn::Ours => place.time(&Job::million_of(DENSE)).await,
                Turn::Reference => place.time_psql(&copy).await,
            };
            pairs.add(turn, seconds);
        }
        place.restore(OTHERS).await;
        with_commits.push(place.time_psql(&copy_a_chunk).await);
    }
    println!("a million codes of {DENSE} amid 30 million of other prefixes, {PAIRS} pairs");
    println!("{SECONDS_HEADER}");
    println!("{}", seconds_row("psql \\copy, commit every 100,000", &with_commits));
    pairs.print(["codemint generate", "psql \\copy of the sorted file"], RATIO_MAX)
}

/// Returns a psql script that commits once per chunk, as codemint does.
fn copy_chunks(place: &Place, lines: &[&str]) -> String {
    let copy = |(number, piece): (usize, &[&str])| {
        let file = place.file(&format!("fresh.{number}.tsv"));
        fs::write(&file, piece.join("\n") + "\n").expect("a file of one chunk");
        format!("\\copy codes (code, run_no) from '{}'\n", file.display())
    };
    lines.chunks(CHUNK_SIZE).enumerate().map(copy).collect()
}

/// Adds codes of thirty prefixes, half of them before ours in order and half after it.
async fn fill_with_others(place: &Place) {
    place.add_others("chr(65 + p % 12)", 15 * MILLION).await;
    place.add_others("chr(78 + p % 12)", 15 * MILLION).await;
}
