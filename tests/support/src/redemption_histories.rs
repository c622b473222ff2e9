//! The part of the oracle that judges what shops were answered about redemptions. Each shop records every request before it is
//! sent and every answer before the next step. The judge then looks, for each redemption, for one order of the requests that
//! explains all answers and the stored state: no request comes before it was sent or after it was answered.
//!
//! What is *not* a failure:
//! - A request without an answer that was carried out, at any time after it was sent, or was not.
//! - An answer that reports the redemption as unchanged although its own request changed it: the first attempt was committed, and
//!   the answer is that of the second one.
//! - A refusal that another process, which was faster, would not have received: limits and switches decide.
//! - A hold beyond its deadline: nothing depends on when it expires.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::amqp::Message;
use crate::stores::TestStore;
use codemint_offers::redemption::state::State;

/// A request of a shop about one redemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Request {
    Validate,
    Redeem {
        /// Requests under one id with different numbers are different requests.
        variant: u8,
        is_held: bool,
    },
    Confirm {
        /// The price of the cart that was paid.
        cart: Option<i64>,
    },
    Release,
    RollBack {
        keep_use: bool,
    },
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A code may be used.
    Valid,
    /// The current redemption.
    Stands {
        state: String,
        keep_use: bool,
        discount: Option<i64>,
        is_changed: bool,
    },
    DifferentRequest,
    WrongState(String),
    Unknown,
    Refused,
}

/// A line of a journal. Moments are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    Sent { call: u64, at: i64, id: Uuid, request: Request },
    Answered { call: u64, at: i64, answer: Answer },
}

/// A request with its answer, if one arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The number of the process that asked.
    pub process: usize,
    pub id: Uuid,
    pub request: Request,
    pub sent_at: i64,
    pub answer: Option<(i64, Answer)>,
}

/// A time in which a campaign was off for certain, in microseconds of the store's clock.
#[derive(Clone, Debug)]
pub struct OffTime {
    pub campaign: String,
    pub from: i64,
    pub until: i64,
    /// The redemptions of the campaign that were committed in this time.
    pub committed: i64,
}

/// Reads the journal of a process. The last line of one that was killed may be incomplete.
pub fn read_journal(process: usize, path: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(path).expect("a journal");
    let mut calls: BTreeMap<u64, Call> = BTreeMap::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        match serde_json::from_str(line).expect("a line of a journal") {
            Line::Sent { call, at, id, request } => {
                calls.insert(call, Call { process, id, request, sent_at: at, answer: None });
            }
            Line::Answered { call, at, answer } => {
                calls.get_mut(&call).expect("a request before its answer").answer = Some((at, answer));
            }
        }
    }
    calls.into_values().collect()
}

/// Returns every violation of what shops were answered, of switches, deadlines, owners and events. `told` holds all events about
/// redemptions; `None` if there was no broker. The tables are those of PostgreSQL.
pub async fn judge_histories(
    place: &TestStore,
    calls: &[Call],
    off: &[OffTime],
    told: Option<&[Message]>,
) -> Vec<String> {
    let rows = read_rows(place).await;
    let mut by_id: BTreeMap<Uuid, Vec<&Call>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.request != Request::Validate) {
        by_id.entry(call.id).or_default().push(call);
    }
    let mut violations = Vec::new();
    for (id, calls) in &by_id {
        let row = rows.get(id);
        if !explains(calls, row.map(|row| &row.standing)) {
            violations.push(format!("redemption {id} is {row:?}, which no order explains of {calls:#?}"));
        }
        if row.is_some_and(|row| calls.iter().any(|call| is_broken_promise(call, row))) {
            violations.push(format!("redemption {id} was not confirmed although it was paid in time: {calls:#?}"));
        }
    }
    for OffTime { campaign, committed, .. } in off.iter().filter(|off| off.committed != 0) {
        violations.push(format!("{committed} redemptions of campaign {campaign} were committed while it was off"));
    }
    let unasked = rows.keys().filter(|id| !by_id.contains_key(id)).count();
    if unasked > 0 {
        violations.push(format!("{unasked} redemptions were requested by nobody"));
    }
    violations.extend(rows.iter().flat_map(|(id, row)| judge_row(*id, row, off)));
    violations.extend(told.map_or_else(Vec::new, |told| judge_events(&rows, told)));
    violations.extend(judge_owners(place).await);
    violations.extend(judge_orders(place).await);
    violations
}

