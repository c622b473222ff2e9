//! `codemint keys`: creates, lists and revokes keys of the HTTP API.

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::cli::support::age::age;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::{is_terminal, print_json, print_line};
use codemint_codes::text::{grouped, printable};
use codemint_offers::access::document::{CreatedKeyDocument, KeyDocument};
use codemint_offers::access::key::ApiKey;
use codemint_offers::access::record::{KEYS_MAX, KeyRecord, check_key_expiry, check_key_name};
use codemint_offers::access::scope::Scopes;
use codemint_store::access::keys::{CreateKey, NewKey, RevokeKey};
use codemint_store::admission::entropy::fresh_api_key;
use codemint_store::connection::store::{Access, Store};

const LIST_MAX: u32 = 10_000;

/// Create, list and revoke keys, by which programs use the HTTP API
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

impl KeysCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Revoke(revoke) => revoke.run(context).await,
        }
    }
}

/// Create a key and print it, once: the store keeps only its digest
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  (umask 077 && codemint keys create --scope redeem --name checkout > checkout.key)
  codemint keys create --scope manage,report --expires-in 90d --json
  codemint keys create --scope admin --expires-at 2027-12-31T23:59:59Z

Scopes: redeem (validate and redeem codes, read redemptions), issue (triggers, assignments, referrals), manage \
(campaigns, codes, segments, affiliates), report (reports, audit log), explain (the true reasons for unknown and dead \
codes), admin (keys, users). No scope includes another. The audit log records the id, the scopes and the name, never \
the key.")]
pub struct Create {
    /// What the key permits: redeem, issue, manage, report, explain, admin, separated by commas
    #[arg(long, value_name = "LIST")]
    scope: Scopes,
    /// Name of the key, shown in lists and in the audit log
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Time until the key expires, such as 12h, 90d or 52w; without it, the key does not expire
    #[arg(long, value_name = "TIME", value_parser = age, conflicts_with = "expires_at")]
    expires_in: Option<TimeDelta>,
    /// Time at which the key expires, such as 2027-12-31T23:59:59Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_at: Option<DateTime<Utc>>,
    /// Report as JSON, with the key
    #[arg(long)]
    json: bool,
}

impl Create {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let name = self.name.as_deref().map(check_key_name).transpose().map_err(Failure::impossible)?;
        let expires_at = self.expiry(Utc::now())?;
        let key = fresh_api_key().map_err(Failure::other)?;
        let (id, name, digest) = (Uuid::now_v7(), name.map(str::to_owned), key.digest());
        let new = NewKey { id, name, scopes: self.scope, expires_at, digest };
        let store = context.open_store(Access::CreateFile).await?;
        let created = match context.with_retries(async || store.create_key(&new).await).await? {
            CreateKey::Created(created) => created,
            CreateKey::TooMany => return Err(too_many(context)),
        };
        print_key(context, &created, &key, self.json).map_err(|failure| {
            let revoke = context.command(format_args!("keys revoke {id}"));
            failure.with_hint(format!("key {id} was created and cannot be shown again; {revoke} revokes it"))
        })
    }

    /// Returns when the key expires, in whole milliseconds as both stores keep it.
    fn expiry(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Failure> {
        let expires_at = match self.expires_in {
            Some(time) => Some(now.checked_add_signed(time).unwrap_or(DateTime::<Utc>::MAX_UTC)),
            None => self.expires_at,
        };
        let expires_at = expires_at.map(|at| at.trunc_subsecs(3));
        expires_at.map(|at| check_key_expiry(at, now)).transpose().map_err(Failure::impossible)?;
        Ok(expires_at)
    }
}

fn print_key(context: &Context, created: &KeyRecord, key: &ApiKey, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print_json(&CreatedKeyDocument::new(created, key));
    }
    print_line(&key.text())?;
    if is_terminal() {
        context.note(&format!("note: this key cannot be shown again; its id is {}", created.id));
    }
    Ok(())
}

fn too_many(context: &Context) -> Failure {
    let (list, revoke) = (context.command("keys list"), context.command("keys revoke ID"));
    let keys_max = grouped(KEYS_MAX.into());
    Failure::impossible(format!(
        "this store has {keys_max} usable keys, and no more are allowed; {list} lists them, {revoke} revokes one"
    ))
}

