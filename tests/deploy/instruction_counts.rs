//! The cost of a code in instructions, counted by valgrind: unlike seconds, the same on every machine, idle or not.
//! A change that doubles the work of one step fails here. This is not a benchmark: it measures the build of the tests.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::process::Command;

use codemint_codes::batch::CodeBatch;
use codemint_codes::draw::Draw;
use codemint_codes::keyspace::{Keyspace, Rank};
use codemint_codes::prefilter::{Filter, Prefilter, RunFilter};
use codemint_codes::random::Stream;
use codemint_codes::slice::Slice;
use codemint_store::minting::chunks::copy_rows;
use codemint_store::minting::write_order::WriteOrder;

use codemint_test_support::chance::numbered_key;

/// Enough codes that the cost of starting up is negligible.
const CODES: usize = 10_000;
/// The number of runs whose filters are queried.
const RUNS: u64 = 10;
const FALSE_POSITIVE_RATE: f64 = 0.001;

/// The functions below and their instructions for each of [`CODES`], in the dev profile with rustc 1.95. To renew this
/// table after an intended change of cost or with a new compiler, copy the figures that the failed test prints.
const RECORDED: [(&str, f64); 6] = [
    ("draw_sparse", 2850.0),
    ("draw_dense", 197.0),
    ("encode_text", 630.0),
    ("encode_rows", 3333.0),
    ("build_filter", 4053.0),
    ("ask_filters", 13365.0),
];
/// Bounds that another compiler does not exceed, but that doubling or omitting the work does.
const FACTOR_MAX: f64 = 1.6;
const FACTOR_MIN: f64 = 0.4;

#[test]
#[expect(clippy::print_stdout, reason = "reports where nothing is tested")]
fn no_step_of_minting_a_code_takes_many_more_instructions_than_recorded() {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux", debug_assertions)) {
        println!("instructions are not counted: the recorded figures are for tests in the dev profile on x86_64 Linux");
        return;
    }
    let counted = count_instructions();
    let is_far = |(name, recorded): (&str, f64)| !(FACTOR_MIN..=FACTOR_MAX).contains(&(counted[name] / recorded));
    let far: Vec<_> = RECORDED.into_iter().filter(|&recorded| is_far(recorded)).collect();
    assert!(far.is_empty(), "far from the recorded {far:?}; instructions per code now: {counted:#.0?}");
}

/// Returns the instructions per code of each function in [`RECORDED`].
fn count_instructions() -> BTreeMap<&'static str, f64> {
    let directory = tempfile::tempdir().expect("a directory");
    let profile = directory.path().join("profile");
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "instruction_counts::each_step_once_in_a_process_of_its_own", "--include-ignored"])
        .output()
        .expect("valgrind; ./tests/run installs it");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("1 passed"));
    let profile = fs::read_to_string(profile).expect("a profile");
    RECORDED.map(|(name, _)| (name, instructions_of(&profile, name) as f64 / CODES as f64)).into()
}

/// Returns the instructions of one call of a function, callees included. `cfn=` names the function, the next line holds
/// the number of calls, the one after it their place and cost; see <https://valgrind.org/docs/manual/cl-format.html>.
fn instructions_of(profile: &str, function: &str) -> u64 {
    let callee = format!("instruction_counts::{function}");
    let mut lines = profile.lines();
    lines.find(|line| line.starts_with("cfn=") && line.contains(&callee)).expect("a call of each function");
    let calls = lines.next().and_then(|line| line.strip_prefix("calls=")?.split(' ').next());
    let cost = lines.next().and_then(|line| line.split(' ').nth(1));
    let [calls, cost] = [calls, cost].map(|number| number.and_then(|number| number.parse::<u64>().ok()));
    cost.expect("a cost") / calls.expect("a number of calls")
}

#[test]
#[ignore = "the test above runs it"]
fn each_step_once_in_a_process_of_its_own() {
    let keyspace = Keyspace::new(&"[:safe:]{12}".parse().expect("a mask"));
    let other_jobs: Vec<CodeBatch> =
        (1..=RUNS).map(|job| keyspace.batch(draw_sparse(&keyspace, job).ranks())).collect();
    let prefilter = Prefilter { runs: other_jobs.iter().map(run_filter).collect(), single_codes: Vec::new() };
    let draw = draw_sparse(&keyspace, 0);
    let codes = encode_text(&keyspace, draw.ranks());
    assert_eq!(codes.len(), CODES);
    assert_eq!(draw_dense().ranks().len(), CODES);
    assert!(encode_rows(&codes).len() > codes.as_lines().len());
    assert!(build_filter(&codes).len() > CODES);
    assert!(ask_filters(&prefilter, &codes).len() < CODES / 10);
}

fn run_filter(codes: &CodeBatch) -> RunFilter {
    let (first, last) = codes.first().zip(codes.last()).expect("codes");
    let filter = Filter::from_bytes(&build_filter(codes));
    RunFilter { range_first: first.to_owned(), range_last: last.to_owned(), filter }
}

#[inline(never)]
fn draw_sparse(keyspace: &Keyspace, job: u64) -> Draw {
    let slice = Slice::of_keyspace(keyspace.size(), 20, 0);
    black_box(Draw::new(&numbered_key(job), Stream::chunk(0, 0), slice, CODES))
}

/// Draws 60 % of the slice.
#[inline(never)]
fn draw_dense() -> Draw {
    let slice = Slice { start: 0, length: CODES as Rank * 10 / 6 };
    black_box(Draw::new(&numbered_key(0), Stream::chunk(0, 0), slice, CODES))
}

#[inline(never)]
fn encode_text(keyspace: &Keyspace, ranks: &[Rank]) -> CodeBatch {
    black_box(keyspace.batch(ranks))
}

#[inline(never)]
fn encode_rows(codes: &CodeBatch) -> Vec<u8> {
    black_box(copy_rows(1, codes, WriteOrder::Ascending))
}

#[inline(never)]
fn build_filter(codes: &CodeBatch) -> Vec<u8> {
    black_box(Filter::bytes_of(codes, FALSE_POSITIVE_RATE).expect("enough codes for a filter"))
}

#[inline(never)]
fn ask_filters(prefilter: &Prefilter, codes: &CodeBatch) -> CodeBatch {
    black_box(prefilter.suspects(codes))
}
