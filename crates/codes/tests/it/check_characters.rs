//! Check characters: they match an independent implementation, and masks, ranks and slices handle them correctly.

use codemint_codes::check::{CheckKey, CheckKeyError, SECRET_LENGTH_MAX, SECRET_LENGTH_MIN};
use codemint_codes::job::plan::{plan_round, slice_of_range};
use codemint_codes::keyspace::{Keyspace, NotACode, Rank};
use codemint_codes::mask::{Mask, MaskProblem};
use codemint_codes::random::Key;
use codemint_codes::symbols::SAFE;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

use codemint_test_support::tools::read;

const MASKS: [&str; 5] = [
    "A#[:check:]",
    "[:safe:]{12}[:check:]{2}",
    "MY_LITTLE_PROMO????##[:check:]{3}",
    "*{18}[:check:]{4}",
    "-#-*{3}[!-~][:safe:][:check:]{4}",
];

fn mask(text: &str) -> Mask {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn check_key(secret: &[u8]) -> CheckKey {
    CheckKey::new(secret).expect("a secret")
}

fn keyed(text: &str) -> Keyspace {
    Keyspace::new(&mask(text)).with_check_key(check_key(b"0123456789abcdef"))
}

#[test]
fn check_characters_match_the_independent_implementation() {
    let document = read("docs/check-characters.md");
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix("` |")?.split("` | `").collect();
        <[&str; 3]>::try_from(cells).ok()
    });
    let mut vectors = 0;
    for [secret, body, check] in rows {
        let key = check_key(secret.as_bytes());
        for length in 1..=4 {
            let mut written = [0; 4];
            key.write(body.as_bytes(), &mut written[..length]);
            assert_eq!(&written[..length], &check.as_bytes()[4 - length..], "{body}");
            assert!(key.verify(body.as_bytes(), &written[..length]));
        }
        vectors += 1;
    }
    assert_eq!(vectors, 6);
    for (secret, fingerprint) in
        [("0123456789abcdef", "fe5147bdb7c4d31b"), ("0123456789abcdef0123456789abcdef", "890bd6ab1621df52")]
    {
        assert_eq!(check_key(secret.as_bytes()).fingerprint(), fingerprint);
        assert!(document.contains(fingerprint));
    }
}

#[test]
fn secrets_and_bodies_longer_than_a_block_are_used_in_full() {
    // Computed by the same Python program as the vectors of the document.
    let key = check_key(&(0..=255).collect::<Vec<u8>>());
    assert_eq!(key.fingerprint(), "eebbd32865321455");
    let long = format!("!~{}XX", "[\\]".repeat(18));
    for (body, expected) in [("A", b"TQQV"), (&*long, b"ZJ3W")] {
        let mut check = [0; 4];
        key.write(body.as_bytes(), &mut check);
        assert_eq!(&check, expected);
    }
}

#[test]
fn a_secret_has_16_to_4096_bytes_and_is_not_shown() {
    let refused = |length: usize| CheckKey::new(&vec![7; length]).map(|_| ()).expect_err("no secret");
    assert_eq!(refused(0), CheckKeyError::Empty);
    assert_eq!(refused(SECRET_LENGTH_MIN - 1), CheckKeyError::TooShort { length: 15 });
    assert_eq!(refused(SECRET_LENGTH_MAX + 1), CheckKeyError::TooLong);
    for length in [SECRET_LENGTH_MIN, 64, 65, SECRET_LENGTH_MAX] {
        assert_eq!(format!("{:?}", check_key(&vec![7; length])), "CheckKey(secret)");
    }
    assert!(!check_key(b"0123456789abcdef").verify(b"A", b"33333"), "more check characters than a mask can have");
}

#[test]
fn a_mask_with_check_characters_has_a_body_and_a_canonical_text() {
    for (text, canonical, code_length, check_length) in [
        ("a#[:check:]", "A#[:check:]", 3, 1),
        ("##[:CHECK:]{1}", "##[:check:]", 3, 1),
        ("[:safe:]{3}[:check:]{02}", "[:safe:]{3}[:check:]{2}", 5, 2),
        ("PROMO[:check:]{4}", "PROMO[:check:]{4}", 9, 4),
    ] {
        let parsed = mask(text);
        assert_eq!(parsed.to_string(), canonical);
        assert_eq!(mask(canonical), parsed);
        assert_eq!((parsed.code_length(), parsed.check_length()), (code_length, check_length));
        assert_eq!(parsed.body(), &parsed.positions()[..code_length - check_length]);
        assert!(parsed.positions()[code_length - check_length..].iter().all(|&set| set == SAFE));
    }
    assert_eq!((mask("##").check_length(), mask("##").body().len()), (0, 2));
    assert_ne!(mask("#[:check:]"), mask("#[:safe:]"), "the same symbols, but not the same codes");
    assert_ne!(mask("#[:safe:][:check:]"), mask("#[:check:]{2}"));
    assert_eq!(mask("#\\[:check:\\]").check_length(), 0);
}

