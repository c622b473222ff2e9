//! Refusals that a person can correct in the form.

use axum::http::StatusCode;
use codemint_offers::problem::Problem as FieldProblem;

use crate::api::problem::{Problem, STALE_VERSION};

/// Returns what is wrong with the fields of a form that a service refused; a refusal that concerns no field has an empty one.
///
/// # Errors
/// The problem itself, if it is no refusal: it is a page of its own.
pub fn problems_of(problem: Problem) -> Result<Vec<FieldProblem>, Problem> {
    if problem.status() != StatusCode::UNPROCESSABLE_ENTITY && problem.code() != STALE_VERSION.code {
        return Err(problem);
    }
    let document = problem.document();
    let errors = document.errors.iter().map(|error| FieldProblem::new(&*error.field, &*error.message));
    let errors: Vec<FieldProblem> = errors.collect();
    Ok(if errors.is_empty() { vec![FieldProblem::new("", &*document.detail)] } else { errors })
}
