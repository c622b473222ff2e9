//! Trying a code with a sample cart. Nothing is recorded, and campaigns that are off can be tried as well.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_offers::access::role::Permission;
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::cart::Cart;
use codemint_offers::discount::grant::grant;
use codemint_offers::discount::left::Left;
use codemint_offers::form::fields::Fields;
use codemint_offers::form::trial::{LINES, read_trial};
use codemint_offers::redemption::request::Request;

use crate::api::body::InPath;
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::labels::path_of;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::shown::money;
use crate::console::visitor::{May, NoPage, ViewCampaigns};

/// Stands for the code of a campaign whose codes nobody has named: no mask is that short.
const NO_CODE: &str = "-";

#[derive(Debug, Template)]
#[template(path = "console/campaigns/trial.html")]
struct TrialPage {
    frame: Frame,
    path: String,
    title: String,
    may_find_codes: bool,
    form: FormView,
    lines: Vec<LineNames>,
    result: Option<TrialResult>,
}

/// The names of the fields of a line of the cart.
#[derive(Debug)]
struct LineNames {
    sku: String,
    groups: String,
    quantity: String,
    price: String,
}

impl LineNames {
    fn of(at: usize) -> Self {
        let name = |column: &str| format!("{column}_{at}");
        Self { sku: name("sku"), groups: name("groups"), quantity: name("quantity"), price: name("price") }
    }
}

/// What the campaign would do.
#[derive(Debug)]
struct TrialResult {
    /// What the discount alone would take off each line: the item, its price, what is taken off.
    lines: Vec<(String, String, String)>,
    total: Option<(String, String, String)>,
    /// Why the discount takes nothing off this cart.
    nothing: Option<String>,
    /// None without a code.
    verdict: Option<Verdict>,
}

#[derive(Debug)]
struct Verdict {
    /// Empty if the code may be used.
    reasons: Vec<String>,
    /// Set if the code belongs to another campaign.
    other_campaign: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/campaigns/{name}/try", get(form).post(attempt))
}

async fn form(
    State(api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InPath(name): InPath<String>,
) -> Result<Response, NoPage> {
    let definition = api.campaign(&name).await?.definition;
    let mut fields = Fields::default();
    for (name, value) in [("currency", "EUR"), ("sku_0", "SKU-1"), ("quantity_0", "2"), ("price_0", "19.99")] {
        fields.set(name, value);
    }
    if definition.kind == Kind::Public && by.permits(Permission::ReadCodes) {
        fields.set("code", definition.mask.to_string());
    }
    Ok(page(&trial_page(&by, &definition, FormView::new(fields), None))?)
}

fn trial_page(
    by: &May<ViewCampaigns>,
    definition: &Definition,
    form: FormView,
    result: Option<TrialResult>,
) -> TrialPage {
    TrialPage {
        frame: by.frame("campaigns"),
        path: path_of(&definition.name),
        title: definition.title.clone(),
        may_find_codes: by.permits(Permission::FindCodes),
        form,
        lines: (0..LINES).map(LineNames::of).collect(),
        result,
    }
}

async fn attempt(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { by, mut fields }: Posted<ViewCampaigns>,
) -> Result<Response, NoPage> {
    let definition = api.campaign(&name).await?.definition;
    // A verdict says whether a code exists: only people who may look codes up get one.
    if !by.permits(Permission::FindCodes) {
        fields.set("code", "");
    }
    let has_code = fields.filled("code").is_some();
    match read_trial(&fields, NO_CODE) {
        Ok(request) => {
            let result = result(&api, &definition, request, has_code).await?;
            Ok(page(&trial_page(&by, &definition, FormView::new(fields), Some(result)))?)
        }
        Err(problems) => {
            let form = FormView::new(fields).with_problems(&problems, named);
            Ok(invalid(&trial_page(&by, &definition, form, None))?)
        }
    }
}

/// Problems name the fields of the form.
fn named(field: &str) -> Option<&str> {
    Some(field).filter(|name| !name.is_empty())
}

async fn result(api: &Api, definition: &Definition, request: Request, has_code: bool) -> Result<TrialResult, Problem> {
    let cart = request.cart.clone();
    let mut result = match &cart {
        Some(cart) => discount_of(definition, cart),
        None => TrialResult { lines: Vec::new(), total: None, nothing: None, verdict: None },
    };
    if has_code {
        let validation = api.redeemer.validate(request, true).await?;
        let of = validation.definition.as_ref().map(|found| found.name.clone());
        result.verdict = Some(Verdict {
            reasons: validation.verdict.reasons.into_iter().map(|reason| reason.message).collect(),
            other_campaign: of.filter(|name| *name != definition.name),
        });
    }
    Ok(result)
}

/// Returns what the discount takes off a cart, whatever else speaks against the code.
fn discount_of(definition: &Definition, cart: &Cart) -> TrialResult {
    let currency = cart.currency().code();
    let granted = grant(&definition.discount, cart, &Left::of(cart));
    let nothing = granted.as_ref().err().map(ToString::to_string);
    let off = granted.map_or_else(|_reason| vec![0; cart.lines().len()], |granted| granted.lines);
    let shown = cart.lines().iter().zip(cart.line_amounts()).zip(&off).map(|((line, amount), off)| {
        (format!("{} × {}", line.quantity, line.sku), money(*amount, currency), money(-off, currency))
    });
    let total_off: i64 = off.iter().sum();
    let total =
        (money(cart.amount(), currency), money(-total_off, currency), money(cart.amount() - total_off, currency));
    TrialResult { lines: shown.collect(), total: Some(total), nothing, verdict: None }
}
