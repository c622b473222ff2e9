//! Redeeming codes. Requests that wait for the same store are decided in one transaction, exactly and in the order in which
//! they came.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::answers::{RedeemError, Redeemed, Validation};
use crate::code_book::CodeBook;
use crate::counting::{count_moved, count_redeemed, count_validated};
use crate::shared::Shared;
use crate::validating::{self, Question};
use crate::waiter::Waiter;
use crate::writing::{self, Wanted, Write};
use codemint_codes::check::CheckKey;
use codemint_offers::redemption::request::Request;
use codemint_offers::redemption::transition::Action;
use codemint_offers::verdict::reason::shown;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::redemptions::transitions::{Move, Moved};
use codemint_telemetry::metrics::redemptions::waiting;

/// The maximum number of requests that wait; further ones are refused.
const QUEUE_MAX: usize = 10_000;

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
        });
        let (writes, waiting_writes) = mpsc::channel(QUEUE_MAX);
        let (questions, waiting_questions) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(writing::combine(Arc::clone(&shared), waiting_writes));
        tokio::spawn(validating::combine(shared, waiting_questions));
        Ok(Self { writes, questions })
    }

    /// Uses a code, or holds it until the payment. The same request under the same id is carried out once, however often it
    /// is made.
    ///
    /// # Errors
    /// `Busy` if too many requests wait; `Store` if the store failed.
    pub async fn redeem(&self, id: Uuid, request: Request, explains: bool) -> Result<Redeemed, RedeemError> {
        let redeemed = self.write(|answer| Write::Redeem { id, request: Box::new(request), is_second: false, answer });
        let redeemed = redeemed.await;
        count_redeemed(&redeemed);
        Ok(match redeemed? {
            Redeemed::Refused(reasons) => Redeemed::Refused(shown(reasons, explains)),
            redeemed => redeemed,
        })
    }

    /// Confirms, releases or rolls back a redemption.
    ///
    /// # Errors
    /// `Busy` if too many requests wait; `Store` if the store failed.
    pub async fn act(&self, id: Uuid, action: Action) -> Result<Moved, RedeemError> {
        let moved = self.write(|answer| Write::Act { one: Move { id, action }, answer }).await;
        count_moved(&moved);
        moved
    }

    /// Finds out whether a code may be used, and for how much. Writes nothing.
    ///
    /// # Errors
    /// `Busy` if too many requests wait; `Store` if the store failed.
    pub async fn validate(&self, request: Request, explains: bool) -> Result<Validation, RedeemError> {
        let validation = self.ask(request).await;
        count_validated(&validation);
        Ok(validation?.shown(explains))
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
