//! The input of an import.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use tokio::sync::oneshot;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use codemint_import::error::ImportError;
use codemint_import::reader::{self, Options};
use codemint_import::rejects::Rejects;
use codemint_import::sorted::Sorted;

/// Reads on a separate thread: a read from a silent pipe cannot be stopped, and must not keep the process alive.
pub async fn read(
    context: &Context,
    input: Box<dyn Read + Send>,
    options: Options,
) -> Result<(Sorted, Rejects), Failure> {
    let bar = context.progress.reading();
    let stop = context.stop.token().clone();
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || {
        let progress = |bytes| {
            bar.set_position(bytes);
            if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // The result is no longer awaited after a stop request.
        let _unheard = send.send(reader::read(input, &options, &progress));
    });
    let interrupted = || context.stop.interrupted("stopped while reading; nothing was imported");
    tokio::select! {
        read = receive => match read {
            Ok(Err(ImportError::Interrupted)) => Err(interrupted()),
            Ok(read) => read.map_err(Failure::from),
            Err(_) => Err(Failure::other("reading the input ended without a result")),
        },
        () = context.stop.token().cancelled() => Err(interrupted()),
    }
}

pub fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}
