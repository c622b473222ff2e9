//! Jobs that a load test makes and removes again. They are told from all others by an id that follows from their campaign:
//! no job of anybody else's has one by chance, so nothing else is ever removed.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The ids of all such jobs lie from here, of version 8 of RFC 9562: its form is left to programs.
pub const FIRST_ID: Uuid = Uuid::from_u128(0x636d_6265_6e63_8000_8000_0000_0000_0000);
/// To here.
pub const LAST_ID: Uuid = Uuid::from_u128(0x636d_6265_6e63_8000_bfff_ffff_ffff_ffff);

/// Bits of an id below the variant of RFC 9562.
const FREE_BITS: u32 = 62;

/// The campaign of one job of a load test; `test` is one's own each time.
pub fn campaign(test: Uuid, number: u32) -> String {
    format!("codemint bench {test}, job {number}")
}

/// The id of the job of this campaign.
pub fn id_of(campaign: &str) -> Uuid {
    let digest = Sha256::digest(campaign);
    let hash = digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u128::from(*byte));
    Uuid::from_u128(FIRST_ID.as_u128() | hash & ((1 << FREE_BITS) - 1))
}

/// Whether only a load test may give a job this id.
pub fn is_kept_for_bench(id: Uuid) -> bool {
    (FIRST_ID..=LAST_ID).contains(&id)
}

/// Whether a job is of a load test.
pub fn is_of_bench(id: Uuid, campaign: Option<&str>) -> bool {
    campaign.is_some_and(|campaign| campaign.starts_with("codemint bench ") && id_of(campaign) == id)
}
