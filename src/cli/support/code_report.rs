//! The report about one code that was looked up.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::cli::support::text::time;
use codemint_codes::job::record::Job;
use codemint_codes::text::printable;
use codemint_codes::typed::Missing;
use codemint_codes::wire::document::JobDocument;
use codemint_store::records::look_up::FoundCode;

/// The result of a look-up.
#[derive(Debug, Serialize)]
pub struct CodeReport {
    pub found: bool,
    /// The codes that may be meant: one, unless the mask allows look-alikes.
    matches: Vec<ShownCode>,
    /// The reason why no such code exists, for programs.
    reason: Option<&'static str>,
    /// The existing codes at one typing error.
    nearest: Vec<ShownCode>,
    #[serde(skip)]
    explanation: &'static str,
}

/// A code that exists, and its origin.
#[derive(Debug, Serialize)]
pub struct ShownCode {
    code: String,
    /// True if the code is spelled as it was typed, apart from blanks and case.
    as_typed: bool,
    /// The mask of the run that stored the code.
    mask: Option<String>,
    stored_at: Option<DateTime<Utc>>,
    requested_by: Option<String>,
    /// Null if no job accounts for the code.
    job: Option<JobDocument>,
    /// The owner of a code of a restricted campaign; null for other codes.
    owner: Option<Owner>,
}

/// The owner of a code of a restricted campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// An identity: not reported which one.
    Identity,
    Pool,
    /// Neither: `verify` reports it.
    Nobody,
}

impl CodeReport {
    pub fn found(matches: Vec<ShownCode>) -> Self {
        Self { found: true, matches, reason: None, nearest: Vec::new(), explanation: "" }
    }

    pub fn missing(missing: Missing, nearest: Vec<ShownCode>) -> Self {
        let (reason, explanation) = match missing {
            Missing::NoMask => ("no_such_mask", "no mask of this store has codes like this"),
            Missing::WrongCheck => ("check_characters_wrong", "its check characters are wrong"),
            Missing::CheckNotVerified => (
                "check_not_verified",
                "it was never minted here; its check characters were not verified: check.key_file does not name the key of \
                 every job of this mask",
            ),
            Missing::NeverMinted => ("never_minted", "it is well-formed, but was never minted or imported here"),
        };
        Self { found: false, matches: Vec::new(), reason: Some(reason), nearest, explanation }
    }
}

impl ShownCode {
    pub fn new(
        found: &FoundCode,
        as_typed: bool,
        job: Option<&Job>,
        requested_by: Option<String>,
        owner: Option<Owner>,
    ) -> Self {
        Self {
            code: found.code.clone(),
            as_typed,
            mask: found.run.as_ref().map(|run| run.mask.clone()),
            stored_at: found.run.as_ref().and_then(|run| run.stored_at),
            requested_by,
            job: job.map(JobDocument::from),
            owner,
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let spelling = if self.as_typed { "" } else { " (typed differently)" };
        let mut rows = vec![("code", format!("{}{spelling}", printable(&self.code)))];
        let Some(job) = &self.job else {
            rows.push(("job", "none: no job accounts for this code".to_owned()));
            return rows;
        };
        let or_dash = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), printable);
        let by = self.requested_by.as_deref().map(|by| format!(" by {}", printable(by))).unwrap_or_default();
        let kind = if job.kind == "import" { "imported" } else { "minted" };
        rows.extend([
            ("job", format!("{}, {}", job.job_id, job.state)),
            ("campaign", or_dash(&job.campaign)),
            ("mask", or_dash(&self.mask)),
            ("requested", format!("{}{by}", time(job.created_at))),
            (kind, self.stored_at.map_or("-".to_owned(), time)),
        ]);
        rows.extend(self.owner.map(|owner| {
            let text = match owner {
                Owner::Identity => "an identity",
                Owner::Pool => "nobody yet, it is in the pool",
                Owner::Nobody => "nobody, and it is not in the pool",
            };
            ("belongs to", text.to_owned())
        }));
        rows
    }
}

impl fmt::Display for CodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        let mut push = |name: &str, value: &str| lines.push(format!("{name:<11}{value}"));
        if !self.found {
            push("not found", self.explanation);
        }
        for code in self.matches.iter().chain(&self.nearest) {
            for (name, value) in code.rows() {
                let name = if name == "code" && !self.found { "nearest" } else { name };
                push(name, &value);
            }
        }
        f.write_str(&lines.join("\n"))
    }
}
