//! `codemint serve`: the HTTP API, and on SQLite a worker beside it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;

use crate::cli::commands::worker::Worker;
use crate::cli::support::admin_listener::{AdminListener, advice_on};
use crate::cli::support::context::Context;
use crate::cli::support::errands;
use crate::cli::support::failure::Failure;
use crate::cli::support::redeeming::redeemer;
use crate::cli::support::service;
use crate::config::policy_files;
use crate::config::tls_files::{self, problem_of_certificate, problem_of_key};
use codemint_campaigns::people::People;
use codemint_offers::access::invitation::invitation_path;
use codemint_server::api::ordering::OrderSettings;
use codemint_server::api::router::router;
use codemint_server::api::service::{Api, ApiSettings, ConsoleSettings};
use codemint_server::listening::{self, Listening, TlsAcceptor};
use codemint_server::tls::{self, TlsError};
use codemint_store::connection::store::Store;
use codemint_worker::runner::store_poller;

/// Serve the HTTP API: campaigns, redemption, issuing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint serve                                   # on http://127.0.0.1:8080, with a worker and a SQLite store
  codemint --store postgres://shop@db/shop serve   # workers run on their own

Requests need an API key: `codemint keys create --scope redeem,manage` prints one. The paths are described at \
/openapi.json. Any number of servers may share a store. On SIGTERM a server answers the requests that \
were sent and exits within worker.shutdown_seconds.")]
pub struct Serve {
    /// Run no worker in this process; on PostgreSQL none runs anyway
    #[arg(long)]
    no_worker: bool,
    /// Exit with code 5 if the store is unreachable at the start, instead of waiting
    #[arg(long)]
    no_wait: bool,
}

impl Serve {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = &context.config.server;
        let tls = settings.tls.as_ref().map(tls_acceptor).transpose()?;
        let listener = TcpListener::bind(settings.address).await.map_err(|error| {
            Failure::usage(format!(
                "server.listen: cannot listen on {}: {error}; set another address{}",
                settings.address,
                advice_on(&error)
            ))
        })?;
        let listening =
            Listening { connections_max: settings.connections_max, tls, shutdown: context.config.worker.shutdown };
        let has_worker = !self.no_worker && context.config.store.file().is_some();
        let serving = async {
            let served = self.serve(context, listener, listening, has_worker).await;
            // Neither part goes on without the other.
            context.stop.token().cancel();
            served
        };
        if !has_worker {
            return serving.await;
        }
        let working = async {
            let worked = Box::pin(Worker::beside(self.no_wait).run(context)).await;
            context.stop.token().cancel();
            worked
        };
        let (served, worked) = tokio::join!(Box::pin(serving), working);
        served.and(worked)
    }

    async fn serve(
        &self,
        context: &Context,
        listener: TcpListener,
        listening: Listening,
        has_worker: bool,
    ) -> Result<(), Failure> {
        // A worker in this process has the admin listener.
        let admin = if has_worker { None } else { AdminListener::open(context, None).await? };
        if !has_worker {
            service::report_ready();
            tokio::spawn(service::feed_watchdog());
        }
        let Some(store) = service::open_store(context, self.no_wait).await? else { return Ok(()) };
        if !has_worker {
            service::check_rights(context, &store, "codemint_server").await?;
        }
        if let Some(admin) = &admin {
            admin.set_store(&store);
            let (store, stop) = (store.clone(), context.stop.token().clone());
            tokio::spawn(async move { store_poller::poll(&store, &stop).await });
        }
        let redeemer = redeemer(context, &store, false).await?;
        let stop = context.stop.token().clone();
        let (api, wanted) = Api::new(store.clone(), redeemer, api_settings(context)?, stop.clone());
        let clicks = api.clicks();
        greet(context, &store).await?;
        invite_first(context, &People::new(store.clone())).await?;
        // A list is read in this task, and must not keep connections waiting.
        let serving = tokio::spawn(listening::serve(listener, router(Arc::new(api)), listening, stop));
        tokio::select! {
            served = serving => served.map_err(Failure::other)?,
            () = errands::run(context, &store, wanted) => {}
        }
        match clicks.finish(context.config.worker.shutdown).await {
            0 => {}
            lost => tracing::error!(lost, "the store did not take all clicks; these are lost"),
        }
        tracing::info!("the HTTP API has ended");
        Ok(())
    }
}

/// Returns what the configuration says about the API.
fn api_settings(context: &Context) -> Result<ApiSettings, Failure> {
    let config = &context.config;
    let (policy, options) = (policy_files::load(config)?, context.job_options());
    let ordering = OrderSettings { policy, limits: config.limits, chunk_size: config.chunk_size, options };
    let (proxies, links) = (config.server.proxies.clone(), config.links.clone());
    let console = ConsoleSettings {
        is_secure: config.links.public.scheme() == "https",
        sign_in_header: config.server.sign_in_header.clone(),
    };
    let health = Arc::clone(&context.health);
    Ok(ApiSettings { limits: config.server.limits, proxies, ordering, links, console, health })
}

/// Reads the certificate and its key.
fn tls_acceptor(files: &(PathBuf, PathBuf)) -> Result<TlsAcceptor, Failure> {
    let read = tls_files::load(files)?;
    Ok(tls::acceptor(&read.certificates, &read.key).map_err(|error| match error {
        TlsError::Certificate => problem_of_certificate(&files.0, error.to_string()),
        TlsError::Key | TlsError::Mismatch(_) => problem_of_key(&files.1, error.to_string()),
    })?)
}

/// Prints the link by which the first person becomes the administrator of the console, unless there is somebody. It goes to the
/// terminal, not into the log, which others may read. A server on a replica leaves that to those on the primary database.
async fn invite_first(context: &Context, people: &People) -> Result<(), Failure> {
    let invite = async || match people.first_invitation().await {
        Err(error) if error.is_read_only() => Ok(None),
        invited => invited,
    };
    let Some(token) = context.with_retries(invite).await? else { return Ok(()) };
    let url = format!("{}{}", context.config.links.public.as_str().trim_end_matches('/'), invitation_path(&token));
    context.note(&format!(
        "The console has no users yet. Open this link within a day to become its administrator:\n{url}"
    ));
    Ok(())
}

/// Returns the address at which this process listens.
fn address(context: &Context) -> String {
    let settings = &context.config.server;
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", settings.address)
}

async fn greet(context: &Context, store: &Store) -> Result<(), Failure> {
    let (version, address) = (env!("CARGO_PKG_VERSION"), address(context));
    tracing::info!(version, store = %context.config.store, address, "the HTTP API listens");
    if !context.with_retries(async || store.has_api_keys().await).await? {
        let create = context.command("keys create --scope redeem,issue,manage,report");
        tracing::warn!("there is no API key yet, and each request needs one; {create} prints one");
    }
    Ok(())
}
