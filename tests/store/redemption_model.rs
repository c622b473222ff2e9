//! Random histories of redemptions on both stores, compared answer by answer with a naive model that keeps all redemptions in a
//! list and counts them anew for each decision.

use std::collections::BTreeMap;

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::state::State;
use codemint_offers::redemption::transition::Action;
use codemint_store::redemptions::transitions::Moved;
use codemint_test_support::redeem_steps::{
    asking, cart, change_campaign, create_campaign, definition, judge_redemptions, make_overdue,
};
use codemint_test_support::stores::{Kind, TestStore};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

/// What a caller may do, with small numbers in place of ids, codes, identities and orders, so that they meet often.
#[derive(Clone, Debug)]
enum Operation {
    Redeem {
        id: u8,
        asked: Asked,
    },
    Confirm {
        id: u8,
        cart: Option<i64>,
    },
    Release {
        id: u8,
    },
    RollBack {
        id: u8,
        keep_use: bool,
    },
    /// The deadline of a hold comes.
    Overdue {
        id: u8,
    },
    Switch {
        campaign: usize,
    },
    /// Limits of the whole campaign and of its budget; 0 is none.
    Limit {
        campaign: usize,
        redeemed: i64,
        budget: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    code: usize,
    identity: Option<u8>,
    order: Option<u8>,
    cart: Option<i64>,
    is_held: bool,
}

const CODES: [(&str, usize); 4] = [("PUBLIC", 0), ("ONCE-A", 1), ("ONCE-B", 1), ("STACK", 2)];

fn operation() -> impl Strategy<Value = Operation> {
    let asked = (0..CODES.len(), of(0..3_u8), of(0..4_u8), of(0..5_000_i64), any::<bool>())
        .prop_map(|(code, identity, order, cart, is_held)| Asked { code, identity, order, cart, is_held });
    let id = || 0..40_u8;
    prop_oneof![
        8 => (id(), asked).prop_map(|(id, asked)| Operation::Redeem { id, asked }),
        3 => (id(), of(0..5_000_i64)).prop_map(|(id, cart)| Operation::Confirm { id, cart }),
        2 => id().prop_map(|id| Operation::Release { id }),
        2 => (id(), any::<bool>()).prop_map(|(id, keep_use)| Operation::RollBack { id, keep_use }),
        2 => id().prop_map(|id| Operation::Overdue { id }),
        1 => (0..3_usize).prop_map(|campaign| Operation::Switch { campaign }),
        1 => (0..3_usize, 0..12_i64, 0..2_000_i64)
            .prop_map(|(campaign, redeemed, budget)| Operation::Limit { campaign, redeemed, budget }),
    ]
}

/// A campaign of the model.
#[derive(Clone, Debug)]
struct Campaign {
    version: u32,
    is_active: bool,
    is_exclusive: bool,
    per_code: i64,
    per_identity: i64,
    redeemed: i64,
    budget: i64,
}

impl Campaign {
    fn document(&self, number: usize) -> Value {
        let (name, kind, mask) =
            [("public", "public", "PUBLIC"), ("once", "private", "ONCE-[AB]"), ("stack", "public", "STACK")][number];
        let budget = (self.budget > 0).then(|| json!({ "currency": "EUR", "amount": self.budget }));
        definition(
            name,
            kind,
            mask,
            &json!({ "active": self.is_active, "exclusive": self.is_exclusive,
                     "limits": { "per_code": self.per_code, "per_identity": self.per_identity,
                                 "redeemed": self.redeemed, "budget": budget } }),
        )
    }
}

/// A redemption of the model.
#[derive(Clone, Debug)]
struct Use {
    asked: Asked,
    campaign: usize,
    state: State,
    keep_use: bool,
    discount: Option<i64>,
    is_overdue: bool,
    /// How many discounts had been decided when it became overdue.
    decided_at_deadline: usize,
    confirmed_with: Option<i64>,
    /// Whether the campaign was exclusive when it was decided, which never changes here.
    is_exclusive: bool,
    /// The places in the order in which redemptions were made, and in which discounts were decided.
    made: usize,
    decided: usize,
}

impl Use {
    fn counts(&self) -> bool {
        matches!(self.state, State::Held | State::Confirmed) || self.state == State::RolledBack && self.keep_use
    }

