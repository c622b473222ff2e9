//! Rules for affiliates, and the references that they resolve.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, FixedOffset, Utc};
use codemint_codes::job::request::{CAMPAIGN_LENGTH_MAX, check_campaign};
use codemint_codes::text::printable;
use codemint_offers::affiliate::document::{ANSWERED, ResolvedDocument, RuleDocument};
use codemint_offers::affiliate::exclusion::checked_reference;
use codemint_offers::affiliate::rule::{PERIODS_MAX, RULES_MAX, Rule, conflict};
use codemint_offers::read::affiliate::read_rule;
use codemint_store::affiliates::rules::{PutRule, StoredRule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Manage, Redeem};
use crate::api::body::{InPath, InQuery, JsonBody};
use crate::api::list_errands::no_rule;
use crate::api::paging::{Page, Paging, limit, place};
use crate::api::problem::{Kind, Problem, STALE_VERSION, refusal};
use crate::api::service::Api;

const RULE_CONFLICT: Kind = refusal("rule-conflict", "Another rule concerns the same references at the same time");
const TOO_MANY_RULES: Kind = refusal("too-many-rules", "There are as many rules as there may be");

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(put, show, remove)).routes(routes!(list)).routes(routes!(resolve))
}

/// A rule: the references that its mask describes get the offer of a campaign.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used; the reader names every problem")]
pub struct RuleRequest {
    /// The references without the prefix, as a mask without check characters, such as `0#########`. Mask and prefix have at most 64
    /// characters together.
    pub mask: String,
    /// What is put in front of a reference: letters, digits, - and _, folded to upper case. It may be empty.
    #[schemars(length(max = 16), default)]
    pub prefix: Option<String>,
    /// The name of the campaign whose offer they get.
    pub campaign: String,
    /// False if it is switched off; true if left out.
    pub active: Option<bool>,
    /// If rules of several priorities concern a reference, the highest one decides; 0 if left out.
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub priority: Option<i32>,
    /// When it applies; always if there are none.
    #[schemars(length(max = PERIODS_MAX))]
    pub periods: Option<Vec<PeriodRequest>>,
}

/// A period of time, which does not include its end.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct PeriodRequest {
    /// Null if it has no beginning.
    pub from: Option<DateTime<FixedOffset>>,
    /// Null if it has no end.
    pub to: Option<DateTime<FixedOffset>>,
}

/// Create a rule for affiliates, or replace it; its exclusions stay
///
/// A rule is refused if another one concerns the same references at the same time with the same priority, whether it is switched on or
/// off. All servers follow a rule within a second.
#[utoipa::path(
    put, path = "/v1/affiliates/rules/{name}", tag = "affiliates", operation_id = "put_affiliate_rule", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the rule")),
    request_body(content = ref("#/components/schemas/RuleRequest"), content_type = "application/json"),
    responses(
        (status = 201, description = "It was created", body = ref("#/components/schemas/RuleDocument")),
        (status = 200, description = "It was replaced", body = ref("#/components/schemas/RuleDocument")),
    )
)]
async fn put(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<RuleDocument>), Problem> {
    check_name(&name)?;
    let rule = body.without(&ANSWERED).read(|value| read_rule(&name, value))?;
    let status = if store_rule(&api, &rule, None).await? { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(find(&api, &name).await?.into())))
}

/// Creates or replaces a rule; returns true if it is new. If a time is `expected`, the rule must have been changed last at that time.
///
/// # Errors
/// `invalid` if its campaign does not exist, `too-many-rules`, `rule-conflict`, which names the others, or `stale-version`.
pub(crate) async fn store_rule(api: &Api, rule: &Rule, expected: Option<DateTime<Utc>>) -> Result<bool, Problem> {
    match api.store.put_affiliate_rule(rule, expected).await? {
        PutRule::Created => Ok(true),
        PutRule::Replaced => Ok(false),
        PutRule::UnknownCampaign => {
            let advice = format!("there is no campaign {}; create it first", printable(&rule.campaign));
            Err(Problem::invalid_field("/campaign", advice))
        }
        PutRule::TooMany => {
            let detail = format!(
                "there are {RULES_MAX} rules, the most that there may be; remove one, or join some in one mask"
            );
            Err(Problem::new(TOO_MANY_RULES, detail))
        }
        PutRule::Stale => Err(Problem::new(
            STALE_VERSION,
            "somebody else has changed the rule meanwhile; open it again, and repeat your change",
        )),
        PutRule::Conflict(others) => Err(Problem::new(RULE_CONFLICT, conflict(&rule.name, &others))),
    }
}

