//! What people do with a redemption by hand: release it or roll it back, with a reason for the audit log.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use codemint_offers::access::reason::Reason;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_offers::redemption::transition::Action;
use codemint_store::redemptions::transitions::{ByHand, Moved};
use uuid::Uuid;

use crate::api::body::InPath;
use crate::api::problem::{Problem, WRONG_STATE};
use crate::api::redemptions::{find, moved};
use crate::api::service::Api;
use crate::console::form_view::FormView;
use crate::console::page::invalid;
use crate::console::posted::Posted;
use crate::console::redemptions::details::DetailsPage;
use crate::console::visitor::{ActOnRedemptions, NoPage, go_to};

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/redemptions/{id}/release", post(release)).route("/redemptions/{id}/rollback", post(roll_back))
}

async fn release(
    State(api): State<Arc<Api>>,
    InPath(id): InPath<Uuid>,
    posted: Posted<ActOnRedemptions>,
) -> Result<Response, NoPage> {
    Ok(act(&api, id, posted, Action::Release, "released").await?)
}

async fn roll_back(
    State(api): State<Arc<Api>>,
    InPath(id): InPath<Uuid>,
    posted: Posted<ActOnRedemptions>,
) -> Result<Response, NoPage> {
    let keep_use = posted.fields.is_checked("keep_use");
    let done = if keep_use { "rolled-back-kept" } else { "rolled-back" };
    Ok(act(&api, id, posted, Action::RollBack { keep_use }, done).await?)
}

async fn act(
    api: &Api,
    id: Uuid,
    Posted { by, fields }: Posted<ActOnRedemptions>,
    action: Action,
    done: &str,
) -> Result<Response, Problem> {
    let reason = match Reason::read(fields.raw("reason"), &find(api, id).await?.code) {
        Ok(reason) => reason,
        Err(error) => {
            let mut shown = DetailsPage::read(api, &by, id).await?;
            let problem = FieldProblem::new("reason", error.to_string());
            shown.form = FormView::new(fields).with_problems(&[problem], |_| Some("reason"));
            return invalid(&shown);
        }
    };
    let by_hand = ByHand { caller: by.caller(), reason };
    let answer = api.redeemer.act_by_hand(id, action, by_hand).await?;
    let is_changed = matches!(answer, Moved::Done { is_changed: true, .. });
    match moved(id, answer) {
        Ok(_) => Ok(go_to(&format!("/redemptions/{id}?done={}", if is_changed { done } else { "unchanged" }))),
        // Somebody was faster: the page shows what the redemption is now.
        Err(problem) if problem.code() == WRONG_STATE.code => {
            let mut shown = DetailsPage::read(api, &by, id).await?;
            shown.form = FormView::new(fields).with_general(problem.document().detail.clone());
            invalid(&shown)
        }
        Err(problem) => Err(problem),
    }
}
