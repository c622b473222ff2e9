//! Decides whether the codes of an import can be withdrawn. Minted codes never are: they may have been handed out.

use crate::job::record::{Job, Origin};
use crate::job::state::JobError;

/// The next step of a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    Begins,
    /// An earlier withdrawal was interrupted.
    Continues,
    /// All codes were withdrawn before.
    Done,
}

/// The reason why the codes of a job cannot be withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWithdrawable {
    #[error("it is not an import: minted codes may have been handed out, and are never removed")]
    NotAnImport,
    #[error("it has not ended; cancel it first")]
    Unfinished,
}

/// Decides about a request to withdraw the codes of a job.
///
/// # Errors
/// If the job is not an import that has ended.
pub fn decide_withdrawal(job: &Job) -> Result<Withdrawal, NotWithdrawable> {
    if !matches!(job.origin, Origin::Imported { .. }) {
        return Err(NotWithdrawable::NotAnImport);
    }
    if !job.state.is_final() {
        return Err(NotWithdrawable::Unfinished);
    }
    let has_begun = job.error.as_ref().is_some_and(|error| error.code == JobError::WITHDRAWN);
    Ok(match (has_begun, job.minted) {
        (false, _) => Withdrawal::Begins,
        (true, 0) => Withdrawal::Done,
        (true, _) => Withdrawal::Continues,
    })
}

/// Returns the error of an import of which this many codes are left to withdraw.
pub fn withdrawal_error(codes_left: u64) -> JobError {
    let message = match codes_left {
        0 => "its codes were withdrawn",
        _ => "its codes are being withdrawn; repeat `codemint jobs withdraw` to withdraw the rest",
    };
    JobError { code: JobError::WITHDRAWN.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::{NotWithdrawable, Withdrawal, decide_withdrawal, withdrawal_error};
    use crate::job::options::JobOptions;
    use crate::job::record::{Job, Origin, Rejections};
    use crate::job::state::{JobError, State};
    use crate::policy::PolicyMarks;

    fn job(origin: Origin, state: State, minted: u64, error: Option<JobError>) -> Job {
        Job {
            no: 1,
            id: Uuid::nil(),
            origin,
            count: 10,
            campaign: None,
            options: JobOptions::default(),
            state,
            waits_for: None,
            generator_version: 0,
            chunk_size: 10,
            policy_marks: PolicyMarks::default(),
            minted,
            rejections: Rejections::default(),
            digest: None,
            error,
            created_at: DateTime::UNIX_EPOCH,
            started_at: None,
            finished_at: None,
        }
    }

    #[test]
    fn only_the_codes_of_an_import_that_has_ended_can_be_withdrawn() {
        let imported = || Origin::Imported { source_digest: vec![7; 32] };
        let refused = || Origin::Refused { mask_text: "[".to_owned() };
        let cancelled = JobError { code: "cancelled".to_owned(), message: String::new() };
        let (not_an_import, unfinished) = (Err(NotWithdrawable::NotAnImport), Err(NotWithdrawable::Unfinished));
        for (origin, state, minted, error, decided) in [
            (imported(), State::Completed, 10, None, Ok(Withdrawal::Begins)),
            (imported(), State::Completed, 0, None, Ok(Withdrawal::Begins)),
            (imported(), State::Cancelled, 5, Some(cancelled.clone()), Ok(Withdrawal::Begins)),
            (imported(), State::Failed, 0, Some(cancelled), Ok(Withdrawal::Begins)),
            (imported(), State::Cancelled, 5, Some(withdrawal_error(5)), Ok(Withdrawal::Continues)),
            (imported(), State::Cancelled, 0, Some(withdrawal_error(0)), Ok(Withdrawal::Done)),
            (imported(), State::Queued, 0, None, unfinished),
            (imported(), State::Running, 5, None, unfinished),
            (imported(), State::Cancelling, 5, None, unfinished),
            (refused(), State::Failed, 0, None, not_an_import),
        ] {
            assert_eq!(decide_withdrawal(&job(origin, state, minted, error)), decided, "{state} with {minted}");
        }
    }
}
