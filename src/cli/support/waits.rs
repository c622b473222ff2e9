//! Decides how long a command waits for a store that is unavailable, and when it reports that it does.

use std::time::Duration;

use codemint_store::connection::error::{ErrorClass, StoreError};

/// The time after which a command reports that it waits: shorter outages need no attention.
pub const NOTE_AFTER: Duration = Duration::from_secs(60);

/// How long an error without a cause is waited for.
const UNCLEAR_FOR: Duration = Duration::from_secs(30);

/// What to do about a store that is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Silently,
    AndReport,
    /// The command ends instead.
    Never,
}

/// Decides about an error that waiting may fix. Another writer is waited for in any case: it ends soon.
pub fn decide(class: ErrorClass, waited: Duration, note_after: Duration, no_wait: bool) -> Wait {
    match class {
        ErrorClass::Away | ErrorClass::NoSpace if no_wait => Wait::Never,
        // A cause that passes has passed by then.
        ErrorClass::Unclear if waited >= UNCLEAR_FOR => Wait::Never,
        _ if waited >= note_after => Wait::AndReport,
        _ => Wait::Silently,
    }
}

/// Returns what a command waits for.
pub fn cause(error: &StoreError) -> &'static str {
    match error.class() {
        ErrorClass::NoSpace => "the store has no disk space or memory left",
        ErrorClass::Conflict => "another program is writing the store",
        _ if error.is_read_only() => "the database is read-only",
        _ => "the store does not answer",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use codemint_store::connection::error::ErrorClass;

    use super::{NOTE_AFTER, UNCLEAR_FOR, Wait, decide};

    #[test]
    fn a_wait_is_reported_after_a_minute_and_refused_where_the_user_wants_none() {
        let second = Duration::from_secs(1);
        for (class, waited, no_wait, decided) in [
            (ErrorClass::Away, Duration::ZERO, false, Wait::Silently),
            (ErrorClass::Away, NOTE_AFTER - second, false, Wait::Silently),
            (ErrorClass::Away, NOTE_AFTER, false, Wait::AndReport),
            (ErrorClass::NoSpace, NOTE_AFTER + second, false, Wait::AndReport),
            (ErrorClass::Conflict, NOTE_AFTER, false, Wait::AndReport),
            (ErrorClass::Away, Duration::ZERO, true, Wait::Never),
            (ErrorClass::NoSpace, Duration::ZERO, true, Wait::Never),
            (ErrorClass::Conflict, Duration::ZERO, true, Wait::Silently),
            (ErrorClass::Unclear, UNCLEAR_FOR - second, true, Wait::Silently),
            (ErrorClass::Unclear, UNCLEAR_FOR, false, Wait::Never),
        ] {
            assert_eq!(decide(class, waited, NOTE_AFTER, no_wait), decided, "{class:?} after {waited:?}");
        }
    }
}
