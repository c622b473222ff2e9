//! Codes that were found, in words.

use codemint_campaigns::finding::{Found, FoundCode, Owner};
use codemint_codes::typed::{Missing, Typed};
use codemint_offers::access::role::Role;
use codemint_offers::referral::address::seen_by;
use codemint_store::redemptions::reads::CodeUses;

use crate::console::campaigns::labels::{kind_word, path_of};
use crate::console::redemptions::row::RedemptionRow;
use crate::console::shown::number;

/// A line that was pasted, and what it is.
#[derive(Debug)]
pub struct Place {
    pub typed: String,
    /// The code, or why there is none.
    pub found: Result<FoundView, String>,
}

/// A code with texts ready to show.
#[derive(Debug)]
pub struct FoundView {
    pub code: String,
    /// True if it was typed in another way.
    pub is_respelled: bool,
    pub campaign: String,
    pub campaign_title: String,
    pub campaign_path: String,
    pub kind: &'static str,
    /// What becomes of the code: in the pool, or issued.
    pub state: &'static str,
    /// The identity that has it.
    pub owner: Option<String>,
    pub uses: String,
    /// The clock of the times.
    pub zone: &'static str,
    pub redemptions: Vec<RedemptionRow>,
    pub asked_for: Option<String>,
    /// Why it would be refused now; empty if it would be accepted.
    pub reasons: Vec<String>,
}

impl Place {
    pub fn new(typed: &str, found: &Found, role: Role) -> Self {
        let found = match found {
            Found::Code(found) => Ok(FoundView::new(typed, found, role)),
            Found::WithoutCampaign => Err("This code exists, but no campaign has it: it takes nothing off.".to_owned()),
            Found::Missing(missing) => Err(missing_text(*missing).to_owned()),
            Found::NoCode(error) => Err(sentence(&error.to_string())),
        };
        Self { typed: typed.to_owned(), found }
    }

    /// Returns true if the table marks the line as one that would be accepted.
    pub fn is_accepted(&self) -> bool {
        self.found.as_ref().is_ok_and(|found| found.reasons.is_empty())
    }
}

impl FoundView {
    fn new(typed: &str, found: &FoundCode, role: Role) -> Self {
        let FoundCode { code, definition, owner, uses, redemptions, asked_for, reasons } = found;
        let is_respelled = typed.parse::<Typed>().is_ok_and(|typed| typed.written() != code);
        let (state, owner) = match owner {
            Owner::Anybody => ("any customer may use it", None),
            Owner::Pool => ("in the pool: nobody has it yet", None),
            Owner::Identity(Some(identity)) => ("issued", Some(seen_by(role, identity))),
            Owner::Identity(None) => ("issued to somebody whose data was erased", None),
            Owner::Nobody => ("neither issued nor in the pool", None),
        };
        Self {
            code: code.clone(),
            is_respelled,
            campaign: definition.name.clone(),
            campaign_title: definition.title.clone(),
            campaign_path: path_of(&definition.name),
            kind: kind_word(definition.kind),
            state,
            owner,
            uses: uses_text(*uses, definition.limits.per_code),
            zone: definition.zone.name(),
            redemptions: redemptions
                .iter()
                .map(|redemption| RedemptionRow::new(redemption, definition.zone, role))
                .collect(),
            asked_for: asked_for.as_deref().map(|identity| seen_by(role, identity)),
            reasons: reasons.iter().map(|reason| sentence(&reason.message)).collect(),
        }
    }
}

fn uses_text(uses: CodeUses, limit: u64) -> String {
    let count = number(uses.count);
    match (uses.has_more, limit) {
        (true, _) => format!("more than {count}, without a limit"),
        (false, 0) => format!("{count}, without a limit"),
        (false, limit) => format!("{count} of {}", number(limit)),
    }
}

fn missing_text(missing: Missing) -> &'static str {
    match missing {
        Missing::NoMask => "There is no such code: no campaign has codes that look like this.",
        Missing::WrongCheck => {
            "There is no such code: its check characters are wrong. Ask the customer to read it again."
        }
        Missing::CheckNotVerified => {
            "There is no such code. Its check characters could not be verified on this server."
        }
        Missing::NeverMinted => {
            "There is no such code. It looks like one, but it was never made here: it is mistyped or invented."
        }
    }
}

/// Returns a message as a sentence.
fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_counted_against_their_limit() {
        let uses = |count, has_more, limit| uses_text(CodeUses { count, has_more }, limit);
        assert_eq!(uses(1, false, 1), "1 of 1");
        assert_eq!(uses(1200, false, 5000), "1,200 of 5,000");
        assert_eq!(uses(3, false, 0), "3, without a limit");
        assert_eq!(uses(1000, true, 0), "more than 1,000, without a limit");
    }
}