    /// Whether other codes on the order see it: limits count an overdue hold until somebody expires it, orders do not.
    fn is_seen(&self) -> bool {
        self.state == State::Confirmed || self.state == State::Held && !self.is_overdue
    }
}

/// What the model says; the same form is made of the program's answers.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// The state, the discount, and whether anything was changed.
    Stands(State, Option<i64>, bool),
    Different,
    Wrong(State),
    Unknown,
    Refused(Vec<&'static str>),
}

struct Model {
    campaigns: Vec<Campaign>,
    uses: BTreeMap<u8, Use>,
    made: usize,
}

impl Model {
    fn new() -> Self {
        let campaign = |is_exclusive, per_code, per_identity| Campaign {
            version: 1,
            is_active: true,
            is_exclusive,
            per_code,
            per_identity,
            redeemed: 0,
            budget: 0,
        };
        let campaigns = vec![campaign(true, 0, 3), campaign(false, 2, 0), campaign(false, 5, 0)];
        Self { campaigns, uses: BTreeMap::new(), made: 0 }
    }

    fn counting(&self, but: Option<u8>) -> impl Iterator<Item = &Use> {
        self.uses.iter().filter(move |(id, one)| Some(**id) != but && one.counts()).map(|(_, one)| one)
    }

    fn limit_reasons(&self, asked: &Asked, but: Option<u8>) -> Vec<&'static str> {
        let number = CODES[asked.code].1;
        let campaign = &self.campaigns[number];
        let count = |matches: &dyn Fn(&Use) -> bool| self.counting(but).filter(|one| matches(one)).count() as i64;
        let full = |limit: i64, taken: i64| limit > 0 && taken >= limit;
        let mut reasons = Vec::new();
        if full(campaign.per_code, count(&|one| one.asked.code == asked.code)) {
            reasons.push("limit-reached");
        }
        if full(campaign.redeemed, count(&|one| one.campaign == number)) {
            reasons.push("campaign-limit-reached");
        }
        let by_identity = |one: &Use| one.campaign == number && one.asked.identity == asked.identity;
        if asked.identity.is_some() && full(campaign.per_identity, count(&by_identity)) {
            reasons.push("identity-limit-reached");
        }
        reasons
    }

    /// The uses of the order that a use sees.
    fn earlier(&self, asked: &Asked, but: Option<u8>) -> Vec<&Use> {
        let before = but.and_then(|id| self.uses.get(&id)).map_or(usize::MAX, |one| one.made);
        let is_listed = but.and_then(|id| self.uses.get(&id)).is_none_or(Use::is_seen);
        self.counting(but)
            .filter(|one| asked.order.is_some() && one.asked.order == asked.order && one.is_seen())
            .filter(|one| !is_listed || one.made < before)
            .collect()
    }

