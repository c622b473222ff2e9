//! `codemint mask`: explains masks and checks codes, without a store.

use std::fmt;
use std::sync::Arc;

use clap::{Args, Subcommand};
use codemint_codes::text::grouped;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::{from_to, note_mistaken_set, parse_mask, whole_number};
use crate::cli::support::spreadsheet_warning::describe;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::{counted, percent};
use crate::config::policy_files;
use codemint_codes::check::CheckKey;
use codemint_codes::explanation::{CheckCharacters, ExplainError, Explanation};
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::policy::Policy;
use codemint_store::admission::entropy::fresh_key;

const SAMPLES_MAX: u32 = 1000;

/// Explain masks and check codes against them
#[derive(Debug, Subcommand)]
pub enum MaskCommand {
    Explain(Explain),
    Check(Check),
}

impl MaskCommand {
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Explain(explain) => explain.run(context),
            Self::Check(check) => check.run(context),
        }
    }
}

/// Show the number of codes of a mask, some samples, and whether a count is feasible
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint mask explain 'MY_LITTLE_PROMO????##' --count 1000000
  codemint mask explain 'VIP-[:safe:]{10}' --samples 3 --json

With --count, the exit code is 3 if the mask has fewer codes. The command opens no store: codes that are minted or \
reserved there are not considered.")]
pub struct Explain {
    /// Mask to explain
    mask: String,
    /// Number of codes to check: feasibility, share of the keyspace, odds of guessing
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    count: Option<i128>,
    /// Number of samples to show
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = from_to::<u32>(0, SAMPLES_MAX.into()))]
    samples: u32,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// The explanation as it is printed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Explained(Explanation);

impl Explain {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let mask = parse_mask(&self.mask)?;
        note_mistaken_set(context, &self.mask);
        let (check_key, denied) =
            (check_key_of(&mask, context)?, policy_files::denied_words(&context.config)?.map(Arc::new));
        let (policy, key) = (Policy { check_key, denied }, fresh_key().map_err(Failure::other)?);
        let explained = Explanation::new(&self.mask, &policy, self.count, context.config.limits, (&key, self.samples));
        let explanation = explained.map_err(|error| match error {
            ExplainError::Request(error) => error.into(),
            ExplainError::Spreadsheet(error) => Failure::other(error),
        })?;
        let feasible = explanation.plan.as_ref().is_none_or(|plan| plan.feasible);
        print_report(self.json, &Explained(explanation))?;
        Failure::unless(feasible)
    }
}

/// Returns the key of check characters. Its file is read only for a mask that needs it.
fn check_key_of(mask: &Mask, context: &Context) -> Result<Option<CheckKey>, Failure> {
    if mask.check_length() == 0 { Ok(None) } else { Ok(policy_files::check_key(&context.config)?) }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(explanation) = self;
        // Both numbers are kept as decimal digits.
        let codes = |digits: &str| counted(digits.parse().unwrap_or_default(), "code");
        writeln!(f, "mask      {}", explanation.canonical_mask)?;
        writeln!(f, "length    {}", counted(explanation.code_length as u128, "character"))?;
        write!(f, "keyspace  {} ({:.1} bits)", codes(&explanation.keyspace), explanation.bits)?;
        if let Some(allowed) = &explanation.allowed {
            write!(f, "\nallowed   {} without a denied word", codes(allowed))?;
        }
        if let Some(CheckCharacters { length, guesses_a_pass, key_configured }) = &explanation.check {
            let characters = counted(*length as u128, "character");
            let guesses = grouped((*guesses_a_pass).into());
            write!(f, "\ncheck     {characters}: 1 random guess in {guesses} passes")?;
            if !key_configured {
                f.write_str("\nsamples   none without the secret of check characters; set check.key_file")?;
            }
        }
        for (at, sample) in explanation.samples.iter().enumerate() {
            let label = if at == 0 { "samples   " } else { "          " };
            write!(f, "\n{label}{sample}  (a sample, not minted)")?;
        }
        if let Some(spreadsheet) = &explanation.spreadsheet {
            write!(f, "\ncsv       {}", describe(&spreadsheet.exposure))?;
        }
        let Some(plan) = &explanation.plan else { return Ok(()) };
        let count = counted(plan.count.into(), "code");
        if !plan.feasible {
            let without = if explanation.allowed.is_some() { " without a denied word" } else { "" };
            return write!(f, "\n{count}: not feasible, the mask has fewer{without}");
        }
        let guesses = match plan.guesses_a_hit.round() as u128 {
            0 | 1 => "more than 1 guess in 2".to_owned(),
            guesses => format!("1 guess in {}", grouped(guesses)),
        };
        let share = percent(plan.share);
        write!(f, "\n{count}: feasible, {share} of the keyspace, {guesses} hits")
    }
}

/// Check whether a mask can produce a code, including its check characters; exit code 3 if not
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint mask check SPRING-7K3XW9PLQM --mask 'SPRING-[:safe:]{8}[:check:]{2}'

Lower case is folded to upper case. If the code begins with -, put it last: codemint mask check \
--mask MASK -- -CODE. The command opens no store, so it does not check whether the code was ever \
minted. Check characters are verified with the secret in check.key_file.")]
pub struct Check {
    /// Code; only its case does not matter
    code: String,
    /// Mask to check against
    #[arg(long, value_name = "MASK", allow_hyphen_values = true)]
    mask: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// The result of a check. It does not repeat the code, which may be worth money.
#[derive(Debug, Serialize)]
struct CheckVerdict {
    canonical_mask: String,
    is_code: bool,
    /// True if there are check characters and they are right.
    check_verified: bool,
    problem: Option<String>,
}

impl Check {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let mask = parse_mask(&self.mask)?;
        let key = check_key_of(&mask, context)?;
        let has_check = mask.check_length() > 0;
        if has_check && key.is_none() {
            return Err(Failure::usage(
                "the mask has check characters; set check.key_file to the file that holds their secret",
            ));
        }
        let keyspace = key.into_iter().fold(Keyspace::new(&mask), Keyspace::with_check_key);
        let problem = keyspace.check(&self.code.to_ascii_uppercase()).err();
        let verdict = CheckVerdict {
            canonical_mask: mask.to_string(),
            is_code: problem.is_none(),
            check_verified: problem.is_none() && has_check,
            problem: problem.map(|problem| problem.to_string()),
        };
        print_report(self.json, &verdict)?;
        Failure::unless(verdict.is_code)
    }
}

impl fmt::Display for CheckVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            None => write!(f, "a code of {}", self.canonical_mask),
            Some(problem) => write!(f, "not a code of {}: {problem}", self.canonical_mask),
        }
    }
}
