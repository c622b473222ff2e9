//! Single exclusions from a rule: added and removed.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use codemint_offers::affiliate::exclusion::{Exclusion, checked_reference};
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_offers::read::affiliate::read_details;
use serde_json::json;

use crate::api::affiliate_rules::find;
use crate::api::body::InPath;
use crate::api::list_errands::excluding_done;
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::affiliates::details::{DetailsPage, Shown};
use crate::console::affiliates::rule_view::path_of;
use crate::console::form_view::FormView;
use crate::console::page::invalid;
use crate::console::posted::Posted;
use crate::console::refusal::problems_of;
use crate::console::visitor::{EditAffiliates, NoPage, go_to};

/// The fields of an exclusion.
const FIELDS: [&str; 4] = ["reference", "affiliate", "promotion", "note"];

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/affiliates/{name}/exclusions", post(exclude))
        .route("/affiliates/{name}/exclusions/remove", post(include))
}

async fn exclude(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { by, fields }: Posted<EditAffiliates>,
) -> Result<Response, NoPage> {
    let stored = match read(&fields) {
        Ok(exclusion) => put(&api, &name, exclusion).await?,
        Err(problems) => Err(problems),
    };
    match stored {
        Ok(is_new) => Ok(go_to(&format!("{}?done={}", path_of(&name), if is_new { "excluded" } else { "details" }))),
        Err(problems) => {
            let mut shown = DetailsPage::read(&api, &by, &name, &Shown::default()).await?;
            shown.form = FormView::new(fields).with_problems(&problems, field_of);
            Ok(invalid(&shown)?)
        }
    }
}

/// Stores an exclusion. An empty field of the form leaves what is noted already as it is.
async fn put(api: &Api, name: &str, exclusion: Exclusion) -> Result<Result<bool, Vec<FieldProblem>>, Problem> {
    let Exclusion { reference, details } = exclusion;
    // Of the references that begin with this one, it is the first itself.
    let known = api.store.list_exclusions(find(api, name).await?.no, &reference, "", 1).await?;
    let before = known.into_iter().find(|known| known.reference == reference).map(|known| known.details);
    let exclusion = Exclusion { reference, details: details.or(before.unwrap_or_default()) };
    match excluding_done(name, api.store.put_exclusion(name, &exclusion).await?) {
        Ok(is_new) => Ok(Ok(is_new)),
        Err(problem) => problems_of(problem).map(Err),
    }
}

async fn include(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { fields, .. }: Posted<EditAffiliates>,
) -> Result<Response, NoPage> {
    let removed = api.store.delete_exclusion(&name, fields.text("reference")).await.map_err(Problem::from)?;
    // Whether somebody was faster or not, it is included now.
    excluding_done(&name, removed)?;
    Ok(go_to(&format!("{}?done=included", path_of(&name))))
}

/// Reads an exclusion, or every problem of it.
fn read(fields: &Fields) -> Result<Exclusion, Vec<FieldProblem>> {
    let text = |name: &str| fields.filled(name);
    let document = json!({ "affiliate": text("affiliate"), "promotion": text("promotion"), "note": text("note") });
    let reference = checked_reference(fields.text("reference"));
    let reference = reference.map_err(|error| FieldProblem::new("reference", error.to_string()));
    match (reference, read_details(&document)) {
        (Ok(reference), Ok(details)) => Ok(Exclusion { reference, details }),
        (reference, details) => Err(reference.err().into_iter().chain(details.err().into_iter().flatten()).collect()),
    }
}

fn field_of(pointer: &str) -> Option<&'static str> {
    FIELDS.into_iter().find(|field| pointer.trim_start_matches('/') == *field)
}
