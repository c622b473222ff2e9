//! The OpenAPI document: paths from the handlers, schemas from the types, as the other schemas are made.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::{Router, middleware};
use codemint_codes::explanation::Explanation;
use codemint_codes::wire::audit::AuditDocument;
use codemint_codes::wire::document::JobDocument;
use codemint_codes::wire::list::MembersDocument;
use codemint_codes::wire::shown_job::ShownJob;
use codemint_offers::access::document::{CreatedKeyDocument, KeyDocument};
use codemint_offers::affiliate::document::{
    ExclusionDocument, ReplacedExclusionsDocument, ResolvedDocument, RuleDocument,
};
use codemint_offers::campaign::definition::Definition;
use codemint_offers::campaign::document::CampaignDocument;
use codemint_offers::condition::document::SegmentDocument;
use codemint_offers::redemption::document::{
    BatchRequest, ConfirmRequest, RedemptionDocument, RollBackRequest, UseRequest, ValidationDocument,
};
use codemint_offers::referral::document::{ReferralRequest, ReferrerDocument, ReferrerState};
use codemint_offers::report::document::ReportRow;
use codemint_offers::trigger::document::{TriggerDocument, TriggerRequest};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;

use crate::api::affiliate_exclusions::{ExclusionRequest, RemovedExclusion};
use crate::api::affiliate_rules::{RemovedRule, RuleRequest};
use crate::api::codes::{OrderRequest, OrderedDocument};
use crate::api::identity::OwnCodes;
use crate::api::issuing::IssuedDocument;
use crate::api::job_events::JobEvent;
use crate::api::keys::NewKeyRequest;
use crate::api::limits::TOO_MANY_REQUESTS;
use crate::api::links::LinkDocument;
use crate::api::masks::ExplainRequest;
use crate::api::observing::{limit_number, limit_time};
use crate::api::paging::Page;
use crate::api::problem::{
    BUSY, INTERNAL, INVALID, Kind, ProblemDocument, SCOPE_MISSING, TOO_LARGE, UNAUTHENTICATED, UNSUPPORTED_MEDIA_TYPE,
};
use crate::api::redemptions::BatchAnswers;
use crate::api::segments::{RemovedSegment, SegmentRequest};
use crate::api::service::Api;
use crate::api::{
    affiliate_exclusions, affiliate_rules, audit, campaigns, codes, identity, issuing, job_codes, job_events, jobs,
    keys, links, masks, redemptions, referrals, reports, segments, triggers,
};

/// Where schemas stand in the document.
const SCHEMAS: &str = "/components/schemas";

/// Returns the paths, and the document that describes them.
pub fn paths_and_document() -> (Router<Arc<Api>>, Value) {
    let paths = OpenApiRouter::new()
        .merge(redemptions::routes())
        .merge(identity::routes())
        .merge(triggers::routes())
        .merge(issuing::routes())
        .merge(referrals::routes())
        .merge(campaigns::routes())
        .merge(jobs::routes())
        .merge(job_codes::routes())
        .merge(job_events::routes())
        .merge(masks::routes())
        .merge(segments::routes())
        .merge(affiliate_rules::routes())
        .merge(affiliate_exclusions::routes())
        .merge(audit::routes())
        .merge(links::routes())
        .merge(reports::routes())
        .merge(keys::routes())
        .layer(middleware::from_fn(limit_time))
        // Their bodies may take longer.
        .merge(codes::routes())
        .merge(segments::streaming_routes())
        .merge(affiliate_exclusions::streaming_routes())
        .layer(middleware::from_fn(limit_number()));
    let (router, document) = paths.split_for_parts();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Codemint",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Promo codes: campaigns, validation, redemption, issuing. Amounts are whole minor units, times are RFC 3339. \
                        Errors are problems (RFC 9457) with a stable `code`.",
    });
    document["components"] = json!({
        "schemas": schemas(),
        "responses": common_problems(),
        "securitySchemes": { "key": {
            "type": "http", "scheme": "bearer", "description": "An API key, as `codemint keys create` prints it: cm_…"
        } },
    });
    add_problems(&mut document);
    (router, document)
}