    fn exclusive_reason(&self, asked: &Asked, but: Option<u8>) -> Option<&'static str> {
        let earlier = self.earlier(asked, but);
        let is_exclusive = self.campaigns[CODES[asked.code].1].is_exclusive;
        let is_alone = earlier.is_empty() || !is_exclusive && earlier.iter().all(|one| !one.is_exclusive);
        (!is_alone).then_some("exclusive")
    }

    /// A late confirmation without a cart keeps its discount only if it is still one on what the others leave.
    fn reason_of_order(&self, id: u8, one: &Use) -> Option<&'static str> {
        let others = self.earlier(&one.asked, Some(id));
        let discounts =
            || others.iter().filter_map(|other| Some((other, other.discount.filter(|amount| *amount > 0)?)));
        let came_later = discounts().any(|(other, _)| other.decided > one.decided_at_deadline);
        let all = one.discount? + discounts().map(|(_, amount)| amount).sum::<i64>();
        (came_later || one.asked.cart.is_some_and(|amount| all > amount)).then_some("nothing-to-discount")
    }

    /// The reasons against a use, and its discount. `but` is the redemption that is decided again.
    fn decide(&self, asked: &Asked, but: Option<u8>, is_active: bool) -> (Vec<&'static str>, Option<i64>) {
        let number = CODES[asked.code].1;
        let campaign = &self.campaigns[number];
        let mut reasons = Vec::new();
        if !is_active {
            reasons.push("campaign-not-active");
        }
        reasons.extend(self.limit_reasons(asked, but));
        let earlier = self.earlier(asked, but);
        let mut discount = None;
        let mut late = Vec::new();
        match asked.cart {
            None if campaign.budget > 0 => late.push("nothing-to-discount"),
            None => {}
            Some(amount) => {
                let off: i64 = earlier.iter().filter_map(|one| one.discount).sum();
                let left = (amount - off).max(0);
                let granted = (left * 1000 + 5000) / 10_000;
                let spent: i64 =
                    self.counting(but).filter(|one| one.campaign == number).filter_map(|one| one.discount).sum();
                if granted == 0 {
                    late.push("nothing-to-discount");
                } else if campaign.budget > 0 && granted > campaign.budget - spent {
                    reasons.push("budget-exhausted");
                } else {
                    discount = Some(granted);
                }
            }
        }
        if campaign.per_identity > 0 && asked.identity.is_none() {
            reasons.push("identity-required");
        }
        reasons.extend(late);
        reasons.extend(self.exclusive_reason(asked, but));
        (reasons, discount)
    }

    /// Expires overdue holds of the limits that are full; true if there were any.
    fn expire(&mut self, asked: &Asked, reasons: &[&str]) -> bool {
        let campaign = CODES[asked.code].1;
        let mut found = false;
        for one in self.uses.values_mut().filter(|one| one.state == State::Held && one.is_overdue) {
            let is_full = reasons.iter().any(|reason| match *reason {
                "limit-reached" => one.asked.code == asked.code,
                "identity-limit-reached" => one.asked.identity == asked.identity,
                _ => one.campaign == campaign,
            });
            if is_full {
                one.state = State::Expired;
                found = true;
            }
        }
        found
    }

    fn redeem(&mut self, id: u8, asked: &Asked) -> Said {
        if let Some(one) = self.uses.get(&id) {
            return match one.asked == *asked {
                true => Said::Stands(one.state, one.discount, false),
                false => Said::Different,
            };
        }
        let campaign = CODES[asked.code].1;
        let limits = ["limit-reached", "campaign-limit-reached", "identity-limit-reached", "budget-exhausted"];
        let mut decided = self.decide(asked, None, self.campaigns[campaign].is_active);
        let is_short = !decided.0.is_empty() && decided.0.iter().all(|reason| limits.contains(reason));
        if is_short && self.expire(asked, &decided.0) {
            decided = self.decide(asked, None, self.campaigns[campaign].is_active);
        }
        let (reasons, discount) = decided;
        if !reasons.is_empty() {
            return Said::Refused(reasons);
        }
        let state = if asked.is_held { State::Held } else { State::Confirmed };
        self.made += 1;
        self.uses.insert(
            id,
            Use {
                asked: asked.clone(),
                campaign,
                state,
                keep_use: false,
                discount,
                is_overdue: false,
                decided_at_deadline: 0,
                confirmed_with: None,
                is_exclusive: self.campaigns[campaign].is_exclusive,
                made: self.made,
                decided: self.made,
            },
        );
        Said::Stands(state, discount, true)
    }

    fn confirm(&mut self, id: u8, cart: Option<i64>) -> Said {
        let Some(one) = self.uses.get(&id).cloned() else { return Said::Unknown };
        let is_late = one.is_overdue || one.state == State::Expired;
        match one.state {
            State::Confirmed if cart.is_some() && cart != one.confirmed_with => return Said::Different,
            State::Confirmed => return Said::Stands(State::Confirmed, one.discount, false),
            State::Released | State::RolledBack => return Said::Wrong(one.state),
            State::Held | State::Expired => {}
        }
        let campaign = &self.campaigns[one.campaign];
        let (reasons, discount) = match cart {
            Some(_) => self.decide(&Asked { cart, ..one.asked.clone() }, Some(id), !is_late || campaign.is_active),
            None if is_late => {
                let mut reasons = if campaign.is_active { vec![] } else { vec!["campaign-not-active"] };
                reasons.extend(self.limit_reasons(&one.asked, Some(id)));
                let spent: i64 = self
                    .counting(Some(id))
                    .filter(|other| other.campaign == one.campaign)
                    .filter_map(|other| other.discount)
                    .sum();
                if campaign.budget > 0 && one.discount.is_some_and(|discount| discount > campaign.budget - spent) {
                    reasons.push("budget-exhausted");
                }
                reasons.extend(self.reason_of_order(id, &one));
                reasons.extend(self.exclusive_reason(&one.asked, Some(id)));
                (reasons, one.discount)
            }
            None => (vec![], one.discount),
        };
        let stored = self.uses.get_mut(&id).expect("a use");
        if !reasons.is_empty() {
            if is_late {
                stored.state = State::Expired;
            }
            return Said::Refused(reasons);
        }
        self.made += usize::from(cart.is_some());
        stored.decided = if cart.is_some() { self.made } else { stored.decided };
        (stored.state, stored.discount, stored.confirmed_with) = (State::Confirmed, discount, cart);
        Said::Stands(State::Confirmed, discount, true)
    }

    fn end(&mut self, id: u8, from: State, to: State, keep_use: bool) -> Said {
        let Some(one) = self.uses.get_mut(&id) else { return Said::Unknown };
        if one.state == to {
            let is_same = to != State::RolledBack || one.keep_use == keep_use;
            return if is_same { Said::Stands(to, one.discount, false) } else { Said::Different };
        }
        if one.state != from {
            return Said::Wrong(one.state);
        }
        (one.state, one.keep_use) = (to, keep_use);
        Said::Stands(to, one.discount, true)
    }
}

