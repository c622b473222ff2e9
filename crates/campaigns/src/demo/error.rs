//! Why a demo cannot be filled in.

use codemint_offers::problem::Problem;
use codemint_store::connection::error::StoreError;

/// Why a demo cannot be filled in.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan and the store do not fit.
    #[error("the demo cannot be carried out: {0}")]
    Plan(String),
}

impl DemoError {
    pub(super) fn of_problems(what: &str, problems: &[Problem]) -> Self {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Self::Plan(format!("{what}: {}", texts.join("; ")))
    }
}
