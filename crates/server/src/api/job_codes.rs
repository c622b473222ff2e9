//! The codes of a completed job, streamed. Every download is recorded in the audit log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Job;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::State as JobState;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::records::actor::Caller;
use codemint_store::records::audit::{Action, AuditEntry, Outcome};
use codemint_store::records::job_codes::{OtherCodes, pair_with_owners};
use codemint_store::records::rows::Chunk;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tower_http::compression::CompressionLayer;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Allowed, Manage};
use crate::api::body::{InPath, InQuery};
use crate::api::job_rows::RowFormat;
use crate::api::jobs::find;
use crate::api::problem::{NOT_ACCEPTABLE, Problem, STORE_AWAY, WRONG_STATE};
use crate::api::service::Api;

/// The number of codes that are encoded at once.
const PIECE_CODES: usize = 10_000;
/// The number of encoded pieces that wait for the client.
const PIECES_WAITING: usize = 2;
/// How long a client may take for one piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    // Only these answers are compressed, for clients that accept it: they are long, and the number at once is limited.
    OpenApiRouter::new().routes(routes!(download)).layer(CompressionLayer::new())
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DownloadParameters {
    /// The number of codes that were received already, to resume a download: they are left out, and so is the header line.
    after: Option<u64>,
}

/// Read the codes of a completed job
///
/// One code a line, in an order that stays the same: with the header line `code` (or `code,identity`, if the codes belong to the identities
/// of a list) as CSV, or as one JSON object a line. A download that broke is resumed with the number of complete lines as `after`.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/codes", tag = "codes", operation_id = "download_codes", security(("key" = ["manage"])),
    params(
        ("id" = Uuid, Path, description = "The id of the job"),
        DownloadParameters,
        ("Accept" = Option<String>, Header, description = "text/csv, which is the default, or application/x-ndjson"),
    ),
    responses(
        (status = 200, description = "The codes", content((String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 404, description = "There is no such job"),
        (status = 406, description = "Codes come as text/csv or application/x-ndjson only"),
        (status = 409, description = "It is not completed"),
    )
)]
async fn download(
    State(api): State<Arc<Api>>,
    caller: Allowed<Manage>,
    InPath(id): InPath<Uuid>,
    InQuery(DownloadParameters { after }): InQuery<DownloadParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find(&api, id).await?;
    let after = after.unwrap_or_default();
    check(&job, after)?;
    let format = accepted_format(&headers, has_owners(&job))?;
    stream(&api, job, format, after, &caller.caller()).await
}

/// Returns all codes of a job as CSV.
///
/// # Errors
/// `wrong-state` unless the job has all its codes.
pub(crate) async fn csv(api: &Api, job: Job, caller: &Caller) -> Result<Response, Problem> {
    check(&job, 0)?;
    let format = RowFormat::csv(has_owners(&job));
    stream(api, job, format, 0, caller).await
}

async fn stream(api: &Api, job: Job, format: RowFormat, after: u64, caller: &Caller) -> Result<Response, Problem> {
    let permit = api.slots.downloads.take()?;
    if api.store.is_recovering().await? {
        let detail = "codes are still being recovered at a node of the cluster after a crash; nothing is lost; try again in a minute";
        return Err(Problem::new(STORE_AWAY, detail).retried_after(60));
    }
    let chunks = api.store.list_done_chunks(job.no).await?;
    let download = Download { store: api.store.clone(), job, format, asked_by: caller.to_string() };
    download.record(Outcome::Begun).await?;
    let (pieces, received) = mpsc::channel(PIECES_WAITING);
    tokio::spawn(download.run(chunks, after, pieces, permit));
    let body = unfold(received, |mut received| async { received.recv().await.map(|piece| (piece, received)) });
    // Compression asks once more after the end.
    let body = body.fuse();
    Ok(([(CONTENT_TYPE, format.content_type())], Body::from_stream(body)).into_response())
}

/// # Errors
/// `wrong-state` unless the job has all its codes; `invalid` if it has fewer than were received.
fn check(job: &Job, after: u64) -> Result<(), Problem> {
    if job.state != JobState::Completed {
        let detail = format!("the job is {}; its codes can be read when it is completed", job.state);
        return Err(Problem::new(WRONG_STATE, detail));
    }
    if after > job.minted {
        return Err(Problem::invalid_field("after", format!("the job has {} codes", job.minted)));
    }
    Ok(())
}

