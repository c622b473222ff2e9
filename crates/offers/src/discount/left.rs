//! What earlier discounts have left of a cart.

use crate::cart::Cart;

/// The price of each line of a cart, in minor units, after earlier discounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    lines: Vec<i64>,
}

impl Left {
    /// Returns the prices of a cart without any discount.
    pub fn of(cart: &Cart) -> Self {
        Self { lines: cart.line_amounts().to_vec() }
    }

    pub fn lines(&self) -> &[i64] {
        &self.lines
    }

    /// Takes off a discount that was granted for the same lines, line by line.
    pub fn take_off(&mut self, granted: &[i64]) {
        for (left, granted) in self.lines.iter_mut().zip(granted) {
            *left -= (*granted).clamp(0, *left);
        }
    }

    /// Takes off a discount that is known by SKU, as it is stored: from the lines of that SKU in order, as far as they
    /// reach. The cart may have changed since; what finds no line is dropped.
    pub fn take_off_sku(&mut self, cart: &Cart, sku: &str, amount: i64) {
        let mut rest = amount.max(0);
        let of_sku = self.lines.iter_mut().zip(cart.lines()).filter(|(_, line)| line.sku == sku);
        for (left, _) in of_sku {
            let taken = rest.min(*left);
            *left -= taken;
            rest -= taken;
        }
    }
}
