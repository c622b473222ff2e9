//! What a form of a campaign would do: in words, with samples of its codes.

use askama::Template;
use codemint_codes::explanation::Explanation;
use codemint_codes::mask::mistaken_set;
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::campaign::words::{describe, warn_of_segments};
use codemint_offers::form::amounts::whole;
use codemint_offers::form::campaign::{Draft, all_problems, draft};
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::admission::entropy::fresh_key;

use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::field_names::label_of;
use crate::console::shown::number;

/// The number of sample codes.
const SAMPLES: u32 = 5;
/// The maximum number of wrong fields that are named.
const SHOWN_MAX: usize = 5;
/// The number of codes for which the odds of a guess are shown, unless the form names one.
const PLANNED: u64 = 1000;

/// The part of the page that is shown while somebody types.
#[derive(Debug, Template)]
#[template(path = "console/campaigns/preview.html")]
pub struct Preview {
    pub words: Vec<String>,
    /// What the campaign lacks, although it can be saved.
    pub warning: Option<String>,
    /// The fields that are wrong or missing, each with the reason.
    pub wrong: Vec<(&'static str, String)>,
    pub mask: Option<MaskView>,
    /// True if there is a mask and it is not right.
    pub mask_is_wrong: bool,
}

/// What a mask can produce.
#[derive(Debug)]
pub struct MaskView {
    samples: Vec<String>,
    keyspace: String,
    planned: String,
    /// The average number of guesses for a hit.
    guesses: String,
    /// The number of codes that are left beside the planned ones; none if there are too few.
    left: Option<String>,
    /// The named set that a set of the mask looks like.
    mistaken: Option<&'static str>,
    /// True if a guess hits soon.
    is_guessable: bool,
}

/// Below this average number of guesses for a hit, the page warns.
const GUESSES_MIN: f64 = 10_000.0;

/// Reads a form. The name of a campaign that exists is given: the form has it without the blanks that may be around it.
///
/// # Errors
/// Every problem of the form, by the pointer of the field.
pub fn read_form(fields: &Fields, name: Option<&str>) -> Result<Definition, Vec<FieldProblem>> {
    let Draft { mut document, problems } = draft(fields);
    if let Some(name) = name {
        document["name"] = name.into();
    }
    match read_definition(&document, NameFrom::Document) {
        Ok(definition) if problems.is_empty() => Ok(definition),
        Ok(_partly_read) => Err(problems),
        Err(of_document) => Err(all_problems(&problems, of_document)),
    }
}

impl Preview {
    /// Returns the preview of a form.
    ///
    /// # Errors
    /// `internal` if the system has no randomness, and if the store cannot be read.
    pub async fn of(api: &Api, fields: &Fields) -> Result<Self, Problem> {
        let read = read_form(fields, None);
        let planned = whole(fields.text("planned")).ok().filter(|count| *count > 0).unwrap_or(PLANNED);
        let is_public = fields.text("kind") == Kind::Public.into_str();
        let mask = match fields.filled("mask").filter(|_| !is_public) {
            Some(mask) => explain(api, mask, planned)?,
            None => None,
        };
        let mask_is_wrong = mask.is_none() && !is_public && fields.filled("mask").is_some();
        let preview = Self { words: Vec::new(), warning: None, wrong: Vec::new(), mask, mask_is_wrong };
        Ok(match read {
            Ok(definition) => {
                let warning = segments_warning(api, &definition).await?;
                Self { words: describe(&definition, true), warning, ..preview }
            }
            Err(problems) => {
                let wrong = problems.into_iter().map(|problem| (label_of(&problem.field), problem.message));
                Self { wrong: wrong.collect(), ..preview }
            }
        })
    }
}

/// Returns a warning about segments of a campaign that do not exist.
///
/// # Errors
/// If the store cannot be read.
pub async fn segments_warning(api: &Api, definition: &Definition) -> Result<Option<String>, Problem> {
    let missing = api.store.find_missing_segments(&definition.named_segments()).await?;
    Ok(warn_of_segments(&missing))
}

/// Returns `None` if the mask is wrong.
fn explain(api: &Api, mask: &str, planned: u64) -> Result<Option<MaskView>, Problem> {
    let key = fresh_key().map_err(|error| Problem::internal(error.to_string()))?;
    let (policy, limits) = (&api.ordering.policy, api.ordering.limits);
    let explained = Explanation::new(mask, policy, Some(planned.into()), limits, (&key, SAMPLES));
    let Ok(explained) = explained else { return Ok(None) };
    let space = explained.allowed.as_ref().unwrap_or(&explained.keyspace);
    let left = space.parse::<u128>().ok().map(|space| space.checked_sub(planned.into()));
    let guesses = explained.plan.as_ref().map_or(0.0, |plan| plan.guesses_a_hit);
    Ok(Some(MaskView {
        samples: explained.samples,
        keyspace: separated(space),
        planned: number(planned),
        guesses: separated(&format!("{guesses:.0}")),
        left: left.unwrap_or(Some(u128::MAX)).map(|left| separated(&left.to_string())),
        mistaken: mistaken_set(mask),
        is_guessable: guesses < GUESSES_MIN,
    }))
}

/// Returns decimal digits with commas between thousands; long ones as a power of ten.
fn separated(digits: &str) -> String {
    const DIGITS_MAX: usize = 18;
    if digits.len() > DIGITS_MAX {
        return format!("about {}.{} × 10^{}", &digits[..1], &digits[1..2], digits.len() - 1);
    }
    digits.parse::<u64>().map_or_else(|_not_a_number| digits.to_owned(), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_readable() {
        assert_eq!(separated("1234567"), "1,234,567");
        assert_eq!(separated("79228162514264337593543950336"), "about 7.9 × 10^28");
    }
}