fn id_of(id: u8) -> Uuid {
    Uuid::from_u128(u128::from(id) + 1)
}

fn said_of_moved(moved: Moved) -> Said {
    match moved {
        Moved::Done { redemption, is_changed } => {
            Said::Stands(redemption.state, redemption.discount.map(|discount| discount.amount), is_changed)
        }
        Moved::Unknown => Said::Unknown,
        Moved::WrongState(state) => Said::Wrong(state),
        Moved::DifferentRequest => Said::Different,
        Moved::Refused(reasons) => Said::Refused(reasons.iter().map(|reason| reason.code.as_str()).collect()),
        Moved::Locked => panic!("nothing else is at work"),
    }
}

async fn redeem(redeemer: &Redeemer, id: u8, asked: &Asked) -> Said {
    let fields = json!({
        "identity": asked.identity.map(|number| format!("buyer-{number}")),
        "order": asked.order.map(|number| format!("order-{number}")),
        "cart": asked.cart.map(cart),
        "hold_seconds": if asked.is_held { 3600 } else { 0 },
    });
    let request = asking(CODES[asked.code].0, &fields);
    match redeemer.redeem(id_of(id), request, true).await.expect("an answer") {
        Redeemed::Granted { redemption, is_new } => {
            Said::Stands(redemption.state, redemption.discount.map(|discount| discount.amount), is_new)
        }
        Redeemed::DifferentRequest => Said::Different,
        Redeemed::Refused(reasons) => Said::Refused(reasons.iter().map(|reason| reason.code.as_str()).collect()),
    }
}

