//! What does comparing candidates with existing codes cost? Measures the costs by which `code::screening` chooses, in
//! microseconds, on PostgreSQL, and prints them beside the constants in the source, which must be right within a factor
//! of 3.
//!
//! The store holds 10 million codes of a sparse mask in ten jobs, more than the server's own cache; each slice is
//! visited once, as in a job. One process queries, and nothing is written meanwhile.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use codemint_codes::batch::CodeBatch;
use codemint_codes::draw::Draw;
use codemint_codes::free_ranks::FreeRanks;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::prefilter::{Filter, fingerprint};
use codemint_codes::random::{Key, Stream};
use codemint_codes::screening::{
    ASK_ONCE_US, LOAD_A_BYTE_US, LOOK_UP_A_CODE_US, READ_A_CODE_US, READ_A_SINGLE_CODE_US, RUNS_MAX, TEST_A_PAIR_US,
};
use codemint_codes::slice::Slice;
use codemint_store::admission::overlaps::CodeRange;
use codemint_store::connection::store::{Access, Store};
use codemint_store::connection::transaction::StoreTransaction;
use sqlx::{Connection, Executor, PgConnection};

use crate::measure::{exit_code, least, median, most, verdict};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{Durability, Server, create_database};

#[expect(dead_code, reason = "shared with the other benchmarks")]
mod measure;
const FACTOR_MAX: f64 = 3.0;
const SPARSE: &str = "[:safe:]{12}";
const JOBS: u32 = 10;
const SINGLES: &str = "SINGLE????##";
const SINGLE_CODES: u64 = 20_000;
/// No code of the sparse mask lies between the codes of this mask, because the sparse one has no vowels.
const CROWDED: &str = "CROWD######";
const CROWDED_CODES: u64 = 900_000;
const SLICES: u32 = 20;
const CANDIDATES: usize = 50_000;
const QUESTIONS: usize = 200;

#[tokio::main]
async fn main() -> ExitCode {
    // Nothing is written while costs are measured, so the server need not flush.
    let server = Server::start(Durability::None);
    create_database(&server.url("postgres"), "bench").await;
    let url = server.url("bench");
    fill(&url).await;
    let store = Store::open(&url.parse().expect("a location"), Access::Existing).await.expect("a store");
    let mut snapshot = store.begin_reading().await.expect("a snapshot");
    println!("microseconds                    least   median     most   source");
    let all = [
        Cost { what: "one query", source: ASK_ONCE_US, measured: ask_once(&mut snapshot).await },
        Cost { what: "looking up a code", source: LOOK_UP_A_CODE_US, measured: look_up(&mut snapshot).await },
        Cost { what: "loading a byte of filter", source: LOAD_A_BYTE_US, measured: load_filters(&mut snapshot).await },
        Cost { what: "testing a pair", source: TEST_A_PAIR_US, measured: test_pairs() },
        Cost {
            what: "reading a single code",
            source: READ_A_SINGLE_CODE_US,
            measured: read_singles(&mut snapshot).await,
        },
        Cost { what: "reading a code of a crowd", source: READ_A_CODE_US, measured: read_crowd(&mut snapshot).await },
    ];
    let hold = all.map(|cost| cost.print());
    exit_code(hold.into_iter().all(|holds| holds))
}

struct Cost {
    what: &'static str,
    source: f64,
    measured: Vec<f64>,
}

impl Cost {
    fn print(&self) -> bool {
        let Self { what, source, measured } = self;
        let middle = median(measured);
        let holds = middle <= source * FACTOR_MAX && middle * FACTOR_MAX >= *source;
        let (least, most) = (least(measured), most(measured));
        println!("{what:<28} {least:>8.4} {middle:>8.4} {most:>8.4} {source:>8.4}: {}", verdict(holds));
        holds
    }
}

async fn fill(url: &str) {
    Store::migrate(&url.parse().expect("a location")).await.expect("a schema");
    for _job in 0..JOBS {
        generate(url, SPARSE, 1_000_000).await;
    }
    generate(url, CROWDED, CROWDED_CODES).await;
    generate(url, SINGLES, SINGLE_CODES).await;
    // Splits the one run of that job into one run per code, as jobs of one code leave them.
    let split = "
        insert into chunks (job_no, mask_no, round, chunk_no, range_first, range_last, quota, state, minted, digest)
            select k.job_no, k.mask_no, 0, row_number() over (order by c.code), c.code, c.code, 1, 'done', 1, k.digest
              from codes c join chunks k on k.run_no = c.run_no
             where k.run_no = (select max(run_no) from chunks);
        delete from chunks where run_no = (select run_no from codes where code like 'SINGLE%' limit 1);
        update codes c set run_no = k.run_no from chunks k where k.range_first = c.code and k.range_last = c.code;
        vacuum (analyze);
        checkpoint";
    let mut connection = PgConnection::connect(url).await.expect("the database");
    for statement in split.split(';') {
        connection.execute(statement).await.expect("runs of one code");
    }
}

async fn generate(url: &str, mask: &str, count: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let codemint = Codemint::new(directory.path()).args(["--store", url, "generate", mask]);
    codemint.args(["--count", &count.to_string()]).run().await.expect_code(0);
}

fn keyspace(mask: &str) -> Arc<Keyspace> {
    Arc::new(Keyspace::new(&mask.parse().expect("a mask")))
}

