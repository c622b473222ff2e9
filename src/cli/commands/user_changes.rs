//! `codemint users remove`, `role` and `password`: changes of one person.

use clap::Args;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::password_input::PasswordOptions;
use crate::cli::support::people::{open, print_invitation};
use crate::cli::support::terminal::{print_json, print_line};
use codemint_campaigns::people::People;
use codemint_campaigns::staff::SetPassword;
use codemint_offers::access::login::Login;
use codemint_offers::access::role::Role;
use codemint_offers::access::user::UserRecord;
use codemint_store::access::user_changes::{ChangeUser, LastAdmin};
use codemint_store::connection::store::Access;

/// Remove a person; within a second, no process accepts a session of theirs
#[derive(Debug, Args)]
#[command(after_help = "Example:
  codemint users remove ann

The login is free afterwards. The audit log keeps what the person did.")]
pub struct Remove {
    /// Login of the person
    login: Login,
    /// Remove the last administrator too
    #[arg(long)]
    force: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Remove {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let people = open(context, Access::Existing).await?;
        let found = find(context, &people, &self.login).await?;
        let last_admin = last_admin(self.force);
        let removed = match context.with_retries(async || people.remove(&self.login, last_admin).await).await? {
            ChangeUser::Changed(user) | ChangeUser::Unchanged(user) => user,
            // Removed meanwhile, by this command if the store's answer was lost.
            ChangeUser::Unknown => found,
            ChangeUser::LastAdmin => return Err(is_last_admin(&self.login, "removed")),
        };
        report(self.json, &removed, format_args!("user {} was removed", removed.login))
    }
}

/// Give a person another role; within a second, every process follows it
#[derive(Debug, Args)]
#[command(after_help = "Example:
  codemint users role ann marketer")]
pub struct SetRole {
    /// Login of the person
    login: Login,
    /// What the person may do: viewer, marketer, affiliates, support, admin
    role: Role,
    /// Take the role from the last administrator too
    #[arg(long)]
    force: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl SetRole {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let people = open(context, Access::Existing).await?;
        let last_admin = last_admin(self.force);
        let set = async || people.set_role(&self.login, self.role, last_admin).await;
        let (user, now) = match context.with_retries(set).await? {
            ChangeUser::Changed(user) => (user, "now has"),
            ChangeUser::Unchanged(user) => (user, "already has"),
            ChangeUser::LastAdmin => return Err(is_last_admin(&self.login, "given another role")),
            ChangeUser::Unknown => return Err(no_user(context, &self.login)),
        };
        report(self.json, &user, format_args!("user {} {now} the role {}", user.login, user.role.into_str()))
    }
}

/// Give a person a password, or a link to choose one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint users password ann
  codemint users password ann --invite

A new password ends all sessions of the person. With --invite, the password before stays valid until the person has chosen another one.")]
pub struct SetUserPassword {
    /// Login of the person
    login: Login,
    #[command(flatten)]
    password: PasswordOptions,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl SetUserPassword {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let people = open(context, Access::Existing).await?;
        if self.password.invite {
            let invited = context.with_retries(async || people.invite_again(&self.login).await).await?;
            let (user, token) = invited.ok_or_else(|| no_user(context, &self.login))?;
            return print_invitation(context, &user, &token, self.json);
        }
        // Before somebody types a password.
        find(context, &people, &self.login).await?;
        let password = self.password.read(context).await?;
        let set = async || people.set_password(&self.login, &password).await;
        match context.people_with_retries(set).await? {
            SetPassword::Set(user) => report(
                self.json,
                &user,
                format_args!("user {} has a new password; all sessions have ended", user.login),
            ),
            SetPassword::Unknown => Err(no_user(context, &self.login)),
            SetPassword::Password(error) => Err(Failure::impossible(error)),
        }
    }
}

fn report(as_json: bool, user: &UserRecord, line: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    if as_json { print_json(user) } else { print_line(&line.to_string()) }
}

const fn last_admin(force: bool) -> LastAdmin {
    if force { LastAdmin::LetGo } else { LastAdmin::Keep }
}

async fn find(context: &Context, people: &People, login: &Login) -> Result<UserRecord, Failure> {
    let found = context.with_retries(async || people.find(login).await).await?;
    found.ok_or_else(|| no_user(context, login))
}

fn no_user(context: &Context, login: &Login) -> Failure {
    let list = context.command("users list");
    Failure::negative_result(format!("there is no user {login} in this store; {list} shows its users"))
}

fn is_last_admin(login: &Login, change: &str) -> Failure {
    Failure::impossible(format!(
        "user {login} is the last administrator and was not {change}; make somebody else an administrator first, or give --force"
    ))
}
