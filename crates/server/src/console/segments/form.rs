//! The form of a new segment, and of the condition of one.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_offers::form::fields::Fields;
use codemint_offers::form::segment::{EXAMPLE, field_of, fields_of_segment, segment_document, with_places};
use codemint_offers::problem::Problem as FieldProblem;
use codemint_offers::read::condition::read_segment;
use codemint_store::campaigns::segments::PutSegment;
use serde_json::Value;

use crate::api::body::InPath;
use crate::api::problem::Problem;
use crate::api::segments::{check_name, find};
use crate::api::service::Api;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::refusal::problems_of;
use crate::console::segments::paths::path_of;
use crate::console::visitor::{EditSegments, May, NoPage, go_to};

#[derive(Debug, Template)]
#[template(path = "console/segments/form.html")]
struct FormPage {
    frame: Frame,
    form: FormView,
    /// The name and the path of the segment; none for a new one.
    known: Option<(String, String)>,
}

impl FormPage {
    const fn example(&self) -> &'static str {
        EXAMPLE
    }
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/new-segment", get(new).post(create)).route("/segments/{name}/edit", get(edit).post(change))
}

async fn new(by: May<EditSegments>) -> Result<Response, NoPage> {
    Ok(page(&FormPage { frame: by.frame("segments"), form: FormView::default(), known: None })?)
}

async fn edit(
    State(api): State<Arc<Api>>,
    by: May<EditSegments>,
    InPath(name): InPath<String>,
) -> Result<Response, NoPage> {
    let segment = find(&api, &name).await?;
    let mut fields = fields_of_segment(&name, &segment.condition);
    fields.set_changed_at(segment.changed_at);
    Ok(page(&FormPage { frame: by.frame("segments"), form: FormView::new(fields), known: known(&name) })?)
}

async fn create(State(api): State<Arc<Api>>, Posted { by, fields }: Posted<EditSegments>) -> Result<Response, NoPage> {
    let name = fields.text("name");
    let mut problems = check_name(name).map_or_else(problems_of, |()| Ok(Vec::new()))?;
    if problems.is_empty() && api.store.find_segment(name).await.map_err(Problem::from)?.is_some() {
        problems.push(FieldProblem::new(
            "name",
            "there is a segment of this name already; write another one, or change that one",
        ));
    }
    match document(&fields, problems) {
        Ok(document) => {
            api.store.put_segment(name, &document, None).await.map_err(Problem::from)?;
            Ok(go_to(&format!("{}?done=created", path_of(name))))
        }
        Err(problems) => Ok(refuse(by.frame("segments"), fields, &problems, None)?),
    }
}

async fn change(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { by, fields }: Posted<EditSegments>,
) -> Result<Response, NoPage> {
    find(&api, &name).await?;
    let problems = match document(&fields, Vec::new()) {
        Ok(document) => {
            let put = api.store.put_segment(&name, &document, Some(fields.changed_at())).await;
            if put.map_err(Problem::from)? != PutSegment::Stale {
                return Ok(go_to(&format!("{}?done=changed", path_of(&name))));
            }
            vec![FieldProblem::new("", STALE)]
        }
        Err(problems) => problems,
    };
    Ok(refuse(by.frame("segments"), fields, &problems, known(&name))?)
}

const STALE: &str = "somebody else has changed the segment meanwhile; open it again, and repeat your change";

/// Returns the document of a form, or these problems and those of the document.
fn document(fields: &Fields, mut problems: Vec<FieldProblem>) -> Result<Value, Vec<FieldProblem>> {
    let document = segment_document(fields).map_err(|problem| vec![problem]);
    let document = document.and_then(|document| match read_segment(&document) {
        Ok(_) => Ok(document),
        Err(problems) => Err(with_places(problems)),
    });
    match document {
        Ok(document) if problems.is_empty() => Ok(document),
        Ok(_) => Err(problems),
        Err(others) => {
            problems.extend(others);
            Err(problems)
        }
    }
}

fn refuse(
    frame: Frame,
    fields: Fields,
    problems: &[FieldProblem],
    known: Option<(String, String)>,
) -> Result<Response, Problem> {
    invalid(&FormPage { frame, form: FormView::new(fields).with_problems(problems, field_of), known })
}

fn known(name: &str) -> Option<(String, String)> {
    Some((name.to_owned(), path_of(name)))
}