/// Draws the candidates of one chunk of a job of a million codes.
fn candidates(keyspace: &Keyspace, slice: u32) -> CodeBatch {
    let of_keyspace = Slice::of_keyspace(keyspace.size(), SLICES, slice);
    let draw = Draw::new(&Key::new([7; 32]), Stream::chunk(0, slice), of_keyspace, CANDIDATES);
    keyspace.batch(draw.ranks())
}

/// Does some work and returns its duration in seconds with its result.
async fn seconds<T>(work: impl Future<Output = T>) -> (f64, T) {
    let started = Instant::now();
    let done = work.await;
    (started.elapsed().as_secs_f64(), done)
}

async fn ask_once(snapshot: &mut StoreTransaction) -> Vec<f64> {
    let keyspace = keyspace(SPARSE);
    let mut measured = Vec::new();
    for question in 0..QUESTIONS as u128 {
        let code = keyspace.batch(&[keyspace.size() / QUESTIONS as u128 * question]);
        let (seconds, present) = seconds(snapshot.find_present(&code)).await;
        present.expect("an answer");
        measured.push(seconds * 1e6);
    }
    measured
}

async fn look_up(snapshot: &mut StoreTransaction) -> Vec<f64> {
    let keyspace = keyspace(SPARSE);
    let mut measured = Vec::new();
    for slice in 0..SLICES {
        let codes = candidates(&keyspace, slice);
        let (seconds, present) = seconds(snapshot.find_present(&codes)).await;
        present.expect("an answer");
        measured.push(seconds * 1e6 / codes.len() as f64);
    }
    measured
}

/// Reads the filters of the runs that a slice meets, and checks that they are intact.
async fn load_filters(snapshot: &mut StoreTransaction) -> Vec<f64> {
    let keyspace = keyspace(SPARSE);
    let mut measured = Vec::new();
    for slice in 0..SLICES {
        let (first, last) = Slice::of_keyspace(keyspace.size(), SLICES, slice).range(&keyspace);
        let range = CodeRange { first: &first, last: &last };
        let masks = snapshot.find_masks_in_use(range).await.expect("masks");
        let masks: Vec<i64> = masks.iter().map(|mask| mask.mask_no).collect();
        let runs = snapshot.find_runs(&masks, range, RUNS_MAX).await.expect("runs");
        let run_nos: Vec<i64> = runs.iter().map(|run| run.run_no).collect();
        assert!(run_nos.len() >= JOBS as usize, "a run of each job meets the slice");
        let (seconds, bytes) = seconds(async {
            let stored = snapshot.read_filters(&run_nos).await.expect("filters");
            stored.iter().filter(|(_, bytes)| Filter::from_bytes(bytes).is_some()).map(|(_, bytes)| bytes.len()).sum()
        })
        .await;
        let bytes: usize = bytes;
        measured.push(seconds * 1e6 / bytes as f64);
    }
    measured
}

/// Queries one filter per job for every candidate.
fn test_pairs() -> Vec<f64> {
    let keyspace = keyspace(SPARSE);
    let filter = |run| {
        let stored = Filter::bytes_of(&candidates(&keyspace, run), 0.001).expect("enough codes for a filter");
        Filter::from_bytes(&stored).expect("a whole filter")
    };
    let filters: Vec<Filter> = (0..JOBS).map(filter).collect();
    let measure = |slice| {
        let codes = candidates(&keyspace, slice);
        let started = Instant::now();
        let fingerprints: Vec<_> = codes.iter().map(fingerprint).collect();
        for filter in &filters {
            black_box(fingerprints.iter().filter(|fingerprint| filter.may_contain(**fingerprint)).count());
        }
        started.elapsed().as_secs_f64() * 1e6 / (codes.len() * filters.len()) as f64
    };
    (JOBS..JOBS + SLICES).map(measure).collect()
}

async fn read_singles(snapshot: &mut StoreTransaction) -> Vec<f64> {
    let keyspace = keyspace(SINGLES);
    let (first, last) = Slice::whole(&keyspace).range(&keyspace);
    let range = CodeRange { first: &first, last: &last };
    let masks = snapshot.find_masks_in_use(range).await.expect("masks");
    let masks: Vec<i64> = masks.iter().map(|mask| mask.mask_no).collect();
    let mut measured = Vec::new();
    for _time in 0..SLICES {
        let (seconds, codes) = seconds(snapshot.find_single_codes(&masks, range, 2 * SINGLE_CODES)).await;
        assert_eq!(codes.expect("codes").len() as u64, SINGLE_CODES);
        measured.push(seconds * 1e6 / SINGLE_CODES as f64);
    }
    measured
}

async fn read_crowd(snapshot: &mut StoreTransaction) -> Vec<f64> {
    let keyspace = keyspace(CROWDED);
    let mut measured = Vec::new();
    for page in Slice::whole(&keyspace).pieces(FreeRanks::PAGE_RANKS) {
        let (seconds, present) = seconds(async {
            let mut free = FreeRanks::new(page);
            let codes = snapshot.read_page(&keyspace, page).await.expect("a page");
            codes.lines().filter_map(|code| keyspace.rank(code)).for_each(|rank| free.take(rank));
            page.length - u128::from(free.len())
        })
        .await;
        measured.push(seconds * 1e6 / present as f64);
    }
    measured
}
