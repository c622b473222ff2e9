//! Golden vectors, which freeze generator version 1. A job that was started with it must draw the same codes when it is
//! resumed years later; a change that needs other values here needs another version number.
//!
//! The values were checked with an independent implementation of ChaCha20, bounded integers, quotas and sampling,
//! written in Python from the design and not from this code.

use codemint_codes::draw::{Draw, GENERATOR_VERSION};
use codemint_codes::keyspace::Rank;
use codemint_codes::random::{Key, RandomIntegers, Stream};
use codemint_codes::slice::{Slice, quotas};

/// The key of the bytes 0 to 31.
fn key() -> Key {
    let mut bytes = [0; Key::LENGTH_BYTES];
    bytes.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
    Key::new(bytes)
}

fn draw(stream: Stream, start: Rank, length: u128, quota: usize) -> Draw {
    Draw::new(&key(), stream, Slice { start, length }, quota)
}

#[test]
fn the_generator_has_version_1() {
    assert_eq!(GENERATOR_VERSION, 1);
}

/// Draws one integer after the other from one stream. The third integer below 3 * 2^62, the one below 2^63 + 1 and the
/// first one below 3 * 2^64 come after rejected words.
#[test]
fn bounded_integers_are_those_of_version_1() {
    let mut random = RandomIntegers::new(&key(), Stream::chunk(0, 0));
    for (bound, expected) in [
        (1, 0),
        (2, 0),
        (10, 7),
        (1000, 570),
        (1_000_000_000, 668_508_567),
        (1 << 32, 1_686_095_930),
        (3 << 62, 2_466_558_372_315_931_035),
        (3 << 62, 662_315_527_070_916_049),
        (3 << 62, 2_124_206_727_145_801_934),
        ((1 << 63) + 1, 2_161_735_732_772_487_374),
        ((1 << 64) - 1, 14_869_018_854_397_747_354),
        (1 << 64, 14_797_303_565_500_688_909),
        ((1 << 64) + 1, 8_567_285_012_692_815_577),
        (3 << 64, 36_407_184_523_393_185_363),
        (3 << 64, 10_265_697_546_412_885_929),
        (10_u128.pow(25), 9_876_628_221_819_032_981_687_617),
        ((1 << 100) - 1, 753_205_315_423_909_546_915_155_218_943),
    ] {
        assert_eq!(random.below(bound), expected, "below {bound}");
    }
}

#[test]
fn the_first_words_of_streams_are_those_of_version_1() {
    for (stream, expected) in [
        (Stream::chunk(0, 0), 0x6a19_c5d9_7d2b_fd39),
        (Stream::chunk(0, 1), 0x898e_8050_02f1_a42f),
        (Stream::chunk(1, 0), 0x4536_d9f4_8006_182e),
        (Stream::chunk(1, 1), 0x7371_8f61_335f_0ced),
        (Stream::chunk(2, 7), 0x5c12_b019_8080_c75b),
        (Stream::chunk(0, 999), 0x562e_590e_9e71_686a),
        (Stream::chunk(u32::MAX, u32::MAX - 1), 0x4d81_a80e_5b82_772f),
        (Stream::quotas(0), 0x6133_8f19_01de_ef60),
        (Stream::quotas(1), 0x616b_724f_2154_fddd),
    ] {
        assert_eq!(RandomIntegers::new(&key(), stream).below(1 << 64), expected, "{stream:?}");
    }
}

#[test]
fn quotas_are_those_of_version_1() {
    let key = Key::new([42; Key::LENGTH_BYTES]);
    let given = |round, size, count, slices| quotas(&key, round, size, count, slices).map(|(_, quota)| quota);
    assert_eq!(given(0, 67_603, 17, 7).collect::<Vec<_>>(), [2, 2, 3, 2, 3, 2, 3]);
    assert_eq!(given(1, 67_603, 17, 7).collect::<Vec<_>>(), [3, 2, 2, 3, 2, 3, 2]);
    let size = 36_u128.pow(19);
    assert_eq!(given(0, size, 1_000_003, 5).collect::<Vec<_>>(), [200_000, 200_001, 200_000, 200_001, 200_001]);
    assert_eq!(given(1, size, 1_000_003, 5).collect::<Vec<_>>(), [200_000, 200_001, 200_000, 200_001, 200_001]);
    assert_eq!(given(9, size, 1_000_003, 5).collect::<Vec<_>>(), [200_001, 200_000, 200_001, 200_000, 200_001]);
}

