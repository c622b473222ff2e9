//! Invitations: links by which a person chooses a password, once.

use chrono::TimeDelta;

use crate::access::token::{Purpose, Token};

/// The secret of a link by which a person chooses a password.
///
/// ```
/// use codemint_offers::access::invitation::{InvitationToken, invitation_path};
///
/// let path = invitation_path(&InvitationToken::new([0; 32]));
/// assert_eq!(path, "/invitation/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
/// ```
pub type InvitationToken = Token<OfInvitation>;

/// Tokens are for invitations.
#[derive(Debug)]
pub enum OfInvitation {}

impl Purpose for OfInvitation {
    const NAME: &'static str = "InvitationToken";
    const DOMAIN: &'static str = "codemint invitation";
}

/// An invitation is valid this long, and once.
pub const INVITATION_END: TimeDelta = TimeDelta::hours(24);

/// Returns the path of the page at which an invitation is accepted.
pub fn invitation_path(token: &InvitationToken) -> String {
    format!("/invitation/{}", token.text())
}
