//! How fast are codes drawn and encoded? At least 15 million a second on one core, sparse masks and dense ones.
//!
//! Work as the engine does it: quotas, then chunk by chunk a draw and a batch in the memory of the batch before.
//! Beside it the least that any such generator does, on the same machine in the same minute: as many raw ChaCha20
//! words, sorted in pieces of a chunk. The bound is judged by the best repetition of each mask, because whatever else
//! runs on the machine can only slow a repetition down, never speed it up; the ratio is the better number to compare
//! over time.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use codemint::code::batch::CodeBatch;
use codemint::code::keyspace::Keyspace;
use codemint::code::random::{Key, Stream};
use codemint::code::slice::{Draw, quotas};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::measure::{exit_code, least, median, verdict};

#[expect(dead_code, reason = "it serves the other benchmarks too")]
mod measure;

const CODES_PER_SECOND_MIN: f64 = 15e6;
const CHUNK_SIZE: usize = 50_000;
/// Long enough for a repetition that nothing disturbed.
const REPEAT_FOR: Duration = Duration::from_secs(15);

struct Case {
    mask: &'static str,
    count: u64,
    note: &'static str,
}

const CASES: [Case; 4] = [
    Case { mask: "[:safe:]{12}", count: 1_000_000, note: "sparse" },
    Case { mask: "MY_LITTLE_PROMO????##", count: 1_000_000, note: "sparse" },
    Case { mask: "#######", count: 6_000_000, note: "60 % of all" },
    Case { mask: "#######", count: 7_000_000, note: "70 % of all" },
];

fn main() -> ExitCode {
    println!("mask                     codes                best     median   ChaCha20 + sort   time ratio");
    println!("                                        million codes a second    median, M/s      of medians");
    let held: Vec<bool> = CASES.iter().map(run_case).collect();
    exit_code(held.iter().all(|&holds| holds))
}

fn run_case(case: &Case) -> bool {
    let keyspace = Keyspace::new(&case.mask.parse().expect("a mask"));
    let mut recycled = CodeBatch::default();
    let (mut drawing, mut reference) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for repetition in 0_u64.. {
        if began.elapsed() > REPEAT_FOR {
            break;
        }
        let key = Key::new([repetition as u8; Key::LENGTH_BYTES]);
        let started = Instant::now();
        recycled = draw_all(&keyspace, &key, case.count, recycled);
        drawing.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        sort_words(repetition, case.count);
        reference.push(started.elapsed().as_secs_f64());
    }
    let codes_per_second = |seconds: f64| case.count as f64 / seconds;
    let best = codes_per_second(least(&drawing));
    let holds = best >= CODES_PER_SECOND_MIN;
    println!(
        "{:<22} {:>3} M {:<12} {:>7.1}    {:>7.1}   {:>15.1}   {:>10.2}   bound {:.0} M/s: {}",
        case.mask,
        case.count / 1_000_000,
        case.note,
        best / 1e6,
        codes_per_second(median(&drawing)) / 1e6,
        codes_per_second(median(&reference)) / 1e6,
        median(&drawing) / median(&reference),
        CODES_PER_SECOND_MIN / 1e6,
        verdict(holds)
    );
    holds
}

fn draw_all(keyspace: &Keyspace, key: &Key, count: u64, mut batch: CodeBatch) -> CodeBatch {
    let slices = count.div_ceil(CHUNK_SIZE as u64) as u32;
    let mut drawn = 0;
    for (chunk_no, (slice, quota)) in (0..).zip(quotas(key, 0, keyspace.size(), count, slices)) {
        let draw = Draw::new(key, Stream::chunk(0, chunk_no), slice, quota as usize);
        batch = keyspace.batch_into(batch, draw.ranks());
        drawn += black_box(&batch).len() as u64;
    }
    assert_eq!(drawn, count, "codes drawn");
    batch
}

fn sort_words(seed: u64, count: u64) {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let mut words = vec![0; CHUNK_SIZE];
    for _piece in 0..count / CHUNK_SIZE as u64 {
        words.fill_with(|| random.next_u64());
        words.sort_unstable();
        black_box(&words);
    }
}
