//! `codemint enqueue`: requests codes and leaves the minting to workers.

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::minting::watch_to_the_end;
use crate::cli::support::requests::{
    CampaignOrder, from_to, note_mistaken_set, put_job, request_failure, whole_number,
};
use crate::cli::support::terminal::{print_json, print_line};
use crate::config::policy_files;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::request::{Request, fitting_chunk_size};
use codemint_codes::wire::document::JobDocument;
use codemint_codes::wire::message::{JOB_CONTENT_TYPE, JOB_MESSAGE_TYPE, JobMessage};
use codemint_store::connection::store::{Access, Store};
use codemint_worker::broker::connection::BrokerConnection;
use codemint_worker::broker::error::BrokerError;
use codemint_worker::broker::publish::{Outgoing, Publisher};
use codemint_worker::broker::settings::BrokerSettings;

/// Queue a job for the workers and print its id
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint enqueue 'SPRING-[:safe:]{8}' --count 50000 --campaign spring
  codemint enqueue 'VIP-[:safe:]{10}' --count 500 --priority 9 --wait

With amqp.url the request is published to the broker, which keeps it until a worker takes it; without \
amqp.url the job goes into the store. --wait polls the store, so name the store of the workers.")]
pub struct Enqueue {
    /// Mask of the codes, such as 'MY_LITTLE_PROMO????##'
    mask: String,
    /// Number of codes
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    count: i128,
    /// Campaign name, shown in reports and events
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Priority, 0 to 9; jobs of a higher priority go first
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = from_to::<u8>(0, 9))]
    priority: u8,
    /// Job id; the same id with the same request is the same job [default: a new id]
    #[arg(long, value_name = "UUID", value_parser = find::job_id)]
    job_id: Option<Uuid>,
    /// Accept a check key other than that of the mask's newest job
    #[arg(long)]
    new_check_key: bool,
    /// Wait until the job ends; exit code 3 if it fails or is cancelled
    #[arg(long)]
    wait: bool,
    /// Report as JSON; with --wait, report the ended job
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Enqueued {
    job_id: Uuid,
}

impl Enqueue {
    /// Returns the command that queues codes of a campaign.
    pub fn for_campaign(order: CampaignOrder) -> Self {
        let CampaignOrder { mask, count, campaign, job_id, new_check_key, json } = order;
        Self { mask, count, campaign: Some(campaign), priority: 0, job_id, new_check_key, wait: false, json }
    }

    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let request = self.request(context)?;
        note_mistaken_set(context, &self.mask);
        let id = self.job_id.unwrap_or_else(Uuid::now_v7);
        let access = if context.config.broker.is_some() { Access::Existing } else { Access::CreateFile };
        // Opened first, so that no job is requested that cannot be followed.
        let store = match (&context.config.broker, self.wait) {
            (Some(_), false) => None,
            _ => Some(context.open_store(access).await?),
        };
        match (&context.config.broker, &store) {
            (Some(settings), _) => self.publish(context, settings, id).await?,
            (None, Some(store)) => {
                let request = request.clone().under(policy_files::load(&context.config)?)?;
                if let Some(reason) = put_job(context, store, id, &request).await?.waits_for {
                    context.note(&format!("note: the job waits for room: {reason}"));
                }
            }
            (None, None) => {}
        }
        if !(self.wait && self.json) {
            self.print_id(id)?;
        }
        match store.filter(|_| self.wait) {
            Some(store) => self.follow(context, &store, id, &request).await,
            None => Ok(()),
        }
    }

    /// Checks the request here as well as in the worker, so that an impossible one fails immediately.
    fn request(&self, context: &Context) -> Result<Request, Failure> {
        let limits = context.config.limits;
        let count = u64::try_from(self.count).unwrap_or_default().min(limits.count_max);
        let chunk_size = fitting_chunk_size(context.config.chunk_size, count);
        let (priority, new_check_key) = (self.priority, self.new_check_key);
        let options = JobOptions { priority, new_check_key, ..context.job_options() };
        Request::check(&self.mask, self.count, self.campaign.as_deref(), chunk_size, limits)
            .map(|request| request.with_options(options))
            .map_err(|error| request_failure(&self.mask, error))
    }

    async fn publish(&self, context: &Context, settings: &BrokerSettings, id: Uuid) -> Result<(), Failure> {
        let message = self.message(settings, id)?;
        let publish = async {
            let connection = std::sync::Arc::new(BrokerConnection::open(settings, "producer").await?);
            let published = Publisher::open(std::sync::Arc::clone(&connection)).await?.publish(&message).await;
            if let Some(connection) = std::sync::Arc::into_inner(connection) {
                connection.close().await;
            }
            published
        };
        let published = tokio::select! {
            published = Box::pin(publish) => published,
            () = context.stop.token().cancelled() => {
                return Err(context.stop.interrupted(&format!(
                    "stopped; job {id} may have been published; it is safe to repeat the command with --job-id {id}"
                )));
            }
        };
        published.map_err(|error| match &error {
            BrokerError::Unroutable { .. } => Failure::other(format!(
                "{error}; start a worker, which creates the queue, or import deploy/rabbitmq/definitions.json"
            )),
            BrokerError::NotTaken | BrokerError::NotConfirmed { .. } | BrokerError::Lost { .. } => Failure::from(error)
                .with_hint(format!("it is safe to repeat the command with --job-id {id}: the job is done once")),
            _ => Failure::from(error),
        })
    }

    fn message(&self, settings: &BrokerSettings, id: Uuid) -> Result<Outgoing, Failure> {
        let message = JobMessage {
            job_id: id,
            mask: self.mask.clone(),
            // Checked by `request`.
            count: u64::try_from(self.count).unwrap_or_default(),
            campaign: self.campaign.clone(),
            priority: self.priority,
            new_check_key: self.new_check_key,
        };
        Ok(Outgoing {
            exchange: settings.names.jobs_exchange.clone(),
            routing_key: settings.names.jobs_queue.clone(),
            mandatory: true,
            message_id: Some(id.to_string()),
            message_type: Some(JOB_MESSAGE_TYPE.to_owned()),
            content_type: Some(JOB_CONTENT_TYPE.to_owned()),
            body: serde_json::to_vec(&message).map_err(Failure::other)?,
            ..Outgoing::default()
        })
    }

    fn print_id(&self, id: Uuid) -> Result<(), Failure> {
        if self.json { print_json(&Enqueued { job_id: id }) } else { print_line(&id.to_string()) }
    }

    async fn follow(&self, context: &Context, store: &Store, id: Uuid, request: &Request) -> Result<(), Failure> {
        let job = watch_to_the_end(context, store, id).await?;
        if !job.asks_the_same_as(request) {
            return Err(Failure::negative_result(format!(
                "job {id} belongs to another request; this one was dead-lettered, see `codemint dlq list`"
            )));
        }
        if self.json {
            print_json(&JobDocument::from(&job))?;
        }
        find::require_completed(context, &job)
    }
}
