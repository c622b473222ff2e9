//! Validations: what waits is read together.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::answers::{RedeemError, Validation};
use crate::attempts::Attempts;
use crate::intake::Intake;
use crate::shared::Shared;
use codemint_offers::redemption::ledger::Remaining;
use codemint_offers::redemption::request::Request;
use codemint_offers::verdict::decide::{UNKNOWN_CODE, Verdict, reasons_of_unknown};
use codemint_offers::verdict::reason::Reason;
use codemint_store::connection::error::StoreError;

/// A request that only asks.
pub(crate) struct Question {
    pub request: Box<Request>,
    pub answer: oneshot::Sender<Result<Validation, RedeemError>>,
}

/// Answers what is waiting, again and again: a batch is what came while the previous one was read.
pub(crate) async fn combine(shared: Arc<Shared>, intake: Arc<Intake<Question>>) {
    let mut batch = Vec::new();
    while intake.fill(&mut batch).await.is_some() {
        // Nobody waits for the answer, so nothing need be done.
        batch.retain(|question: &Question| !question.answer.is_closed());
        let count = batch.len();
        intake.begin(count);
        let requests: Vec<Request> = batch.iter().map(|question| (*question.request).clone()).collect();
        let mut attempts = Attempts::new();
        let validations = loop {
            match validate(&shared, requests.clone()).await {
                Err(error) if attempts.again(&error).await => {}
                validations => break validations,
            }
        };
        match validations {
            Ok(validations) => {
                for (question, validation) in batch.drain(..).zip(validations) {
                    let _gone = question.answer.send(Ok(validation));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for question in batch.drain(..) {
                    let _gone = question.answer.send(Err(RedeemError::Store(Arc::clone(&error))));
                }
            }
        }
        intake.end(count);
    }
}

async fn validate(shared: &Shared, requests: Vec<Request>) -> Result<Vec<Validation>, StoreError> {
    let typed: Vec<&str> = requests.iter().map(|request| request.code.as_str()).collect();
    let codes = shared.book.find(&typed).await?;
    let mut asked = Vec::new();
    // The reasons against those that are unknown.
    let mut unknown: Vec<Option<Vec<Reason>>> = Vec::with_capacity(codes.len());
    for (request, code) in requests.into_iter().zip(codes) {
        unknown.push(code.is_none().then(|| reasons_of_unknown(&request.context, UNKNOWN_CODE)));
        asked.extend(code.map(|code| shared.asked(Uuid::nil(), request, code)));
    }
    // Also without a known code: an answer about an unknown one takes as long.
    let mut validated = shared.store.validate(&shared.definitions, &asked).await?.into_iter();
    let answers = unknown.into_iter().filter_map(|unknown| match unknown {
        Some(reasons) => Some(not_found(reasons)),
        None => validated.next().map(|one| Validation {
            definition: Some(one.definition),
            verdict: one.verdict,
            remaining: one.remaining,
        }),
    });
    Ok(answers.collect())
}

fn not_found(reasons: Vec<Reason>) -> Validation {
    Validation { definition: None, verdict: Verdict { discount: None, reasons }, remaining: Remaining::default() }
}
