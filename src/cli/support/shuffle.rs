//! A shuffle of any number of codes in bounded memory: it deals them to random buckets on disk, then shuffles each
//! bucket in memory (Rao and Sandelius). Every order is equally likely.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::PathBuf;

use crate::cli::support::failure::Failure;
use codemint_codes::batch::CodeBatch;
use codemint_codes::random::{RandomIntegers, Stream};
use codemint_store::admission::entropy::fresh_key;

/// A bucket up to this size is shuffled in memory.
const BUCKET_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The maximum number of open files; larger inputs are dealt again.
const BUCKETS_MAX: u64 = 128;
const BUFFER_BYTES: usize = 32 * 1024;

/// Takes codes in any order and returns them in random order.
pub struct Shuffle {
    random: RandomIntegers,
    buckets: Vec<Bucket>,
    directory: PathBuf,
}

/// An unnamed file: it disappears with the process, however that ends.
struct Bucket {
    file: BufWriter<File>,
    bytes: u64,
}

impl Shuffle {
    /// Creates the buckets. `bytes` is the approximate size of all codes; `directory` needs as much space temporarily.
    pub fn new(bytes: u64, directory: PathBuf) -> Result<Self, Failure> {
        let key = fresh_key().map_err(Failure::other)?;
        let random = RandomIntegers::new(&key, Stream::chunk(0, 0));
        let buckets = buckets_for(bytes, &directory)?;
        Ok(Self { random, buckets, directory })
    }

    /// Deals the codes of a batch to the buckets.
    pub fn push(&mut self, batch: &CodeBatch) -> Result<(), Failure> {
        batch.iter().try_for_each(|code| deal(&mut self.random, &mut self.buckets, code)).map_err(temporary_failure)
    }

    /// Passes all codes to `take`, shuffled, in batches.
    pub fn drain(mut self, take: &mut impl FnMut(CodeBatch) -> Result<(), Failure>) -> Result<(), Failure> {
        let buckets = std::mem::take(&mut self.buckets);
        self.drain_buckets(buckets, take)
    }

    fn drain_buckets(
        &mut self,
        buckets: Vec<Bucket>,
        take: &mut impl FnMut(CodeBatch) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for bucket in buckets {
            if bucket.bytes <= BUCKET_BYTES_MAX {
                let text =
                    io::read_to_string(bucket.reader().map_err(temporary_failure)?).map_err(temporary_failure)?;
                take(self.shuffled(&text))?;
            } else {
                let mut smaller = buckets_for(bucket.bytes, &self.directory)?;
                for line in bucket.reader().map_err(temporary_failure)?.lines() {
                    let dealt = line.and_then(|code| deal(&mut self.random, &mut smaller, &code));
                    dealt.map_err(temporary_failure)?;
                }
                self.drain_buckets(smaller, take)?;
            }
        }
        Ok(())
    }

    /// Shuffles the lines in memory (Fisher and Yates).
    fn shuffled(&mut self, text: &str) -> CodeBatch {
        let mut codes: Vec<&str> = text.lines().collect();
        for end in (1..codes.len()).rev() {
            let other = self.random.below_u64(end as u64 + 1) as usize;
            codes.swap(end, other);
        }
        let mut lines = String::with_capacity(text.len());
        for code in codes {
            lines.push_str(code);
            lines.push('\n');
        }
        CodeBatch::from_lines(lines)
    }
}

fn buckets_for(bytes: u64, directory: &PathBuf) -> Result<Vec<Bucket>, Failure> {
    // Half full on average, so that a bucket is rarely too large by chance.
    let wanted = (bytes / (BUCKET_BYTES_MAX / 2) + 1).min(BUCKETS_MAX);
    let bucket = |_| {
        let file = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile_in(directory)?);
        Ok(Bucket { file, bytes: 0 })
    };
    (0..wanted).map(bucket).collect::<io::Result<_>>().map_err(temporary_failure)
}

fn deal(random: &mut RandomIntegers, buckets: &mut [Bucket], code: &str) -> io::Result<()> {
    let chosen = random.below_u64(buckets.len() as u64) as usize;
    let bucket = &mut buckets[chosen];
    bucket.bytes += code.len() as u64 + 1;
    bucket.file.write_all(code.as_bytes())?;
    bucket.file.write_all(b"\n")
}

impl Bucket {
    fn reader(self) -> io::Result<BufReader<File>> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(BufReader::with_capacity(BUFFER_BYTES, file))
    }
}

fn temporary_failure(error: io::Error) -> Failure {
    Failure::other(format!("failed to shuffle in a temporary file: {error}"))
}
