//! Bloom filters of runs: no false negatives, few false positives, and no filter at all from corrupt bytes.

use codemint_codes::batch::CodeBatch;
use codemint_codes::prefilter::{Filter, fingerprint};
use codemint_codes::text::hexadecimal;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use proptest::sample::select;
use sha2::{Digest, Sha256};

fn numbered(numbers: impl Iterator<Item = u64>) -> CodeBatch {
    CodeBatch::from_lines(numbers.map(|number| format!("MY_LITTLE_PROMO{number:08}\n")).collect())
}

fn stored(codes: &CodeBatch, rate: f64) -> Vec<u8> {
    Filter::bytes_of(codes, rate).expect("a filter")
}

fn filter(bytes: &[u8]) -> Filter {
    Filter::from_bytes(bytes).expect("a filter")
}

/// Returns the bytes of a filter as they would be stored, with the matching checksum.
fn sealed(bits: &[u8]) -> Vec<u8> {
    [&[Filter::FORMAT], &Sha256::digest(bits)[..8], bits].concat()
}

#[test]
fn false_positives_are_about_as_frequent_as_requested() {
    for (codes, rate) in [(100_u64, 0.001), (2_000, 0.001), (50_000, 0.001), (50_000, 0.01), (10_000, 0.1), (500, 0.5)]
    {
        let filter = filter(&stored(&numbered(0..codes), rate));
        let others = 200_000;
        let absent = numbered(10_000_000..10_000_000 + others);
        let maybe = absent.iter().filter(|code| filter.may_contain(fingerprint(code))).count() as f64;
        let expected = others as f64 * rate;
        // Five sigma of the draws, and three tenths because bits and hash functions are whole numbers.
        let distance = 5.0 * expected.sqrt() + 0.3 * expected;
        assert!((maybe - expected).abs() < distance, "{maybe} of {others} at {rate} among {codes}");
    }
}

#[test]
fn a_filter_is_as_small_as_the_rate_allows() {
    for (codes, rate, bytes_a_code) in [(50_000_u64, 0.001, 1.8), (50_000, 0.01, 1.2), (50_000, 0.1, 0.6)] {
        let bytes = stored(&numbered(0..codes), rate).len() as f64;
        assert!((bytes / codes as f64 - bytes_a_code).abs() < 0.05, "{bytes} at {rate}");
    }
}

#[test]
fn a_run_of_one_code_or_none_has_no_filter() {
    assert_eq!(Filter::bytes_of(&CodeBatch::default(), 0.001), None);
    assert_eq!(Filter::bytes_of(&numbered(7..8), 0.001), None);
    assert!(Filter::bytes_of(&numbered(7..9), 0.001).is_some());
}

#[test]
fn a_filter_depends_on_its_codes_alone() {
    let codes = numbered(0..1000);
    assert_eq!(stored(&codes, 0.001), stored(&codes, 0.001));
    assert_ne!(stored(&codes, 0.001), stored(&numbered(1..1001), 0.001));
    let digest = Sha256::digest(stored(&numbered(0..100), 0.001));
    // Databases store filters: another value means another format, or filters that can no longer be read.
    assert_eq!(hexadecimal(&digest[..8]), "c272eb6bfa16ffde");
}

#[test]
fn bytes_of_another_format_or_another_length_are_not_a_filter() {
    let whole = stored(&numbered(0..50), 0.001);
    for length in 0..whole.len() {
        assert!(Filter::from_bytes(&whole[..length]).is_none(), "the first {length} bytes");
    }
    for format in (0..=255).filter(|format| *format != Filter::FORMAT) {
        assert!(Filter::from_bytes(&[&[format], &whole[1..]].concat()).is_none(), "format {format}");
    }
    assert!(Filter::from_bytes(&[&whole[..], &[0]].concat()).is_none());
}

#[test]
fn every_single_wrong_bit_is_detected() {
    let whole = stored(&numbered(0..20), 0.01);
    for bit in 0..8 * whole.len() {
        let mut broken = whole.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(Filter::from_bytes(&broken).is_none(), "bit {bit}");
    }
}

#[test]
fn regression_bytes_with_a_valid_checksum_but_a_wrong_length_are_not_a_filter() {
    for bits in [&b""[..], b"filter", &[0; 31], &[1; 33], &[255; 200]] {
        assert!(Filter::from_bytes(&sealed(bits)).is_none(), "{bits:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_a_filter_never_denies_a_code_of_its_run(
        start in any::<u32>(), step in 1_u64..1000, count in 2_u64..3000, rate in select(vec![0.00001, 0.001, 0.01, 0.5])
    ) {
        let codes = numbered((0..count).map(|at| u64::from(start) + at * step));
        let filter = filter(&stored(&codes, rate));
        prop_assert!(codes.iter().all(|code| filter.may_contain(fingerprint(code))));
    }

    #[test]
    fn prop_random_bytes_are_no_filter(bytes in any::<Vec<u8>>(), seal in any::<bool>()) {
        let bytes = if seal { sealed(&bytes) } else { bytes };
        prop_assert!(Filter::from_bytes(&bytes).is_none());
    }

    /// Whatever stands in the library's header, a query of a filter ends, and does not panic.
    #[test]
    fn prop_a_filter_with_another_header_is_refused_or_can_be_queried(
        at in 0_usize..45, byte in any::<u8>(), length in 0_usize..64
    ) {
        let mut bits = stored(&numbered(0..20), 0.01)[9..].to_vec();
        bits[at] = byte;
        bits.truncate(45 + length);
        if let Some(filter) = Filter::from_bytes(&sealed(&bits)) {
            filter.may_contain(fingerprint("A1"));
        }
    }
}

/// A filter without bits, as the library itself would read it.
#[test]
fn a_filter_without_bits_is_no_filter() {
    let mut bits = stored(&numbered(0..20), 0.01)[9..].to_vec();
    bits.truncate(45);
    bits[1..9].fill(0);
    assert!(Filter::from_bytes(&sealed(&bits)).is_none());
}