/// What is stored of a redemption. Moments are microseconds since 1970.
#[derive(Debug)]
struct Row {
    campaign: String,
    standing: Standing,
    held_at: i64,
    expires_at: Option<i64>,
    ended_at: Option<i64>,
}

/// A redemption at a moment of a history. `None` stands for what is not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Standing {
    state: State,
    keep_use: bool,
    variant: Option<u8>,
    /// The cart of the confirmation.
    cart: Option<i64>,
    discount: Option<Option<i64>>,
}

async fn read_rows(place: &TestStore) -> HashMap<Uuid, Row> {
    type Columns = (Uuid, String, String, bool, Option<i64>, i64, Option<i64>, Option<i64>);
    let sql = "select r.id, c.name, r.state, r.keep_use, r.discount,
                      cast(extract(epoch from r.held_at) * 1000000 as bigint),
                      cast(extract(epoch from r.expires_at) * 1000000 as bigint),
                      cast(extract(epoch from r.ended_at) * 1000000 as bigint)
                 from redemptions r join campaigns c on c.no = r.campaign_no";
    let rows = place.all::<Columns>(sql).await.into_iter();
    rows.map(|(id, campaign, state, keep_use, discount, held_at, expires_at, ended_at)| {
        let state = state.parse().expect("a state");
        let standing = Standing { state, keep_use, variant: None, cart: None, discount: Some(discount) };
        (id, Row { campaign, standing, held_at, expires_at, ended_at })
    })
    .collect()
}

/// Judges deadlines, and uses that were granted while the campaign was off.
fn judge_row(id: Uuid, row: &Row, off: &[OffTime]) -> Vec<String> {
    let is_late = row.expires_at.is_some_and(|expires_at| row.ended_at.is_some_and(|ended_at| ended_at >= expires_at));
    let is_off = |at: i64| off.iter().any(|off| off.campaign == row.campaign && (off.from..off.until).contains(&at));
    let mut violations = Vec::new();
    if row.standing.state == State::Expired && !is_late {
        violations.push(format!("redemption {id} expired before its deadline"));
    }
    if is_off(row.held_at) {
        violations.push(format!("redemption {id} was granted while its campaign was off"));
    }
    if row.standing.state == State::Confirmed && is_late && row.ended_at.is_some_and(is_off) {
        violations.push(format!("redemption {id} was confirmed late while its campaign was off"));
    }
    violations
}

/// A confirmation without a cart cannot be refused before the deadline.
fn is_broken_promise(call: &Call, row: &Row) -> bool {
    let Some((answered_at, Answer::Refused)) = call.answer else { return false };
    call.request == Request::Confirm { cart: None } && row.expires_at.is_some_and(|expires_at| answered_at < expires_at)
}

