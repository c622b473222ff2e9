//! Jobs that a load test creates and removes again. Their ids follow from their campaigns, which
//! distinguishes them from all others: no other job has such an id by chance, so nothing else is ever removed.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The lowest id of such a job. The ids are of version 8 of RFC 9562, whose form is left to programs.
pub const FIRST_ID: Uuid = Uuid::from_u128(0x636d_6265_6e63_8000_8000_0000_0000_0000);
/// The highest id of such a job.
pub const LAST_ID: Uuid = Uuid::from_u128(0x636d_6265_6e63_8000_bfff_ffff_ffff_ffff);

/// The number of bits of an id below the variant of RFC 9562.
const FREE_BITS: u32 = 62;

/// Returns the campaign of one job of a load test; every load test has its own `test`.
pub fn campaign(test: Uuid, number: u32) -> String {
    format!("codemint bench {test}, job {number}")
}

/// Returns the id of the job of this campaign.
pub fn id_of(campaign: &str) -> Uuid {
    let digest = Sha256::digest(campaign);
    let hash = digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u128::from(*byte));
    Uuid::from_u128(FIRST_ID.as_u128() | hash & ((1 << FREE_BITS) - 1))
}

/// Returns true if only a load test may give a job this id.
pub fn is_kept_for_bench(id: Uuid) -> bool {
    (FIRST_ID..=LAST_ID).contains(&id)
}

/// Returns true if a job belongs to a load test.
pub fn is_of_bench(id: Uuid, campaign: Option<&str>) -> bool {
    campaign.is_some_and(|campaign| campaign.starts_with("codemint bench ") && id_of(campaign) == id)
}
