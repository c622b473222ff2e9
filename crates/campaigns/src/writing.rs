//! The combiner: what waits is written in one transaction, and what came meanwhile in the next.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::answers::{RedeemError, Redeemed};
use crate::attempts::Attempts;
use crate::counting::count_expired;
use crate::intake::Intake;
use crate::shared::Shared;
use crate::waiter::Waiter;
use codemint_codes::identity::FORGOTTEN;
use codemint_offers::redemption::request::Request;
use codemint_offers::redemption::transition::Action;
use codemint_offers::verdict::decide::{UNKNOWN_CODE, reasons_of_unknown};
use codemint_offers::verdict::reason::{Reason, ReasonCode};
use codemint_store::connection::error::StoreError;
use codemint_store::redemptions::facts::Asked;
use codemint_store::redemptions::overdue::FullSubjects;
use codemint_store::redemptions::redeem::{RedeemOptions, Redeemed as Decided};
use codemint_store::redemptions::transitions::{Move, MoveOptions, Moved};
use codemint_telemetry::metrics::redemptions as metrics;

/// Where an answer goes.
pub(crate) type Wanted<T> = Waiter<Result<T, RedeemError>>;

/// A request that writes.
pub(crate) enum Write {
    Redeem {
        id: Uuid,
        request: Box<Request>,
        /// It was refused for a limit once, and overdue holds were given back since.
        is_second: bool,
        answer: Wanted<Redeemed>,
    },
    Act {
        one: Move,
        answer: Wanted<Moved>,
    },
}

/// Requests that one transaction may decide.
#[derive(Default)]
struct Batch {
    redeems: Vec<(Asking, Wanted<Redeemed>)>,
    moves: Vec<(Move, Wanted<Moved>)>,
    ids: HashSet<Uuid>,
    orders: HashSet<String>,
}

struct Asking {
    id: Uuid,
    request: Box<Request>,
    is_second: bool,
}

/// A request with what is known about its code.
struct Known {
    asked: Asked,
    is_second: bool,
    answer: Wanted<Redeemed>,
}

impl Batch {
    /// Takes a request, or gives it back if another one of the batch is about the same redemption or order: each is to see
    /// what the one before has done.
    fn add(&mut self, write: Write) -> Option<Write> {
        match write {
            // Nobody waits for the answer, so nothing need be done.
            Write::Redeem { answer, .. } if answer.is_closed() => None,
            Write::Act { answer, .. } if answer.is_closed() => None,
            Write::Redeem { id, request, is_second, answer } => {
                let order = request.order.as_ref();
                if self.ids.contains(&id) || order.is_some_and(|order| self.orders.contains(order)) {
                    return Some(Write::Redeem { id, request, is_second, answer });
                }
                self.ids.insert(id);
                self.orders.extend(order.cloned());
                self.redeems.push((Asking { id, request, is_second }, answer));
                None
            }
            Write::Act { one, answer } => {
                if !self.ids.insert(one.id) {
                    return Some(Write::Act { one, answer });
                }
                self.moves.push((one, answer));
                None
            }
        }
    }
}

/// Carries out what is waiting, again and again: no timer, a batch is what came while the previous one was written.
pub(crate) async fn combine(shared: Arc<Shared>, intake: Arc<Intake<Write>>) {
    let mut queue: Vec<Write> = Vec::new();
    while let Some(waiting) = intake.fill(&mut queue).await {
        metrics::waiting(waiting);
        let mut batch = Batch::default();
        let mut later = Vec::new();
        for write in queue.drain(..) {
            later.extend(batch.add(write));
        }
        queue = later;
        let requests = batch.redeems.len() + batch.moves.len();
        intake.begin(requests);
        if !batch.moves.is_empty() {
            carry_out(&shared, batch.moves).await;
        }
        if !batch.redeems.is_empty() {
            // Those that are decided once more came before what waits for them.
            queue.splice(..0, redeem(&shared, batch.redeems).await);
        }
        intake.end(requests);
    }
}

