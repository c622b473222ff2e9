//! Access to the HTTP API by keys, and to the console by people.

pub mod keys;
pub mod users;
pub mod user_changes;
pub mod sessions;
pub mod invitations;
