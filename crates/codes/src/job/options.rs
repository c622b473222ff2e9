//! What a request says about a job apart from its codes.

use crate::job::restriction::RestrictedTo;

/// The options of a job, apart from what it asks for: two requests that differ only in this are the same request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobOptions {
    /// The priority, 0 to [`PRIORITY_MAX`]; jobs with a higher priority go first.
    pub priority: u8,
    /// True if events report the job's progress and end.
    pub emits_events: bool,
    /// The queue that also receives the final event.
    pub reply_to: Option<String>,
    /// The requester's own id for this request; events repeat it.
    pub correlation_id: Option<String>,
    /// The trace of the request, in the form of <https://www.w3.org/TR/trace-context/#traceparent-header>.
    pub traceparent: Option<String>,
    /// Where the codes go, if they belong to a restricted campaign.
    pub restricted_to: Option<RestrictedTo>,
    /// True if the request accepts a check key other than that of the newest job of its mask. Stored in the audit log only.
    pub new_check_key: bool,
    /// The requester, for the audit log; `None` means the user who runs this process. Not stored with the job.
    pub asked_by: Option<String>,
    /// True if the request is refused unless enough codes are certain to be free; else it may wait until unfinished jobs
    /// have left enough. Not stored with the job.
    pub refuses_to_wait: bool,
}

/// The highest priority: that of a job that goes first.
pub const PRIORITY_MAX: u8 = 9;