#[test]
fn check_characters_are_refused_except_at_the_end() {
    let problem = |text: &str| {
        let error = text.parse::<Mask>().expect_err(text);
        (error.offset, error.problem)
    };
    let bad = |found: &str| MaskProblem::BadCheckRepeat { found: found.to_owned() };
    for text in ["#[:check:]#", "#[:check:]{2}A", "#[:check:][:check:]", "#[:check:]}", "#[:check:]\u{e9}"] {
        assert_eq!(problem(text), (1, MaskProblem::CheckNotLast), "{text}");
    }
    assert_eq!(problem("[:check:]"), (0, MaskProblem::NothingToCheck));
    assert_eq!(problem("[:check:]{4}"), (0, MaskProblem::NothingToCheck));
    assert_eq!(problem("#[[:check:]]"), (2, MaskProblem::CheckInSet));
    assert_eq!(problem("#[A[:Check:]"), (3, MaskProblem::CheckInSet));
    assert_eq!(problem("#[:check:]{5}"), (11, bad("5")));
    assert_eq!(problem("#[:check:]{0}"), (11, bad("0")));
    assert_eq!(problem("#[:check:]{x}"), (11, bad("'x'")));
    assert_eq!(problem("#[:check:]{2"), (12, bad("the end of the mask")));
    assert_eq!(problem("#[:check:]{2}{2}"), (13, MaskProblem::NothingToRepeat { after: "a repeat" }));
    assert_eq!(problem("#[:checks:]"), (1, MaskProblem::UnknownName));
}

#[test]
fn check_characters_count_as_characters_but_not_as_codes() {
    let full = format!("{}[:check:]{{4}}", "A".repeat(60));
    assert_eq!(mask(&full).code_length(), 64);
    assert_eq!(format!("A{full}").parse::<Mask>().expect_err("too long").problem, MaskProblem::TooManyCharacters);
    let large = "#{31}[:check:]".parse::<Mask>().expect_err("10^31 codes");
    assert_eq!((large.offset, large.problem), (1, MaskProblem::KeyspaceTooLarge));
    assert_eq!(Keyspace::new(&mask("[A-Z0-5]{19}[A-Z0-4][:check:]{4}")).size(), 31 << 95);
    assert_eq!(Keyspace::new(&mask("PROMO[:check:]")).size(), 1);
}

#[test]
fn wrong_check_characters_are_noticed_only_with_the_key() {
    let (with_key, without) = (keyed("SPRING-*{8}[:check:]{4}"), Keyspace::new(&mask("SPRING-*{8}[:check:]{4}")));
    let rank = with_key.rank("SPRING-7K3XW9PL3G3F").expect("the code of the vector");
    assert_eq!(with_key.unrank(rank).as_deref(), Some("SPRING-7K3XW9PL3G3F"));
    for code in ["SPRING-7K3XW9PL3G3G", "SPRING-7K3XW9PM3G3F", "SPRING-K73XW9PL3G3F"] {
        assert_eq!((with_key.rank(code), with_key.contains(code)), (None, false));
        assert_eq!(with_key.check(code), Err(NotACode::CheckCharacters));
        assert!(without.contains(code) && without.check(code).is_ok() && without.rank(code).is_some());
        assert_eq!(without.rank(code), with_key.body_rank(code));
    }
    for (code, problem) in [
        ("SPRING-7K3XW9PL3G3", NotACode::Length { found: 18, expected: 19 }),
        ("SPRING-7K3XW9PL3G3\u{e9}", NotACode::Position { position: 19 }),
        ("SPRING-7K3XW9PL3G3A", NotACode::Position { position: 19 }),
        ("SPRINT-7K3XW9PL3G3F", NotACode::Position { position: 6 }),
        ("", NotACode::Length { found: 0, expected: 19 }),
    ] {
        assert_eq!((with_key.check(code), without.check(code)), (Err(problem), Err(problem)), "{code:?}");
        assert_eq!((without.body_rank(code), without.contains(code)), (None, false));
    }
}