#[test]
fn sparse_draws_of_narrow_slices_are_those_of_version_1() {
    let draw_ranks = draw(Stream::chunk(0, 3), 5000, 1000, 12);
    assert_eq!(draw_ranks.ranks(), [5050, 5163, 5409, 5545, 5612, 5653, 5666, 5716, 5833, 5834, 5915, 5955]);
    // Almost half of the slice: repeats are dropped, and the draw is topped up several times.
    let topped_up = draw(Stream::chunk(0, 4), 0, 41, 20);
    let expected = [0, 3, 4, 6, 7, 10, 11, 15, 16, 18, 19, 23, 25, 29, 30, 31, 32, 33, 36, 40];
    assert_eq!(topped_up.ranks(), expected);
}

#[test]
fn sparse_draws_of_wide_slices_are_those_of_version_1() {
    let draw = draw(Stream::chunk(1, 3), 10_u128.pow(25), 10_u128.pow(24) + 7, 5);
    assert_eq!(
        draw.ranks(),
        [
            10_239_863_323_794_104_939_729_296,
            10_610_921_136_788_096_815_934_674,
            10_620_805_342_959_846_446_454_026,
            10_861_234_067_448_411_977_181_551,
            10_979_401_867_495_463_435_328_562,
        ]
    );
}

#[test]
fn dense_draws_are_those_of_version_1() {
    let half = draw(Stream::chunk(0, 5), 100, 24, 12);
    assert_eq!(half.ranks(), [101, 103, 105, 107, 108, 110, 115, 116, 117, 118, 121, 123]);
    let mut most = draw(Stream::chunk(0, 6), 100, 24, 19);
    let expected = [100, 102, 103, 104, 105, 106, 107, 108, 109, 110, 112, 114, 115, 116, 117, 118, 119, 122, 123];
    assert_eq!(most.ranks(), expected);
    // The last two ranks were all that was left and took no word of the stream: the next integers show it.
    most.replace(&[100, 110]);
    let expected = [102, 103, 104, 105, 106, 107, 108, 109, 111, 112, 114, 115, 116, 117, 118, 119, 121, 122, 123];
    assert_eq!(most.ranks(), expected);
}

#[test]
fn replaced_candidates_are_those_of_version_1() {
    let mut draw = draw(Stream::chunk(0, 8), 700, 30, 6);
    assert_eq!(draw.ranks(), [704, 705, 708, 709, 720, 722]);
    draw.replace(&[705, 708, 709]);
    assert_eq!(draw.ranks(), [701, 704, 713, 718, 720, 722]);
    draw.replace(&[701, 722]);
    assert_eq!(draw.ranks(), [704, 713, 718, 720, 724, 726]);
}

#[test]
fn replaced_candidates_of_wide_slices_are_those_of_version_1() {
    let mut draw = draw(Stream::chunk(1, 8), 10_u128.pow(25), 10_u128.pow(24), 4);
    let [kept_first, first_taken, second_taken, kept_last] = [
        10_039_273_446_296_086_629_363_160,
        10_119_806_414_970_094_364_388_888,
        10_126_577_761_422_288_606_693_193,
        10_731_225_067_267_727_304_931_254,
    ];
    assert_eq!(draw.ranks(), [kept_first, first_taken, second_taken, kept_last]);
    draw.replace(&[first_taken, second_taken]);
    let drawn = [10_363_540_189_198_426_227_318_028, 10_756_922_996_084_130_780_592_884];
    assert_eq!(draw.ranks(), [kept_first, drawn[0], kept_last, drawn[1]]);
}