fn has_owners(job: &Job) -> bool {
    matches!(job.options.restricted_to, Some(RestrictedTo::List { .. }))
}

/// # Errors
/// `not-acceptable` if the client accepts neither format.
fn accepted_format(headers: &HeaderMap, has_owners: bool) -> Result<RowFormat, Problem> {
    let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else {
        return Ok(RowFormat::csv(has_owners));
    };
    let types = accept.split(',').filter_map(|range| range.split(';').next()).map(str::trim);
    let find = |name: &str| match name.to_ascii_lowercase().as_str() {
        "text/csv" | "text/*" | "*/*" => Some(RowFormat::csv(has_owners)),
        "application/x-ndjson" | "application/*" => Some(RowFormat::json_lines(has_owners)),
        _ => None,
    };
    let detail = "codes come as text/csv or application/x-ndjson; accept one of them";
    types.into_iter().find_map(find).ok_or_else(|| Problem::new(NOT_ACCEPTABLE, detail))
}

/// The codes of a job on their way to a client.
#[derive(Debug)]
struct Download {
    store: Store,
    job: Job,
    format: RowFormat,
    asked_by: String,
}

/// Why a download ends early.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the codes of chunk {run_no} are not those of its checkpoint: {other:?}")]
    OtherCodes { run_no: i64, other: OtherCodes },
    #[error("the rows cannot be encoded: {0}")]
    Encoding(#[from] io::Error),
    #[error("the client has gone, or reads nothing")]
    Client,
}

type Piece = Result<Bytes, io::Error>;

impl Download {
    async fn run(self, chunks: Vec<Chunk>, after: u64, pieces: mpsc::Sender<Piece>, _permit: OwnedSemaphorePermit) {
        let sent = self.send(&chunks, after, &pieces).await;
        if let Err(error) = &sent {
            tracing::warn!(job_id = %self.job.id, %error, "a download of codes has broken off");
            // Without its end, the client sees that the answer is not whole.
            let _gone = pieces.try_send(Err(io::Error::other("the download has broken off")));
        }
        if let Err(error) = self.record(Outcome::of(&sent)).await {
            tracing::error!(job_id = %self.job.id, %error, "the end of a download of codes was not recorded in the audit log");
        }
    }

    async fn send(&self, chunks: &[Chunk], after: u64, pieces: &mpsc::Sender<Piece>) -> Result<(), Broken> {
        if after == 0 {
            pass(pieces, Bytes::from_static(self.format.header())).await?;
        }
        let mut left_out = after;
        for chunk in chunks {
            let minted = u64::from(chunk.minted);
            if left_out >= minted {
                left_out -= minted;
                continue;
            }
            let read = self.store.read_recorded_codes(chunk).await?;
            let batch = read.map_err(|other| Broken::OtherCodes { run_no: chunk.planned.run_no, other })?;
            // Less than the length of the batch.
            self.send_batch(&batch, left_out as usize, pieces).await?;
            left_out = 0;
        }
        Ok(())
    }

    async fn send_batch(&self, batch: &CodeBatch, from: usize, pieces: &mpsc::Sender<Piece>) -> Result<(), Broken> {
        for start in (from..batch.len()).step_by(PIECE_CODES) {
            let end = batch.len().min(start + PIECE_CODES);
            let owners = match self.format.has_owners() {
                true => self.store.read_owners_on_lists(batch.get(start), batch.get(end - 1)).await?,
                false => Vec::new(),
            };
            let rows = pair_with_owners((start..end).map(|at| batch.get(at)), &owners);
            pass(pieces, self.format.encode(&rows)?.into()).await?;
        }
        Ok(())
    }

    async fn record(&self, outcome: Outcome) -> Result<(), StoreError> {
        let (count, digest) = (Some(self.job.minted), self.job.digest.clone());
        let (asked_by, detail) = (Some(self.asked_by.clone()), Some("over HTTP".to_owned()));
        let entry = AuditEntry::of_job(Action::Export, outcome, &self.job);
        self.store.put_audit(&AuditEntry { asked_by, count, detail, digest, ..entry }).await
    }
}

async fn pass(pieces: &mpsc::Sender<Piece>, piece: Bytes) -> Result<(), Broken> {
    match timeout(PIECE_TIMEOUT, pieces.send(Ok(piece))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Broken::Client),
    }
}
