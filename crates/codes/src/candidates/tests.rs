//! A chunk's candidates against a store that is a set of codes.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;

use super::{Answer, Candidates, FirstCandidates, Need};
use crate::batch::CodeBatch;
use crate::denied::{DeniedInMask, DeniedWords};
use crate::draw::Draw;
use crate::job::record::Rejections;
use crate::keyspace::Keyspace;
use crate::mask::Mask;
use crate::prefilter::{Filter, Prefilter, RunFilter};
use crate::random::{Key, Stream};
use crate::rules::Rules;
use crate::screening::Screening;
use crate::slice::Slice;

const LOOK_UP: Screening = Screening::LookUpCheaper;

/// The chunk of a mask, and what is asked about it.
struct Chunk {
    mask: Mask,
    keyspace: Arc<Keyspace>,
    slice: Slice,
    quota: usize,
    rules: Rules,
    screening: Screening,
    prefilter: Prefilter,
}

/// How often the store was asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    look_ups: usize,
    pages: usize,
}

impl Chunk {
    fn of(mask: &str, quota: usize) -> Self {
        let mask: Mask = mask.parse().expect("a mask");
        let keyspace = Arc::new(Keyspace::new(&mask));
        let slice = Slice::whole(&keyspace);
        let (rules, prefilter) = (Rules::default(), Prefilter::default());
        Self { mask, keyspace, slice, quota, rules, screening: LOOK_UP, prefilter }
    }

    fn forbidding(mut self, reserved: &[&str], denied: &[&str]) -> Self {
        let reserved: Vec<Mask> = reserved.iter().map(|mask| mask.parse().expect("a mask")).collect();
        let denied = (!denied.is_empty()).then(|| {
            let words = Arc::new(DeniedWords::new(denied.iter().copied()).expect("words"));
            Arc::new(DeniedInMask::new(&words, &self.mask))
        });
        self.rules = Rules::new(&self.mask, &reserved, denied);
        self
    }

    fn draw(&self, key: u8) -> FirstCandidates {
        let draw = Draw::new(&Key::new([key; Key::LENGTH_BYTES]), Stream::chunk(0, 0), self.slice, self.quota);
        let keyspace = Arc::clone(&self.keyspace);
        FirstCandidates::drawn(keyspace, self.rules.clone(), draw, CodeBatch::default())
    }

    fn candidates(&mut self, key: u8) -> Candidates {
        self.draw(key).screen(self.screening, std::mem::take(&mut self.prefilter))
    }

    /// Answers until nothing more is needed.
    fn settle(&self, candidates: &mut Candidates, store: &BTreeSet<String>) -> Asked {
        let mut asked = Asked::default();
        loop {
            match candidates.need() {
                Need::Present(codes) => {
                    asked.look_ups += 1;
                    candidates.answer(Answer::Present(present(codes, store)));
                }
                Need::Page { page, .. } => {
                    asked.pages += 1;
                    let (first, last) = page.range(&self.keyspace);
                    let codes: Vec<&str> = store.range(first..=last).map(String::as_str).collect();
                    candidates.answer(Answer::Page(codes.join("\n")));
                }
                Need::Done => return asked,
            }
        }
    }

    /// Returns the codes of the slice that are neither stored nor forbidden.
    fn free(&self, store: &BTreeSet<String>) -> Vec<String> {
        let ranks: Vec<u128> = (self.slice.start..self.slice.start + self.slice.length).collect();
        let codes = self.keyspace.batch(&ranks);
        let is_free = |code: &&str| !store.contains(*code) && self.rules.forbids(code).is_none();
        codes.iter().filter(is_free).map(str::to_owned).collect()
    }
}

fn present(codes: &CodeBatch, store: &BTreeSet<String>) -> Vec<String> {
    codes.iter().filter(|code| store.contains(*code)).map(str::to_owned).collect()
}

fn texts(codes: &CodeBatch) -> Vec<String> {
    codes.iter().map(str::to_owned).collect()
}

fn numbers(numbers: impl Iterator<Item = u32>) -> BTreeSet<String> {
    numbers.map(|number| format!("{number:03}")).collect()
}

#[test]
fn codes_that_nothing_overlaps_are_final_without_a_question() {
    let mut chunk = Chunk::of("###", 20);
    chunk.screening = Screening::NothingOverlaps;
    let mut candidates = chunk.candidates(1);
    assert!(matches!(candidates.need(), Need::Done));
    assert_eq!((candidates.take_codes().len(), candidates.rejections()), (20, Rejections::default()));
}

#[test]
fn a_crowded_slice_is_read_once_and_filled_to_its_last_code() {
    let mut chunk = Chunk::of("###", 7);
    let store = numbers((0..1000).filter(|number| number % 150 != 2));
    let mut candidates = chunk.candidates(2);
    let asked = chunk.settle(&mut candidates, &store);
    assert_eq!(asked.pages, 1);
    assert!(asked.look_ups < 10, "{asked:?}");
    assert_eq!(texts(&candidates.take_codes()), ["002", "152", "302", "452", "602", "752", "902"]);
    assert!(candidates.rejections().existing > 0);
}

