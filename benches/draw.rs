//! How fast is a chunk made on one core, for sparse and dense masks? Each row does the work of the rows above it and
//! more:
//!
//! - `text`: drawing (quotas, sorted ranks from ChaCha20) and encoding ranks as codes, one per line: at least 20
//!   million codes a second.
//! - `rows`: also encoding the rows of a binary `COPY`, as sent to PostgreSQL: at least 20 million.
//! - `filter`: also computing what the checkpoint stores, the run's Bloom filter and SHA-256: at least 8 million.
//! - `screened`: also reading and checking the stored filters of ten other runs over the same slice, and querying each
//!   of them for every candidate: at least 1.5 million. The store would then look up the suspects, which is not measured.
//!
//! The benchmark uses the engine's own steps, chunk by chunk, and reuses the memory of the previous batch. The
//! reference is the minimum that any such generator does, on the same machine in the same minute: as many raw ChaCha20
//! words, sorted in pieces of a chunk. The bounds apply to the best repetition of each row, because other load on the
//! machine can only slow a repetition down, never speed it up; the ratio is the better number to compare over time.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codemint_codes::batch::CodeBatch;
use codemint_codes::candidates::FirstCandidates;
use codemint_codes::draw::Draw;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::prefilter::{Filter, Prefilter, RunFilter};
use codemint_codes::random::{Key, Stream};
use codemint_codes::rules::Rules;
use codemint_codes::screening::{FilterLimits, Screening};
use codemint_codes::slice::quotas;
use codemint_store::minting::chunks::copy_rows;
use codemint_store::minting::write_order::WriteOrder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::measure::{CHUNK_SIZE, exit_code, least, median, verdict};

#[expect(dead_code, reason = "shared with the other benchmarks")]
mod measure;

/// The time for repetitions, long enough that at least one is undisturbed.
const REPEAT_FOR: Duration = Duration::from_secs(8);
const OTHER_RUNS: u8 = 10;

struct Case {
    mask: &'static str,
    count: u64,
    work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Text,
    Rows,
    Filter,
    Screened,
}

const WIDE: &str = "[:safe:]{12}";
const USUAL: &str = "MY_LITTLE_PROMO????##";
/// A mask of 10 million codes, so that 6 million are 60 % of all.
const SMALL: &str = "#######";

const CASES: [Case; 10] = [
    Case { mask: WIDE, count: 1_000_000, work: Work::Text },
    Case { mask: USUAL, count: 1_000_000, work: Work::Text },
    Case { mask: SMALL, count: 6_000_000, work: Work::Text },
    Case { mask: SMALL, count: 7_000_000, work: Work::Text },
    Case { mask: WIDE, count: 1_000_000, work: Work::Rows },
    Case { mask: USUAL, count: 1_000_000, work: Work::Rows },
    Case { mask: WIDE, count: 1_000_000, work: Work::Filter },
    Case { mask: USUAL, count: 1_000_000, work: Work::Filter },
    Case { mask: WIDE, count: 1_000_000, work: Work::Screened },
    Case { mask: USUAL, count: 1_000_000, work: Work::Screened },
];

fn main() -> ExitCode {
    println!("mask                     codes   work           best     median   ChaCha20 + sort   time ratio");
    println!("                                        million codes a second    median, M/s      of medians");
    let held: Vec<bool> = CASES.iter().map(run_case).collect();
    exit_code(held.iter().all(|&holds| holds))
}

fn run_case(case: &Case) -> bool {
    let ground = Ground::of(case);
    let mut recycled = CodeBatch::default();
    let (mut drawing, mut reference) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for repetition in 0_u64.. {
        if began.elapsed() > REPEAT_FOR {
            break;
        }
        let key = Key::new([repetition as u8; Key::LENGTH_BYTES]);
        let started = Instant::now();
        recycled = ground.make_all(&key, recycled);
        drawing.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        sort_words(repetition, case.count);
        reference.push(started.elapsed().as_secs_f64());
    }
    let codes_per_second = |seconds: f64| case.count as f64 / seconds;
    let best = codes_per_second(least(&drawing));
    let bound = case.work.codes_per_second_min();
    let holds = best >= bound;
    println!(
        "{:<22} {:>3} M   {:<10} {:>8.1}   {:>8.1}   {:>15.1}   {:>10.2}   bound {:.1} M/s: {}",
        case.mask,
        case.count / 1_000_000,
        case.work.name(),
        best / 1e6,
        codes_per_second(median(&drawing)) / 1e6,
        codes_per_second(median(&reference)) / 1e6,
        median(&drawing) / median(&reference),
        bound / 1e6,
        verdict(holds)
    );
    holds
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Rows => "rows",
            Self::Filter => "filter",
            Self::Screened => "screened",
        }
    }

    fn codes_per_second_min(self) -> f64 {
        match self {
            Self::Text | Self::Rows => 20e6,
            Self::Filter => 8e6,
            Self::Screened => 1.5e6,
        }
    }
}

