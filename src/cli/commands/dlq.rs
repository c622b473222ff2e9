//! `codemint dlq`: dead-lettered messages, that is, those that are not valid jobs or triggers, or that the broker gave up on.

use std::collections::BTreeSet;
use std::io::{Write, stdout};

use clap::{Args, Subcommand};
use codemint_codes::text::grouped;

use crate::cli::support::context::Context;
use crate::cli::support::dlq::{DeadDocument, ShownDocument, shown_id};
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::counted;
use codemint_store::connection::store::{Access, Store};
use codemint_store::records::audit::{Action, AuditEntry, Outcome};
use codemint_worker::broker::dead_queue::{DeadMessage, DeadQueue};
use codemint_worker::broker::error::BrokerError;
use codemint_worker::broker::settings::BrokerSettings;

const LIST_MAX: u32 = 10_000;

/// List, show, requeue or purge dead-lettered messages
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    List(List),
    Show(Show),
    Requeue(Requeue),
    Purge(Purge),
}

impl DlqCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Requeue(requeue) => requeue.run(context).await,
            Self::Purge(purge) => purge.run(context).await,
        }
    }
}

/// List dead-lettered messages, oldest first; they stay in the queue
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint dlq list
  codemint dlq list --limit 1000 --json")]
pub struct List {
    /// Maximum number of messages
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = from_to::<u32>(1, LIST_MAX.into()))]
    limit: u32,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut queue = open(context).await?;
        let mut documents = Vec::new();
        while documents.len() < self.limit as usize
            && let Some(message) = next(context, &mut queue).await?
        {
            documents.push(DeadDocument::new(documents.len() + 1, &message));
        }
        let left = queue.left();
        queue.close().await;
        if self.json {
            return print_json(&documents);
        }
        match documents.is_empty() {
            true => context.note("no dead-lettered messages"),
            false => print_line(&format!("{:>5}  {:<20}  {:<36}  REASON", "NO", "DEAD SINCE", "MESSAGE OR JOB"))?,
        }
        documents.iter().try_for_each(|document| print_line(&document.list_line()))?;
        if left > 0 {
            context.note(&format!("{} more; raise --limit to list them", grouped(left.into())));
        }
        Ok(())
    }
}

/// Show one dead-lettered message; it stays in the queue
#[derive(Debug, Args)]
pub struct Show {
    /// Number or id from `codemint dlq list`
    message: String,
    /// Report as JSON
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Write only the bytes of the body
    #[arg(long)]
    raw: bool,
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut queue = open(context).await?;
        let found = find(context, &mut queue, &self.message).await;
        queue.close().await;
        let (number, message) = found?;
        if self.raw {
            let written = stdout().write_all(message.body()).and_then(|()| stdout().flush());
            written.map_err(|error| Failure::stdout(&error))?;
            return Ok(());
        }
        let document = ShownDocument::new(number, &message);
        if self.json {
            print_json(&document)?
        } else {
            document.print(context)?
        }
        Ok(())
    }
}

/// Put dead-lettered messages back into their queue as they were, without user_id and expiration
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint dlq requeue 3
  codemint dlq requeue --all")]
pub struct Requeue {
    /// Number or id from `codemint dlq list`; or use --all
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    message: Option<String>,
    /// Requeue all messages that are in the queue now
    #[arg(long)]
    all: bool,
}

impl Requeue {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        settings(context)?;
        let store = context.open_store(Access::Existing).await?;
        let mut queue = open(context).await?;
        record(context, &store, Action::DeadRequeue, Outcome::Begun, None).await?;
        let mut back = PutBack::default();
        let requeued = match &self.message {
            Some(wanted) => requeue_one(context, &mut queue, wanted, &mut back).await,
            None => requeue_all(context, &mut queue, &mut back).await,
        };
        queue.close().await;
        record(context, &store, Action::DeadRequeue, Outcome::of(&requeued), Some(back.messages)).await?;
        requeued.map_err(|failure| match back.messages {
            0 => failure,
            _ => failure.with_hint(format!("put back before the failure: {}", messages(back.messages))),
        })?;
        let mut queues: Vec<String> = back.queues.into_iter().collect();
        if queues.is_empty() {
            queues.push(settings(context)?.names.jobs_queue.clone());
        }
        print_line(&format!("{} put back into {}", messages(back.messages), queues.join(" and ")))
    }
}