#[test]
#[should_panic(expected = "need a check key")]
fn a_batch_of_codes_with_check_characters_panics_without_a_key() {
    drop(Keyspace::new(&mask("#[:check:]")).batch(&[1]));
}

#[test]
#[should_panic(expected = "need a check key")]
fn a_code_with_check_characters_panics_without_a_key() {
    drop(Keyspace::new(&mask("#[:check:]")).unrank(1));
}

#[test]
fn one_typing_error_is_noticed_except_by_chance() {
    for (text, one_in) in [("[:safe:]{6}[:check:]", 24), ("[:safe:]{6}[:check:]{2}", 576)] {
        let keyspace = keyed(text);
        let (mut errors, mut missed) = (0_u64, 0_u64);
        for code in keyspace.batch(&(0..400).map(|step| step * 477_211).collect::<Vec<Rank>>()).iter() {
            for (at, typed) in (0..code.len()).flat_map(|at| SAFE.iter().map(move |typed| (at, typed))) {
                let mut wrong = code.as_bytes().to_vec();
                wrong[at] = typed;
                if wrong != code.as_bytes() {
                    errors += 1;
                    missed += u64::from(keyspace.contains(std::str::from_utf8(&wrong).expect("text")));
                }
            }
        }
        // An error in a check character is always noticed, an error in the body except one time in 24^n.
        let expected = errors * 6 / keyspace.code_length() as u64 / one_in;
        assert!(
            missed.abs_diff(expected) * 3 < expected,
            "{text}: {missed} of {errors} missed, about {expected} expected"
        );
    }
}

#[test]
fn stored_ranges_of_slices_hold_their_codes_whatever_the_key() {
    let keyspace = Keyspace::new(&mask("A##[:check:]{2}"));
    let mut next = 0;
    for chunk in plan_round(&keyspace, &Key::new([7; 32]), 0, 50, 10) {
        let slice = slice_of_range(&keyspace, &chunk.range_first, &chunk.range_last).expect("a slice");
        assert_eq!(slice.start, next);
        next += slice.length;
        for secret in [b"0123456789abcdef", b"fedcba9876543210"] {
            let keyed = keyspace.clone().with_check_key(check_key(secret));
            let ranks: Vec<Rank> = (slice.start..next).collect();
            let inside = |code: &str| (&*chunk.range_first..=&*chunk.range_last).contains(&code);
            assert!(keyed.batch(&ranks).iter().all(inside));
        }
    }
    assert_eq!(next, 100);
    assert_eq!(keyspace.first_code(42).as_deref(), Some("A4233"));
    assert_eq!(keyspace.last_code(42).as_deref(), Some("A42ZZ"));
    assert_eq!((keyspace.first_code(100), keyspace.last_code(100)), (None, None));
    let plain = Keyspace::new(&mask("A##"));
    assert_eq!([plain.first_code(42), plain.last_code(42)], [plain.unrank(42), plain.unrank(42)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_rank_and_unrank_are_inverse_with_check_characters(text in select(&MASKS[..]), seed in any::<u128>()) {
        let (keyspace, plain) = (keyed(text), Keyspace::new(&mask(text.split("[:check:]").next().expect("a body"))));
        let rank = seed % keyspace.size();
        let code = keyspace.unrank(rank).expect("a code");
        prop_assert_eq!(keyspace.size(), plain.size());
        prop_assert_eq!(code.len(), keyspace.code_length());
        prop_assert_eq!(keyspace.rank(&code), Some(rank));
        prop_assert_eq!(keyspace.body_rank(&code), Some(rank));
        prop_assert!(keyspace.contains(&code) && keyspace.check(&code).is_ok());
        prop_assert_eq!(plain.unrank(rank).expect("a body"), &code[..plain.code_length()]);
    }

    #[test]
    fn prop_rank_order_is_byte_order_with_check_characters(text in select(&MASKS[..]), seeds in any::<[u128; 2]>(), near in any::<bool>()) {
        let keyspace = keyed(text);
        let first = seeds[0] % keyspace.size();
        let second = if near { (first + 1) % keyspace.size() } else { seeds[1] % keyspace.size() };
        let [a, b] = [first, second].map(|rank| keyspace.unrank(rank).expect("a code"));
        prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        let bounds = [keyspace.first_code(first).expect("a code"), keyspace.last_code(first).expect("a code")];
        prop_assert!(bounds[0] <= a && a <= bounds[1]);
        prop_assert_eq!(bounds.map(|bound| keyspace.body_rank(&bound)), [Some(first); 2]);
    }
}
