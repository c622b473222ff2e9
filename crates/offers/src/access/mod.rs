//! Access to the HTTP API by keys, and to the console by people: what they permit, and whether they may be used.

pub mod scope;
pub mod key;
pub mod record;
pub mod guessing;
pub mod client_address;
pub mod document;
pub mod role;
pub mod login;
pub mod password;
pub mod token;
pub mod session;
pub mod invitation;
pub mod user;
pub mod reason;
