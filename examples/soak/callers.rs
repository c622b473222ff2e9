//! Callers that request codes of pools, through two issuers and as processes of their own, some of which are killed. They ask
//! for the same identities as each other and as the lists.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::owners::{CAMPAIGNS, People, kill_after};
use codemint_campaigns::issuing::{IssueError, Issuer};
use codemint_store::campaigns::pool::IssueOutcome;
use codemint_test_support::owners_oracle::IssueAsked;

const CALLERS: u64 = 8;
/// How long a caller repeats a request that no store answers.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// What was requested, and what was answered, of each campaign and identity.
#[derive(Default)]
struct Answers(Mutex<BTreeMap<(&'static str, String), Option<String>>>);

impl Answers {
    fn ask(&self, campaign: &'static str, identity: &str) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.entry((campaign, identity.to_owned())).or_default();
    }

    fn answer(&self, campaign: &'static str, identity: &str, code: &str) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = answers.insert((campaign, identity.to_owned()), Some(code.to_owned())).flatten();
        assert!(before.is_none_or(|before| before == code), "an identity was answered two codes");
    }
}

/// Requests codes until the time is up; `lot` gives each caller its own choices.
pub async fn call(ground: &Ground, people: &People, lot: impl Fn(u64) -> Lot, until: Instant) -> Vec<IssueAsked> {
    let store = &ground.site.store;
    // As in two processes, which know nothing of each other.
    let issuers = [Issuer::start(&store.open_again().await), Issuer::start(&store.open_again().await)];
    let answers = Answers::default();
    let caller = async |number: u64| {
        let mut lot = lot(number);
        while Instant::now() < until {
            call_once(ground, people, &issuers, &answers, &mut lot).await;
            sleep(lot.pause(Duration::ZERO, Duration::from_millis(40))).await;
        }
    };
    join_all((0..CALLERS).map(caller)).await;
    let answers = answers.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let asked = |((campaign, identity), code): ((&str, String), _)| {
        let campaign = campaign.to_owned();
        IssueAsked { campaign, identity, code }
    };
    answers.into_iter().map(asked).collect()
}

async fn call_once(ground: &Ground, people: &People, issuers: &[Issuer; 2], answers: &Answers, lot: &mut Lot) {
    let campaign = CAMPAIGNS[lot.below(CAMPAIGNS.len())].name;
    let identity = people.one(lot);
    answers.ask(campaign, &identity);
    let (kind, pause) = (lot.below(100), lot.pause(Duration::ZERO, Duration::from_millis(300)));
    match kind {
        0..2 => {
            ground.count("killed a command that issued a code");
            kill_after(ground.site.store.codemint(["issue", campaign, &identity]), pause).await;
        }
        2..30 => {
            ground.count("issued to one identity from two processes at once");
            let other = issue(ground, &issuers[1], answers, campaign, &identity);
            tokio::join!(issue(ground, &issuers[0], answers, campaign, &identity), other);
        }
        _ => {}
    }
    issue(ground, &issuers[kind % 2], answers, campaign, &identity).await;
}

async fn issue(ground: &Ground, issuer: &Issuer, answers: &Answers, campaign: &'static str, identity: &str) {
    let started = Instant::now();
    while started.elapsed() < ANSWERED_WITHIN {
        let what = match issuer.issue(campaign, identity).await {
            Ok(IssueOutcome::Issued { code }) => {
                answers.answer(campaign, identity, &code);
                return ground.count("issued a code");
            }
            Ok(IssueOutcome::AlreadyGenerated { code }) => {
                answers.answer(campaign, identity, &code);
                return ground.count("answered with the code of before");
            }
            Ok(IssueOutcome::PoolEmpty) => return ground.count("issued nothing: the pool was empty"),
            Ok(IssueOutcome::LimitReached) => return ground.count("issued nothing: the limit was reached"),
            Ok(IssueOutcome::LimitReserved) => return ground.count("issued nothing: a list had the rest of the limit"),
            Ok(outcome) => panic!("{outcome:?}"),
            Err(IssueError::Store(error)) => {
                assert!(error.is_retryable(), "{error}");
                "issued again after a failure of the store"
            }
            Err(error) => panic!("{error}"),
        };
        ground.count(what);
        sleep(Duration::from_millis(100)).await;
    }
    ground.count("gave up a request for a code");
}