#[test]
fn a_slice_short_of_free_codes_gives_all_of_them() {
    let mut chunk = Chunk::of("###", 50);
    let store = numbers(0..980);
    let mut candidates = chunk.candidates(3);
    chunk.settle(&mut candidates, &store);
    assert_eq!(texts(&candidates.take_codes()), chunk.free(&store));
    let full = numbers(0..1000);
    let mut candidates = chunk.candidates(3);
    chunk.settle(&mut candidates, &full);
    assert!(candidates.take_codes().is_empty());
}

#[test]
fn a_long_crowded_slice_is_read_page_by_page() {
    let mut chunk = Chunk::of("######", 3);
    chunk.slice = Slice { start: 100_000, length: 300_000 };
    let store: BTreeSet<String> =
        (0..1_000_000).filter(|number| number % 100_000 != 77).map(|number| format!("{number:06}")).collect();
    let mut candidates = chunk.candidates(4);
    assert_eq!(chunk.settle(&mut candidates, &store).pages, 3, "131,072 ranks are read at once");
    assert_eq!(texts(&candidates.take_codes()), ["100077", "200077", "300077"]);
}

#[test]
fn false_positives_are_looked_up_and_counted_but_replace_nothing() {
    let mut chunk = Chunk::of("###", 100);
    chunk.screening = Screening::Filter;
    // A run whose filter is lost: each code of its range may exist.
    let run = RunFilter { range_first: "200".to_owned(), range_last: "599".to_owned(), filter: None };
    chunk.prefilter = Prefilter { runs: vec![run], single_codes: vec!["777".to_owned()] };
    let drawn = texts(chunk.draw(5).codes());
    let mut candidates = chunk.candidates(5);
    let suspects: Vec<&String> =
        drawn.iter().filter(|code| ("200".."600").contains(&code.as_str()) || *code == "777").collect();
    let Need::Present(asked) = candidates.need() else { panic!("a look-up") };
    assert_eq!(texts(asked).iter().collect::<Vec<_>>(), suspects);
    let count = suspects.len() as u64;
    chunk.settle(&mut candidates, &BTreeSet::new());
    assert_eq!(candidates.rejections(), Rejections { false_positives: count, ..Rejections::default() });
    assert_eq!(texts(&candidates.take_codes()), drawn);
}

#[test]
fn only_the_candidates_that_exist_are_replaced() {
    let mut chunk = Chunk::of("####", 100);
    let drawn = texts(chunk.draw(6).codes());
    let mut candidates = chunk.candidates(6);
    let store: BTreeSet<String> = drawn.iter().step_by(10).cloned().collect();
    chunk.settle(&mut candidates, &store);
    assert_eq!(candidates.rejections(), Rejections { existing: 10, ..Rejections::default() });
    let codes: BTreeSet<String> = texts(&candidates.take_codes()).into_iter().collect();
    assert_eq!((codes.len(), codes.intersection(&drawn.into_iter().collect()).count()), (100, 90));
}

#[test]
fn forbidden_candidates_are_replaced_before_the_store_is_asked_and_counted_by_reason() {
    let mut chunk = Chunk::of("[AB][AB]##", 150).forbidding(&["A?##"], &["BA"]);
    let mut candidates = chunk.candidates(7);
    let Need::Present(codes) = candidates.need() else { panic!("a look-up") };
    let free = chunk.free(&BTreeSet::new());
    assert_eq!(texts(codes), free, "less than the quota is allowed");
    let Rejections { reserved, denied, existing, .. } = candidates.rejections();
    assert!(reserved > 0 && denied > 0 && existing == 0, "{:?}", candidates.rejections());
    chunk.settle(&mut candidates, &BTreeSet::new());
    assert_eq!(texts(&candidates.take_codes()), free);
}

#[test]
fn a_slice_whose_codes_are_almost_all_forbidden_is_read_instead_of_drawn_from_on() {
    let mut chunk = Chunk::of("#####", 10).forbidding(&["[0-8]####", "9[0-8]###", "99[0-8]##"], &[]);
    let store: BTreeSet<String> = (99_900..99_995).map(|number| number.to_string()).collect();
    let mut candidates = chunk.candidates(8);
    let asked = chunk.settle(&mut candidates, &store);
    assert_eq!(asked.pages, 1);
    assert_eq!(texts(&candidates.take_codes()), ["99995", "99996", "99997", "99998", "99999"]);
    assert!(candidates.rejections().reserved < 10_000, "{:?}", candidates.rejections());
}

