//! People as they are stored and listed.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::access::login::Login;
use crate::access::role::Role;

/// The number of people that there may be.
pub const USERS_MAX: u64 = 10_000;

/// Everything about a person but the hash of the password. It is also the document that programs read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UserRecord {
    pub id: Uuid,
    pub login: Login,
    pub role: Role,
    /// False until the person has accepted an invitation, and for those who only sign in through a proxy.
    pub has_password: bool,
    pub created_at: DateTime<Utc>,
    /// Null before the first time.
    pub signed_in_at: Option<DateTime<Utc>>,
}

/// The document of a person who was just invited: the only one that shows the link.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct InvitedDocument {
    pub login: Login,
    pub role: Role,
    /// The path of the page at which the person chooses a password. Whoever has it can.
    pub invitation: String,
    pub expires_at: DateTime<Utc>,
}