/// Decides requests, and returns those that enter the next batch.
async fn redeem(shared: &Shared, asking: Vec<(Asking, Wanted<Redeemed>)>) -> Vec<Write> {
    let typed: Vec<&str> = asking.iter().map(|(asking, _)| asking.request.code.as_str()).collect();
    let mut attempts = Attempts::new();
    let codes = loop {
        match shared.book.find(&typed).await {
            Ok(codes) => break codes,
            Err(error) if attempts.again(&error).await => {}
            Err(error) => {
                fail(error, asking.into_iter().map(|(_, answer)| answer));
                return Vec::new();
            }
        }
    };
    let (mut known, mut unknown) = (Vec::with_capacity(asking.len()), Vec::new());
    for ((Asking { id, request, is_second }, answer), code) in asking.into_iter().zip(codes) {
        match code {
            Some(code) => known.push(Known { asked: shared.asked(id, *request, code), is_second, answer }),
            None => unknown.push((id, request, answer)),
        }
    }
    refuse_unknown(shared, unknown).await;
    let mut short = Vec::new();
    let mut batches = vec![known];
    while let Some(mut batch) = batches.pop() {
        if batch.is_empty() {
            continue;
        }
        batch.iter_mut().for_each(|known| known.answer.begins());
        let asked: Vec<Asked> = batch.iter().map(|known| known.asked.clone()).collect();
        match decide(shared, &asked).await {
            Ok(decided) => {
                for (known, decided) in batch.into_iter().zip(decided) {
                    answer(known, decided, &mut short);
                }
            }
            // One of them cannot be written: the others must not suffer.
            Err(error) if !error.is_retryable() && batch.len() > 1 => {
                tracing::warn!(%error, requests = batch.len(), "a batch is split");
                let second = batch.split_off(batch.len() / 2);
                batches.push(second);
                batches.push(batch);
            }
            Err(error) => fail(error, batch.into_iter().map(|known| known.answer)),
        }
    }
    give_back_overdue(shared, short).await
}

/// Answers requests whose codes nobody knows. Under an id that was granted before, every other code has the same
/// answer: it must not show which codes exist.
async fn refuse_unknown(shared: &Shared, unknown: Vec<(Uuid, Box<Request>, Wanted<Redeemed>)>) {
    if unknown.is_empty() {
        return;
    }
    let asked: Vec<_> = unknown.iter().map(|(id, request, _)| (*id, request.digest(&shared.key))).collect();
    let mut attempts = Attempts::new();
    let found = loop {
        match shared.store.find_repeated(&asked).await {
            Ok(found) => break found,
            Err(error) if attempts.again(&error).await => {}
            Err(error) => return fail(error, unknown.into_iter().map(|(.., answer)| answer)),
        }
    };
    for ((_, request, answer), found) in unknown.into_iter().zip(found) {
        let _gone = answer.send(Ok(match found {
            Some(Decided::Repeated(redemption)) => Redeemed::Granted { redemption, is_new: false },
            Some(_) => Redeemed::DifferentRequest,
            None => Redeemed::Refused(reasons_of_unknown(&request.context, UNKNOWN_CODE)),
        }));
    }
}

/// Answers a request, unless it was refused for limits alone, for the first time.
fn answer(known: Known, decided: Decided, short: &mut Vec<(Known, Vec<Reason>)>) {
    let answer = match decided {
        Decided::Created(redemption) => Redeemed::Granted { redemption, is_new: true },
        Decided::Repeated(redemption) => Redeemed::Granted { redemption, is_new: false },
        Decided::DifferentRequest => Redeemed::DifferentRequest,
        Decided::Refused { reasons, is_short: true } if !known.is_second => {
            short.push((known, reasons));
            return;
        }
        Decided::Refused { reasons, .. } => Redeemed::Refused(reasons),
    };
    // A caller that has gone away needs no answer.
    let _gone = known.answer.send(Ok(answer));
}

/// Looks for overdue holds of the limits that were full. If there are any, they expire, and the requests are decided once
/// more; otherwise they are refused.
async fn give_back_overdue(shared: &Shared, short: Vec<(Known, Vec<Reason>)>) -> Vec<Write> {
    if short.is_empty() {
        return Vec::new();
    }
    let full = full_subjects(&short);
    match expire_overdue(shared, &full).await {
        Ok(0) => {
            for (known, reasons) in short {
                let _gone = known.answer.send(Ok(Redeemed::Refused(reasons)));
            }
            Vec::new()
        }
        Ok(_) => {
            let again = short.into_iter().map(|(Known { asked, answer, .. }, _)| Write::Redeem {
                id: asked.id,
                request: Box::new(asked.request),
                is_second: true,
                answer,
            });
            again.collect()
        }
        Err(error) => {
            fail(error, short.into_iter().map(|(known, _)| known.answer));
            Vec::new()
        }
    }
}

