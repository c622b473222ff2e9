//! Which changes a campaign allows.

use crate::campaign::definition::{Definition, Kind};
use crate::problem::Problem;

/// What the allowances of a campaign have given away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The number of uses of all codes.
    pub redeemed: u64,
    /// The number of codes that are issued to identities.
    pub issued: u64,
    /// The sum of the discounts in the currency of the budget so far, or of the new one if there was none, in minor units.
    pub budget: u64,
    /// The sum of the discounts in the currency of the new budget if that of the budget so far is another one, in minor units.
    pub other_budget: u64,
    /// The number of uses of the code with most of them.
    pub per_code: u64,
    /// The number of uses by the identity with most of them.
    pub per_identity: u64,
}

/// Returns every problem of changing the definition of an existing campaign; none if it may be changed. What was promised
/// with a code stays: who may use it, and that limits are above what is taken.
pub fn check_change(old: &Definition, new: &Definition, taken: &Taken) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| problems.push(Problem::new(field, message));
    let another = "create another campaign instead";
    if new.kind != old.kind {
        wrong("/kind", format!("the kind of a campaign does not change; {another}"));
    }
    if new.purpose != old.purpose {
        wrong("/purpose", format!("the purpose of a campaign does not change; {another}"));
    }
    if old.kind == Kind::Public && new.mask != old.mask {
        wrong("/mask", format!("the code of a public campaign does not change; {another}"));
    }
    let limits = &new.limits;
    for (field, limit, taken) in [
        ("/limits/per_code", limits.per_code, taken.per_code),
        ("/limits/per_identity", limits.per_identity, taken.per_identity),
        ("/limits/redeemed", limits.redeemed, taken.redeemed),
        ("/limits/issued", limits.issued, taken.issued),
    ] {
        if limit > 0 && limit < taken {
            wrong(field, format!("{taken} are taken already; write {taken} or more, or 0 for no limit"));
        }
    }
    if let Some(budget) = limits.budget {
        let is_other = old.limits.budget.is_some_and(|old| old.currency != budget.currency);
        let spent = if is_other { taken.other_budget } else { taken.budget };
        if is_other && taken.budget > 0 {
            let spent = taken.budget;
            wrong("/limits/budget/currency", format!("{spent} of the budget are spent; keep its currency"));
        } else if budget.amount.unsigned_abs() < spent {
            wrong("/limits/budget/amount", format!("{spent} are spent already; write {spent} or more"));
        }
    }
    problems
}
