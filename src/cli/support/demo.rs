//! What `codemint demo` does before anything happens in the demo: it makes sure that the store is empty, creates campaigns and mints
//! their codes.

use std::ops::ControlFlow;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::list_job::{ListRequest, Ordered, failure_of_list};
use crate::cli::support::minting::mint;
use crate::cli::support::public_code;
use crate::cli::support::requests::{put_job, request_failure, stored_job};
use crate::cli::support::text::shown_path;
use crate::config::policy_files;
use codemint_campaigns::demo::error::DemoError;
use codemint_campaigns::demo::founding::{create_campaign, create_rules, create_segments, definition_of};
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_import::identity_list::IdentityList;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::demo::campaigns::{Codes, campaigns, list_of};
use codemint_offers::demo::settings::DemoSettings;
use codemint_store::connection::store::Store;
use codemint_store::demo::begin::BeginDemo;

/// Describes a demo for the audit log.
pub fn detail_of(settings: &DemoSettings) -> String {
    let DemoSettings { seed, until, redemptions } = settings;
    format!("seed {seed}, until {until}, {redemptions} redemptions")
}

/// Notes that a demo begins.
///
/// # Errors
/// `impossible` if the store is not empty; nothing was changed then.
pub async fn begin(context: &Context, store: &Store, detail: &str) -> Result<(), Failure> {
    if !context.with_retries(async || store.may_fill_demo().await).await? {
        return Err(Failure::usage(
            "the database user may not fill a store; use its owner, or a store in a file such as --store sqlite://demo.db",
        ));
    }
    let is_example = context.config.store.file().is_some_and(|file| file.ends_with("demo.db"));
    let other = format!(
        "name another, empty store, such as --store sqlite://{}",
        if is_example { "demo-2.db" } else { "demo.db" }
    );
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let refusal = match context.with_retries(async || store.begin_demo(detail).await).await? {
        BeginDemo::Begun => return Ok(()),
        BeginDemo::NotEmpty => format!("the store is not empty, and a demo would mix with what it holds; {other}"),
        BeginDemo::Filled { at } => format!("the store was filled with a demo at {}; {other}", time(at)),
        BeginDemo::Unfinished { at } => {
            format!("the store holds a demo that was begun at {} and not finished\n{}", time(at), way_out(context))
        }
    };
    Err(Failure::impossible(refusal))
}

/// Describes how to get rid of a demo that is not finished.
pub fn way_out(context: &Context) -> String {
    let other = "or name another store with --store";
    match context.config.store.file() {
        Some(file) => {
            let file = shown_path(file);
            format!("a demo cannot be resumed: delete {file} with its -wal and -shm and begin again, {other}")
        }
        None => format!(
            "a demo cannot be resumed: drop the database, create it, run {} and begin again, {other}",
            context.command("migrate")
        ),
    }
}

/// Creates segments, campaigns with their codes, and rules. Returns the number of campaigns and of codes.
pub async fn found(context: &Context, store: &Store, settings: &DemoSettings) -> Result<(u64, u64), Failure> {
    create_segments(store, settings).await.map_err(failed)?;
    let (mut count, mut codes) = (0, 0);
    for planned in campaigns(settings) {
        context.stop.check(|| "stopped before all campaigns were created".to_owned())?;
        let definition = definition_of(&planned).map_err(failed)?;
        if planned.codes == Codes::One {
            public_code::make(context, store, &definition).await?;
        }
        create_campaign(store, &definition).await.map_err(failed)?;
        codes += match planned.codes {
            Codes::One => 1,
            Codes::Minted(codes) => mint_codes(context, store, &definition, codes).await?,
            Codes::ForList => mint_for(context, store, &definition, &list_of(planned.name, settings)).await?,
        };
        count += 1;
    }
    create_rules(store, settings).await.map_err(failed)?;
    Ok((count, codes))
}

/// Returns the failure of a demo that cannot be carried out.
pub fn failed(error: DemoError) -> Failure {
    match error {
        DemoError::Store(error) => error.into(),
        DemoError::Plan(_) => Failure::other(error),
    }
}

/// Mints codes of a campaign in a job, as `campaign codes` does.
async fn mint_codes(context: &Context, store: &Store, definition: &Definition, codes: u64) -> Result<u64, Failure> {
    let mask = definition.mask.to_string();
    let policy = policy_files::load(&context.config)?;
    let (name, chunk_size) = (Some(definition.name.as_str()), context.config.chunk_size);
    let request = Request::check(&mask, codes.into(), name, chunk_size, context.config.limits)
        .and_then(|request| request.under(policy))
        .map_err(|error| request_failure(&mask, error))?;
    let job = put_job(context, store, Uuid::now_v7(), &request).await?;
    finish(context, store, &job).await
}

/// Mints a code for each identity of a list.
async fn mint_for(
    context: &Context,
    store: &Store,
    definition: &Definition,
    identities: &[String],
) -> Result<u64, Failure> {
    let key = context.with_retries(async || store.identity_key().await).await?;
    let campaign = find::campaign(context, store, &definition.name).await?;
    let text = identities.join("\n");
    let proceed = |_bytes: u64| ControlFlow::Continue(());
    let mut list =
        IdentityList::read(text.as_bytes(), false, &key, &proceed, &mut |_| Ok(())).map_err(failure_of_list)?;
    let order = ListRequest { campaign: &campaign, new_check_key: false, asked_by: None };
    match order.put(context, store, &mut list, &mut |_| Ok(())).await? {
        Ordered::Put(request, put) => finish(context, store, &stored_job(&request, *put)?).await,
        Ordered::Known(_) | Ordered::Nothing | Ordered::LimitReached { .. } => {
            Err(Failure::other(format!("the list of campaign {} could not be ordered", definition.name)))
        }
    }
}

/// Mints a job to its end, and returns the number of its codes.
async fn finish(context: &Context, store: &Store, job: &Job) -> Result<u64, Failure> {
    let (job, _share) = mint(context, store, job).await?;
    find::require_completed(context, &job)?;
    Ok(job.minted)
}