/// Judges whether the last change of each redemption was published, and no event names another redemption.
fn judge_events(rows: &HashMap<Uuid, Row>, told: &[Message]) -> Vec<String> {
    let ids: HashSet<String> = told
        .iter()
        .filter(|message| message.routing_key.starts_with("redemption."))
        .map(|message| message.json()["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    let mut violations = Vec::new();
    for (id, row) in rows.iter().filter(|(_, row)| row.standing.state != State::Held) {
        let state = row.standing.state.into_str();
        if !ids.contains(&format!("{id}/{state}")) {
            violations.push(format!("no event says that redemption {id} is {state}"));
        }
    }
    let known = |id: &&String| id.get(..36).and_then(|id| id.parse().ok()).is_some_and(|id| rows.contains_key(&id));
    let foreign = ids.iter().filter(|id| !known(id)).count();
    if foreign > 0 {
        violations.push(format!("{foreign} events name redemptions that do not exist"));
    }
    violations
}

/// Judges whether codes that belong to somebody were used by nobody else.
async fn judge_owners(place: &TestStore) -> Option<String> {
    let sql = "select count(*) from redemptions r join campaigns c on c.no = r.campaign_no
                left join assignments a on a.code = r.code
                where c.kind = 'restricted' and r.identity is distinct from a.identity_text";
    let foreign = place.number(sql).await;
    (foreign > 0).then(|| format!("{foreign} redemptions use the code of another identity"))
}

/// Judges whether exclusive offers have their orders to themselves.
async fn judge_orders(place: &TestStore) -> Option<String> {
    let sql = "select count(*) from (
                  select r.order_ref from redemptions r
                    join campaign_versions v on v.campaign_no = r.campaign_no and v.version = r.version
                   where r.state in ('held', 'confirmed') and r.order_ref is not null
                   group by r.order_ref
                  having count(*) > 1 and bool_or(cast(v.definition ->> 'exclusive' as boolean))) orders";
    let shared = place.number(sql).await;
    (shared > 0).then(|| format!("{shared} orders have an exclusive offer and another one"))
}

/// Returns whether some order of the calls about a redemption gives all answers and the stored state.
fn explains(calls: &[&Call], stored: Option<&Standing>) -> bool {
    let answered: Vec<(&Call, i64, &Answer)> =
        calls.iter().filter_map(|call| call.answer.as_ref().map(|(at, answer)| (*call, *at, answer))).collect();
    let unanswered: Vec<&Call> = calls.iter().filter(|call| call.answer.is_none()).copied().collect();
    assert!(answered.len() < 128, "too many requests about one redemption");
    let all = (1_u128 << answered.len()) - 1;
    let mut seen: HashSet<(u128, Option<Standing>)> = HashSet::new();
    let mut open = vec![(0, None)];
    while let Some((done, standing)) = open.pop() {
        if !seen.insert((done, standing.clone())) {
            continue;
        }
        if done == all && is_stored(standing.as_ref(), stored) {
            return true;
        }
        let left = || answered.iter().enumerate().filter(|(place, _)| done & (1 << place) == 0);
        // A call that was answered comes before each one that was sent later.
        let until = left().map(|(_, (_, at, _))| *at).min().unwrap_or(i64::MAX);
        for (place, (call, _, answer)) in left().filter(|(_, (call, ..))| call.sent_at <= until) {
            let after = answers(standing.as_ref(), call.request, answer);
            open.extend(after.into_iter().map(|standing| (done | (1 << place), standing)));
        }
        let possible = unanswered.iter().copied().chain(left().map(|(_, (call, ..))| *call));
        for call in possible.filter(|call| call.sent_at <= until) {
            open.extend(effects(standing.as_ref(), call.request).into_iter().map(|standing| (done, Some(standing))));
        }
        if let Some(held) = standing.filter(|standing| standing.state == State::Held) {
            open.push((done, Some(Standing { state: State::Expired, ..held })));
        }
    }
    false
}

fn is_stored(standing: Option<&Standing>, stored: Option<&Standing>) -> bool {
    match (standing, stored) {
        (None, None) => true,
        (Some(standing), Some(stored)) => {
            (standing.state, standing.keep_use) == (stored.state, stored.keep_use)
                && standing.discount.is_none_or(|discount| Some(discount) == stored.discount)
        }
        _ => false,
    }
}

/// Returns what a request may make of a redemption, its answer left aside.
fn effects(standing: Option<&Standing>, request: Request) -> Vec<Standing> {
    let Some(standing) = standing else {
        let Request::Redeem { variant, is_held } = request else { return Vec::new() };
        let state = if is_held { State::Held } else { State::Confirmed };
        return vec![Standing { state, keep_use: false, variant: Some(variant), cart: None, discount: None }];
    };
    let state = |state| Standing { state, ..standing.clone() };
    match (request, standing.state) {
        (Request::Confirm { cart: None }, State::Held | State::Expired) => vec![state(State::Confirmed)],
        (Request::Confirm { cart }, State::Held | State::Expired) => {
            vec![Standing { cart, discount: None, ..state(State::Confirmed) }]
        }
        (Request::Release, State::Held) => vec![state(State::Released)],
        (Request::RollBack { keep_use }, State::Confirmed) => vec![Standing { keep_use, ..state(State::RolledBack) }],
        _ => Vec::new(),
    }
}

/// Returns how a redemption may stand after a request that got this answer; nothing if it cannot have got it.
fn answers(standing: Option<&Standing>, request: Request, answer: &Answer) -> Vec<Option<Standing>> {
    match (answer, standing) {
        (Answer::Stands { is_changed: true, .. }, _) => {
            effects(standing, request).into_iter().filter_map(|after| agree(after, answer)).map(Some).collect()
        }
        (Answer::Stands { .. }, Some(standing)) if is_unchanged_by(standing, request) => {
            agree(standing.clone(), answer).map(Some).into_iter().collect()
        }
        (Answer::DifferentRequest, Some(standing)) if is_different(standing, request) => vec![Some(standing.clone())],
        (Answer::WrongState(state), Some(standing)) => {
            let is_wrong = *state == standing.state.into_str() && is_wrong_for(standing.state, request);
            if is_wrong { vec![Some(standing.clone())] } else { Vec::new() }
        }
        (Answer::Unknown, None) if !matches!(request, Request::Redeem { .. }) => vec![None],
        (Answer::Refused, None) if matches!(request, Request::Redeem { .. }) => vec![None],
        (Answer::Refused, Some(standing)) => refused(standing, request),
        _ => Vec::new(),
    }
}

/// Returns the standing with what the answer adds to it, unless they contradict each other.
fn agree(standing: Standing, answer: &Answer) -> Option<Standing> {
    let Answer::Stands { state, keep_use, discount, .. } = answer else { return None };
    let is_same = *state == standing.state.into_str()
        && *keep_use == standing.keep_use
        && standing.discount.is_none_or(|known| known == *discount);
    is_same.then_some(Standing { discount: Some(*discount), ..standing })
}

fn is_unchanged_by(standing: &Standing, request: Request) -> bool {
    match request {
        Request::Redeem { variant, .. } => standing.variant == Some(variant),
        Request::Confirm { cart } => standing.state == State::Confirmed && (cart.is_none() || cart == standing.cart),
        Request::Release => standing.state == State::Released,
        Request::RollBack { keep_use } => standing.state == State::RolledBack && keep_use == standing.keep_use,
        Request::Validate => false,
    }
}

fn is_different(standing: &Standing, request: Request) -> bool {
    match request {
        Request::Redeem { variant, .. } => standing.variant != Some(variant),
        Request::Confirm { cart } => standing.state == State::Confirmed && cart.is_some() && cart != standing.cart,
        Request::RollBack { keep_use } => standing.state == State::RolledBack && keep_use != standing.keep_use,
        Request::Release | Request::Validate => false,
    }
}

fn is_wrong_for(state: State, request: Request) -> bool {
    match request {
        Request::Confirm { .. } => matches!(state, State::Released | State::RolledBack),
        Request::Release => !matches!(state, State::Held | State::Released),
        Request::RollBack { .. } => !matches!(state, State::Confirmed | State::RolledBack),
        Request::Redeem { .. } | Request::Validate => false,
    }
}

/// A late confirmation that is refused ends a hold; one in time is refused for its cart alone, and leaves the hold.
fn refused(standing: &Standing, request: Request) -> Vec<Option<Standing>> {
    let expired = Some(Standing { state: State::Expired, ..standing.clone() });
    match (request, standing.state) {
        (Request::Confirm { .. }, State::Expired) | (Request::Confirm { cart: None }, State::Held) => vec![expired],
        (Request::Confirm { .. }, State::Held) => vec![expired, Some(standing.clone())],
        _ => Vec::new(),
    }
}
