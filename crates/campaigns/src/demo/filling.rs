//! Fills a store with what happened: codes that were issued, orders, clicks, and friends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use chrono::{DateTime, Utc};
use codemint_codes::identity::IdentityKey;
use codemint_offers::demo::campaigns::{PlannedCampaign, campaigns, list_of};
use codemint_offers::demo::extras::{issued_by_hand, list_at, triggers};
use codemint_offers::demo::friends::Friends;
use codemint_offers::demo::offers::FRIENDS;
use codemint_offers::demo::orders::Day;
use codemint_offers::demo::settings::DemoSettings;
use codemint_offers::demo::uses::{CodeOf, PlannedClick, PlannedUse};
use codemint_offers::referral::address::Address;
use codemint_offers::trigger::record::Trigger;
use codemint_offers::trigger::result::TriggerResult;
use codemint_store::campaigns::pool::ToIssue;
use codemint_store::connection::store::Store;
use codemint_store::demo::dating::DemoTimes;
use codemint_store::figures::clicks::Click;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::redemptions::past::{PAST_AT_ONCE, PastRedemptions, PastUse};
use codemint_store::referrals::referrers::{NewReferrer, PutReferrer};
use codemint_store::triggers::handle::TriggerOutcome;
use uuid::Uuid;

use crate::code_book::KnownCode;
use crate::demo::error::DemoError;
use crate::demo::places::Places;
use crate::shared::asked;

/// The number of codes that one transaction issues, and of triggers that it handles.
const ISSUED_AT_ONCE: usize = 1000;

/// How much a demo consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Uses that were granted, whatever has become of them.
    pub redemptions: u64,
    /// Uses that came too late, or for which nothing was left.
    pub refused: u64,
    pub clicks: u64,
    pub triggers: u64,
    /// People who have a code to pass on.
    pub referrers: u64,
    pub rewards: u64,
}

/// Fills a store in which the campaigns and their codes are.
pub struct Filling {
    store: Store,
    settings: DemoSettings,
    planned: Vec<PlannedCampaign>,
    places: Places,
    key: IdentityKey,
    past: PastRedemptions,
    times: DemoTimes,
    filled: Filled,
    /// The codes of people who pass them on, by their numbers.
    passed_on: HashMap<usize, String>,
}

impl fmt::Debug for Filling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filling")
            .field("settings", &self.settings)
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

impl Filling {
    pub async fn start(store: &Store, settings: DemoSettings) -> Result<Self, DemoError> {
        let planned = campaigns(&settings);
        Ok(Self {
            places: Places::find(store, &planned).await?,
            key: store.identity_key().await?,
            store: store.clone(),
            settings,
            planned,
            past: PastRedemptions::default(),
            times: DemoTimes { start: settings.day(0), ..DemoTimes::default() },
            filled: Filled::default(),
            passed_on: HashMap::new(),
        })
    }

    /// Issues codes by hand and by triggers. Those of lists were issued when they were minted.
    pub async fn issue(&mut self) -> Result<(), DemoError> {
        for planned in &self.planned {
            let Some(at) = list_at(planned.name, &self.settings) else { continue };
            let no = self.places.place(planned.name)?.no;
            let digests = list_of(planned.name, &self.settings).into_iter().map(|identity| self.digest(&identity));
            let times: Vec<_> = digests.map(|digest| (no, digest, at)).collect();
            self.times.assignments.extend(times);
        }
        let (campaign, pairs) = issued_by_hand(&self.settings);
        let no = self.places.place(campaign)?.no;
        for pairs in pairs.chunks(ISSUED_AT_ONCE) {
            let wanted = |identity: &String| ToIssue { identity: identity.clone(), cause: "issue", trigger_id: None };
            let wanted: Vec<ToIssue> = pairs.iter().map(|(identity, _)| wanted(identity)).collect();
            self.store.issue(campaign, &wanted).await?;
            let times: Vec<_> = pairs.iter().map(|(identity, at)| (no, self.digest(identity), *at)).collect();
            self.times.assignments.extend(times);
        }
        self.handle_triggers().await
    }

    async fn handle_triggers(&mut self) -> Result<(), DemoError> {
        let (planned, cache) = (triggers(&self.settings), DefinitionCache::default());
        for planned in planned.chunks(ISSUED_AT_ONCE) {
            let some: Vec<Trigger> = planned.iter().map(|one| one.trigger.clone()).collect();
            let outcomes = self.store.handle_triggers(&cache, &some, false).await?;
            self.filled.triggers += some.len() as u64;
            for (one, outcome) in planned.iter().zip(outcomes) {
                self.times.triggers.push((one.trigger.id.clone(), one.at));
                let TriggerOutcome::Handled { trigger, .. } = outcome else { continue };
                for (campaign, result) in &trigger.results {
                    if matches!(result, TriggerResult::Issued { .. }) {
                        let owner = (self.places.place(campaign)?.no, self.digest(&one.trigger.identity), one.at);
                        self.times.assignments.push(owner);
                    }
                }
            }
        }
        Ok(())
    }

    /// Stores what happened on one day.
    pub async fn fill_day(&mut self, day: Day) -> Result<(), DemoError> {
        for clicks in day.clicks.chunks(PAST_AT_ONCE) {
            let clicks: Vec<Click> = clicks.iter().map(|click| self.click(click)).collect::<Result<_, _>>()?;
            self.store.put_clicks(&clicks).await?;
            self.filled.clicks += clicks.len() as u64;
        }
        self.write(day.uses, day.end).await?;
        Ok(())
    }

