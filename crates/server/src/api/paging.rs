//! Lists, a page at a time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use codemint_offers::report::day::YEARS;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::api::problem::Problem;

const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 500;

/// What a cursor names.
pub trait Place: DeserializeOwned {
    /// Returns true if both stores can look for it; clients may make a cursor up.
    fn is_storable(&self) -> bool {
        true
    }
}

impl Place for i64 {}

impl Place for Uuid {}

impl Place for String {
    fn is_storable(&self) -> bool {
        !self.contains('\0')
    }
}

impl Place for (DateTime<Utc>, Uuid) {
    fn is_storable(&self) -> bool {
        YEARS.contains(&self.0.year())
    }
}

/// Which page of a list is read.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 100)]
    pub limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The cursor of the next page; null if this is the last one.
    pub next: Option<String>,
}

/// # Errors
/// `invalid` unless it is from 1 to [`LIMIT_MAX`].
pub fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::invalid_field("limit", format!("a page has 1 to {LIMIT_MAX} items"))),
    }
}

/// Returns the place that a cursor names.
///
/// # Errors
/// `invalid` if it is no cursor of this list.
pub fn place<T: Place>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = bytes.and_then(|bytes| serde_json::from_slice::<T>(&bytes).ok());
    place
        .filter(Place::is_storable)
        .map(Some)
        .ok_or_else(|| Problem::invalid_field("cursor", "not a cursor of this list; send next of the page before"))
}

impl<T> Page<T> {
    /// Makes a page of at most `limit` items of one more, if there are more; `place_of` names the place of the last one.
    pub fn cut<P: Serialize>(mut items: Vec<T>, limit: u32, place_of: impl FnOnce(&T) -> P) -> Self {
        let is_cut = items.len() > limit as usize;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| is_cut);
        let next = last.map(|last| URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place_of(last)).unwrap_or_default()));
        Self { items, next }
    }

    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}
