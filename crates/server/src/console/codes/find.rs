//! "Find a code": what a customer typed is pasted, and the page shows whose code it is, how often it was used, and why it would be
//! refused now. Codes never stand in a URL.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_campaigns::finding::look_up;
use codemint_codes::identity::check_identity;
use codemint_offers::form::fields::Fields;
use codemint_offers::form::pasted::pasted_codes;
use codemint_offers::problem::Problem as FieldProblem;

use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::codes::found::{FoundView, Place};
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::visitor::{FindCodes, May, NoPage};

/// The number of redemptions that are shown of one code.
const NEWEST: u32 = 10;

#[derive(Debug, Template)]
#[template(path = "console/codes/find.html")]
struct FindPage {
    frame: Frame,
    form: FormView,
    /// One for each line that was pasted.
    places: Vec<Place>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/codes", get(ask).post(find))
}

async fn ask(by: May<FindCodes>) -> Result<Response, NoPage> {
    Ok(page(&FindPage { frame: by.frame("codes"), form: FormView::default(), places: Vec::new() })?)
}

async fn find(State(api): State<Arc<Api>>, Posted { by, fields }: Posted<FindCodes>) -> Result<Response, NoPage> {
    let frame = by.frame("codes");
    let (codes, identity) = match read(&fields) {
        Ok(read) => read,
        Err(problems) => {
            let form = FormView::new(fields.clone())
                .with_problems(&problems, |field| Some(if field == "codes" { "codes" } else { "identity" }));
            return Ok(invalid(&FindPage { frame, form, places: Vec::new() })?);
        }
    };
    // A table shows the last use only.
    let newest = if codes.len() == 1 { NEWEST } else { 1 };
    let found = look_up(&api.store, &api.redeemer, &codes, identity, newest).await.map_err(Problem::from)?;
    let places = codes.iter().zip(&found).map(|(typed, found)| Place::new(typed, found, by.visitor.role)).collect();
    Ok(page(&FindPage { frame, form: FormView::new(fields.clone()), places })?)
}

/// Reads the pasted codes, and the identity for whom they are checked, if one is given.
fn read(fields: &Fields) -> Result<(Vec<&str>, Option<&str>), Vec<FieldProblem>> {
    let codes = pasted_codes(fields, "codes");
    let identity = fields.filled("identity").map(check_identity).transpose();
    let identity = identity.map_err(|error| FieldProblem::new("identity", error.to_string()));
    match (codes, identity) {
        (Ok(codes), Ok(identity)) => Ok((codes, identity)),
        (codes, identity) => Err(codes.err().into_iter().chain(identity.err()).collect()),
    }
}

impl FindPage {
    /// Returns the code, if one line was pasted and is a code.
    fn one(&self) -> Option<&FoundView> {
        match self.places.as_slice() {
            [Place { found: Ok(found), .. }] => Some(found),
            _ => None,
        }
    }

    /// Returns what is said about the one line that was pasted, if it is not a code.
    fn missing(&self) -> Option<&str> {
        match self.places.as_slice() {
            [Place { found: Err(advice), .. }] => Some(advice),
            _ => None,
        }
    }
}
