//! To whom the codes of restricted campaigns are issued, and when.

use chrono::{DateTime, TimeDelta, Utc};

use crate::demo::offers::{Holder, OFFERS, Offer};
use crate::demo::people;
use crate::demo::settings::DemoSettings;

/// What comes before the numbers of locations that come back.
const COME_BACK_FROM: u64 = 700_000;
/// How long the first code is issued before an offer is used.
const AHEAD: TimeDelta = TimeDelta::days(2);
/// How long a list is minted before its campaign is used.
const LIST_AHEAD: TimeDelta = TimeDelta::days(4);

/// The identities that get a code of a campaign, in the order in which they get it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issuing {
    holder: Holder,
    pub count: u64,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Issuing {
    /// Returns `None` for an offer whose codes anybody may use.
    pub(super) fn of(offer: &Offer, settings: &DemoSettings) -> Option<Self> {
        // More than are used.
        let count = match offer.holder {
            Holder::Anybody | Holder::Bearer => return None,
            Holder::Listed => settings.share(offer.share * 14 / 10),
            Holder::Triggered => settings.share(offer.share * 16 / 10),
            Holder::ByHand => settings.share(offer.share * 2),
        };
        let ahead = if offer.holder == Holder::Listed { LIST_AHEAD } else { AHEAD };
        let from = settings.day(offer.days.0) - ahead;
        Some(Self { holder: offer.holder, count, from, to: settings.end() - TimeDelta::hours(3) })
    }

    pub(super) fn of_campaign(campaign: &str, settings: &DemoSettings) -> Option<Self> {
        OFFERS.iter().find(|offer| offer.campaign == campaign).and_then(|offer| Self::of(offer, settings))
    }

    pub(super) fn identity(&self, number: u64) -> String {
        match self.holder {
            Holder::Triggered => people::location(number),
            Holder::ByHand => people::location(COME_BACK_FROM + number),
            Holder::Listed | Holder::Anybody | Holder::Bearer => people::buyer(number),
        }
    }

    /// Returns when an identity gets the code; later ones later.
    pub(super) fn at(&self, number: u64) -> DateTime<Utc> {
        let span = (self.to - self.from).num_milliseconds();
        match self.holder {
            // All at once.
            Holder::Listed => self.from,
            _ => {
                self.from + TimeDelta::milliseconds(span / (self.count.cast_signed() + 1) * (number.cast_signed() + 1))
            }
        }
    }
}
