//! The progress of a job as server-sent events. <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use codemint_codes::job::record::Job;
use codemint_codes::wire::document::JobDocument;
use futures_util::stream::unfold;
use schemars::JsonSchema;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Allowed, Manage};
use crate::api::body::InPath;
use crate::api::jobs::find;
use crate::api::problem::Problem;
use crate::api::service::Api;

/// The time between two looks at a job.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// An event.
#[derive(Clone, Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct JobEvent {
    event: JobEventKind,
    /// The job, as JSON.
    #[schemars(extend("contentMediaType" = "application/json"))]
    data: String,
}

#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum JobEventKind {
    Progress,
    End,
}

/// Follow a job until it ends
///
/// An event `progress` with the job whenever something has changed, at most once a second; the last event is `end`. Both have the job as
/// JSON. The connection may end earlier, when the server is stopped: connect again.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/events", tag = "codes", operation_id = "follow_job", security(("key" = ["manage"])),
    params(("id" = Uuid, Path, description = "The id of the job")),
    responses(
        (status = 200, description = "The events", body = ref("#/components/schemas/JobEvent"), content_type = "text/event-stream"),
        (status = 404, description = "There is no such job"),
    )
)]
async fn follow(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(id): InPath<Uuid>,
) -> Result<Response, Problem> {
    let permit = api.slots.listeners.take()?;
    let job = find(&api, id).await?;
    let listener = Listener { api, id, job: Some(job), told: None, is_over: false, _permit: permit };
    let events = unfold(listener, |listener| async {
        listener.next().await.map(|(event, next)| (Ok::<_, Infallible>(event), next))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// A client that follows a job.
#[derive(Debug)]
struct Listener {
    api: Arc<Api>,
    id: Uuid,
    /// The job as it was read and not yet sent.
    job: Option<Job>,
    /// What was sent last.
    told: Option<String>,
    /// The last event was sent.
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    /// Waits for the next event; `None` after the last one.
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            if let Some(job) = self.job.take()
                && let Some(event) = self.event_of(&job)
            {
                return Some((event, self));
            }
            self.job = self.look().await?;
        }
    }

    /// Returns the event of a job, unless nothing has changed.
    fn event_of(&mut self, job: &Job) -> Option<Event> {
        let document = serde_json::to_string(&JobDocument::from(job)).unwrap_or_default();
        if self.told.as_ref() == Some(&document) {
            return None;
        }
        let event = Event::default().event(if job.state.is_final() { "end" } else { "progress" }).data(&document);
        self.told = Some(document);
        self.is_over = job.state.is_final();
        Some(event)
    }

    /// Reads the job after a while; `None` if nothing follows.
    async fn look(&self) -> Option<Option<Job>> {
        if self.is_over {
            return None;
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = self.api.stop.cancelled() => return None,
        }
        match self.api.store.find_job(self.id).await {
            // Pruned.
            Ok(None) => None,
            Ok(job) => Some(job),
            // The store may be back at the next look.
            Err(_away) => Some(None),
        }
    }
}
