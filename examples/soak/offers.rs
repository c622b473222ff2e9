//! The campaigns whose codes shops use, and the requests to use them: which one follows from the number of the redemption, so
//! that all processes ask the same.

use std::path::PathBuf;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::till::Use;
use codemint_campaigns::issuing::Issuer;
use codemint_store::campaigns::pool::IssueOutcome;
use codemint_test_support::oracle;
use codemint_test_support::owners_oracle::IssueAsked;
use codemint_test_support::redeem_steps::{cart, create_campaign, definition};

pub struct Offer {
    pub name: &'static str,
    kind: &'static str,
    mask: &'static str,
    codes: i128,
    is_exclusive: bool,
    /// The limits at the start, by their fields in the definition.
    pub limits: &'static [(&'static str, u64)],
}

/// A field of the limits whose value is an amount.
pub const BUDGET: &str = "budget";
/// The restricted campaign, whose codes belong to the first buyers.
pub const OWNED: &str = "owned";
const OWNERS: usize = 10;
const BUYERS: usize = 40;
/// Small enough to be full most of the time.
pub const OFFERS: [Offer; 5] = [
    Offer { name: "rush", kind: "public", mask: "RUSH", codes: 1, is_exclusive: true, limits: &[("redeemed", 20)] },
    Offer {
        name: "once",
        kind: "private",
        mask: "ONCE-####",
        codes: 10_000,
        is_exclusive: true,
        limits: &[("per_code", 1), ("redeemed", 200)],
    },
    Offer {
        name: "purse",
        kind: "public",
        mask: "PURSE",
        codes: 1,
        is_exclusive: false,
        limits: &[(BUDGET, 20_000), ("per_identity", 3)],
    },
    Offer {
        name: "stack",
        kind: "public",
        mask: "STACK",
        codes: 1,
        is_exclusive: false,
        limits: &[("per_identity", 4)],
    },
    Offer {
        name: OWNED,
        kind: "restricted",
        mask: "OWNED-??????",
        codes: 300,
        is_exclusive: false,
        limits: &[("per_identity", 2)],
    },
];
/// The ids that share an order.
const IDS_PER_ORDER: u64 = 3;
/// The ids that ask for the same code of a private campaign.
const IDS_PER_CODE: u64 = 4;
/// The place of the random numbers of redemptions among all of a seed.
const FIRST_LOT: u64 = 1 << 40;

/// Creates the campaigns before there are any faults. Returns the jobs of their codes, and the codes of the owners.
pub async fn create(ground: &Ground) -> (Vec<oracle::Asked>, Vec<IssueAsked>) {
    let place = &ground.site.store;
    for Offer { name, kind, mask, codes, is_exclusive, limits } in &OFFERS {
        let limits: serde_json::Map<String, Value> = limits
            .iter()
            .map(|(field, limit)| match *field {
                BUDGET => (BUDGET.to_owned(), json!({ "currency": "EUR", "amount": limit })),
                field => (field.to_owned(), json!(limit)),
            })
            .collect();
        let fields = json!({ "exclusive": is_exclusive, "limits": limits });
        create_campaign(place, &definition(name, kind, mask, &fields), *codes).await;
    }
    let jobs = "select id, campaign, count from jobs";
    let jobs = place.all::<(Uuid, String, i64)>(jobs).await.into_iter().map(|(id, campaign, count)| {
        let offer = OFFERS.iter().find(|offer| offer.name == campaign).expect("a campaign");
        oracle::Asked { id, mask: offer.mask.to_owned(), count: count.unsigned_abs() }
    });
    let issuer = Issuer::start(&place.store);
    let mut owners = Vec::new();
    for number in 0..OWNERS {
        let identity = buyer(number);
        let IssueOutcome::Issued { code } = issuer.issue(OWNED, &identity).await.expect("an answer") else {
            panic!("{identity} got no code")
        };
        owners.push(IssueAsked { campaign: OWNED.to_owned(), identity, code: Some(code) });
    }
    let codes: Vec<&str> = owners.iter().filter_map(|owner| owner.code.as_deref()).collect();
    std::fs::write(file_of_owned_codes(ground), codes.join("\n")).expect("a file");
    (jobs.collect(), owners)
}

/// Returns the file with the codes of the restricted campaign, one a line: those of the first buyers, in order.
pub fn file_of_owned_codes(ground: &Ground) -> PathBuf {
    ground.site.store.path().join("owned-codes.txt")
}

fn buyer(number: usize) -> String {
    format!("buyer-{number}")
}

/// Returns the id with a number, and the request to use a code under it.
pub fn draw(seed: u64, number: u64, owned: &[String]) -> (Uuid, Use) {
    let mut lot = Lot::new(seed, FIRST_LOT + number);
    let id = lot.id();
    let identity = lot.below(BUYERS);
    let (code, needs_cart) = match lot.below(10) {
        0..3 => ("RUSH".to_owned(), false),
        3..5 => (format!("ONCE-{:04}", number / IDS_PER_CODE % 10_000), false),
        5..7 => ("PURSE".to_owned(), true),
        7..9 => ("STACK".to_owned(), false),
        _ => (owned[identity % owned.len()].clone(), false),
    };
    let has_cart = needs_cart || lot.below(2) == 0;
    let unit_amount = 1_000 + lot.below(20_000) as i64;
    let has_identity = lot.below(10) > 0;
    let has_order = lot.below(2) == 0;
    let document = json!({
        "code": code,
        "identity": has_identity.then(|| buyer(identity)),
        "order": has_order.then(|| format!("order-{}", number / IDS_PER_ORDER)),
        "cart": has_cart.then(|| cart(unit_amount)),
    });
    // Shorter than a shop may choose: some are to expire.
    let hold_seconds = match lot.below(10) {
        0..3 => 0,
        3..8 => 1 + lot.below(4) as u32,
        _ => 3600,
    };
    (id, Use { document, hold_seconds })
}
