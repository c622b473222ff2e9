//! What the invented shop sells, and carts of it.

use crate::cart::{Cart, Line};
use crate::demo::chance::Chance;
use crate::money::Currency;

/// The group of the articles for which an offer of two and one is.
pub(super) const SNACKS: &str = "snacks";
pub(super) const CHOCOLATE: &str = "chocolate";

/// SKU, group, price in cents, and how often it is bought.
static ARTICLES: [(&str, &str, i64, u64); 16] = [
    ("DOG-FOOD-10KG", "food", 5499, 9),
    ("DOG-FOOD-2KG", "food", 1499, 14),
    ("CAT-FOOD-4KG", "food", 2299, 13),
    ("CAT-LITTER-20L", "care", 1199, 12),
    ("BED-LARGE", "furniture", 8900, 3),
    ("BED-SMALL", "furniture", 4490, 4),
    ("SCRATCHING-POST", "furniture", 6995, 3),
    ("LEASH-2M", "outdoor", 1995, 6),
    ("COAT-WINTER", "outdoor", 3990, 4),
    ("TOY-BALL", "toys", 495, 12),
    ("TOY-ROPE", "toys", 795, 10),
    ("SNACK-BEEF", SNACKS, 349, 16),
    ("SNACK-SALMON", SNACKS, 399, 13),
    ("SNACK-CARROT", SNACKS, 279, 9),
    ("CHOC-BOX", CHOCOLATE, 1290, 5),
    ("CHOC-BAR", CHOCOLATE, 249, 8),
];
const LINES_MAX: usize = 12;

/// What a cart must hold, so that an offer applies to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Units of this group.
    pub units: Option<(&'static str, u64)>,
    /// The price of the cart, in cents.
    pub amount: i64,
}

/// Returns a cart in euros; `None` only if there were no euros.
pub(super) fn cart(chance: &mut Chance, needs: Needs) -> Option<Cart> {
    let mut lines: Vec<Line> = Vec::new();
    if let Some((group, units)) = needs.units {
        let of_group: Vec<_> = ARTICLES.iter().copied().filter(|article| article.1 == group).collect();
        let extra = chance.weighted(&[5, 3, 1]) as u64;
        add(&mut lines, chance.pick(&of_group), units + extra);
    }
    for _ in 0..=chance.weighted(&[40, 32, 18, 10]) {
        add_any(&mut lines, chance);
    }
    while amount_of(&lines) < needs.amount && lines.len() < LINES_MAX {
        add_any(&mut lines, chance);
    }
    if amount_of(&lines) < needs.amount {
        add(&mut lines, &ARTICLES[0], needs.amount.unsigned_abs() / 5000 + 1);
    }
    Cart::new(Currency::from_code("EUR")?, lines).ok()
}

fn add_any(lines: &mut Vec<Line>, chance: &mut Chance) {
    let weights: Vec<u64> = ARTICLES.iter().map(|article| article.3).collect();
    let article = &ARTICLES[chance.weighted(&weights)];
    let units = if article.2 < 1000 { chance.between(1, 4) } else { chance.between(1, 2) };
    add(lines, article, units);
}

fn add(lines: &mut Vec<Line>, (sku, group, price, _): &(&str, &str, i64, u64), units: u64) {
    match lines.iter_mut().find(|line| line.sku == *sku) {
        Some(line) => line.quantity += units,
        None => lines.push(Line {
            sku: (*sku).to_owned(),
            groups: vec![(*group).to_owned()],
            quantity: units,
            unit_amount: *price,
        }),
    }
}

fn amount_of(lines: &[Line]) -> i64 {
    lines.iter().map(|line| line.unit_amount * line.quantity.cast_signed()).sum()
}
