//! Referrers as lines of a tree.

use codemint_offers::access::role::Role;
use codemint_offers::referral::address::seen_by;
use codemint_store::referrals::pages::ReferrerLine;

use crate::console::shown::number;

/// A referrer as a line of the tree in `console/referrals/tree.html`.
#[derive(Debug)]
pub struct Line {
    pub path: String,
    pub person: String,
    /// `2 pending, 1 rewarded`
    pub referrals: String,
    /// The number of friends with codes of their own; empty without any.
    pub children: String,
    /// Those of them that are shown.
    pub below: Vec<Line>,
}

impl Line {
    pub fn of(line: &ReferrerLine, role: Role) -> Self {
        let counts = line.referrals;
        let states = [(counts.pending, "pending"), (counts.rewarded, "rewarded"), (counts.void, "void")];
        let referrals: Vec<String> = states
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{} {word}", number(*count)))
            .collect();
        Self {
            path: format!("/referrals/{}", line.id),
            person: person(line.address.as_deref(), role),
            referrals: if referrals.is_empty() { "no friend has ordered yet".to_owned() } else { referrals.join(", ") },
            children: match line.children {
                0 => String::new(),
                1 => "1 friend".to_owned(),
                many => format!("{} friends", number(many)),
            },
            below: Vec::new(),
        }
    }

    /// Returns the line with those friends below it that are theirs.
    pub fn with_friends(line: &ReferrerLine, friends: &[ReferrerLine], role: Role) -> Self {
        let own = friends.iter().filter(|friend| friend.parent == Some(line.id));
        Self { below: own.map(|friend| Self::of(friend, role)).collect(), ..Self::of(line, role) }
    }
}

/// Returns how people of a role see a customer.
pub fn person(address: Option<&str>, role: Role) -> String {
    match address {
        Some(address) => seen_by(role, address),
        None => "somebody who was forgotten".to_owned(),
    }
}
