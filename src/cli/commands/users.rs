//! `codemint users`: the people who use the console.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use codemint_codes::text::grouped;
use uuid::Uuid;

use crate::cli::commands::user_changes::{Remove, SetRole, SetUserPassword};
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::password_input::PasswordOptions;
use crate::cli::support::people::{open, print_invitation};
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::quoted;
use codemint_campaigns::staff::{Added, InvitedPerson};
use codemint_offers::access::login::Login;
use codemint_offers::access::role::Role;
use codemint_offers::access::user::{USERS_MAX, UserRecord};
use codemint_store::connection::store::Access;

const LIST_MAX: u32 = 10_000;

/// Add, list and remove people who use the console, and change their roles and passwords
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    Add(Add),
    List(List),
    Remove(Remove),
    Role(SetRole),
    Password(SetUserPassword),
}

impl UsersCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Remove(remove) => remove.run(context).await,
            Self::Role(role) => role.run(context).await,
            Self::Password(password) => password.run(context).await,
        }
    }
}

/// Add a person, with a password or with a link to choose one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint users add ann --role admin
  codemint users add ben@example.org --role marketer --invite
  pass show console | codemint users add carla --role support --password-stdin

Roles: viewer (campaigns, reports, jobs), marketer (campaigns, codes, segments, affiliates), affiliates (rules for \
affiliates), support (looks up codes, releases redemptions and rolls them back), admin (everything). A password has 12 to 256 characters. \
Behind --invite, the path belongs to the address of `codemint serve`; it is valid once, for 24 hours.")]
pub struct Add {
    /// Name to sign in with, in lower case
    login: Login,
    /// What the person may do: viewer, marketer, affiliates, support, admin
    #[arg(long)]
    role: Role,
    #[command(flatten)]
    password: PasswordOptions,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.password.invite {
            return self.invite(context).await;
        }
        let password = self.password.read(context).await?;
        password.check_choice(&self.login).map_err(Failure::impossible)?;
        let (id, people) = (Uuid::now_v7(), open(context, Access::CreateFile).await?);
        let added =
            context.people_with_retries(async || people.add(id, &self.login, self.role, &password).await).await?;
        let user = match added {
            Added::Added(user) => user,
            Added::LoginTaken => return Err(login_taken(context, &self.login)),
            Added::TooMany => return Err(too_many(context)),
            Added::Password(error) => return Err(Failure::impossible(error)),
        };
        if self.json {
            return print_json(&user);
        }
        print_line(&format!("user {} was added with the role {}", user.login, user.role.into_str()))
    }

    async fn invite(self, context: &Context) -> Result<(), Failure> {
        let (id, people) = (Uuid::now_v7(), open(context, Access::CreateFile).await?);
        let invited = context.with_retries(async || people.invite(id, &self.login, self.role).await).await?;
        let (user, token) = match invited {
            InvitedPerson::Invited(user, token) => (user, token),
            InvitedPerson::LoginTaken => return Err(login_taken(context, &self.login)),
            InvitedPerson::TooMany => return Err(too_many(context)),
        };
        print_invitation(context, &user, &token, self.json)
    }
}

fn login_taken(context: &Context, login: &Login) -> Failure {
    let list = context.command("users list");
    Failure::impossible(format!("there is already a user {login} in this store; {list} shows its users"))
}

fn too_many(context: &Context) -> Failure {
    let (list, remove) = (context.command("users list"), context.command("users remove LOGIN"));
    let users_max = grouped(USERS_MAX.into());
    Failure::impossible(format!(
        "this store has {users_max} users, and no more are allowed; {list} lists them, {remove} removes one"
    ))
}

/// List people by their logins
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint users list
  codemint users list --json | jq -r '.[] | select(.role == \"admin\") | .login'")]
pub struct List {
    /// Maximum number of people
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = from_to::<u32>(1, LIST_MAX.into()))]
    limit: u32,
    /// List the people after this one, the last of the previous page
    #[arg(long, value_name = "LOGIN")]
    after: Option<Login>,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let people = open(context, Access::Existing).await?;
        // One more shows whether the list is cut.
        let list = async || people.list(self.after.as_ref(), self.limit + 1).await;
        let mut found = context.with_retries(list).await?;
        let is_cut = found.len() > self.limit as usize;
        found.truncate(self.limit as usize);
        if self.json {
            print_json(&found)?;
        } else if found.is_empty() {
            context.note("no users");
        } else {
            print_line(&format!(
                "{:<10}  {:<8}  {:<20}  {:<20}  LOGIN",
                "ROLE", "PASSWORD", "CREATED", "LAST SIGN-IN"
            ))?;
            found.iter().try_for_each(|user| print_line(&line(user)))?;
        }
        if let (true, Some(last)) = (is_cut, found.last()) {
            let after = quoted(last.login.as_str());
            let next = context.command(format_args!("users list --limit {} --after {after}", self.limit));
            context.note(&format!("there are more users; {next} lists the next ones"));
        }
        Ok(())
    }
}

fn line(user: &UserRecord) -> String {
    let shown = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!(
        "{:<10}  {:<8}  {}  {:<20}  {}",
        user.role.into_str(),
        if user.has_password { "yes" } else { "no" },
        shown(user.created_at),
        user.signed_in_at.map_or("never".to_owned(), shown),
        user.login,
    )
}
