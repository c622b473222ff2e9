//! Splits an amount over lines so that the parts add up.

/// Splits `total` in proportion to `weights`, by largest remainder; of equal remainders the earlier line comes first.
/// Parts add up to `total`, and no part is larger than its weight.
///
/// All numbers are minor units from 0 to [`AMOUNT_MAX`](crate::money::AMOUNT_MAX), and `total` is at most the sum of the
/// weights; a larger one is cut to it.
///
/// ```
/// use codemint_offers::discount::allocate::allocate;
///
/// assert_eq!(allocate(100, &[100, 100, 100]), [34, 33, 33]);
/// assert_eq!(allocate(1, &[0, 5, 5]), [0, 1, 0]);
/// ```
pub fn allocate(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i64 = weights.iter().sum();
    if total >= sum {
        return weights.to_vec();
    }
    let (mut parts, mut remainders) = (Vec::with_capacity(weights.len()), Vec::with_capacity(weights.len()));
    for (line, weight) in weights.iter().enumerate() {
        let (part, remainder) = proportion(total, *weight, sum);
        parts.push(part);
        remainders.push((remainder, line));
    }
    // Less than one unit per line with a remainder is missing.
    let missing = (total - parts.iter().sum::<i64>()) as usize;
    if missing > 0 {
        remainders.sort_unstable_by(|(a, earlier), (b, later)| b.cmp(a).then(earlier.cmp(later)));
        for (_, line) in &remainders[..missing] {
            parts[*line] += 1;
        }
    }
    parts
}

/// Returns `total * weight / sum` and the remainder, with a detour over `i128` only where the product needs it.
fn proportion(total: i64, weight: i64, sum: i64) -> (i64, i64) {
    match total.checked_mul(weight) {
        Some(product) => (product / sum, product % sum),
        None => {
            let (product, sum) = (i128::from(total) * i128::from(weight), i128::from(sum));
            // Below `total` and below `sum`.
            ((product / sum) as i64, (product % sum) as i64)
        }
    }
}