/// List keys, newest first, without the keys themselves
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint keys list
  codemint keys list --json | jq '.[] | select(.state == \"usable\")'

Uses are noted at most once an hour. Keys that expired or were revoked stay in the list.")]
pub struct List {
    /// Maximum number of keys
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = from_to::<u32>(1, LIST_MAX.into()))]
    limit: u32,
    /// List the keys after this one, the last key of the previous page
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let after = self.after.as_deref().map(key_id).transpose()?;
        let store = context.open_store(Access::Existing).await?;
        let after = match after {
            Some(id) => Some(find(context, &store, id).await?),
            None => None,
        };
        // One more shows whether the list is cut.
        let mut found = context.with_retries(async || store.list_keys(after.as_ref(), self.limit + 1).await).await?;
        let is_cut = found.len() > self.limit as usize;
        found.truncate(self.limit as usize);
        let now = Utc::now();
        let documents: Vec<KeyDocument> = found.iter().map(|key| KeyDocument::new(key, now)).collect();
        if self.json {
            print_json(&documents)?;
        } else if documents.is_empty() {
            context.note("no keys");
        } else {
            print_line(&format!(
                "{:<36}  {:<7}  {:<20}  {:<20}  {:<20}  SCOPES  NAME",
                "KEY", "STATE", "CREATED", "EXPIRES", "LAST USED"
            ))?;
            documents.iter().try_for_each(|document| print_line(&line(document)))?;
        }
        if let (true, Some(last)) = (is_cut, found.last()) {
            let next = context.command(format_args!("keys list --limit {} --after {}", self.limit, last.id));
            context.note(&format!("there are more keys; {next} lists the next ones"));
        }
        Ok(())
    }
}

fn line(document: &KeyDocument) -> String {
    let time = |at: Option<DateTime<Utc>>| at.map_or("never".to_owned(), |at| shown(&at));
    let name = document.name.as_deref().map(|name| format!("  {}", printable(name))).unwrap_or_default();
    format!(
        "{}  {:<7}  {}  {:<20}  {:<20}  {}{name}",
        document.id,
        document.state.into_str(),
        shown(&document.created_at),
        time(document.expires_at),
        time(document.last_used_at),
        document.scopes,
    )
}

fn shown(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Revoke a key permanently; within a second, no process accepts it any more
#[derive(Debug, Args)]
#[command(after_help = "Example:
  codemint keys revoke 01890a5d-ac96-774b-bcce-b302099a8057

The command can be repeated. `codemint keys list` shows the ids.")]
pub struct Revoke {
    /// Id of the key, not the key itself
    id: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Revoke {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let id = key_id(&self.id)?;
        let store = context.open_store(Access::Existing).await?;
        let (revoked, done) = match context.with_retries(async || store.revoke_key(id).await).await? {
            RevokeKey::Revoked(revoked) => (revoked, "was revoked"),
            RevokeKey::AlreadyRevoked(revoked) => (revoked, "was revoked before"),
            RevokeKey::Unknown => return Err(no_key(context, id)),
        };
        if self.json {
            return print_json(&KeyDocument::new(&revoked, Utc::now()));
        }
        print_line(&format!("key {id} {done}"))
    }
}

/// Parses the id of a key. The error does not repeat the text, which may be a key.
fn key_id(text: &str) -> Result<Uuid, Failure> {
    let shape = "01890a5d-ac96-774b-bcce-b302099a8057; `codemint keys list` shows the ids";
    text.parse().map_err(|_| match text.starts_with(ApiKey::PREFIX) {
        true => Failure::usage(format!("this looks like a key; write its id instead, such as {shape}")),
        false => Failure::usage(format!("write the id of a key, such as {shape}")),
    })
}

async fn find(context: &Context, store: &Store, id: Uuid) -> Result<KeyRecord, Failure> {
    let found = context.with_retries(async || store.find_key(id).await).await?;
    found.ok_or_else(|| no_key(context, id))
}

fn no_key(context: &Context, id: Uuid) -> Failure {
    let list = context.command("keys list");
    Failure::negative_result(format!("there is no key {id} in this store; {list} shows its keys"))
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    time.map_err(|_| "write a time with its offset, such as 2027-12-31T23:59:59Z".to_owned())
}