    /// Stores the referrals, generation by generation, and the rewards of the referrers.
    pub async fn fill_friends(&mut self) -> Result<(), DemoError> {
        let Friends { referrers, generations, rewards, thanks } = Friends::plan(&self.settings);
        for (number, planned) in referrers.into_iter().enumerate() {
            let address = Address::read(&planned.address).map_err(|error| DemoError::Plan(error.to_string()))?;
            let new = NewReferrer { id: planned.id, campaign: FRIENDS.to_owned(), address };
            let PutReferrer::Done { id, code, .. } = self.store.put_referrer(&new).await? else {
                return Err(DemoError::Plan("a referrer gets no code".to_owned()));
            };
            self.times.referrers.push((id, planned.at));
            self.passed_on.insert(number, code);
        }
        for generation in generations {
            let numbers: HashMap<Uuid, usize> = generation.iter().map(|(number, one)| (one.id, *number)).collect();
            let uses = generation.into_iter().map(|(_, one)| one).collect();
            let codes = self.write(uses, self.settings.end()).await?;
            let numbered = codes.into_iter().filter_map(|(id, code)| Some((*numbers.get(&id)?, code)));
            self.passed_on.extend(numbered);
        }
        self.filled.referrers = self.passed_on.len() as u64;
        self.filled.rewards = self.store.reward_referrals_until(self.settings.end()).await?;
        self.times.rewards = rewards.into_iter().map(|reward| (reward.redemption_id, reward.at)).collect();
        self.write(thanks, self.settings.end()).await?;
        Ok(())
    }

    /// Switches campaigns off, gives everything its time, and notes that the demo is complete. `detail` describes the demo.
    pub async fn finish(mut self, detail: &str) -> Result<Filled, DemoError> {
        for planned in &self.planned {
            if planned.off_at.is_some() {
                self.store.switch_campaign(planned.name, false).await?;
            }
            let no = self.places.place(planned.name)?.no;
            self.times.campaigns.push((no, planned.created_at, planned.off_at));
        }
        self.times.zones = self.places.zones();
        self.times.jobs = std::mem::take(&mut self.places.jobs);
        self.store.finish_demo(&self.times, detail).await?;
        while self.store.add_up_tallies().await? > 0 {}
        Ok(Filled { redemptions: self.past.granted, refused: self.past.refused, ..self.filled })
    }

    /// Writes uses in the order of time, and what became of earlier ones until then.
    async fn write(&mut self, uses: Vec<PlannedUse>, until: DateTime<Utc>) -> Result<HashMap<Uuid, String>, DemoError> {
        let (mut codes, mut uses) = (HashMap::new(), uses.into_iter().peekable());
        loop {
            let some: Vec<PlannedUse> = uses.by_ref().take(PAST_AT_ONCE).collect();
            let some = self.past_uses(some).await?;
            let until = uses.peek().map_or(until, |next| next.at);
            codes.extend(self.past.write(&self.store, some, until).await?);
            if uses.peek().is_none() {
                return Ok(codes);
            }
        }
    }

    async fn past_uses(&self, uses: Vec<PlannedUse>) -> Result<Vec<PastUse>, DemoError> {
        let owned = self.codes_of_owners(&uses).await?;
        let mut past = Vec::with_capacity(uses.len());
        for PlannedUse { id, at, campaign, code, mut request, then } in uses {
            let place = self.places.place(campaign)?;
            let found = match code {
                CodeOf::Campaign => place.codes.first(),
                CodeOf::Number(number) => place.codes.get(number as usize),
                CodeOf::Identity => {
                    request.identity.as_ref().and_then(|identity| owned.get(&(campaign, identity.clone())))
                }
                CodeOf::Referrer(number) => self.passed_on.get(&number),
            };
            let code = found.ok_or_else(|| DemoError::Plan(format!("campaign {campaign} lacks a code")))?.clone();
            request.code.clone_from(&code);
            let known = KnownCode { code, campaign_no: place.no, may_vanish: false };
            past.push(PastUse { asked: asked(&self.key, id, request, known), at, then });
        }
        Ok(past)
    }

    /// Returns the codes of those who use their own ones, by campaign and identity.
    async fn codes_of_owners(&self, uses: &[PlannedUse]) -> Result<HashMap<(&'static str, String), String>, DemoError> {
        let mut owners: BTreeMap<&'static str, BTreeSet<&str>> = BTreeMap::new();
        for one in uses.iter().filter(|one| one.code == CodeOf::Identity) {
            owners.entry(one.campaign).or_default().extend(one.request.identity.as_deref());
        }
        let mut codes = HashMap::new();
        for (campaign, identities) in owners {
            let by_digest: HashMap<String, &str> =
                identities.into_iter().map(|identity| (self.digest(identity), identity)).collect();
            let digests: Vec<String> = by_digest.keys().cloned().collect();
            let found = self.store.find_codes_by_owner(self.places.place(campaign)?.no, &digests).await?;
            for (digest, code) in found {
                codes.extend(by_digest.get(&digest).map(|identity| ((campaign, (*identity).to_owned()), code)));
            }
        }
        Ok(codes)
    }

    fn click(&self, planned: &PlannedClick) -> Result<Click, DemoError> {
        let place = self.places.place(planned.campaign)?;
        let PlannedClick { id, at, source, ad, affiliate, .. } = planned.clone();
        let day = at.with_timezone(&place.zone).date_naive();
        Ok(Click { id, campaign_no: place.no, source, ad, affiliate, day, at })
    }

    fn digest(&self, identity: &str) -> String {
        self.key.digest(identity).to_string()
    }
}
