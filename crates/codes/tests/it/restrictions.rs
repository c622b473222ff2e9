//! Which identities of a list each chunk of a job binds.

use codemint_codes::job::restriction::{ChunkShare, places_of};
use proptest::prelude::*;

/// The rounds of a job: shares of all chunks, and how many codes were missing at the end.
fn rounds(count: u64, fractions: &[Vec<(u8, u8)>]) -> (Vec<ChunkShare>, u64) {
    let mut shares = Vec::new();
    let mut missing = count;
    for (round, chunks) in fractions.iter().enumerate() {
        let mut left = missing;
        for (chunk_no, (quota, minted)) in chunks.iter().enumerate() {
            let is_last = chunk_no + 1 == chunks.len();
            let quota = if is_last { left } else { left * u64::from(*quota) / 256 };
            let minted = quota * u64::from(*minted) / 255;
            shares.push(ChunkShare { round: round as u32, chunk_no: chunk_no as u32, quota, minted });
            (left, missing) = (left - quota, missing - minted);
        }
    }
    (shares, missing)
}

proptest! {
    #[test]
    fn each_place_is_bound_by_one_chunk_at_most_and_all_are_in_the_end(
        count in 0_u64..3000,
        fractions in prop::collection::vec(prop::collection::vec((any::<u8>(), any::<u8>()), 1..6), 1..5),
    ) {
        let (shares, missing) = rounds(count, &fractions);
        let mut bound = vec![false; count as usize];
        for share in &shares {
            let places = places_of(&shares, count, share.round, share.chunk_no);
            prop_assert_eq!(places.iter().map(|range| range.end - range.start).sum::<u64>(), share.quota);
            for place in places.into_iter().flatten().take(share.minted as usize) {
                prop_assert!(!std::mem::replace(&mut bound[place as usize], true), "{} twice", place);
            }
        }
        prop_assert_eq!(bound.iter().filter(|bound| !**bound).count() as u64, missing);
    }
}
