//! Progress of an import, and the caller's chance to stop it.

use std::ops::ControlFlow;

use crate::error::ImportError;

/// A callback that receives the progress and returns whether to continue; called many times a second. While an input is
/// read and sorted, the figure is the number of bytes read so far; while rejects are sorted, it is a number of rejects.
pub type Progress<'a> = &'a dyn Fn(u64) -> ControlFlow<()>;

/// Calls the progress callback; returns `Interrupted` if it asks to stop.
pub(crate) fn proceed(progress: Progress<'_>, done: u64) -> Result<(), ImportError> {
    match progress(done) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ImportError::Interrupted),
    }
}
