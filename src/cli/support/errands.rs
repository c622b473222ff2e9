//! The work that the HTTP API leaves to this program: minting the codes of public campaigns, and reading lists of identities.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::cli::support::context::Context;
use crate::cli::support::exclusion_list::ExclusionList;
use crate::cli::support::failure::Failure;
use crate::cli::support::input;
use crate::cli::support::list_job::{ListRequest, Ordered, list_document};
use crate::cli::support::member_list::MemberList;
use crate::cli::support::public_code;
use crate::cli::support::wrong_lines::WrongLines;
use codemint_codes::wire::list::MembersDocument;
use codemint_import::error::ImportError;
use codemint_import::identity_list::{IdentityList, LIST_BYTES_MAX, LIST_MAX, ListError};
use codemint_import::rows::RowsError;
use codemint_offers::affiliate::document::ReplacedExclusionsDocument;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_server::api::list_errands::{
    CodesForList, ListErrand, ListOrdered, NewExclusions, NewMembers, excluding_done,
};
use codemint_server::api::ordering::{issue_limit, stored_job};
use codemint_server::api::problem::{INVALID, Problem, STORE_AWAY, TOO_LARGE};
use codemint_server::api::service::{PublicCode, Wanted};
use codemint_store::connection::store::Store;
use codemint_store::records::actor::acting_for;

/// The maximum number of public codes that are made at once.
const PUBLIC_CODES_AT_ONCE: usize = 4;
/// The maximum number of lists that are in memory at once.
const LISTS_AT_ONCE: usize = 2;

/// Does what the API wants; ends when the API has ended.
pub async fn run(context: &Context, store: &Store, wanted: Wanted) {
    let Wanted { public_codes, lists } = wanted;
    let make = |PublicCode { definition, made }: PublicCode| async move {
        let result = public_code::make(context, store, &definition).await.map_err(problem_of);
        // A caller that has gone away repeats the request.
        let _gone = made.send(result);
    };
    let read = |errand| async move {
        match errand {
            ListErrand::Codes(errand) => order(context, store, errand).await,
            ListErrand::Members(errand) => replace(context, store, errand).await,
            ListErrand::Exclusions(errand) => replace_exclusions(context, store, errand).await,
        }
    };
    tokio::join!(each(public_codes, PUBLIC_CODES_AT_ONCE, make), each(lists, LISTS_AT_ONCE, read));
}

/// Carries out what arrives, so many at once, until nothing more can arrive.
async fn each<T, W: Future<Output = ()>>(mut wanted: mpsc::Receiver<T>, at_once: usize, work: impl Fn(T) -> W) {
    let mut working = FuturesUnordered::new();
    loop {
        tokio::select! {
            next = wanted.recv(), if working.len() < at_once => match next {
                Some(next) => working.push(work(next)),
                None => break,
            },
            Some(()) = working.next() => {}
        }
    }
    while working.next().await.is_some() {}
}

async fn order(context: &Context, store: &Store, errand: CodesForList) {
    let CodesForList { campaign, list, asked_by, done } = errand;
    let ordered = async {
        let key = context.with_retries(async || store.identity_key().await).await.map_err(problem_of)?;
        let stop = context.stop.token().clone();
        let read = input::on_a_thread(context, move || {
            let proceed = |_bytes| if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            IdentityList::read(list, true, &key, &proceed, &mut |_left_out| Ok(()))
        });
        let mut list = read.await.map_err(problem_of)?.map_err(problem_of_list)?;
        if list.is_empty() {
            return Err(empty("the list holds no valid identity; nothing was ordered"));
        }
        let request = ListRequest { campaign: &campaign, new_check_key: false, asked_by: Some(asked_by) };
        let put = request.put(context, store, &mut list, &mut |_left_out| Ok(())).await.map_err(problem_of)?;
        let job = match put {
            Ordered::Known(job) => Some(*job),
            Ordered::Put(request, put) => Some(stored_job(&request, *put)?),
            Ordered::Nothing => None,
            Ordered::LimitReached { left } => return Err(issue_limit(list.len(), left)),
        };
        Ok(ListOrdered { job, list: list_document(&list.counts) })
    };
    // A caller that has gone away repeats the request.
    let _gone = done.send(ordered.await);
}

