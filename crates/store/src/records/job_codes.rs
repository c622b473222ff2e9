//! The codes of a job, chunk by chunk, compared with what the checkpoints of the chunks record.

use sha2::{Digest, Sha256};

use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::records::rows::Chunk;
use codemint_codes::batch::CodeBatch;

/// How the codes of a chunk differ from those that its checkpoint records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherCodes {
    /// The store has this number of codes.
    Count(usize),
    /// The number is right, but the codes are others.
    Digest,
}

impl Store {
    /// Lists the chunks of a job whose codes are in the store, in order of round and number.
    pub async fn list_done_chunks(&self, job_no: i64) -> Result<Vec<Chunk>, StoreError> {
        let mut chunks = self.list_chunks(job_no).await?;
        chunks.retain(|chunk| chunk.state == "done");
        Ok(chunks)
    }

    /// Reads the codes of a chunk, ascending, if they are those of its checkpoint.
    pub async fn read_recorded_codes(&self, chunk: &Chunk) -> Result<Result<CodeBatch, OtherCodes>, StoreError> {
        let batch = self.read_codes(chunk).await?;
        if batch.len() as u64 != u64::from(chunk.minted) {
            return Ok(Err(OtherCodes::Count(batch.len())));
        }
        Ok(if has_its_digest(chunk, &batch) { Ok(batch) } else { Err(OtherCodes::Digest) })
    }
}

/// Returns true if the codes are those of the checkpoint. A count is right even if a code was replaced, or if a server
/// returns the codes in another order.
fn has_its_digest(chunk: &Chunk, batch: &CodeBatch) -> bool {
    chunk.digest.as_deref().is_none_or(|digest| *digest == Sha256::digest(batch.as_lines())[..])
}

/// Pairs codes with the identities that they belong to, an empty one for none; both are ascending by code.
pub fn pair_with_owners<'a>(
    codes: impl Iterator<Item = &'a str>,
    owners: &'a [(String, Option<String>)],
) -> Vec<(&'a str, &'a str)> {
    let mut owners = owners.iter().peekable();
    let pair = |code| {
        while owners.next_if(|(owned, _)| owned.as_str() < code).is_some() {}
        let identity = owners.next_if(|(owned, _)| owned == code).and_then(|(_, identity)| identity.as_deref());
        (code, identity.unwrap_or_default())
    };
    codes.map(pair).collect()
}
