//! Orders of codes of a campaign: a number, or one for each identity of a list.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use codemint_offers::form::amounts::whole;
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;

use crate::api::body::InPath;
use crate::api::codes::{OrderRequest, codes_for_list, order_number};
use crate::api::list_errands::ListOrdered;
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::labels::path_of;
use crate::console::campaigns::one::page_of;
use crate::console::form_view::FormView;
use crate::console::posted::Posted;
use crate::console::upload::{RefusedList, Upload};
use crate::console::visitor::{NoPage, OrderCodes, go_to};

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/campaigns/{name}/codes", post(order))
}

/// Returns the paths whose bodies may take longer.
pub fn streaming_routes() -> Router<Arc<Api>> {
    Router::new().route("/campaigns/{name}/list", post(order_for_list))
}

async fn order(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { by, fields }: Posted<OrderCodes>,
) -> Result<Response, NoPage> {
    let campaign = api.campaign(&name).await?;
    let count = whole(fields.text("count")).map_err(str::to_owned);
    let count = count.and_then(|count| i64::try_from(count).map_err(|_too_large| "order fewer codes".to_owned()));
    let ordered = match count {
        Ok(count) => {
            // The form names the job: sending it twice orders once.
            let job_id = fields.text("job_id").parse().ok();
            let order = OrderRequest { count, job_id, new_check_key: false };
            order_number(&api, &campaign, &by.caller(), &order).await.map(drop).map_err(|problem| reason(&problem))
        }
        Err(advice) => Err(advice),
    };
    let Err(reason) = ordered else { return Ok(go_to(&format!("{}?done=ordered", path_of(&name)))) };
    let form = refused(fields, "count", reason);
    let mut response = page_of(&api, &by, by.frame("campaigns"), campaign, form).await?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

async fn order_for_list(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    mut upload: Upload<OrderCodes>,
) -> Result<Response, NoPage> {
    let campaign = api.campaign(&name).await?;
    let (errand, ordered) = codes_for_list(campaign.clone(), upload.by.caller().to_string())?;
    match upload.have_list_read(&api, errand, ordered).await {
        Ok(ListOrdered { job: Some(_), .. }) => Ok(go_to(&format!("{}?done=listed", path_of(&name)))),
        Ok(ListOrdered { job: None, .. }) => Ok(go_to(&format!("{}?done=nothing", path_of(&name)))),
        Err(problem) => {
            let RefusedList { reason, lines } = problem.try_into()?;
            let wrong = lines.iter().map(|(line, problem)| format!("{line}: {problem}"));
            let reason = std::iter::once(reason).chain(wrong).collect::<Vec<_>>().join("; ");
            let form = refused(Fields::default(), "list", reason);
            let by = &upload.by;
            let mut response = page_of(&api, by, by.frame("campaigns"), campaign, form).await?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
    }
}

/// Returns the form of an order with the reason at its field.
fn refused(fields: Fields, field: &'static str, reason: String) -> FormView {
    FormView::new(fields).with_problems(&[FieldProblem::new(field, reason)], |_| Some(field))
}

fn reason(problem: &Problem) -> String {
    let document = problem.document();
    document.errors.first().map_or_else(|| document.detail.clone(), |error| error.message.clone())
}
