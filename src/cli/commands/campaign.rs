//! `codemint campaign`: creates, changes, lists, shows and switches campaigns, and mints their codes.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::commands::campaign_codes::Codes;
use crate::cli::support::campaign_report::{self, word};
use crate::cli::support::context::Context;
use crate::cli::support::document::{self, Document};
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::public_code;
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::{counted, quoted};
use codemint_codes::text::{one_or_many, printable};
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::campaign::document::{ANSWERED, CampaignDocument};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::campaigns::changes::{ChangeCampaign, CreateCampaign};
use codemint_store::campaigns::definitions::CampaignVersion;
use codemint_store::connection::store::{Access, Store};

/// The number of campaigns read per query.
const PAGE_ROWS: u32 = 1000;

/// Create, change, list and switch campaigns, and mint their codes
#[derive(Debug, Subcommand)]
pub enum CampaignCommand {
    Create(Create),
    Change(Change),
    List(List),
    Show(Show),
    Activate(Activate),
    Deactivate(Deactivate),
    Codes(Codes),
}

impl CampaignCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(context).await,
            Self::Change(change) => change.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Activate(activate) => switch(context, &activate.name, true, activate.json).await,
            Self::Deactivate(deactivate) => switch(context, &deactivate.name, false, deactivate.json).await,
            Self::Codes(codes) => codes.run(context).await,
        }
    }
}

/// Create a campaign from its definition; the one code of a public campaign is minted with it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint campaign create spring.json
  jq '.title = \"Summer\"' spring.json | codemint campaign create -

If the file has problems, all of them are reported, each with its field. Repeating the command is safe: \
a campaign that exists with the same definition is reported, and exit code 3 means that it has another one. \
Fields and examples are in docs/campaigns.md.")]
pub struct Create {
    /// JSON file with the definition, or - for standard input
    file: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Create {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let (definition, _document) = read(context, &self.file, self.json).await?;
        let store = context.open_store(Access::CreateFile).await?;
        let name = printable(&definition.name);
        let known = context.with_retries(async || store.find_campaign(&definition.name).await).await?;
        if known.is_none() && definition.kind == Kind::Public {
            Box::pin(public_code::make(context, &store, &definition)).await?;
        }
        match context.with_retries(async || store.create_campaign(&definition).await).await? {
            CreateCampaign::Created => {
                report(context, &store, &definition.name, self.json, "was created").await?;
                self.note_codes(context, &store, &definition).await
            }
            CreateCampaign::Unfinished { job_ids } => {
                let ids = job_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let cancel = context.command("jobs cancel ID");
                Err(Failure::negative_result(format!(
                    "campaign {name} was not created: codes that were ordered under its name before are not minted yet, by {} {ids}; \
                     repeat the command when {} ended, or {cancel} first",
                    one_or_many(job_ids.len(), "job", "jobs"),
                    one_or_many(job_ids.len(), "it has", "they have"),
                )))
            }
            CreateCampaign::Exists { is_same: true, .. } => {
                report(context, &store, &definition.name, self.json, "exists already with the same definition").await
            }
            CreateCampaign::Exists { version, is_same: false } => {
                let change = context.command(change_arguments(&self.file, version));
                Err(Failure::negative_result(format!(
                    "campaign {name} exists already with another definition, as version {version}; nothing was changed; {change} replaces it"
                )))
            }
        }
    }

    /// Notes how the new campaign gets codes, or that it has some.
    async fn note_codes(&self, context: &Context, store: &Store, definition: &Definition) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        match definition.kind {
            Kind::Public => {}
            Kind::Private => {
                let codes = context.command(format_args!("campaign codes {} --count N", quoted(&definition.name)));
                context.note(&format!("{codes} mints its codes"));
            }
            Kind::Restricted => match find::campaign(context, store, &definition.name).await?.counts.codes {
                0 => {}
                codes => context.note(&format!(
                    "note: its pool has the {} that {} minted or imported under its name before",
                    counted(codes.into(), "code"),
                    one_or_many(codes, "was", "were")
                )),
            },
        }
        Ok(())
    }
}

/// Replace the definition of a campaign, if nobody has changed it in the meantime
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:
  codemint campaign change spring.json --version 1

The definition is whole: fields that are left out get their defaults. What `codemint campaign show NAME --json` \
prints is such a file, too. The name in the file selects the campaign. Every version is kept; `codemint campaign show NAME --versions` lists them. Kind and purpose \
never change, nor does the code of a public campaign, and no limit falls below what is used up."
)]
pub struct Change {
    /// JSON file with the new definition, or - for standard input
    file: String,
    /// Version that the change was made from, as `codemint campaign show` reports it
    #[arg(long, value_name = "N", value_parser = from_to::<u32>(1, i32::MAX.unsigned_abs().into()))]
    version: u32,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Change {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let (definition, document) = read(context, &self.file, self.json).await?;
        let store = context.open_store(Access::Existing).await?;
        let name = printable(&definition.name);
        let done = match context.with_retries(async || store.change_campaign(&definition, self.version).await).await? {
            ChangeCampaign::Changed { .. } => "was changed",
            ChangeCampaign::Unchanged { .. } => "has this definition already",
            ChangeCampaign::Unknown => return Err(find::no_campaign(context, &definition.name)),
            ChangeCampaign::Stale { version } => {
                let show = context.command(format_args!("campaign show {} --json", quoted(&definition.name)));
                let change = context.command(change_arguments(&self.file, version));
                return Err(Failure::negative_result(format!(
                    "campaign {name} has version {version}, not {}; nothing was changed; {show} shows it, then {change} replaces it",
                    self.version
                )));
            }
            ChangeCampaign::Refused(problems) => return Err(document.refuse(problems)),
        };
        report(context, &store, &definition.name, self.json, done).await
    }
}

