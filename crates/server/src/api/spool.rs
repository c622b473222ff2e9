//! Bodies without the usual limit of length: they are kept in a file without a name until they are whole.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::pin::pin;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::api::problem::{INVALID, Problem, TIMEOUT, TOO_LARGE};

/// The maximum length of a list in bytes.
const LIST_BYTES_MAX: u64 = 4 << 30;
/// How long a client may take between two pieces of a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(3600);
const BUFFER_BYTES: usize = 256 << 10;

/// Receives a body in pieces; returns the file, which ends with its last user, at its beginning.
///
/// # Errors
/// `too-large` beyond 4 GiB, `timeout` if the client pauses, and `invalid` if the body ends early.
pub(super) async fn receive<E>(pieces: impl Stream<Item = Result<Bytes, E>> + Send) -> Result<File, Problem> {
    let file = tempfile::tempfile().map_err(|error| disk_problem(&error))?;
    let (mut writer, mut length) = (BufWriter::with_capacity(BUFFER_BYTES, file), 0_u64);
    let (mut pieces, end) = (pin!(pieces), Instant::now() + BODY_TIMEOUT);
    loop {
        let piece = timeout_at(end.min(Instant::now() + PIECE_TIMEOUT), pieces.next()).await;
        let piece = match piece.map_err(|_elapsed| slow())? {
            Some(Ok(piece)) => piece,
            Some(Err(_broken)) => {
                return Err(Problem::new(INVALID, "the body ended early; nothing was changed; send it again"));
            }
            None => break,
        };
        length += piece.len() as u64;
        if length > LIST_BYTES_MAX {
            return Err(Problem::new(
                TOO_LARGE,
                format!("a list has at most {LIST_BYTES_MAX} bytes; nothing was changed"),
            ));
        }
        tokio::task::block_in_place(|| writer.write_all(&piece)).map_err(|error| disk_problem(&error))?;
    }
    let rewound = tokio::task::block_in_place(|| {
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok::<_, io::Error>(file)
    });
    rewound.map_err(|error| disk_problem(&error))
}

fn slow() -> Problem {
    let detail =
        "the body did not arrive in time: at most 30 s between two pieces, and an hour in all; nothing was changed";
    Problem::new(TIMEOUT, detail)
}

fn disk_problem(error: &io::Error) -> Problem {
    let directory = std::env::temp_dir();
    Problem::internal(format!(
        "a list cannot be kept in {}: {error}; set TMPDIR to a directory with space",
        directory.display()
    ))
}
