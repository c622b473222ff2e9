//! Importing codes from another system.

use std::fs;
use std::time::Instant;

use crate::measure::{median, verdict};
use crate::place::Place;
use codemint_test_support::codemint::Codemint;

const CODES: u64 = 3_000_000;
const CODES_A_SECOND_MIN: f64 = 300_000.0;
const ROUNDS: usize = 3;

pub async fn run(place: &Place) -> bool {
    let scattered: Vec<String> = (0..CODES).map(code).collect();
    let mut sorted = scattered.clone();
    sorted.sort_unstable();
    let (input, rows) = (place.file("import.txt"), place.file("import.tsv"));
    fs::write(&input, scattered.join("\n")).expect("an input");
    fs::write(&rows, sorted.iter().map(|code| format!("{code}\t1\n")).collect::<String>()).expect("rows");
    drop((scattered, sorted));
    let copy = format!("\\copy codes (code, run_no) from '{}'\n", rows.display());
    let (mut imports, mut copies) = (Vec::new(), Vec::new());
    for _round in 0..ROUNDS {
        place.make_empty().await;
        copies.push(place.time_psql(&copy).await);
        place.make_empty().await;
        let codemint = Codemint::new(&std::env::temp_dir()).args(["--store", &place.url(), "import"]).args([&input]);
        let started = Instant::now();
        codemint.run().await.expect_code(0);
        imports.push(started.elapsed().as_secs_f64());
        assert_eq!(place.number("select count(*) from codes").await, CODES as i64, "codes in the table");
    }
    let (import, copy) = (median(&imports), median(&copies));
    let codes_a_second = CODES as f64 / import;
    let holds = codes_a_second >= CODES_A_SECOND_MIN;
    println!("{CODES} codes of 20 characters in a scattered order, median of {ROUNDS}:");
    println!(
        "codemint import {import:.2} s; psql \\copy of the same codes, sorted {copy:.2} s: {:.2} times",
        import / copy
    );
    println!("{codes_a_second:.0} codes/s, bound {CODES_A_SECOND_MIN:.0}: {}", verdict(holds));
    holds
}

/// Maps each number to a distinct code, far from the codes of its neighbours.
fn code(number: u64) -> String {
    format!("OLD-{:016X}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
