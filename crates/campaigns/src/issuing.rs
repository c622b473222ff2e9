//! Issuing codes of a pool to identities. Requests that wait for the same store are answered by one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use codemint_codes::identity::{IdentityError, check_identity};
use codemint_store::campaigns::pool::{IssueOutcome, ToIssue};
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;

/// The maximum number of requests that wait; further ones are refused.
const QUEUE_MAX: usize = 10_000;
/// The maximum number of requests that one transaction answers.
const BATCH_MAX: usize = 1000;

/// The reason why a request was not decided.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IssueError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("too many requests are waiting; try again")]
    Busy,
    /// Whether a code was issued is unknown; the same request finds out.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

struct Request {
    campaign: String,
    identity: String,
    answer: oneshot::Sender<Result<IssueOutcome, IssueError>>,
}

/// Issues codes for any number of callers. Its task ends when the last copy is dropped.
#[derive(Clone, Debug)]
pub struct Issuer {
    requests: mpsc::Sender<Request>,
}

impl Issuer {
    /// Starts the task that combines requests.
    pub fn start(store: &Store) -> Self {
        let (requests, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(combine(store.clone(), waiting));
        Self { requests }
    }

    /// Binds a code of the campaign's pool to an identity, or returns the one that it has.
    ///
    /// # Errors
    /// `Busy` if too many requests wait; `Store` if the store failed.
    pub async fn issue(&self, campaign: &str, identity: &str) -> Result<IssueOutcome, IssueError> {
        let identity = check_identity(identity)?.to_owned();
        let (answer, answered) = oneshot::channel();
        let request = Request { campaign: campaign.to_owned(), identity, answer };
        self.requests.try_send(request).map_err(|_full_or_ended| IssueError::Busy)?;
        answered.await.unwrap_or(Err(IssueError::Busy))
    }
}

/// Answers what is waiting, again and again: no timer, a batch is what arrived while the previous one was written.
async fn combine(store: Store, mut waiting: mpsc::Receiver<Request>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let mut campaigns: BTreeMap<String, Vec<Request>> = BTreeMap::new();
        for request in batch.drain(..) {
            // Nobody waits for the answer, so nothing need be done.
            if !request.answer.is_closed() {
                campaigns.entry(request.campaign.clone()).or_default().push(request);
            }
        }
        for (campaign, requests) in campaigns {
            answer(&store, &campaign, requests).await;
        }
    }
}

async fn answer(store: &Store, campaign: &str, requests: Vec<Request>) {
    let to_issue = |request: &Request| ToIssue { identity: request.identity.clone(), cause: "issue", trigger_id: None };
    let wanted: Vec<ToIssue> = requests.iter().map(to_issue).collect();
    let outcomes = match store.issue(campaign, &wanted).await {
        // Another process was in the way, or the answer was lost: the same batch again finds out.
        Err(error) if error.is_retryable() => {
            tracing::debug!(%error, "issuing again");
            store.issue(campaign, &wanted).await
        }
        outcomes => outcomes,
    };
    match outcomes {
        Ok(outcomes) => {
            for (request, outcome) in requests.into_iter().zip(outcomes) {
                // A caller that has gone away needs no answer.
                let _gone = request.answer.send(Ok(outcome));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for request in requests {
                let _gone = request.answer.send(Err(IssueError::Store(Arc::clone(&error))));
            }
        }
    }
}