async fn decide(shared: &Shared, asked: &[Asked]) -> Result<Vec<Decided>, StoreError> {
    let options = RedeemOptions {
        emits_events: shared.emits_events,
        reads_limits_first: shared.met_limits.load(Ordering::Relaxed),
    };
    let mut attempts = Attempts::new();
    let decided = loop {
        let _timed = metrics::TransactionTimed::begin(asked.len());
        match shared.store.redeem(&shared.definitions, asked, options).await {
            Err(error) if attempts.again(&error).await => {}
            decided => break decided?,
        }
    };
    let has_met_limits = decided.iter().any(|decided| matches!(decided, Decided::Refused { is_short: true, .. }));
    shared.met_limits.store(has_met_limits, Ordering::Relaxed);
    Ok(decided)
}

async fn act(shared: &Shared, moves: &[Move]) -> Result<Vec<Moved>, StoreError> {
    let options = MoveOptions { emits_events: shared.emits_events, audits: shared.audits, skips_locked: false };
    let mut attempts = Attempts::new();
    loop {
        let _timed = metrics::TransactionTimed::begin(moves.len());
        match shared.store.move_redemptions(&shared.definitions, moves, options).await {
            Err(error) if attempts.again(&error).await => {}
            moved => return moved,
        }
    }
}

/// Returns the number of holds that have expired.
async fn expire_overdue(shared: &Shared, full: &FullSubjects) -> Result<usize, StoreError> {
    let overdue = shared.store.find_overdue_of(full).await?;
    if overdue.is_empty() {
        return Ok(0);
    }
    let moves: Vec<Move> = overdue.into_iter().map(|id| Move::new(id, Action::Expire)).collect();
    count_expired(&act(shared, &moves).await?);
    // Also if another process was faster: there is room now.
    Ok(moves.len())
}

fn full_subjects(short: &[(Known, Vec<Reason>)]) -> FullSubjects {
    let mut full = FullSubjects::default();
    for (Known { asked, .. }, reasons) in short {
        for reason in reasons {
            match reason.code {
                ReasonCode::LimitReached => full.codes.push(asked.code.clone()),
                ReasonCode::IdentityLimitReached => {
                    let address = asked.address.as_ref();
                    full.identities.extend(asked.request.identity.clone());
                    full.identities.extend(address.map(|address| address.text.clone()));
                    // What it held before it was forgotten.
                    let digests = asked.identity.iter().chain(address.map(|address| &address.digest));
                    full.identities.extend(digests.map(|digest| format!("{FORGOTTEN}{digest}")));
                }
                _ => full.campaign_nos.push(asked.campaign_no),
            }
        }
    }
    for texts in [&mut full.codes, &mut full.identities] {
        texts.sort_unstable();
        texts.dedup();
    }
    full.campaign_nos.sort_unstable();
    full.campaign_nos.dedup();
    full
}

async fn carry_out(shared: &Shared, asked: Vec<(Move, Wanted<Moved>)>) {
    let mut batches = vec![asked];
    while let Some(mut batch) = batches.pop() {
        batch.iter_mut().for_each(|(_, answer)| answer.begins());
        let moves: Vec<Move> = batch.iter().map(|(one, _)| one.clone()).collect();
        match act(shared, &moves).await {
            Ok(moved) => {
                for ((_, answer), moved) in batch.into_iter().zip(moved) {
                    let _gone = answer.send(Ok(moved));
                }
            }
            Err(error) if !error.is_retryable() && batch.len() > 1 => {
                tracing::warn!(%error, actions = batch.len(), "a batch is split");
                let second = batch.split_off(batch.len() / 2);
                batches.push(second);
                batches.push(batch);
            }
            Err(error) => fail(error, batch.into_iter().map(|(_, answer)| answer)),
        }
    }
}

fn fail<T>(error: StoreError, answers: impl Iterator<Item = Wanted<T>>) {
    let error = Arc::new(error);
    for answer in answers {
        let _gone = answer.send(Err(RedeemError::Store(Arc::clone(&error))));
    }
}
