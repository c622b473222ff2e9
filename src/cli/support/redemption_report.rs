//! Redemptions and validations as people read them.

use std::fmt;

use serde::Serialize;

use crate::cli::support::campaign_report::word;
use crate::cli::support::text::{counted, time};
use codemint_codes::identity::FORGOTTEN;
use codemint_codes::text::{grouped, printable};
use codemint_offers::money::Money;
use codemint_offers::redemption::document::{DiscountDocument, RedemptionDocument, ValidationDocument};
use codemint_offers::redemption::ledger::Remaining;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::verdict::reason::Reason;
use uuid::Uuid;

/// A redemption as an operator of the store reads it: with the code and the identity.
#[derive(Debug, Serialize)]
pub struct ShownRedemption {
    #[serde(flatten)]
    document: RedemptionDocument,
    code: String,
    /// Null if the request named none, or if it was forgotten.
    identity: Option<String>,
}

impl From<&Redemption> for ShownRedemption {
    fn from(redemption: &Redemption) -> Self {
        let identity = redemption.identity.clone().filter(|identity| !identity.starts_with(FORGOTTEN));
        Self { document: redemption.into(), code: redemption.code.clone(), identity }
    }
}

impl fmt::Display for ShownRedemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RedemptionDocument { id, campaign, version, order, discount, held_at, expires_at, ended_at, .. } =
            &self.document;
        let mut rows = Rows::default();
        rows.push("redemption", id.to_string());
        rows.push("state", self.state());
        rows.push("code", self.code.clone());
        rows.push("campaign", format!("{campaign}, version {version}"));
        rows.push_if("identity", self.identity.clone());
        rows.push_if("order", order.clone());
        rows.push_discount(discount.as_ref());
        rows.push("made", time(*held_at));
        rows.push_if("deadline", expires_at.map(time));
        rows.push_if("ended", ended_at.map(time));
        rows.push_if("referral", self.document.referral.as_ref().map(|referral| word(&referral.state)));
        rows.push_if("own code", self.document.issued_code.clone());
        rows.fmt(f)
    }
}

impl ShownRedemption {
    fn state(&self) -> String {
        let kept = if self.document.keep_use { ", still counts" } else { "" };
        format!("{}{kept}", word(&self.document.state))
    }
}

/// Returns the lines of a list of redemptions, the header first.
pub fn list(redemptions: &[ShownRedemption]) -> Vec<String> {
    let line = |redemption: &ShownRedemption| {
        let RedemptionDocument { id, campaign, discount, held_at, .. } = &redemption.document;
        format!(
            "{id}  {:<11}  {:<24}  {:>16}  {}  {}",
            word(&redemption.document.state),
            time(*held_at),
            discount.as_ref().map_or("-".to_owned(), total),
            printable(&redemption.code),
            printable(campaign)
        )
    };
    let header = format!("{:<36}  {:<11}  {:<24}  {:>16}  CODE  CAMPAIGN", "REDEMPTION", "STATE", "MADE", "DISCOUNT");
    std::iter::once(header).chain(redemptions.iter().map(line)).collect()
}

/// A refusal to use a code.
#[derive(Debug, Serialize)]
pub struct RefusalReport {
    /// The id of the redemption that was requested.
    pub id: Uuid,
    /// Not empty.
    pub reasons: Vec<Reason>,
}

impl fmt::Display for RefusalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rows::refused(&self.reasons).fmt(f)
    }
}

/// The answer to the question whether a code may be used.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ValidationReport(pub ValidationDocument);

impl fmt::Display for ValidationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ValidationDocument::Valid { campaign, discount, offer, remaining, .. } => {
                let mut rows = Rows::default();
                rows.push("valid", "the code may be used".to_owned());
                rows.push("campaign", campaign.clone());
                rows.push_if("offer", offer.text.clone());
                rows.push_discount(discount.as_ref());
                rows.push("remaining", remains(remaining, discount.as_ref()));
                rows.fmt(f)
            }
            ValidationDocument::Refused { reasons, .. } => Rows::refused(reasons).fmt(f),
        }
    }
}

/// Formats what remains of the limits: "1 use of the code, 3 uses of the campaign".
fn remains(remaining: &Remaining, discount: Option<&DiscountDocument>) -> String {
    let Remaining { code, identity, campaign, budget } = remaining;
    let uses = |left: &Option<u64>, of: &str| left.map(|left| format!("{} of {of}", counted(left.into(), "use")));
    let budget = budget.map(|left| match discount {
        // A budget is an amount, and the cart is in its currency.
        Some(discount) => {
            format!("{} of the budget", Money { currency: discount.currency, amount: left.cast_signed() })
        }
        None => format!("{} minor units of the budget", grouped(left.into())),
    });
    let parts = [uses(code, "the code"), uses(identity, "the identity"), uses(campaign, "the campaign"), budget];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "no limit".to_owned() } else { parts.join(", ") }
}

fn total(discount: &DiscountDocument) -> String {
    money(discount, discount.amount)
}

fn money(discount: &DiscountDocument, amount: i64) -> String {
    Money { currency: discount.currency, amount }.to_string()
}

/// Lines of a name and a value each.
#[derive(Default)]
struct Rows(Vec<(&'static str, String)>);

impl Rows {
    fn push(&mut self, name: &'static str, value: String) {
        self.0.push((name, value));
    }

    fn push_if(&mut self, name: &'static str, value: Option<String>) {
        self.0.extend(value.map(|value| (name, value)));
    }

    fn push_discount(&mut self, discount: Option<&DiscountDocument>) {
        let Some(discount) = discount else { return };
        self.push("discount", total(discount));
        for line in discount.lines.iter().filter(|line| line.amount > 0) {
            self.push("", format!("{} off {}", money(discount, line.amount), line.sku));
        }
    }

    fn refused(reasons: &[Reason]) -> Self {
        let name = |place: usize| if place == 0 { "refused" } else { "" };
        Self(reasons.iter().enumerate().map(|(place, reason)| (name(place), reason.to_string())).collect())
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|(name, value)| format!("{name:<12}{}", printable(value))).collect();
        f.write_str(&lines.join("\n"))
    }
}
