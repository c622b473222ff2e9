//! Redeeming codes. Requests that wait for the same store are decided in one transaction, exactly and in the order in which
//! they came.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::answers::{RedeemError, Redeemed, Validation};
use crate::code_book::{CodeBook, KnownCode};
use crate::counting::{count_moved, count_redeemed, count_validated};
use crate::intake::Intake;
use crate::refusal_time;
use crate::shared::Shared;
use crate::validating::{self, Question};
use crate::waiter::Waiter;
use crate::writing::{self, Wanted, Write};
use codemint_codes::check::CheckKey;
use codemint_codes::typed::{Missing, Typed};
use codemint_offers::redemption::request::Request;
use codemint_offers::redemption::transition::Action;
use codemint_offers::verdict::reason::{Reason, shown};
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::redemptions::transitions::{ByHand, Move, Moved};
use codemint_telemetry::metrics::redemptions::waiting;

/// The maximum number of requests that wait; further ones are refused.
const QUEUE_MAX: usize = 10_000;

/// The number of batches that PostgreSQL writes at the same time, and of those that it reads: while one waits for the disk, the other
/// is being carried out.
const TASKS: usize = 2;

/// How a process redeems.
#[derive(Clone, Debug, Default)]
pub struct RedeemerOptions {
    /// Verifies check characters.
    pub check_key: Option<CheckKey>,
    /// Events about redemptions are written for a broker.
    pub emits_events: bool,
    /// Actions are recorded in the audit log: people take them by hand.
    pub audits: bool,
}

/// Redeems codes for any number of callers. Its tasks end when the last copy is dropped.
#[derive(Clone, Debug)]
pub struct Redeemer {
    shared: Arc<Shared>,
    writes: mpsc::Sender<Write>,
    questions: mpsc::Sender<Question>,
}

impl Redeemer {
    /// Starts the tasks that combine requests.
    ///
    /// # Errors
    /// If the key of identities cannot be read.
    pub async fn start(store: &Store, options: RedeemerOptions) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            book: CodeBook::new(store.clone(), options.check_key),
            key: store.identity_key().await?,
            store: store.clone(),
            definitions: DefinitionCache::default(),
            emits_events: options.emits_events,
            audits: options.audits,
            met_limits: AtomicBool::default(),
        });
        let (writes, waiting_writes) = mpsc::channel(QUEUE_MAX);
        let (questions, waiting_questions) = mpsc::channel(QUEUE_MAX);
        // SQLite has one writer.
        let tasks = if matches!(store, Store::Postgres(_)) { TASKS } else { 1 };
        let (to_write, to_read) = (Intake::new(waiting_writes, tasks), Intake::new(waiting_questions, tasks));
        let (to_write, to_read) = (Arc::new(to_write), Arc::new(to_read));
        for _ in 0..tasks {
            tokio::spawn(writing::combine(Arc::clone(&shared), Arc::clone(&to_write)));
            tokio::spawn(validating::combine(Arc::clone(&shared), Arc::clone(&to_read)));
        }
        Ok(Self { shared, writes, questions })
    }

    /// Uses a code, or holds it until the payment. The same request under the same id is carried out once, however often it
    /// is made. Without `explains`, codes that are unknown, dead or another person's are refused in the same words and after
    /// the same time.
    ///
    /// # Errors
    /// `Busy` if too many requests wait; `Store` if the store failed.
    pub async fn redeem(&self, id: Uuid, request: Request, explains: bool) -> Result<Redeemed, RedeemError> {
        let asked_at = Instant::now();
        let redeemed = self.write(|answer| Write::Redeem { id, request: Box::new(request), is_second: false, answer });
        let redeemed = redeemed.await;
        count_redeemed(&redeemed);
        Ok(match redeemed? {
            Redeemed::Refused(reasons) => {
                let reasons = shown(reasons, explains);
                refusal_time::wait(&reasons, explains, asked_at).await;
                Redeemed::Refused(reasons)
            }
            redeemed => redeemed,
        })
    }

    /// Confirms, releases or rolls back a redemption.
    ///
    /// # Errors
    /// `Busy` if too many requests wait; `Store` if the store failed.
    pub async fn act(&self, id: Uuid, action: Action) -> Result<Moved, RedeemError> {
        self.carry_out(Move::new(id, action)).await
    }

    /// Does the same for a person in the console; the audit log records who acted and why.
    ///
    /// # Errors
    /// As [`Self::act`].
    pub async fn act_by_hand(&self, id: Uuid, action: Action, by_hand: ByHand) -> Result<Moved, RedeemError> {
        self.carry_out(Move { id, action, by_hand: Some(by_hand) }).await
    }

    async fn carry_out(&self, one: Move) -> Result<Moved, RedeemError> {
        let moved = self.write(|answer| Write::Act { one, answer }).await;
        count_moved(&moved);
        moved
    }

    /// Finds out whether a code may be used, and for how much. Writes nothing. `explains` is as in [`Self::redeem`].
    ///
    /// # Errors
    /// `Busy` if too many requests wait; `Store` if the store failed.
    pub async fn validate(&self, request: Request, explains: bool) -> Result<Validation, RedeemError> {
        let asked_at = Instant::now();
        let validation = self.ask(request).await;
        count_validated(&validation);
        let validation = validation?.shown(explains);
        refusal_time::wait(&validation.verdict.reasons, explains, asked_at).await;
        Ok(validation)
    }

    /// Returns the reasons that are expected against a request, without an answer to its caller: nothing is counted. The time is that of
    /// [`Self::validate`], since what a caller waits for in all must not help to guess codes.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub async fn foresee(&self, request: Request, explains: bool) -> Result<Vec<Reason>, RedeemError> {
        let asked_at = Instant::now();
        let reasons = self.ask(request).await?.shown(explains).verdict.reasons;
        refusal_time::wait(&reasons, explains, asked_at).await;
        Ok(reasons)
    }

    /// Looks up codes as they were typed, and answers in their order; `None` for a text that is not a code of a campaign.
    pub(crate) async fn find_codes(&self, typed: &[&str]) -> Result<Vec<Option<KnownCode>>, StoreError> {
        self.shared.book.find(typed).await
    }

    /// Returns the reason why a text is not a code, as far as the masks show it.
    pub(crate) async fn judge_missing(&self, typed: &Typed) -> Result<Missing, StoreError> {
        self.shared.book.judge(typed).await
    }

    async fn ask(&self, request: Request) -> Result<Validation, RedeemError> {
        let (answer, answered) = oneshot::channel();
        let question = Question { request: Box::new(request), answer };
        self.questions.try_send(question).map_err(|_full_or_ended| RedeemError::Busy)?;
        answered.await.unwrap_or(Err(RedeemError::Busy))
    }

    async fn write<T>(&self, write: impl FnOnce(Wanted<T>) -> Write) -> Result<T, RedeemError> {
        let (answer, answered) = Waiter::new();
        let sent = self.writes.try_send(write(answer));
        // Also here: while the store does not answer, no further batch begins.
        waiting(self.writes.max_capacity() - self.writes.capacity());
        sent.map_err(|_full_or_ended| RedeemError::Busy)?;
        answered.await.unwrap_or(Err(RedeemError::Busy))
    }
}
