//! How the codes of each campaign are used: how much, when, by whom, and how buyers come to them.

use crate::demo::goods::{CHOCOLATE, Needs, SNACKS};

pub(super) const SEASON: &str = "season-15";
pub(super) const WELCOME: &str = "welcome-10";
pub(super) const ANNIVERSARY: &str = "anniversary-20";
pub(super) const SNACKS_FREE: &str = "snacks-2-plus-1";
pub(super) const BIRTHDAY: &str = "birthday-25";
pub(super) const LOCATION: &str = "new-location";
pub(super) const COME_BACK: &str = "come-back";
pub(super) const FLASH: &str = "flash-sale";
pub(super) const PARTNER: &str = "partner-choco";
/// The campaign whose codes are passed on.
pub const FRIENDS: &str = "bring-a-friend";
/// The campaign that rewards referrers.
pub const THANKS: &str = "thank-you";
pub(super) const SURPRISE: &str = "surprise-3";

/// The days in which the flash sale takes place.
pub(super) const FLASH_DAYS: (i64, i64) = (61, 64);
pub(super) const SEASON_DAYS: (i64, i64) = (4, 49);
pub(super) const ANNIVERSARY_START: i64 = 73;
/// The affiliates whose visitors get the offer of the partners.
pub(super) const AFFILIATES: [&str; 3] = ["pawblog.example", "dog-days.example", "cats-and-crumbs.example"];

/// How many codes are used from day to day.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Steady,
    /// Three times as many at the end as at the start.
    Growing,
    /// More and more in the first days, and fewer with time.
    Launched,
    /// More from day to day.
    Rush,
}

/// Who uses a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Anybody uses the only code.
    Anybody,
    /// Each code is used once by anybody.
    Bearer,
    /// The identity to whom it was issued, by a list, by triggers or by hand.
    Listed,
    Triggered,
    ByHand,
}

/// Where buyers come from: source, advertisement and affiliate, with a weight. Without a source, they typed the code.
type Origin = (u64, Option<&'static str>, Option<&'static str>, Option<&'static str>);

/// How the codes of a campaign are used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub campaign: &'static str,
    /// The number of redemptions of a thousand.
    pub share: u64,
    /// The first day, and the first one after the last.
    pub days: (i64, i64),
    pub shape: Shape,
    pub holder: Holder,
    /// The maximum number of uses by one identity; 0 is unlimited.
    pub per_identity: u64,
    pub needs: Needs,
    pub origins: &'static [Origin],
}

const NEEDS_NOTHING: Needs = Needs { units: None, amount: 0 };
const TYPED: &[Origin] = &[(1, None, None, None)];

pub(super) static OFFERS: [Offer; 9] = [
    Offer {
        campaign: SEASON,
        share: 210,
        days: SEASON_DAYS,
        shape: Shape::Launched,
        holder: Holder::Anybody,
        per_identity: 3,
        needs: NEEDS_NOTHING,
        origins: &[
            (30, None, None, None),
            (28, Some("instagram"), Some("beach-dogs"), None),
            (22, Some("newsletter"), Some("season-1"), None),
            (12, Some("newsletter"), Some("season-2"), None),
            (8, Some("search"), None, None),
        ],
    },
    Offer {
        campaign: WELCOME,
        share: 224,
        days: (0, 90),
        shape: Shape::Growing,
        holder: Holder::Bearer,
        per_identity: 0,
        needs: Needs { units: None, amount: 5000 },
        origins: &[
            (50, None, None, None),
            (30, Some("newsletter"), Some("welcome-mail"), None),
            (20, Some("shop"), Some("popup"), None),
        ],
    },
    Offer {
        campaign: ANNIVERSARY,
        share: 180,
        days: (ANNIVERSARY_START, 90),
        shape: Shape::Rush,
        holder: Holder::Anybody,
        per_identity: 2,
        needs: NEEDS_NOTHING,
        origins: &[
            (26, None, None, None),
            (30, Some("newsletter"), Some("anniversary-teaser"), None),
            (26, Some("instagram"), Some("anniversary-countdown"), None),
            (18, Some("search"), Some("brand"), None),
        ],
    },
    Offer {
        campaign: SNACKS_FREE,
        share: 110,
        days: (0, 90),
        shape: Shape::Steady,
        holder: Holder::Anybody,
        per_identity: 0,
        needs: Needs { units: Some((SNACKS, 3)), amount: 0 },
        origins: &[(70, None, None, None), (30, Some("shop"), Some("banner"), None)],
    },
    Offer {
        campaign: BIRTHDAY,
        share: 80,
        days: (0, 90),
        shape: Shape::Steady,
        holder: Holder::Listed,
        per_identity: 0,
        needs: NEEDS_NOTHING,
        origins: &[(40, None, None, None), (60, Some("newsletter"), Some("birthday-mail"), None)],
    },
    Offer {
        campaign: LOCATION,
        share: 50,
        days: (0, 90),
        shape: Shape::Growing,
        holder: Holder::Triggered,
        per_identity: 0,
        needs: Needs { units: None, amount: 10_000 },
        origins: TYPED,
    },
    Offer {
        campaign: COME_BACK,
        share: 20,
        days: (20, 90),
        shape: Shape::Steady,
        holder: Holder::ByHand,
        per_identity: 0,
        needs: NEEDS_NOTHING,
        origins: TYPED,
    },
    Offer {
        campaign: FLASH,
        // More than its limit allows: some come too late.
        share: 66,
        days: FLASH_DAYS,
        shape: Shape::Launched,
        holder: Holder::Bearer,
        per_identity: 1,
        needs: NEEDS_NOTHING,
        origins: &[(20, None, None, None), (80, Some("instagram"), Some("flash-story"), None)],
    },
    Offer {
        campaign: PARTNER,
        share: 60,
        days: (0, 90),
        shape: Shape::Growing,
        holder: Holder::Bearer,
        per_identity: 0,
        needs: Needs { units: Some((CHOCOLATE, 1)), amount: 0 },
        origins: &[
            (55, Some("affiliate"), Some("choco-box"), Some(AFFILIATES[0])),
            (30, Some("affiliate"), Some("choco-box"), Some(AFFILIATES[1])),
            (15, Some("affiliate"), Some("choco-bar"), Some(AFFILIATES[2])),
        ],
    },
];
