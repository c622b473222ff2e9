//! Lists of identities that the API has received and leaves to the program, which has the reader of lists.

use std::fs::File;

use codemint_codes::job::record::Job;
use codemint_codes::text::printable;
use codemint_codes::wire::list::{ListDocument, MembersDocument};
use codemint_offers::affiliate::document::ReplacedExclusionsDocument;
use codemint_offers::affiliate::exclusion::{EXCLUSIONS_MAX, RULE_EXCLUSIONS_MAX, not_described};
use codemint_offers::affiliate::rule::Rule;
use codemint_store::affiliates::exclusions::Excluding;
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::records::actor::Caller;
use tokio::sync::oneshot;

use crate::api::problem::{Kind, NOT_FOUND, Problem, refusal};

const TOO_MANY_EXCLUSIONS: Kind = refusal("too-many-exclusions", "There are as many exclusions as there may be");

/// A list, as it was received: each file is read from its beginning and has no name.
#[derive(Debug)]
pub enum ListErrand {
    Codes(CodesForList),
    Members(NewMembers),
    Exclusions(NewExclusions),
}

/// Identities that get a code of a restricted campaign each.
#[derive(Debug)]
pub struct CodesForList {
    pub campaign: Box<Campaign>,
    pub list: File,
    /// The requester, for the audit log.
    pub asked_by: String,
    pub done: oneshot::Sender<Result<ListOrdered, Problem>>,
}

/// What came of a list of identities that get codes.
#[derive(Debug)]
pub struct ListOrdered {
    /// `None` if each identity has its code already.
    pub job: Option<Job>,
    pub list: ListDocument,
}

/// The members that a segment is to have instead of all others.
#[derive(Debug)]
pub struct NewMembers {
    pub segment: String,
    pub list: File,
    /// The requester.
    pub caller: Caller,
    pub done: oneshot::Sender<Result<MembersDocument, Problem>>,
}

/// The exclusions that a rule for affiliates is to have instead of all others.
#[derive(Debug)]
pub struct NewExclusions {
    pub rule: Box<Rule>,
    pub list: File,
    /// The requester.
    pub caller: Caller,
    pub done: oneshot::Sender<Result<ReplacedExclusionsDocument, Problem>>,
}

/// Returns the result of a change of exclusions, or the problem of one that was refused.
pub fn excluding_done<T>(rule: &str, excluding: Excluding<T>) -> Result<T, Problem> {
    match excluding {
        Excluding::Done(result) => Ok(result),
        Excluding::NoRule => Err(no_rule(rule)),
        Excluding::NotDescribed { mask } => Err(Problem::invalid_field("reference", not_described(&mask))),
        Excluding::TooMany => {
            let detail = format!(
                "a rule has at most {RULE_EXCLUSIONS_MAX} exclusions, and all rules together have at most {EXCLUSIONS_MAX}; nothing was \
                 changed; write another mask instead"
            );
            Err(Problem::new(TOO_MANY_EXCLUSIONS, detail))
        }
    }
}

/// Returns the problem of a rule for affiliates that does not exist.
pub fn no_rule(name: &str) -> Problem {
    Problem::new(NOT_FOUND, format!("there is no rule {} for affiliates", printable(name)))
}