/// Applies an operation to both, and returns what each said.
async fn apply(
    place: &TestStore,
    redeemer: &Redeemer,
    model: &mut Model,
    operation: &Operation,
) -> Option<(Said, Said)> {
    let act = async |id: u8, action| said_of_moved(redeemer.act(id_of(id), action).await.expect("an answer"));
    Some(match operation {
        Operation::Redeem { id, asked } => (model.redeem(*id, asked), redeem(redeemer, *id, asked).await),
        Operation::Confirm { id, cart: amount } => {
            let cart = amount.and_then(|amount| asking("X", &json!({ "cart": cart(amount) })).cart);
            (model.confirm(*id, *amount), act(*id, Action::Confirm { cart }).await)
        }
        Operation::Release { id } => {
            (model.end(*id, State::Held, State::Released, false), act(*id, Action::Release).await)
        }
        Operation::RollBack { id, keep_use } => (
            model.end(*id, State::Confirmed, State::RolledBack, *keep_use),
            act(*id, Action::RollBack { keep_use: *keep_use }).await,
        ),
        Operation::Overdue { id } => {
            let one = model.uses.get_mut(id).filter(|one| one.state == State::Held)?;
            (one.is_overdue, one.decided_at_deadline) = (true, model.made);
            make_overdue(place, id_of(*id)).await;
            return None;
        }
        Operation::Switch { campaign: number } => {
            let campaign = &mut model.campaigns[*number];
            (campaign.is_active, campaign.version) = (!campaign.is_active, campaign.version + 1);
            let name = ["public", "once", "stack"][*number];
            place.store.switch_campaign(name, campaign.is_active).await.expect("a switch");
            return None;
        }
        Operation::Limit { campaign: number, redeemed, budget } => {
            let taken = model.counting(None).filter(|one| one.campaign == *number).count() as i64;
            let spent: i64 =
                model.counting(None).filter(|one| one.campaign == *number).filter_map(|one| one.discount).sum();
            let current = &model.campaigns[*number];
            let is_possible = (*redeemed == 0 || *redeemed >= taken) && (*budget == 0 || *budget >= spent);
            let changed = Campaign { redeemed: *redeemed, budget: *budget, ..current.clone() };
            let is_change = (changed.redeemed, changed.budget) != (current.redeemed, current.budget);
            change_campaign(place, &changed.document(*number), current.version).await;
            if is_possible && is_change {
                model.campaigns[*number] = Campaign { version: changed.version + 1, ..changed };
            }
            return None;
        }
    })
}

async fn compare(place: TestStore, operations: &[Operation]) -> Result<(), TestCaseError> {
    let mut model = Model::new();
    for (number, campaign) in model.campaigns.iter().enumerate() {
        create_campaign(&place, &campaign.document(number), if number == 1 { 2 } else { 1 }).await;
    }
    let redeemer = Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer");
    for (place_no, operation) in operations.iter().enumerate() {
        if let Some((expected, said)) = apply(&place, &redeemer, &mut model, operation).await
            && expected != said
        {
            let problem = format!("operation {place_no}, {operation:?}: {said:?} instead of {expected:?}");
            return Err(TestCaseError::fail(problem));
        }
    }
    judge_redemptions(&place).await;
    Ok(())
}

fn random_histories(kind: Kind, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::with_cases(cases) };
    let checked = TestRunner::new(config).run(&vec(operation(), 300..340), |operations| {
        runtime.block_on(async {
            let place = if kind == Kind::Sqlite { TestStore::sqlite().await } else { TestStore::postgres().await };
            compare(place, &operations).await
        })
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn random_histories_are_answered_as_by_a_naive_model_on_sqlite() {
    random_histories(Kind::Sqlite, 8);
}

#[test]
fn random_histories_are_answered_as_by_a_naive_model_on_postgres() {
    random_histories(Kind::Postgres, 4);
}
