//! Issuing: a code of a campaign's pool for an identity.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use codemint_campaigns::issuing::IssueError;
use codemint_store::campaigns::pool::IssueOutcome;
use schemars::JsonSchema;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Issue};
use crate::api::body::InPath;
use crate::api::identity::from_url;
use crate::api::problem::{Kind, Problem, refusal};
use crate::api::service::{Api, no_campaign};

const TITLE: &str = "No code was issued";

const fn refused(code: &'static str) -> Kind {
    refusal(code, TITLE)
}

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(issue))
}

/// The code of an identity.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct IssuedDocument {
    pub code: String,
    /// The name of the campaign.
    pub campaign: String,
    pub identity: String,
    /// True if the identity had this code before.
    pub already_generated: bool,
}

/// Bind a code of a restricted campaign's pool to an identity
///
/// An identity gets one code of a campaign: the same request again answers the same code.
#[utoipa::path(
    put, path = "/v1/campaigns/{name}/assignments/{identity}", tag = "issuing", operation_id = "issue_code", security(("key" = ["issue"])),
    params(
        ("name" = String, Path, description = "The name of the campaign"),
        ("identity" = String, Path, description = "An identity; an e-mail address as email: and base64url"),
    ),
    responses(
        (status = 201, description = "The code was issued", body = ref("#/components/schemas/IssuedDocument")),
        (status = 200, description = "The identity had it before", body = ref("#/components/schemas/IssuedDocument")),
        (status = 404, description = "There is no such campaign"),
    )
)]
async fn issue(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Issue>,
    InPath((name, identity)): InPath<(String, String)>,
) -> Result<(StatusCode, Json<IssuedDocument>), Problem> {
    let identity = from_url(&identity)?;
    let outcome = api.issuer.issue(&name, &identity).await?;
    let (code, already_generated) = match outcome {
        IssueOutcome::Issued { code } => (code, false),
        IssueOutcome::AlreadyGenerated { code } => (code, true),
        refused => return Err(problem_of(&name, &refused)),
    };
    let status = if already_generated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(IssuedDocument { code, campaign: name, identity, already_generated })))
}

pub(super) fn problem_of(name: &str, outcome: &IssueOutcome) -> Problem {
    match outcome {
        IssueOutcome::UnknownCampaign => no_campaign(name),
        IssueOutcome::NotRestricted => Problem::new(
            refused("not-restricted"),
            "the campaign is not restricted: its codes are not issued to identities",
        ),
        IssueOutcome::NotActive => {
            Problem::new(refused("campaign-not-active"), "the campaign is off, has not started or has ended")
        }
        IssueOutcome::LimitReached => Problem::new(
            refused("issue-limit-reached"),
            "the campaign has issued as many codes as limits.issued allows",
        ),
        IssueOutcome::LimitReserved => {
            let detail = "the campaign has promised as many codes as limits.issued allows: the list of an unfinished job gets the rest";
            Problem::new(refused("issue-limit-reached"), detail)
        }
        _ => Problem::new(refused("pool-empty"), "the pool of the campaign is empty; order more codes for it"),
    }
}

pub(super) fn not_referral() -> Problem {
    Problem::new(refused("not-referral"), "the purpose of the campaign is not referral: its codes are not passed on")
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Identity(error) => error.into(),
            IssueError::Busy => Self::busy(),
            IssueError::Store(error) => (&*error).into(),
        }
    }
}