#[test]
fn codes_that_were_stored_meanwhile_are_replaced_and_counted_as_conflicts() {
    for crowded in [false, true] {
        let mut chunk = Chunk::of("###", 20);
        let mut store = if crowded { numbers(0..950) } else { BTreeSet::new() };
        let mut candidates = chunk.candidates(9);
        chunk.settle(&mut candidates, &store);
        let written = candidates.take_codes();
        store.extend(texts(&written).into_iter().step_by(4));
        candidates.recheck(written);
        chunk.settle(&mut candidates, &store);
        assert_eq!(candidates.rejections().conflicts, 5);
        let codes = candidates.take_codes();
        assert_eq!((codes.len(), present(&codes, &store)), (20, Vec::new()));
    }
}

#[test]
fn a_duplicate_that_is_gone_again_changes_no_code() {
    let mut chunk = Chunk::of("###", 20);
    let mut candidates = chunk.candidates(10);
    chunk.settle(&mut candidates, &BTreeSet::new());
    let written = candidates.take_codes();
    candidates.recheck(written.clone());
    chunk.settle(&mut candidates, &BTreeSet::new());
    assert_eq!((candidates.take_codes(), candidates.rejections()), (written, Rejections::default()));
}

#[test]
fn existing_codes_are_left_out_of_an_import() {
    let chunk = Chunk::of("###", 0);
    let mut store = numbers(0..3);
    let codes = CodeBatch::from_lines("001\n003\n005\n007\n".to_owned());
    let mut candidates = FirstCandidates::imported(codes).screen(LOOK_UP, Prefilter::default());
    chunk.settle(&mut candidates, &store);
    let written = candidates.take_codes();
    assert_eq!(texts(&written), ["003", "005", "007"]);
    store.insert("005".to_owned());
    candidates.recheck(written);
    chunk.settle(&mut candidates, &store);
    assert_eq!(texts(&candidates.take_codes()), ["003", "007"]);
    assert_eq!(candidates.rejections(), Rejections { existing: 1, conflicts: 1, ..Rejections::default() });
}

/// Returns the prefilter of these codes, cut into runs.
fn prefilter_of(store: &BTreeSet<String>) -> Prefilter {
    let codes: Vec<&str> = store.iter().map(String::as_str).collect();
    let (mut runs, mut single_codes) = (Vec::new(), Vec::new());
    for run in codes.chunks(97) {
        let [first, .., last] = run else {
            single_codes.extend(run.iter().map(|&code| code.to_owned()));
            continue;
        };
        let batch = CodeBatch::from_lines(run.iter().flat_map(|code| [code, "\n"]).collect());
        // A high rate, so that many answers are wrong.
        let filter = Filter::bytes_of(&batch, 0.2).and_then(|bytes| Filter::from_bytes(&bytes));
        runs.push(RunFilter { range_first: (*first).to_owned(), range_last: (*last).to_owned(), filter });
    }
    Prefilter { runs, single_codes }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_the_codes_are_new_allowed_ascending_inside_the_slice_and_as_many_as_possible(
        key in any::<u8>(), start in 0_u128..2000, length in 1_u128..2000, quota in 0_usize..300,
        share in 0_usize..=100, picks in vec(any::<Index>(), 2600), later in vec(any::<Index>(), 0..50),
        forbids in any::<[bool; 3]>(), filters in any::<bool>(),
    ) {
        let reserved: Vec<&str> = ["[A-C]###", "?[0-8]##"].into_iter().zip(forbids).filter_map(|(mask, is)| is.then_some(mask)).collect();
        let denied: &[&str] = if forbids[2] { &["A1", "77"] } else { &[] };
        let mut chunk = Chunk::of("[A-D]###", quota).forbidding(&reserved, denied);
        chunk.slice = Slice { start, length };
        let all = texts(&chunk.keyspace.batch(&(0..4000).collect::<Vec<_>>()));
        let mut store: BTreeSet<String> = picks.iter().take(26 * share).map(|pick| pick.get(&all).clone()).collect();
        if filters {
            (chunk.screening, chunk.prefilter) = (Screening::Filter, prefilter_of(&store));
        }
        let mut candidates = chunk.candidates(key);
        chunk.settle(&mut candidates, &store);
        let mut codes = candidates.take_codes();
        prop_assert_eq!(codes.len(), quota.min(chunk.free(&store).len()));

        store.extend(later.iter().map(|pick| pick.get(&all).clone()));
        let conflicts = present(&codes, &store).len() as u64;
        if conflicts > 0 {
            candidates.recheck(codes);
            chunk.settle(&mut candidates, &store);
            codes = candidates.take_codes();
        }
        prop_assert_eq!(candidates.rejections().conflicts, conflicts);
        let codes = texts(&codes);
        prop_assert!(codes.is_sorted_by(|one, next| one < next));
        let free: BTreeSet<String> = chunk.free(&store).into_iter().collect();
        prop_assert!(codes.iter().all(|code| free.contains(code)), "inside the slice, new and allowed");
        prop_assert_eq!(codes.len(), quota.min(free.len()), "the quota, or every free code");
    }
}
