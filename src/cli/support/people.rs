//! People of the console, for commands.

use chrono::{SubsecRound, Utc};

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::{is_terminal, print_json, print_line};
use crate::cli::support::text::quoted;
use codemint_campaigns::people::People;
use codemint_offers::access::invitation::{INVITATION_END, InvitationToken, invitation_path};
use codemint_offers::access::user::{InvitedDocument, UserRecord};
use codemint_store::connection::store::Access;

/// Prints the path of an invitation alone, once.
pub fn print_invitation(
    context: &Context,
    user: &UserRecord,
    token: &InvitationToken,
    as_json: bool,
) -> Result<(), Failure> {
    let invitation = invitation_path(token);
    let printed = if as_json {
        let (login, role, expires_at) = (user.login.clone(), user.role, (Utc::now() + INVITATION_END).trunc_subsecs(3));
        print_json(&InvitedDocument { login, role, invitation, expires_at })
    } else {
        print_line(&invitation)
    };
    let again = context.command(format_args!("users password {} --invite", quoted(user.login.as_str())));
    if printed.is_ok() && !as_json && is_terminal() {
        context.note("note: this path of the console is valid once, for 24 hours, and cannot be shown again");
    }
    printed.map_err(|failure| {
        failure.with_hint(format!("the invitation was created and cannot be shown again; {again} prints another one"))
    })
}

/// Returns the service of people of the store.
pub async fn open(context: &Context, access: Access) -> Result<People, Failure> {
    Ok(People::new(context.open_store(access).await?))
}