/// Read a rule for affiliates
#[utoipa::path(
    get, path = "/v1/affiliates/rules/{name}", tag = "affiliates", operation_id = "show_affiliate_rule", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the rule")),
    responses(
        (status = 200, description = "The rule", body = ref("#/components/schemas/RuleDocument")),
        (status = 404, description = "There is no such rule"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
) -> Result<Json<RuleDocument>, Problem> {
    Ok(Json(find(&api, &name).await?.into()))
}

/// List rules for affiliates by name
#[utoipa::path(
    get, path = "/v1/affiliates/rules", tag = "affiliates", operation_id = "list_affiliate_rules", security(("key" = ["manage"])),
    params(Paging),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/PageOfRules")))
)]
async fn list(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<RuleDocument>>, Problem> {
    let (most, after) = (limit(paging.limit)?, place::<String>(paging.cursor.as_deref())?);
    let found = api.store.list_affiliate_rules(&after.unwrap_or_default(), most + 1).await?;
    Ok(Json(Page::cut(found, most, |last| last.rule.name.clone()).map(RuleDocument::from)))
}

/// Remove a rule for affiliates and its exclusions
#[utoipa::path(
    delete, path = "/v1/affiliates/rules/{name}", tag = "affiliates", operation_id = "remove_affiliate_rule",
    security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the rule")),
    responses(
        (status = 200, description = "It was removed", body = ref("#/components/schemas/RemovedRule")),
        (status = 404, description = "There is no such rule"),
    )
)]
async fn remove(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
) -> Result<Json<RemovedRule>, Problem> {
    match api.store.delete_affiliate_rule(&name).await? {
        true => Ok(Json(RemovedRule { name, removed: true })),
        false => Err(no_rule(&name)),
    }
}

/// A rule that is gone.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RemovedRule {
    pub name: String,
    pub removed: bool,
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ResolveParameters {
    /// The reference of an affiliate. Lower and upper case are the same.
    #[param(min_length = 1, max_length = 64)]
    reference: String,
}

/// Say what the reference of an affiliate becomes
///
/// If a rule applies, the answer has the reference with the prefix of the rule; a reference that has the prefix already stays as it is.
/// Otherwise the answer has the reference as it was sent and the reason. Nothing is written, and the time does not depend on the number of
/// affiliates, rules and exclusions.
#[utoipa::path(
    get, path = "/v1/affiliates/resolve", tag = "affiliates", operation_id = "resolve_reference", security(("key" = ["redeem"])),
    params(ResolveParameters),
    responses((status = 200, description = "What it becomes", body = ref("#/components/schemas/ResolvedDocument")))
)]
async fn resolve(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Redeem>,
    InQuery(ResolveParameters { reference }): InQuery<ResolveParameters>,
) -> Result<Json<ResolvedDocument>, Problem> {
    checked_reference(&reference).map_err(|error| Problem::invalid_field("reference", error.to_string()))?;
    Ok(Json(api.affiliates.resolve(&reference).await.map_err(|error| Problem::from(&*error))?))
}

/// # Errors
/// `invalid` unless it is a name that a rule may have.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    check_campaign(name).map_err(|_it_speaks_of_campaigns| {
        let advice = format!("the name of a rule has 1 to {CAMPAIGN_LENGTH_MAX} characters without control characters");
        Problem::invalid_field("name", advice)
    })
}

/// # Errors
/// `not-found` if there is no rule of this name.
pub(crate) async fn find(api: &Api, name: &str) -> Result<StoredRule, Problem> {
    let found = api.store.find_affiliate_rule(name).await?;
    found.ok_or_else(|| no_rule(name))
}
