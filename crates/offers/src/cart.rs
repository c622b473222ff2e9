//! What the buyer wants to buy: lines of units, in one currency.

use crate::money::{AMOUNT_MAX, Currency};
use crate::problem::Problem;

/// The maximum number of lines of a cart.
pub const LINES_MAX: usize = 1000;
/// The maximum number of groups of a line.
pub const GROUPS_MAX: usize = 100;
/// The maximum number of units of a line.
pub const QUANTITY_MAX: u64 = 1_000_000_000;

/// A line of a cart: a number of equal units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub sku: String,
    /// The groups of items that the unit belongs to, as the shop names them.
    pub groups: Vec<String>,
    pub quantity: u64,
    /// The price of a unit, in minor units of the cart's currency.
    pub unit_amount: i64,
}

/// A cart within the limits: everything that is computed from it fits into an `i64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cart {
    currency: Currency,
    lines: Vec<Line>,
    /// The price of each line and of all, in minor units.
    line_amounts: Vec<i64>,
    amount: i64,
}

impl Cart {
    /// Creates a cart.
    ///
    /// # Errors
    /// Every problem, under pointers such as `/lines/0/quantity`: no or too many lines, a quantity or a price outside the
    /// limits, a total above [`AMOUNT_MAX`].
    pub fn new(currency: Currency, lines: Vec<Line>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if lines.is_empty() || lines.len() > LINES_MAX {
            let message = format!("the cart has {} lines; send 1 to {LINES_MAX}", lines.len());
            problems.push(Problem::new("/lines", message));
        }
        problems.extend(lines.iter().enumerate().flat_map(|(index, line)| line_problems(index, line)));
        if !problems.is_empty() {
            return Err(problems);
        }
        let line_amounts: Vec<i128> = lines.iter().map(line_amount).collect();
        let amount: i128 = line_amounts.iter().sum();
        if amount > i128::from(AMOUNT_MAX) {
            let message = format!("the cart is worth {amount} minor units; at most {AMOUNT_MAX} are allowed");
            return Err(vec![Problem::new("/lines", message)]);
        }
        // No line is worth more than all, which is in bounds.
        let line_amounts = line_amounts.into_iter().map(|amount| amount as i64).collect();
        Ok(Self { currency, lines, line_amounts, amount: amount as i64 })
    }

    pub const fn currency(&self) -> Currency {
        self.currency
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the price of each line, in minor units.
    pub fn line_amounts(&self) -> &[i64] {
        &self.line_amounts
    }

    /// Returns the price of the cart, in minor units.
    pub const fn amount(&self) -> i64 {
        self.amount
    }

    /// Returns the number of units.
    pub fn quantity(&self) -> u64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

fn line_amount(line: &Line) -> i128 {
    i128::from(line.unit_amount) * i128::from(line.quantity)
}

fn line_problems(index: usize, line: &Line) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !(1..=QUANTITY_MAX).contains(&line.quantity) {
        let message = format!("quantity is {}; send a whole number from 1 to {QUANTITY_MAX}", line.quantity);
        problems.push(Problem::new(format!("/lines/{index}/quantity"), message));
    }
    if !(0..=AMOUNT_MAX).contains(&line.unit_amount) {
        let message = format!("unit_amount is {}; send whole minor units from 0 to {AMOUNT_MAX}", line.unit_amount);
        problems.push(Problem::new(format!("/lines/{index}/unit_amount"), message));
    }
    problems
}
