//! `codemint enqueue`: asks for codes and leaves the work to workers.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::exit::Failure;
use crate::cli::generate::{put_job, request_failure, whole_number};
use crate::cli::jobs::watch_to_the_end;
use crate::cli::text::{print_json, print_line};
use crate::cli::{Context, find};
use crate::policy;
use codemint_codes::job::Handling;
use codemint_codes::job::request::{Request, fitting_chunk_size};
use codemint_codes::wire::document::JobDocument;
use codemint_codes::wire::message::{JOB_CONTENT_TYPE, JOB_MESSAGE_TYPE, JobMessage};
use codemint_store::{Access, Store};
use codemint_worker::broker::connection::BrokerConnection;
use codemint_worker::broker::error::BrokerError;
use codemint_worker::broker::publish::{Outgoing, Publisher};
use codemint_worker::broker::settings::BrokerSettings;

/// Ask for codes and leave them to the workers; prints the job's id
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint enqueue 'SPRING-[:safe:]{8}' --count 50000 --campaign spring
  codemint enqueue 'VIP-[:safe:]{10}' --count 500 --priority 9 --wait

With amqp.url the request is published to the broker, which keeps it until a worker takes it; without,
it goes into the store. --wait asks the store, so the store of the workers must be named.")]
pub struct Enqueue {
    /// What codes look like, such as 'MY_LITTLE_PROMO????##'
    mask: String,
    /// How many codes
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    count: i128,
    /// Whom or what the codes are for
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// 0 to 9; jobs of a higher priority go first
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: u8,
    /// Name the job yourself: the same id with the same request is the same job
    #[arg(long, value_name = "UUID", value_parser = find::new_job_id)]
    job_id: Option<Uuid>,
    /// Follow the job to its end; exit code 3 if it is cancelled or fails
    #[arg(long)]
    wait: bool,
    /// Report as JSON; with --wait the job as it ended
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Enqueued {
    job_id: Uuid,
}

impl Enqueue {
    pub async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let request = self.request(context)?;
        let id = self.job_id.unwrap_or_else(Uuid::now_v7);
        let access = if context.config.broker.is_some() { Access::Existing } else { Access::CreateFile };
        // Opened first, so that nothing is asked for that cannot be followed.
        let store = match (&context.config.broker, self.wait) {
            (Some(_), false) => None,
            _ => Some(context.open_store(access).await?),
        };
        match (&context.config.broker, &store) {
            (Some(settings), _) => self.publish(context, settings, id).await?,
            (None, Some(store)) => {
                let request = request.clone().under(policy::load(&context.config)?)?;
                put_job(context, store, id, &request).await?;
            }
            (None, None) => {}
        }
        if !(self.wait && self.json) {
            self.print_id(id)?;
        }
        match store.filter(|_| self.wait) {
            Some(store) => self.follow(context, &store, id, &request).await,
            None => Ok(ExitCode::SUCCESS),
        }
    }

    /// Checked here as well, so that what is impossible is said at once.
    fn request(&self, context: &Context) -> Result<Request, Failure> {
        let limits = context.config.limits;
        let count = u64::try_from(self.count).unwrap_or_default().min(limits.count_max);
        let chunk_size = fitting_chunk_size(context.config.chunk_size, count);
        let handling = Handling { priority: self.priority, ..context.handling() };
        Request::check(&self.mask, self.count, self.campaign.as_deref(), chunk_size, limits)
            .map(|request| request.handled(handling))
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
                return Err(context.stop.interrupted(&format!("stopped; whether job {id} was published is not known")));
            }
        };
        published.map_err(|error| match &error {
            BrokerError::Unroutable { .. } => Failure::other(format!(
                "{error}; a worker makes the queue when it starts, as does deploy/rabbitmq/definitions.json"
            )),
            _ => Failure::from(error),
        })
    }

    fn message(&self, settings: &BrokerSettings, id: Uuid) -> Result<Outgoing, Failure> {
        let message = JobMessage {
            job_id: id,
            mask: self.mask.clone(),
            // Checked before.
            count: u64::try_from(self.count).unwrap_or_default(),
            campaign: self.campaign.clone(),
            priority: self.priority,
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

    async fn follow(&self, context: &Context, store: &Store, id: Uuid, request: &Request) -> Result<ExitCode, Failure> {
        let job = watch_to_the_end(context, store, id).await?;
        if !job.asks_the_same_as(request) {
            return Err(Failure::answer_is_no(format!(
                "job {id} is another request; this one is in the dead queue, see `codemint dead list`"
            )));
        }
        if self.json {
            print_json(&JobDocument::from(&job))?;
        }
        find::require_completed(context, &job)?;
        Ok(ExitCode::SUCCESS)
    }
}
