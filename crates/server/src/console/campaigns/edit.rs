//! The form of a campaign: new, changed, or as a copy of another one.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use codemint_offers::campaign::definition::{Definition, Kind, Purpose};
use codemint_offers::form::campaign::field_of;
use codemint_offers::form::campaign_fields::fields_of;
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;
use serde::Deserialize;

use crate::api::body::{InPath, InQuery};
use crate::api::campaigns::save;
use crate::api::problem::{INVALID, Problem, STALE_VERSION, VERSION_REQUIRED};
use crate::api::service::Api;
use crate::console::campaigns::labels::path_of;
use crate::console::campaigns::preview::{Preview, read_form};
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::visitor::{EditCampaigns, May, NoPage, go_to};

/// The kinds of campaigns, as the form names them.
const KINDS: [(&str, &str); 3] = [
    ("public", "Public: one code for everybody"),
    ("private", "Private: many codes, each for its holder"),
    ("restricted", "Restricted: personal codes, each for one identity"),
];
const EFFECTS: [(&str, &str); 2] = [("percent", "A percentage"), ("amount", "An amount of money")];
const TARGETS: [(&str, &str); 4] = [
    ("order", "The whole order"),
    ("items", "Each chosen item"),
    ("group", "All chosen items together, once"),
    ("buy_get", "Items that come with others: buy some, get some"),
];
const PURPOSES: [(&str, &str); 2] =
    [("regular", "An offer to customers"), ("referral", "Codes that customers pass on to friends")];

#[derive(Debug, Template)]
#[template(path = "console/campaigns/edit.html")]
struct EditPage {
    frame: Frame,
    form: FormView,
    preview: Preview,
    /// The name of the campaign that is changed; none for a new one.
    name: Option<String>,
    /// Where the form goes, and where it leads back to.
    action: String,
    back: String,
    zones: Vec<&'static str>,
}

#[derive(Debug, Deserialize)]
struct NewQuery {
    from: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/new-campaign", get(new).post(create))
        .route("/new-campaign/preview", post(preview))
        .route("/campaigns/{name}/edit", get(edit).post(change))
}

async fn new(
    State(api): State<Arc<Api>>,
    by: May<EditCampaigns>,
    InQuery(query): InQuery<NewQuery>,
) -> Result<Response, NoPage> {
    let fields = match query.from {
        Some(name) => copied(api.campaign(&name).await?.definition),
        None => blank(),
    };
    Ok(page(&edit_page(&api, by.frame("campaigns"), fields, None).await?)?)
}

/// Returns the form of a new campaign.
fn blank() -> Fields {
    let defaults = [
        ("kind", "private"),
        ("purpose", "regular"),
        ("zone", "UTC"),
        ("effect", "percent"),
        ("target", "order"),
        ("per_code", "1"),
        ("active", "on"),
    ];
    defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec().into()
}

/// Returns the form of a copy, which has no name yet and is off.
fn copied(mut definition: Definition) -> Fields {
    definition.active = false;
    let mut fields = fields_of(&definition);
    fields.set("name", "");
    if definition.kind == Kind::Public {
        // Two campaigns cannot have one code.
        fields.set("mask", "");
    }
    if definition.purpose == Purpose::Regular {
        fields.set("purpose", "regular");
    }
    fields
}

async fn edit_page(api: &Api, frame: Frame, fields: Fields, name: Option<String>) -> Result<EditPage, Problem> {
    let preview = Preview::of(api, &fields).await?;
    let (action, back) = match &name {
        Some(name) => (format!("{}/edit", path_of(name)), path_of(name)),
        None => ("/new-campaign".to_owned(), "/campaigns".to_owned()),
    };
    let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
    Ok(EditPage { frame, form: FormView::new(fields), preview, name, action, back, zones })
}

async fn create(State(api): State<Arc<Api>>, Posted { by, fields }: Posted<EditCampaigns>) -> Result<Response, NoPage> {
    let frame = by.frame("campaigns");
    submit(&api, frame, fields, None).await
}

async fn edit(
    State(api): State<Arc<Api>>,
    by: May<EditCampaigns>,
    InPath(name): InPath<String>,
) -> Result<Response, NoPage> {
    let campaign = api.campaign(&name).await?;
    let mut fields = fields_of(&campaign.definition);
    fields.set("version", campaign.version.to_string());
    fields.set("planned", campaign.counts.codes.max(1).to_string());
    Ok(page(&edit_page(&api, by.frame("campaigns"), fields, Some(name)).await?)?)
}

async fn change(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { by, mut fields }: Posted<EditCampaigns>,
) -> Result<Response, NoPage> {
    let frame = by.frame("campaigns");
    fields.set("name", name.as_str());
    submit(&api, frame, fields, Some(name)).await
}

/// Saves a form, or shows it again with its problems.
async fn submit(api: &Api, frame: Frame, fields: Fields, name: Option<String>) -> Result<Response, NoPage> {
    // The button that only shows the preview, where no script does.
    if fields.is_checked("check") {
        return Ok(page(&edit_page(api, frame, fields, name).await?)?);
    }
    let version = name.as_ref().map(|_| fields.text("version").parse().unwrap_or_default());
    let problems = match read_form(&fields, name.as_deref()) {
        Ok(definition) => match save(api, &definition, version).await {
            Ok(saved) => return Ok(go_to(&format!("{}?done=saved", path_of(&saved.definition.name)))),
            Err(problem) => problems_of(problem)?,
        },
        Err(problems) => problems,
    };
    let mut shown = edit_page(api, frame, fields, name).await?;
    shown.form = shown.form.with_problems(&problems, field_of);
    Ok(invalid(&shown)?)
}

/// Returns the problems that the form shows.
///
/// # Errors
/// A problem that a person cannot solve in the form.
fn problems_of(problem: Problem) -> Result<Vec<FieldProblem>, Problem> {
    let document = problem.document();
    if document.code == INVALID.code && !document.errors.is_empty() {
        let errors = document.errors.iter();
        return Ok(errors.map(|error| FieldProblem::new(error.field.clone(), error.message.clone())).collect());
    }
    let (field, message) = match document.code.as_str() {
        code if code == VERSION_REQUIRED.code => ("/name", "there is a campaign with this name; choose another name"),
        code if code == STALE_VERSION.code => {
            ("", "somebody else has changed the campaign meanwhile; open it again, and repeat your change")
        }
        _ if problem.status().is_client_error() => ("", document.detail.as_str()),
        _ => return Err(problem),
    };
    Ok(vec![FieldProblem::new(field, message)])
}

async fn preview(
    State(api): State<Arc<Api>>,
    Posted { by: _, fields }: Posted<EditCampaigns>,
) -> Result<Response, NoPage> {
    Ok(page(&Preview::of(&api, &fields).await?)?)
}