/// Returns the schemas by their names.
fn schemas() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = SCHEMAS.to_owned().into())
        .into_generator();
    let mut named = Map::new();
    add::<UseRequest>(&mut generator, &mut named, "UseRequest");
    add::<ConfirmRequest>(&mut generator, &mut named, "ConfirmRequest");
    add::<RollBackRequest>(&mut generator, &mut named, "RollBackRequest");
    add::<BatchRequest>(&mut generator, &mut named, "BatchRequest");
    add::<BatchAnswers>(&mut generator, &mut named, "BatchAnswers");
    add::<ValidationDocument>(&mut generator, &mut named, "ValidationDocument");
    add::<RedemptionDocument>(&mut generator, &mut named, "RedemptionDocument");
    add::<Page<RedemptionDocument>>(&mut generator, &mut named, "PageOfRedemptions");
    add::<OwnCodes>(&mut generator, &mut named, "OwnCodes");
    add::<IssuedDocument>(&mut generator, &mut named, "IssuedDocument");
    add::<ReferralRequest>(&mut generator, &mut named, "ReferralRequest");
    add::<ReferrerDocument>(&mut generator, &mut named, "ReferrerDocument");
    add::<ReferrerState>(&mut generator, &mut named, "ReferrerState");
    add::<TriggerRequest>(&mut generator, &mut named, "TriggerRequest");
    add::<TriggerDocument>(&mut generator, &mut named, "TriggerDocument");
    add::<Definition>(&mut generator, &mut named, "Definition");
    add::<CampaignDocument>(&mut generator, &mut named, "CampaignDocument");
    add::<Page<CampaignDocument>>(&mut generator, &mut named, "PageOfCampaigns");
    add::<OrderRequest>(&mut generator, &mut named, "OrderRequest");
    add::<OrderedDocument>(&mut generator, &mut named, "OrderedDocument");
    add::<JobDocument>(&mut generator, &mut named, "JobDocument");
    add::<JobEvent>(&mut generator, &mut named, "JobEvent");
    add::<ShownJob>(&mut generator, &mut named, "ShownJob");
    add::<Page<JobDocument>>(&mut generator, &mut named, "PageOfJobs");
    add::<SegmentRequest>(&mut generator, &mut named, "SegmentRequest");
    add::<SegmentDocument>(&mut generator, &mut named, "SegmentDocument");
    add::<Page<SegmentDocument>>(&mut generator, &mut named, "PageOfSegments");
    add::<RemovedSegment>(&mut generator, &mut named, "RemovedSegment");
    add::<MembersDocument>(&mut generator, &mut named, "MembersDocument");
    add::<RuleRequest>(&mut generator, &mut named, "RuleRequest");
    add::<RuleDocument>(&mut generator, &mut named, "RuleDocument");
    add::<Page<RuleDocument>>(&mut generator, &mut named, "PageOfRules");
    add::<RemovedRule>(&mut generator, &mut named, "RemovedRule");
    add::<ExclusionRequest>(&mut generator, &mut named, "ExclusionRequest");
    add::<ExclusionDocument>(&mut generator, &mut named, "ExclusionDocument");
    add::<Page<ExclusionDocument>>(&mut generator, &mut named, "PageOfExclusions");
    add::<RemovedExclusion>(&mut generator, &mut named, "RemovedExclusion");
    add::<ReplacedExclusionsDocument>(&mut generator, &mut named, "ReplacedExclusionsDocument");
    add::<ResolvedDocument>(&mut generator, &mut named, "ResolvedDocument");
    add::<ExplainRequest>(&mut generator, &mut named, "ExplainRequest");
    add::<Explanation>(&mut generator, &mut named, "Explanation");
    add::<AuditDocument>(&mut generator, &mut named, "AuditDocument");
    add::<Page<AuditDocument>>(&mut generator, &mut named, "PageOfAudit");
    add::<LinkDocument>(&mut generator, &mut named, "LinkDocument");
    add::<ReportRow>(&mut generator, &mut named, "ReportRow");
    add::<Page<ReportRow>>(&mut generator, &mut named, "PageOfReport");
    add::<NewKeyRequest>(&mut generator, &mut named, "NewKeyRequest");
    add::<CreatedKeyDocument>(&mut generator, &mut named, "CreatedKeyDocument");
    add::<KeyDocument>(&mut generator, &mut named, "KeyDocument");
    add::<Page<KeyDocument>>(&mut generator, &mut named, "PageOfKeys");
    add::<ProblemDocument>(&mut generator, &mut named, "Problem");
    add_examples(&mut named);
    // What the others refer to.
    for (name, schema) in generator.take_definitions(true) {
        named.entry(name).or_insert(schema);
    }
    named
}