async fn replace(context: &Context, store: &Store, errand: NewMembers) {
    let NewMembers { segment, list, caller, done } = errand;
    let replaced = async {
        let stop = context.stop.token().clone();
        let read = input::on_a_thread(context, move || MemberList::read(list, true, &stop));
        let list = read.await.map_err(problem_of)?.map_err(problem_of_reading)?;
        if list.is_too_large {
            return Err(too_large());
        }
        if list.wrong.count > 0 {
            return Err(wrong_lines(&list.wrong, "have no valid identity"));
        }
        if list.is_missing() {
            return Err(empty(
                "the list holds no identities; nothing was changed; for no members, send the header identity",
            ));
        }
        let repeated = list.repeated;
        let replaced = list.replace_members(context, store, &segment).await.map_err(problem_of)?;
        Ok(MembersDocument { name: segment, before: replaced.before, now: replaced.now, repeated })
    };
    let _gone = done.send(acting_for(Arc::new(OnceLock::from(caller)), replaced).await);
}

async fn replace_exclusions(context: &Context, store: &Store, errand: NewExclusions) {
    let NewExclusions { rule, list, caller, done } = errand;
    let name = rule.name.clone();
    let replaced = async {
        let stop = context.stop.token().clone();
        let read = input::on_a_thread(context, move || ExclusionList::read(list, &rule, &stop));
        let list = read.await.map_err(problem_of)?.map_err(|error| match error {
            RowsError::Read(error) => problem_of_reading(error),
            error => Problem::invalid_field("", format!("{error}; nothing was changed")),
        })?;
        if list.is_too_large {
            return Err(Problem::new(
                TOO_LARGE,
                "the list has more rows or bytes than exclusions may have; nothing was changed",
            ));
        }
        if list.wrong.count > 0 {
            return Err(wrong_lines(&list.wrong, "are wrong"));
        }
        let repeated = list.repeated;
        let replaced = excluding_done(&name, list.replace(context, store, &name).await.map_err(problem_of)?)?;
        Ok(ReplacedExclusionsDocument { rule: name, before: replaced.before, now: replaced.now, repeated })
    };
    let _gone = done.send(acting_for(Arc::new(OnceLock::from(caller)), replaced).await);
}

fn empty(advice: &str) -> Problem {
    Problem::invalid_field("", advice)
}

fn too_large() -> Problem {
    Problem::new(
        TOO_LARGE,
        format!("the list has more than {LIST_MAX} identities or {LIST_BYTES_MAX} bytes; nothing was changed"),
    )
}

/// Returns the problem of a list with wrong lines, which `are` this.
fn wrong_lines<P: Display>(wrong: &WrongLines<P>, are: &str) -> Problem {
    let error = |(line, problem): &(u64, P)| FieldProblem::new(format!("line {line}"), problem.to_string());
    let detail = format!("lines that {are}: {}; nothing was changed; the first ones are listed", wrong.count);
    Problem::invalid_in_many(detail, wrong.iter().map(error))
}

fn problem_of_list(error: ListError) -> Problem {
    match error {
        ListError::Read(error) => problem_of_reading(error),
        ListError::TooLarge => too_large(),
        ListError::LeftOut(error) => Problem::internal(error.to_string()),
    }
}

fn problem_of_reading(error: ImportError) -> Problem {
    match error {
        ImportError::Temporary { .. } | ImportError::Read { .. } | ImportError::RejectFile(_) => {
            Problem::internal(error.to_string())
        }
        ImportError::Interrupted => Problem::busy(),
        error => Problem::invalid_field("", error.to_string()),
    }
}

fn problem_of(failure: Failure) -> Problem {
    match failure {
        Failure::Message { code: 3 | 4, message } => Problem::new(INVALID, message),
        Failure::Message { code: 5, .. } => {
            Problem::new(STORE_AWAY, "the database does not answer; try again").retried_after(1)
        }
        Failure::Message { message, .. } => Problem::internal(message),
        Failure::OutputClosed | Failure::Reported { .. } => Problem::internal("an errand of the API failed"),
    }
}
