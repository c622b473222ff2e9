//! The form of a rule for affiliates.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use codemint_offers::affiliate::rule::PERIODS_MAX;
use codemint_offers::form::affiliate_rule::{RuleDraft, fields_of_rule, names_of, rows_in, rule_draft};
use codemint_offers::form::campaign::all_problems;
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_offers::read::affiliate::read_rule;
use codemint_store::affiliates::rules::StoredRule;

use crate::api::affiliate_rules::{check_name, find, store_rule};
use crate::api::body::InPath;
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::affiliates::rule_view::{path_of, zone_of};
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::refusal::problems_of;
use crate::console::visitor::{EditAffiliates, May, NoPage, go_to};

/// The number of empty rows after the last period: a person without scripts adds periods in them.
const SPARE_ROWS: usize = 3;

#[derive(Debug, Template)]
#[template(path = "console/affiliates/form.html")]
struct FormPage {
    frame: Frame,
    form: FormView,
    rows: Vec<PeriodRow>,
    /// The name and the path of the rule; none for a new one.
    known: Option<(String, String)>,
}

/// The names of the fields of a period.
#[derive(Debug)]
struct PeriodRow {
    from: String,
    to: String,
    from_label: String,
    to_label: String,
    from_exact: String,
    to_exact: String,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/new-affiliate-rule", get(new).post(create))
        .route("/affiliates/{name}/edit", get(edit).post(change))
}

async fn new(by: May<EditAffiliates>) -> Result<Response, NoPage> {
    let mut fields = Fields::default();
    for (name, value) in [("active", "on"), ("priority", "0")] {
        fields.set(name, value);
    }
    Ok(page(&FormPage::new(by.frame("affiliates"), fields, None))?)
}

async fn edit(
    State(api): State<Arc<Api>>,
    by: May<EditAffiliates>,
    InPath(name): InPath<String>,
) -> Result<Response, NoPage> {
    let StoredRule { rule, changed_at, .. } = find(&api, &name).await?;
    let mut fields = fields_of_rule(&rule, zone_of(&api, &rule.campaign).await?);
    fields.set_changed_at(changed_at);
    Ok(page(&FormPage::new(by.frame("affiliates"), fields, Some(&name)))?)
}

async fn create(
    State(api): State<Arc<Api>>,
    Posted { by, fields }: Posted<EditAffiliates>,
) -> Result<Response, NoPage> {
    let name = fields.text("name").to_owned();
    let mut problems = check_name(&name).map_or_else(problems_of, |()| Ok(Vec::new()))?;
    if problems.is_empty() && api.store.find_affiliate_rule(&name).await.map_err(Problem::from)?.is_some() {
        problems.push(FieldProblem::new("", ALREADY));
    }
    let problems = problems.into_iter().map(|problem| FieldProblem { field: "/name".to_owned(), ..problem }).collect();
    let draft = draft(&api, &fields).await?;
    match store(&api, &name, &draft, problems, None).await? {
        Ok(()) => Ok(go_to(&format!("{}?done=created", path_of(&name)))),
        Err(problems) => Ok(FormPage::new(by.frame("affiliates"), fields, None).refuse(&draft, &problems)?),
    }
}

const ALREADY: &str = "there is a rule of this name already; write another one, or change that one";

async fn change(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { by, fields }: Posted<EditAffiliates>,
) -> Result<Response, NoPage> {
    find(&api, &name).await?;
    let draft = draft(&api, &fields).await?;
    match store(&api, &name, &draft, Vec::new(), Some(fields.changed_at())).await? {
        Ok(()) => Ok(go_to(&format!("{}?done=changed", path_of(&name)))),
        Err(problems) => Ok(FormPage::new(by.frame("affiliates"), fields, Some(&name)).refuse(&draft, &problems)?),
    }
}

async fn draft(api: &Api, fields: &Fields) -> Result<RuleDraft, Problem> {
    Ok(rule_draft(fields, zone_of(api, fields.text("campaign")).await?))
}

/// Stores the rule unless something is wrong with it, or it was changed since the `expected` time.
async fn store(
    api: &Api,
    name: &str,
    draft: &RuleDraft,
    mut problems: Vec<FieldProblem>,
    expected: Option<DateTime<Utc>>,
) -> Result<Result<(), Vec<FieldProblem>>, Problem> {
    problems.extend(draft.problems.iter().cloned());
    let rule = match read_rule(name, &draft.document) {
        Ok(rule) if problems.is_empty() => rule,
        read => return Ok(Err(all_problems(&problems, read.err().unwrap_or_default()))),
    };
    Ok(match store_rule(api, &rule, expected).await {
        Ok(_is_new) => Ok(()),
        Err(problem) => Err(problems_of(problem)?),
    })
}

impl FormPage {
    fn new(frame: Frame, fields: Fields, known: Option<&str>) -> Self {
        let rows = (0..(rows_in(&fields) + SPARE_ROWS).min(PERIODS_MAX)).map(PeriodRow::new).collect();
        let known = known.map(|name| (name.to_owned(), path_of(name)));
        Self { frame, form: FormView::new(fields), rows, known }
    }

    fn refuse(mut self, draft: &RuleDraft, problems: &[FieldProblem]) -> Result<Response, Problem> {
        let problems = draft.at_fields(problems);
        self.form = self.form.with_problems(&problems, |name| Some(name).filter(|name| !name.is_empty()));
        invalid(&self)
    }
}

impl PeriodRow {
    fn new(row: usize) -> Self {
        let ([from, to], number) = (names_of(row), row + 1);
        Self {
            from_label: format!("From (period {number})"),
            to_label: format!("To (period {number})"),
            from_exact: format!("{from}_exact"),
            to_exact: format!("{to}_exact"),
            from,
            to,
        }
    }
}
