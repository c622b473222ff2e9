//! The orders of the demo, day by day: who uses which code when, and who only clicks.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::demo::calendar::{time_of_day, uses_by_day};
use crate::demo::campaigns::minted;
use crate::demo::chance::Chance;
use crate::demo::friends::FRIENDS_SHARE;
use crate::demo::goods;
use crate::demo::issuing::Issuing;
use crate::demo::offers::{Holder, OFFERS, Offer};
use crate::demo::people;
use crate::demo::settings::{DAYS, DemoSettings};
use crate::demo::uses::{CodeOf, PlannedClick, PlannedUse, outcome, request};

/// The number of buyers of whom one buys again and again.
const REGULARS: u64 = 10;
/// How often another buyer is looked for, if one may not use an offer again.
const ATTEMPTS: u64 = 50;

/// What happens on one day.
#[derive(Clone, Debug)]
pub struct Day {
    /// The uses in the order of time.
    pub uses: Vec<PlannedUse>,
    pub clicks: Vec<PlannedClick>,
    /// The first instant after the day.
    pub end: DateTime<Utc>,
}

/// The orders of the demo: an iterator over its days.
#[derive(Debug)]
pub struct Orders {
    settings: DemoSettings,
    next_day: u32,
    chance: Chance,
    sales: Vec<Sale>,
}

/// What has been used of an offer so far.
#[derive(Debug)]
struct Sale {
    offer: &'static Offer,
    by_day: Vec<u64>,
    codes: Spread,
    used: u64,
    issuing: Option<Issuing>,
    /// The number of codes that are issued already.
    issued: u64,
    /// The identities with unused codes.
    unused: Vec<u64>,
    /// The number of uses by each buyer, where it is limited.
    by_buyer: HashMap<u64, u64>,
}

/// An order of numbers in which neighbours are far from each other.
#[derive(Clone, Copy, Debug)]
struct Spread {
    step: u64,
    first: u64,
    count: u64,
}

impl Spread {
    fn new(count: u64, chance: &mut Chance) -> Self {
        let count = count.max(1);
        let is_prime_to = |step: u64| gcd(step, count) == 1;
        let from = count / 3 + chance.below(count / 3 + 1);
        let step = (from..from + count).find(|step| is_prime_to(*step)).unwrap_or(1);
        Self { step, first: chance.below(count), count }
    }

    fn number(&self, place: u64) -> u64 {
        let sum = u128::from(self.first) + u128::from(place) * u128::from(self.step);
        (sum % u128::from(self.count)) as u64
    }
}

const fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

impl Orders {
    pub fn new(settings: DemoSettings) -> Self {
        let mut chance = Chance::new(settings.seed, "orders");
        let total = settings.redemptions - settings.share(FRIENDS_SHARE).min(settings.redemptions);
        let sale = |offer: &'static Offer| Sale {
            by_day: uses_by_day(offer, &settings, total * offer.share / 1000),
            codes: Spread::new(minted(offer.campaign, &settings), &mut chance),
            offer,
            used: 0,
            issuing: Issuing::of(offer, &settings),
            issued: 0,
            unused: Vec::new(),
            by_buyer: HashMap::new(),
        };
        let sales = OFFERS.iter().map(sale).collect();
        Self { settings, next_day: 0, chance, sales }
    }

    fn day(&mut self, day: u32) -> Day {
        let Self { settings, chance, sales, .. } = self;
        let start = settings.day(day.into());
        let end = start + TimeDelta::days(1);
        let mut times: Vec<(DateTime<Utc>, usize)> = Vec::new();
        for (place, sale) in sales.iter().enumerate() {
            let count = sale.by_day.get(day as usize).copied().unwrap_or_default();
            times.extend((0..count).map(|_| (time_of_day(start, chance), place)));
        }
        times.sort_unstable();
        let (mut uses, mut clicks) = (Vec::with_capacity(times.len()), Vec::new());
        for (at, place) in times {
            uses.extend(sales[place].use_one(at, settings, chance, &mut clicks));
        }
        Day { uses, clicks, end }
    }
}

impl Iterator for Orders {
    type Item = Day;

    fn next(&mut self) -> Option<Day> {
        let day = self.next_day;
        self.next_day += 1;
        (day < DAYS).then(|| self.day(day))
    }
}

impl Sale {
    /// Plans a use; `None` if nobody may use a code yet.
    fn use_one(
        &mut self,
        at: DateTime<Utc>,
        settings: &DemoSettings,
        chance: &mut Chance,
        clicks: &mut Vec<PlannedClick>,
    ) -> Option<PlannedUse> {
        let (identity, code) = match self.offer.holder {
            Holder::Anybody => (self.buyer(settings, chance)?, CodeOf::Campaign),
            Holder::Bearer => {
                let code = (self.used < self.codes.count).then(|| self.codes.number(self.used))?;
                (self.buyer(settings, chance)?, CodeOf::Number(code))
            }
            Holder::Listed | Holder::Triggered | Holder::ByHand => (self.owner(at, chance)?, CodeOf::Identity),
        };
        self.used += 1;
        let outcome = outcome(at, chance);
        let cart = goods::cart(chance, self.offer.needs);
        let mut request = request(Some(identity), cart, outcome.hold_seconds, chance);
        let weights: Vec<u64> = self.offer.origins.iter().map(|origin| origin.0).collect();
        let (_, source, ad, affiliate) = self.offer.origins[chance.weighted(&weights)];
        let text = |text: Option<&str>| text.map(str::to_owned);
        (request.context.source, request.context.ad, request.context.affiliate) =
            (text(source), text(ad), text(affiliate));
        if source.is_some() {
            let mut click = |before: TimeDelta, chance: &mut Chance| {
                let at = at - before;
                let (source, ad, affiliate) = (text(source), text(ad), text(affiliate));
                let id = chance.uuid(at);
                clicks.push(PlannedClick { id, at, campaign: self.offer.campaign, source, ad, affiliate });
                id
            };
            let before = chance.seconds(60, 2400);
            request.click_id = Some(click(before, chance));
            // Most who click do not buy.
            for _ in 0..=chance.weighted(&[2, 3, 3, 2]) {
                let before = chance.seconds(0, 20_000);
                click(before, chance);
            }
        }
        let id = chance.uuid(at);
        Some(PlannedUse { id, at, campaign: self.offer.campaign, code, request, then: outcome.then })
    }

    fn buyer(&mut self, settings: &DemoSettings, chance: &mut Chance) -> Option<String> {
        let buyers = (settings.redemptions * 6 / 10).max(50);
        let is_regular = chance.happens(250);
        let mut number = chance.below(if is_regular { buyers / REGULARS } else { buyers });
        let limit = self.offer.per_identity;
        if limit > 0 {
            let may_buy = |number: &u64| self.by_buyer.get(number).is_none_or(|uses| *uses < limit);
            let first = number;
            number = (0..ATTEMPTS).map(|more| (first + more * REGULARS) % buyers).find(may_buy)?;
            *self.by_buyer.entry(number).or_default() += 1;
        }
        Some(people::buyer(number))
    }

    /// Returns an identity whose code is issued and unused.
    fn owner(&mut self, at: DateTime<Utc>, chance: &mut Chance) -> Option<String> {
        let issuing = self.issuing?;
        while self.issued < issuing.count && issuing.at(self.issued) < at {
            self.unused.push(self.issued);
            self.issued += 1;
        }
        let place = chance.below(self.unused.len() as u64) as usize;
        (!self.unused.is_empty()).then(|| issuing.identity(self.unused.swap_remove(place)))
    }
}
