//! The discount of a campaign, as its definition states it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::cart::Line;
use crate::money::{BASIS_POINTS_MAX, Money};

/// The maximum number of units that a multiple of `buy_get` may need or give, and of multiples per order.
pub const MULTIPLES_MAX: u64 = 1_000_000;
/// The maximum number of texts in a list of a selector.
pub const SELECTED_MAX: usize = 10_000;

/// A discount: an effect on a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    pub effect: Effect,
    pub target: Target,
    /// The maximum number of discounted units (target `items`) or of multiples (target `buy_get`) per order; 0 is unlimited.
    /// The targets `order` and `group` are discounted once, whatever the limit.
    #[schemars(with = "Option<u64>", range(max = MULTIPLES_MAX), extend("default" = 0))]
    #[serde(default)]
    pub limit_per_order: u64,
    /// The largest discount per order; null is unlimited. A cart in another currency gets no discount.
    pub cap: Option<Money>,
}

/// What is taken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// A percentage of the target's price.
    Percent {
        /// Hundredths of a percent: 10000 is everything.
        #[schemars(range(min = 1, max = BASIS_POINTS_MAX))]
        basis_points: u32,
    },
    /// An amount, off each unit (target `items`) or once off the target. A cart in another currency gets no discount.
    Amount(Money),
}

/// What the effect applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// The whole order.
    Order,
    /// Each selected unit, the cheapest first.
    Items { selector: Selector },
    /// All selected units together, once.
    Group { selector: Selector },
    /// Discounts `get_quantity` units of `get` for every `buy_quantity` units of `buy`, the cheapest first. A unit that was needed as
    /// bought is not discounted itself.
    BuyGet {
        buy: Selector,
        #[schemars(range(min = 1, max = MULTIPLES_MAX))]
        buy_quantity: u64,
        get: Selector,
        #[schemars(range(min = 1, max = MULTIPLES_MAX))]
        get_quantity: u64,
    },
}

/// A choice of items: all, or by SKU and group, each without exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// True to select every item; then there are no `skus` and no `groups`.
    #[schemars(with = "Option<bool>", extend("default" = false))]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    #[schemars(with = "Option<Vec<String>>", length(max = SELECTED_MAX), extend("default" = []))]
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub skus: BTreeSet<String>,
    #[schemars(with = "Option<Vec<String>>", length(max = SELECTED_MAX), extend("default" = []))]
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// Items that are not selected, whatever else selects them.
    #[schemars(with = "Option<Vec<String>>", length(max = SELECTED_MAX), extend("default" = []))]
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except_skus: BTreeSet<String>,
}

impl Selector {
    /// Returns true if the units of a line are selected. SKUs and groups are compared exactly.
    pub fn selects(&self, line: &Line) -> bool {
        let chosen = self.all
            || self.skus.contains(&line.sku)
            || !self.groups.is_empty() && line.groups.iter().any(|group| self.groups.contains(group));
        chosen && !self.except_skus.contains(&line.sku)
    }
}

impl Discount {
    /// Returns true if the discount depends on what is in the cart, not only on its price.
    pub const fn needs_items(&self) -> bool {
        !matches!(self.target, Target::Order)
    }
}
