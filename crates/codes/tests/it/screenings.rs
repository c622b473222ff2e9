//! Tables of cases: how a chunk's candidates are compared with existing codes, and when a slice is crowded.

use strum::VariantArray;

use codemint_codes::screening::{
    Attempts, FilterLimits, LOOK_UP_A_CODE_AT_NODES_US, LOOK_UP_A_CODE_US, Overlap, RUNS_MAX, SINGLE_CODES_MAX,
    Screening, ScreeningMode,
};

const LIMITS: FilterLimits =
    FilterLimits { mode: ScreeningMode::Auto, false_positive_rate: 0.001, bytes_max: 64 << 20 };

/// The overlap with one earlier job of the same mask and chunk size, which most chunks meet.
const ONE_RUN: Overlap = Overlap { runs: 1, filter_bytes: 90_000, pairs: 50_000, pairs_unfiltered: 0, single_codes: 0 };

#[test]
fn the_store_is_not_queried_for_few_candidates_or_without_filters() {
    let off = FilterLimits { mode: ScreeningMode::LookUp, ..LIMITS };
    for (candidates, limits, expected) in [
        (0, LIMITS, Some(Screening::LookUpFewCodes)),
        (255, LIMITS, Some(Screening::LookUpFewCodes)),
        (256, LIMITS, None),
        (50_000, LIMITS, None),
        (255, off, Some(Screening::LookUpFewCodes)),
        (256, off, Some(Screening::LookUpSwitchedOff)),
    ] {
        assert_eq!(Screening::without_asking(candidates, &limits), expected, "{candidates} {limits:?}");
    }
}

#[test]
fn the_cheapest_screening_is_chosen() {
    let none = Overlap::default();
    let many = |runs: u64| Overlap { runs, filter_bytes: 90_000 * runs, pairs: 50_000 * runs, ..ONE_RUN };
    for (candidates, overlap, expected) in [
        (50_000, none, Screening::NothingOverlaps),
        (50_000, ONE_RUN, Screening::Filter),
        (50_000, many(10), Screening::Filter),
        (50_000, many(200), Screening::LookUpCheaper),
        (50_000, Overlap { runs: RUNS_MAX, filter_bytes: 0, pairs: 0, ..none }, Screening::Filter),
        (50_000, Overlap { runs: RUNS_MAX + 1, ..none }, Screening::LookUpTooManyRuns),
        (50_000, Overlap { single_codes: 1, ..none }, Screening::Filter),
        (200_000, Overlap { single_codes: SINGLE_CODES_MAX, ..none }, Screening::Filter),
        (10_000, Overlap { single_codes: SINGLE_CODES_MAX, ..none }, Screening::LookUpCheaper),
        (200_000, Overlap { single_codes: SINGLE_CODES_MAX + 1, ..none }, Screening::LookUpTooManyRuns),
        // A run without a filter: each candidate in it is looked up anyway, so looking all of them up costs no more.
        (50_000, Overlap { filter_bytes: 0, pairs_unfiltered: 50_000, ..ONE_RUN }, Screening::LookUpCheaper),
        (50_000, Overlap { pairs_unfiltered: 10_000, ..ONE_RUN }, Screening::Filter),
        // A big filter for few candidates.
        (300, Overlap { filter_bytes: 1_800_000, pairs: 300, ..ONE_RUN }, Screening::LookUpCheaper),
        (300, Overlap { filter_bytes: 90_000, pairs: 300, ..ONE_RUN }, Screening::Filter),
    ] {
        assert_eq!(
            Screening::choose(candidates, &overlap, &LIMITS, LOOK_UP_A_CODE_US),
            expected,
            "{candidates} {overlap:?}"
        );
    }
}

#[test]
fn filters_pay_for_more_runs_where_look_ups_go_to_nodes() {
    let hundred = Overlap { runs: 100, filter_bytes: 9_000_000, pairs: 5_000_000, ..ONE_RUN };
    for (look_up_a_code_us, expected) in
        [(LOOK_UP_A_CODE_US, Screening::LookUpCheaper), (LOOK_UP_A_CODE_AT_NODES_US, Screening::Filter)]
    {
        assert_eq!(Screening::choose(50_000, &hundred, &LIMITS, look_up_a_code_us), expected);
    }
}

#[test]
fn filters_beyond_the_budget_are_not_loaded_and_imprecise_ones_not_used() {
    let budget = |bytes_max| FilterLimits { bytes_max, ..LIMITS };
    assert_eq!(Screening::choose(50_000, &ONE_RUN, &budget(90_000), LOOK_UP_A_CODE_US), Screening::Filter);
    assert_eq!(Screening::choose(50_000, &ONE_RUN, &budget(89_999), LOOK_UP_A_CODE_US), Screening::LookUpOverBudget);
    let rate = |false_positive_rate| FilterLimits { false_positive_rate, ..LIMITS };
    let three = Overlap { runs: 3, pairs: 150_000, ..ONE_RUN };
    assert_eq!(Screening::choose(50_000, &three, &rate(0.1), LOOK_UP_A_CODE_US), Screening::Filter);
    assert_eq!(Screening::choose(50_000, &three, &rate(0.5), LOOK_UP_A_CODE_US), Screening::LookUpCheaper);
}

#[test]
fn screenings_are_stored_and_read_back() {
    let names = [
        (Screening::NothingOverlaps, "nothing_overlaps"),
        (Screening::Filter, "filter"),
        (Screening::LookUpFewCodes, "look_up_few_codes"),
        (Screening::LookUpTooManyRuns, "look_up_too_many_runs"),
        (Screening::LookUpOverBudget, "look_up_over_budget"),
        (Screening::LookUpCheaper, "look_up_cheaper"),
        (Screening::LookUpSwitchedOff, "look_up_switched_off"),
        (Screening::LeftToTheIndex, "left_to_the_index"),
    ];
    assert_eq!(names.map(|(screening, _)| screening).as_slice(), Screening::VARIANTS);
    for (screening, name) in names {
        assert_eq!((screening.into_str(), name.parse()), (name, Ok(screening)));
        assert!(!screening.reason().is_empty());
    }
    assert_eq!("guess".parse::<Screening>(), Err("unknown screening \"guess\"".to_owned()));
}

#[test]
fn a_slice_is_crowded_when_reading_it_costs_less_than_further_draws() {
    for (tried, present, missing, slice_length, crowded) in [
        // Almost nothing exists, or the slice is huge: further draws are cheap.
        (50_000, 50, 50, 1_000_000_000, false),
        (50_000, 25_000, 25_000, 100_000_000, false),
        (50_000, 49_999, 49_999, 1 << 100, false),
        // A small slice that is half full: reading it takes one query.
        (500, 250, 250, 1_000, true),
        (50_000, 45_000, 45_000, 500_000, true),
        // Nearly full: drawing would take round after round.
        (50_000, 49_990, 49_990, 5_000_000, true),
        (1, 1, 1, 1_000, true),
        (1, 1, 1, 1 << 60, false),
        (0, 0, 0, 1_000, false),
    ] {
        let attempts = Attempts { tried, present, missing, slice_length };
        assert_eq!(attempts.show_a_crowd(), crowded, "{attempts:?}");
    }
}
