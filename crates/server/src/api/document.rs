//! The OpenAPI document: paths from the handlers, schemas from the types, as the other schemas are made.

use std::sync::Arc;

use axum::{Router, middleware};
use codemint_codes::explanation::Explanation;
use codemint_codes::wire::audit::AuditDocument;
use codemint_codes::wire::document::JobDocument;
use codemint_codes::wire::list::MembersDocument;
use codemint_codes::wire::shown_job::ShownJob;
use codemint_offers::access::document::{CreatedKeyDocument, KeyDocument};
use codemint_offers::campaign::definition::Definition;
use codemint_offers::campaign::document::CampaignDocument;
use codemint_offers::condition::document::SegmentDocument;
use codemint_offers::redemption::document::{
    BatchRequest, ConfirmRequest, RedemptionDocument, RollBackRequest, UseRequest, ValidationDocument,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;

use crate::api::codes::{OrderRequest, OrderedDocument};
use crate::api::identity::OwnCodes;
use crate::api::issuing::IssuedDocument;
use crate::api::keys::NewKeyRequest;
use crate::api::masks::ExplainRequest;
use crate::api::observing::{limit_number, limit_time};
use crate::api::paging::Page;
use crate::api::problem::Problem;
use crate::api::redemptions::BatchAnswers;
use crate::api::segments::{RemovedSegment, SegmentRequest};
use crate::api::service::Api;
use crate::api::{
    audit, campaigns, codes, identity, issuing, job_codes, job_events, jobs, keys, masks, redemptions, segments,
};

/// Where schemas stand in the document.
const SCHEMAS: &str = "/components/schemas";

/// Returns the paths, and the document that describes them.
pub fn paths_and_document() -> (Router<Arc<Api>>, Value) {
    let paths = OpenApiRouter::new()
        .merge(redemptions::routes())
        .merge(identity::routes())
        .merge(issuing::routes())
        .merge(campaigns::routes())
        .merge(jobs::routes())
        .merge(job_codes::routes())
        .merge(job_events::routes())
        .merge(masks::routes())
        .merge(segments::routes())
        .merge(audit::routes())
        .merge(keys::routes())
        .layer(middleware::from_fn(limit_time))
        // Their bodies may take longer.
        .merge(codes::routes())
        .merge(segments::streaming_routes())
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
    add::<Definition>(&mut generator, &mut named, "Definition");
    add::<CampaignDocument>(&mut generator, &mut named, "CampaignDocument");
    add::<Page<CampaignDocument>>(&mut generator, &mut named, "PageOfCampaigns");
    add::<OrderRequest>(&mut generator, &mut named, "OrderRequest");
    add::<OrderedDocument>(&mut generator, &mut named, "OrderedDocument");
    add::<JobDocument>(&mut generator, &mut named, "Job");
    add::<ShownJob>(&mut generator, &mut named, "ShownJob");
    add::<Page<JobDocument>>(&mut generator, &mut named, "PageOfJobs");
    add::<SegmentRequest>(&mut generator, &mut named, "SegmentRequest");
    add::<SegmentDocument>(&mut generator, &mut named, "SegmentDocument");
    add::<Page<SegmentDocument>>(&mut generator, &mut named, "PageOfSegments");
    add::<RemovedSegment>(&mut generator, &mut named, "RemovedSegment");
    add::<MembersDocument>(&mut generator, &mut named, "MembersDocument");
    add::<ExplainRequest>(&mut generator, &mut named, "ExplainRequest");
    add::<Explanation>(&mut generator, &mut named, "Explanation");
    add::<AuditDocument>(&mut generator, &mut named, "AuditDocument");
    add::<Page<AuditDocument>>(&mut generator, &mut named, "PageOfAudit");
    add::<NewKeyRequest>(&mut generator, &mut named, "NewKeyRequest");
    add::<CreatedKeyDocument>(&mut generator, &mut named, "CreatedKeyDocument");
    add::<KeyDocument>(&mut generator, &mut named, "KeyDocument");
    add::<Page<KeyDocument>>(&mut generator, &mut named, "PageOfKeys");
    add::<Problem>(&mut generator, &mut named, "Problem");
    // What the others refer to.
    for (name, schema) in generator.take_definitions(true) {
        named.entry(name).or_insert(schema);
    }
    named
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator, named: &mut Map<String, Value>, name: &str) {
    let mut schema: Value = T::json_schema(generator).into();
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
    }
    named.insert(name.to_owned(), schema);
}

/// Says of each operation that all of its other answers are problems.
fn add_problems(document: &mut Value) {
    let problem = json!({
        "description": "A problem",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let paths = document["paths"].as_object_mut();
    let operations =
        paths.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for operation in operations {
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            responses.insert("default".to_owned(), problem.clone());
        }
    }
}
