//! Who brings whom: trees of people who pass codes on, and what they get for it.

use std::collections::HashSet;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::demo::chance::Chance;
use crate::demo::goods::{self, Needs};
use crate::demo::offers::{FRIENDS, THANKS};
use crate::demo::people;
use crate::demo::settings::DemoSettings;
use crate::demo::uses::{CodeOf, PlannedUse, request};
use crate::redemption::transition::Action;

/// The number of redemptions of a thousand that use the codes of referrers.
pub(super) const FRIENDS_SHARE: u64 = 30;
const FRIENDS_MAX: u64 = 2000;
/// The number of generations of friends who get codes of their own.
pub(super) const DEPTH_MAX: usize = 4;
/// The maximum number of friends of one person who get codes of their own.
pub(super) const CHILDREN_MAX: u64 = 5;
pub(super) const REWARD_DELAY_DAYS: i64 = 14;
/// The price from which a friend's first order counts, in cents.
const ORDER_MIN: i64 = 3000;

/// A person whom the shop names as a referrer.
#[derive(Clone)]
pub struct PlannedReferrer {
    pub id: Uuid,
    pub address: String,
    pub at: DateTime<Utc>,
}

/// A reward that is due before the demo ends.
#[derive(Clone, Debug)]
pub struct PlannedReward {
    /// The redemption of the friend.
    pub redemption_id: Uuid,
    pub at: DateTime<Utc>,
}

/// The people who pass codes on. Each has a number: first those whom the shop names, then their friends.
#[derive(Clone, Debug)]
pub struct Friends {
    pub referrers: Vec<PlannedReferrer>,
    /// The uses of each generation of friends, in the order of time, with the numbers of the friends.
    pub generations: Vec<Vec<(usize, PlannedUse)>>,
    /// The rewards in the order of time.
    pub rewards: Vec<PlannedReward>,
    /// The uses of rewards by referrers, in the order of time.
    pub thanks: Vec<PlannedUse>,
}

impl fmt::Debug for PlannedReferrer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedReferrer").field("id", &self.id).field("at", &self.at).finish_non_exhaustive()
    }
}

struct Person {
    depth: usize,
    children: u64,
    at: DateTime<Utc>,
}

/// Returns the maximum number of people who get a code to pass on.
pub(super) fn people_max(settings: &DemoSettings) -> u64 {
    let friends = settings.share(FRIENDS_SHARE).min(FRIENDS_MAX);
    friends + named(friends)
}

const fn named(friends: u64) -> u64 {
    friends / 6 + 3
}

impl Friends {
    pub fn plan(settings: &DemoSettings) -> Self {
        let mut chance = Chance::new(settings.seed, "friends");
        let wanted = settings.share(FRIENDS_SHARE).min(FRIENDS_MAX);
        let mut referrers = Vec::new();
        let mut persons: Vec<Person> = Vec::new();
        for number in 0..named(wanted) {
            let at = settings.day(0) + chance.seconds(0, 70 * 86_400);
            referrers.push(PlannedReferrer { id: chance.uuid(at), address: people::friend(number), at });
            persons.push(Person { depth: 0, children: 0, at });
        }
        let mut generations: Vec<Vec<(usize, PlannedUse)>> = vec![Vec::new(); DEPTH_MAX];
        for _ in 0..wanted {
            let number = persons.len();
            let parent = chance.below(number as u64) as usize;
            let (depth, at) = (persons[parent].depth + 1, persons[parent].at + chance.seconds(20_000, 16 * 86_400));
            if depth > DEPTH_MAX || persons[parent].children == CHILDREN_MAX || at >= settings.end() {
                continue;
            }
            persons[parent].children += 1;
            persons.push(Person { depth, children: 0, at });
            generations[depth - 1].push((number, first_order(number, parent, at, &mut chance)));
        }
        for generation in &mut generations {
            generation.sort_by_key(|(_, one)| one.at);
        }
        let (rewards, thanks) = reward(&generations, settings, &mut chance);
        Self { referrers, generations, rewards, thanks }
    }
}

fn first_order(number: usize, parent: usize, at: DateTime<Utc>, chance: &mut Chance) -> PlannedUse {
    let cart = goods::cart(chance, Needs { units: None, amount: ORDER_MIN });
    let request = request(Some(people::friend(number as u64)), cart, 0, chance);
    let is_returned = chance.happens(70);
    let returned_at = at + chance.seconds(86_400, 12 * 86_400);
    let then = is_returned.then_some((returned_at, Action::RollBack { keep_use: false })).into_iter().collect();
    PlannedUse { id: chance.uuid(at), at, campaign: FRIENDS, code: CodeOf::Referrer(parent), request, then }
}

/// Plans the rewards for orders that were kept, and the uses of rewards: a person has one code for all of them.
fn reward(
    generations: &[Vec<(usize, PlannedUse)>],
    settings: &DemoSettings,
    chance: &mut Chance,
) -> (Vec<PlannedReward>, Vec<PlannedUse>) {
    let mut due: Vec<(DateTime<Utc>, usize, Uuid)> = Vec::new();
    for (_, one) in generations.iter().flatten() {
        let at = one.at + TimeDelta::days(REWARD_DELAY_DAYS);
        if let CodeOf::Referrer(referrer) = one.code
            && one.then.is_empty()
            && at < settings.end()
        {
            due.push((at, referrer, one.id));
        }
    }
    due.sort_unstable();
    let mut rewarded: HashSet<usize> = HashSet::new();
    let mut thanks = Vec::new();
    for (at, referrer, _) in &due {
        if !rewarded.insert(*referrer) || !chance.happens(600) {
            continue;
        }
        let used_at = *at + chance.seconds(7200, 18 * 86_400);
        let cart = goods::cart(chance, Needs::default());
        let request = request(Some(people::friend(*referrer as u64)), cart, 0, chance);
        let id = chance.uuid(used_at);
        if used_at < settings.end() {
            let code = CodeOf::Identity;
            thanks.push(PlannedUse { id, at: used_at, campaign: THANKS, code, request, then: Vec::new() });
        }
    }
    thanks.sort_by_key(|one| one.at);
    let rewards = due.into_iter().map(|(at, _, redemption_id)| PlannedReward { redemption_id, at }).collect();
    (rewards, thanks)
}