/// Adds complete requests, from which people learn more than from their schemas.
fn add_examples(named: &mut Map<String, Value>) {
    let definition = json!({
        "title": "Ten percent off", "kind": "private", "active": true, "mask": "SPRING-[:safe:]{8}",
        "limits": { "per_code": 1 },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    let usage = json!({
        "code": "SPRING-XK4T9B3C", "identity": "customer-17", "order": "A-1001",
        "cart": { "currency": "EUR", "lines": [{ "sku": "DOG-1", "groups": ["dogs"], "quantity": 2, "unit_amount": 1999 }] },
        "hold_seconds": 1800,
    });
    let rule = json!({
        "mask": "0#########", "prefix": "FCH", "campaign": "choc",
        "periods": [{ "from": "2027-03-01T00:00:00+01:00", "to": "2027-04-01T00:00:00+02:00" }],
    });
    for (name, example) in [("Definition", definition), ("UseRequest", usage), ("RuleRequest", rule)] {
        named[name]["examples"] = json!([example]);
    }
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator, named: &mut Map<String, Value>, name: &str) {
    let mut schema: Value = T::json_schema(generator).into();
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
    }
    named.insert(name.to_owned(), schema);
}

/// The kinds of problems that each operation may have, and those of the ones with parameters or a body.
const OF_ALL: [Kind; 5] = [UNAUTHENTICATED, SCOPE_MISSING, TOO_MANY_REQUESTS, INTERNAL, BUSY];
const OF_BODIES: [Kind; 2] = [TOO_LARGE, UNSUPPORTED_MEDIA_TYPE];
/// The operations whose bodies may be left out.
const OPTIONAL_BODIES: [&str; 2] = ["confirm", "roll_back"];

/// What all problems with the status of [`BUSY`] have in common.
const UNAVAILABLE: &str = "The database does not answer, too many requests are waiting, or the answer took too long";

/// Returns the problems that operations have in common, by their codes.
fn common_problems() -> Map<String, Value> {
    let kinds = OF_ALL.into_iter().chain(OF_BODIES).chain([INVALID]);
    let response = |Kind { status, code, title }: Kind| {
        let title = if status == BUSY.status { UNAVAILABLE } else { title };
        let mut response = json!({ "description": title, "content": problem_content() });
        match status {
            StatusCode::UNAUTHORIZED => {
                let schema = json!({ "type": "string" });
                response["headers"] = json!({ "WWW-Authenticate": { "description": "Bearer", "schema": schema } });
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let (about, schema) = ("Seconds to wait", json!({ "type": "integer", "minimum": 1 }));
                response["headers"] = json!({ "Retry-After": { "description": about, "schema": schema } });
            }
            _ => {}
        }
        (code.to_owned(), response)
    };
    kinds.map(response).collect()
}

fn problem_content() -> Value {
    json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } })
}

/// Adds the problems of each operation to its answers, so that every status is documented, and that its body is required.
fn add_problems(document: &mut Value) {
    let paths = document["paths"].as_object_mut();
    let operations =
        paths.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for operation in operations {
        let has_parameters = operation["parameters"].is_array();
        let is_optional = OPTIONAL_BODIES.iter().any(|id| operation["operationId"] == *id);
        let needs_key = operation.get("security").is_some();
        let body = operation.get_mut("requestBody").and_then(Value::as_object_mut);
        let of_keys = [UNAUTHENTICATED, SCOPE_MISSING, TOO_MANY_REQUESTS];
        let mut kinds: Vec<Kind> = OF_ALL.into_iter().filter(|kind| needs_key || !of_keys.contains(kind)).collect();
        if body.is_some() {
            kinds.extend(OF_BODIES);
        }
        if body.is_some() || has_parameters {
            kinds.push(INVALID);
        }
        body.map(|body| body.insert("required".to_owned(), (!is_optional).into()));
        let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        for (_, own) in responses.iter_mut().filter(|(status, _)| status.starts_with('4')) {
            own["content"] = problem_content();
        }
        for Kind { status, code, .. } in kinds {
            let common = json!({ "$ref": format!("#/components/responses/{code}") });
            responses.insert(status.as_str().to_owned(), common);
        }
    }
}
