//! Deterministic chi-square tests: keys made from a counter, and bounds that are exceeded once in a million.

use codemint_codes::random::Key;

/// Makes one of any number of different keys. ChaCha20 does not mind that they look alike.
pub fn numbered_key(number: u64) -> Key {
    let mut bytes = [0; Key::LENGTH_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Key::new(bytes)
}

/// The sum of squared distances from the mean, in units of the mean: the statistic of equally likely cells.
pub fn chi_square(counts: &[u64]) -> f64 {
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    counts.iter().map(|&count| (count as f64 - mean).powi(2) / mean).sum()
}

/// The value that a standard normal variable exceeds once in a million.
const ONE_IN_A_MILLION: f64 = 4.753;

/// Asserts that a statistic is neither above the quantile 1 - 1e-6 of the chi-square distribution nor below the
/// quantile 1e-6, by Wilson and Hilferty: the cube root of chi-square over its degrees of freedom is almost normal.
pub fn assert_is_chi_square(statistic: f64, degrees: usize, what: &str) {
    let variance = 2.0 / (9.0 * degrees as f64);
    let normal = ((statistic / degrees as f64).cbrt() - (1.0 - variance)) / variance.sqrt();
    assert!(
        normal.abs() < ONE_IN_A_MILLION,
        "{what}: chi-square {statistic:.1} with {degrees} degrees of freedom, {normal:.1} sigma"
    );
}

/// Asserts that equally likely cells were hit equally often.
pub fn assert_equally_often(counts: &[u64], what: &str) {
    assert_is_chi_square(chi_square(counts), counts.len() - 1, what);
}
