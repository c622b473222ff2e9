//! The reasons for which this process cannot mint a chunk of a job.

use codemint_codes::draw::GENERATOR_VERSION;
use codemint_store::connection::error::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the job needs generator version {found}, this program has version {GENERATOR_VERSION}; use the codemint version that created the job"
    )]
    GeneratorVersion { found: u32 },
    #[error(
        "the job needs the check key with the fingerprint {needed}, this process has {found}; set check.key_file to that key"
    )]
    CheckKey { found: String, needed: String },
    #[error(
        "the job needs the denied words with the digest {needed}, this process has {found}; set deny.file and deny.builtin to that list"
    )]
    DeniedWords { found: String, needed: String },
    #[error("the job is an import; run `codemint import` with the same input to resume it")]
    Import,
    #[error("the store failed {attempts} times in a row without naming a cause; the last time: {source}")]
    Unclear { attempts: u32, source: StoreError },
    #[error("chunk {run_no} met a duplicate code {attempts} times, but the store does not have it")]
    PhantomDuplicate { run_no: i64, attempts: u32 },
}