/// The messages that were put back, and the queues in which they are.
#[derive(Debug, Default)]
struct PutBack {
    messages: u32,
    queues: BTreeSet<String>,
}

impl PutBack {
    fn add(&mut self, queue: String) {
        self.messages += 1;
        self.queues.insert(queue);
    }
}

async fn requeue_one(
    context: &Context,
    queue: &mut DeadQueue,
    wanted: &str,
    back: &mut PutBack,
) -> Result<(), Failure> {
    let (_, message) = find(context, queue, wanted).await?;
    back.add(queue.requeue(&message).await?);
    Ok(())
}

async fn requeue_all(context: &Context, queue: &mut DeadQueue, back: &mut PutBack) -> Result<(), Failure> {
    while let Some(message) = next(context, queue).await? {
        back.add(queue.requeue(&message).await?);
    }
    Ok(())
}

/// Remove all dead-lettered messages permanently
#[derive(Debug, Args)]
pub struct Purge {
    /// Confirm the purge
    #[arg(long, required = true)]
    yes: bool,
}

impl Purge {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        settings(context)?;
        let store = context.open_store(Access::Existing).await?;
        let queue = open(context).await?;
        record(context, &store, Action::DeadPurge, Outcome::Begun, None).await?;
        let purged = Box::pin(queue.purge()).await;
        queue.close().await;
        record(context, &store, Action::DeadPurge, Outcome::of(&purged), purged.as_ref().ok().copied()).await?;
        print_line(&format!("{} removed", messages(purged?)))
    }
}

/// Records an audit entry in the store; called before and after a change in the broker.
async fn record(
    context: &Context,
    store: &Store,
    action: Action,
    outcome: Outcome,
    count: Option<u32>,
) -> Result<(), Failure> {
    let entry = AuditEntry { count: count.map(u64::from), ..AuditEntry::new(action, outcome) };
    context.with_retries(async || store.put_audit(&entry).await).await
}

fn messages(count: u32) -> String {
    counted(count.into(), "message")
}

fn settings(context: &Context) -> Result<&BrokerSettings, Failure> {
    let broker = context.config.broker.as_ref();
    broker.ok_or_else(|| {
        Failure::usage("no broker is configured to read dead-lettered messages from; set amqp.url or amqp.url_file")
    })
}

async fn open(context: &Context) -> Result<DeadQueue, Failure> {
    let settings = settings(context)?;
    tokio::select! {
        opened = Box::pin(DeadQueue::open(settings)) => Ok(opened?),
        () = context.stop.token().cancelled() => Err(context.stop.interrupted("stopped; nothing was done")),
    }
}

async fn next(context: &Context, queue: &mut DeadQueue) -> Result<Option<DeadMessage>, Failure> {
    context.stop.check(|| "stopped; the messages read so far return to their places in the queue".to_owned())?;
    Box::pin(queue.next()).await.map_err(|error| match error {
        BrokerError::Unreadable { .. } => Failure::from(error)
            .with_hint("a message with invalid text blocks the queue; remove it with the broker's own tools"),
        _ => Failure::from(error),
    })
}

/// Finds a message by its number, or else by its id; without a message id, by the job id in its body.
async fn find(context: &Context, queue: &mut DeadQueue, wanted: &str) -> Result<(usize, DeadMessage), Failure> {
    let wanted_number = wanted.parse::<usize>().ok();
    // Messages already read stay unacknowledged, or the broker would deliver them again.
    let mut passed = 0;
    while let Some(message) = next(context, queue).await? {
        passed += 1;
        let is_wanted = || shown_id(&message).is_some_and(|id| id == wanted);
        if wanted_number.map_or_else(is_wanted, |number| number == passed) {
            return Ok((passed, message));
        }
    }
    let list = context.command("dlq list");
    Err(Failure::negative_result(format!(
        "there is no dead-lettered message {wanted:?} among {passed}; {list} lists them"
    )))
}
