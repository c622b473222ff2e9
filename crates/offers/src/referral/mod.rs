//! Referrals: addresses of referrers and friends, the tree of referrers, and the text that they forward.

pub mod address;
pub mod document;
pub mod event;
pub mod state;
pub mod template;
pub mod terms;
pub mod tree;