/// List campaigns by name, with what is limited and until when
#[derive(Debug, Args)]
pub struct List {
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let mut documents: Vec<CampaignDocument> = Vec::new();
        loop {
            context.stop.check(|| "stopped before everything was listed".to_owned())?;
            let after = documents.last().map_or("", |last| &last.definition.name);
            let page = context.with_retries(async || store.list_campaigns(after, PAGE_ROWS).await).await?;
            let is_last = page.len() < PAGE_ROWS as usize;
            documents.extend(page.iter().map(CampaignDocument::from));
            if is_last {
                break;
            }
        }
        if self.json {
            return print_json(&documents);
        }
        if documents.is_empty() {
            context.note("no campaigns");
            return Ok(());
        }
        campaign_report::list(&documents).iter().try_for_each(|line| print_line(line))
    }
}

/// Show one campaign, or the versions of its definition
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint campaign show 'Ten euros off'
  codemint campaign show 'Ten euros off' --versions
  codemint campaign show 'Ten euros off' --json | jq .counts")]
pub struct Show {
    /// Campaign name
    name: String,
    /// List the versions instead, newest first: when each was made, and by whom
    #[arg(long)]
    versions: bool,
    /// Report as JSON; with --versions, as an array that has the definitions
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct VersionDocument {
    version: u32,
    made_at: chrono::DateTime<chrono::Utc>,
    made_by: String,
    definition: Definition,
}

impl From<CampaignVersion> for VersionDocument {
    fn from(version: CampaignVersion) -> Self {
        let CampaignVersion { version, definition, made_at, made_by } = version;
        Self { version, made_at, made_by, definition }
    }
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let campaign = find::campaign(context, &store, &self.name).await?;
        let lines = if self.versions {
            let versions = context.with_retries(async || store.list_campaign_versions(campaign.no).await).await?;
            if self.json {
                return print_json(&versions.into_iter().map(VersionDocument::from).collect::<Vec<_>>());
            }
            campaign_report::versions(&versions)
        } else {
            let document = CampaignDocument::from(&campaign);
            if self.json {
                return print_json(&document);
            }
            campaign_report::lines(&document)
        };
        lines.iter().try_for_each(|line| print_line(line))
    }
}

/// Switch a campaign on; its dates and limits still apply
#[derive(Debug, Args)]
pub struct Activate {
    /// Campaign name
    name: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// Switch a campaign off; its codes stay, and more can be minted
#[derive(Debug, Args)]
pub struct Deactivate {
    /// Campaign name
    name: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

async fn switch(context: &Context, name: &str, active: bool, as_json: bool) -> Result<(), Failure> {
    let store = context.open_store(Access::Existing).await?;
    let done = match (context.with_retries(async || store.switch_campaign(name, active).await).await?, active) {
        (ChangeCampaign::Unknown, _) => return Err(find::no_campaign(context, name)),
        (ChangeCampaign::Changed { .. }, true) => "was switched on",
        (ChangeCampaign::Changed { .. }, false) => "was switched off",
        (_, true) => "was on already",
        (_, false) => "was off already",
    };
    report(context, &store, name, as_json, done).await
}

async fn read(context: &Context, file: &str, as_json: bool) -> Result<(Definition, Document), Failure> {
    let document = document::read(context, file, as_json).await?.without(&ANSWERED);
    let definition =
        read_definition(&document.value, NameFrom::Document).map_err(|problems| document.refuse(problems))?;
    Ok((definition, document))
}

/// Reports a campaign after an act: as JSON, or in one line for people.
async fn report(context: &Context, store: &Store, name: &str, as_json: bool, done: &str) -> Result<(), Failure> {
    let document = CampaignDocument::from(&find::campaign(context, store, name).await?);
    if as_json {
        return print_json(&document);
    }
    let (name, version, status) = (printable(name), document.version, word(&document.status));
    print_line(&format!("campaign {name} {done}; version {version}, status {status}"))?;
    note_reward(context, store, &document.definition).await
}

/// Notes that rewards have to wait: the campaign that they come from may be created later, but its name may also be wrong.
async fn note_reward(context: &Context, store: &Store, definition: &Definition) -> Result<(), Failure> {
    let terms = definition.referral.as_ref();
    let Some(reward) = terms.and_then(|terms| terms.reward_campaign.as_deref()) else { return Ok(()) };
    let found = context.with_retries(async || store.find_campaign(reward).await).await?;
    if found.is_none_or(|found| found.definition.kind != Kind::Restricted) {
        let reward = printable(reward);
        context.note(&format!("note: there is no restricted campaign {reward}; rewards wait until there is one"));
    }
    Ok(())
}

fn change_arguments(file: &str, version: u32) -> String {
    format!("campaign change {} --version {version}", quoted(file))
}
