//! The pages of people: who may sign in, with which role; and the own password.

mod link;
pub mod list;
pub mod one;
pub mod password;