/// The input of a case.
struct Ground {
    keyspace: Arc<Keyspace>,
    count: u64,
    work: Work,
    /// For each chunk, the runs of other jobs over its slice; empty unless the case screens.
    others: Vec<Vec<StoredRun>>,
}

/// A run as it is stored.
struct StoredRun {
    range_first: String,
    range_last: String,
    filter: Vec<u8>,
}

impl Ground {
    fn of(case: &Case) -> Self {
        let keyspace = Arc::new(Keyspace::new(&case.mask.parse().expect("a mask")));
        let mut ground = Self { keyspace, count: case.count, work: case.work, others: Vec::new() };
        if case.work == Work::Screened {
            // These keys differ from those of the repetitions.
            let jobs = (0..OTHER_RUNS).map(|job| ground.runs(&Key::new([255 - job; Key::LENGTH_BYTES])));
            let mut jobs: Vec<_> = jobs.map(Vec::into_iter).collect();
            let chunks = 0..case.count.div_ceil(CHUNK_SIZE as u64);
            ground.others = chunks.map(|_| jobs.iter_mut().filter_map(Iterator::next).collect()).collect();
        }
        ground
    }

    /// The draws of a job, chunk by chunk.
    fn draws(&self, key: &Key) -> impl Iterator<Item = Draw> {
        let slices = self.count.div_ceil(CHUNK_SIZE as u64) as u32;
        let chunks = (0..).zip(quotas(key, 0, self.keyspace.size(), self.count, slices));
        chunks.map(|(chunk_no, (slice, quota))| Draw::new(key, Stream::chunk(0, chunk_no), slice, quota as usize))
    }

    fn runs(&self, key: &Key) -> Vec<StoredRun> {
        let run = |draw: Draw| {
            let codes = self.keyspace.batch(draw.ranks());
            let (first, last) = codes.first().zip(codes.last()).expect("codes");
            StoredRun { range_first: first.to_owned(), range_last: last.to_owned(), filter: filter_of(&codes) }
        };
        self.draws(key).map(run).collect()
    }

    fn make_all(&self, key: &Key, mut batch: CodeBatch) -> CodeBatch {
        let mut made = 0;
        for (run_no, draw) in (0_usize..).zip(self.draws(key)) {
            batch = self.make_chunk(run_no, draw, batch);
            made += batch.len() as u64;
        }
        assert_eq!(made, self.count, "codes made");
        batch
    }

    fn make_chunk(&self, run_no: usize, draw: Draw, recycled: CodeBatch) -> CodeBatch {
        let candidates = FirstCandidates::drawn(Arc::clone(&self.keyspace), Rules::default(), draw, recycled);
        if self.work >= Work::Screened {
            let prefilter = prefilter_of(&self.others[run_no]);
            let suspects = prefilter.suspects(candidates.codes()).len();
            assert!(suspects > 0 && suspects < candidates.codes().len() / 2, "{suspects} codes are suspected");
        }
        let batch = candidates.screen(Screening::NothingOverlaps, Prefilter::default()).take_codes();
        black_box(&batch);
        if self.work >= Work::Rows {
            black_box(copy_rows(run_no as i64, &batch, WriteOrder::Ascending));
        }
        if self.work >= Work::Filter {
            black_box(Sha256::digest(batch.as_lines()));
            black_box(filter_of(&batch));
        }
        batch
    }
}

fn filter_of(codes: &CodeBatch) -> Vec<u8> {
    Filter::bytes_of(codes, FilterLimits::default().false_positive_rate).expect("enough codes for a filter")
}

fn prefilter_of(runs: &[StoredRun]) -> Prefilter {
    let read = |StoredRun { range_first, range_last, filter }: &StoredRun| {
        let filter = Filter::from_bytes(filter);
        assert!(filter.is_some(), "a whole filter");
        RunFilter { range_first: range_first.clone(), range_last: range_last.clone(), filter }
    };
    Prefilter { runs: runs.iter().map(read).collect(), single_codes: Vec::new() }
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
