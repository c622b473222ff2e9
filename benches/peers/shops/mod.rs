//! How five shop systems count a use of a coupon against its limit when an order is placed.

pub mod magento;
pub mod medusa;
pub mod saleor;
pub mod solidus;
pub mod till;
pub mod woocommerce;
