//! `codemint mask`: explains masks and checks codes, without a store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::support::context::Context;

use crate::cli::support::failure::Failure;
use crate::cli::support::requests::{from_to, parse_mask, whole_number};
use crate::cli::support::spreadsheet_warning::{describe, exposure};
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::{counted, grouped, percent};
use crate::config::policy_files;
use codemint_codes::denied::DeniedInMask;
use codemint_codes::draw::Draw;
use codemint_codes::job::request::RequestError;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::overlap::size;
use codemint_codes::random::Stream;
use codemint_codes::slice::Slice;
use codemint_codes::spreadsheet::Exposure;
use codemint_codes::symbols::SAFE;
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

With --count, the exit code is 3 if the mask has fewer codes.")]
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

#[derive(Debug, Serialize)]
struct Explanation {
    mask: String,
    canonical_mask: String,
    code_length: usize,
    /// Decimal digits: the number may exceed what JSON readers hold exactly.
    keyspace: String,
    bits: f64,
    /// The number of codes without a denied word; none if no words are denied.
    allowed: Option<String>,
    check: Option<CheckCharacters>,
    /// Codes drawn with a throw-away key, stored nowhere; none for a mask with check characters without their secret.
    samples: Vec<String>,
    plan: Option<Plan>,
    /// What spreadsheets do to the codes when they open CSV; none if they keep all of them.
    spreadsheet: Option<Spreadsheet>,
}

/// The codes that a spreadsheet changes or runs.
#[derive(Debug, Serialize)]
struct Spreadsheet {
    /// The share of the codes, 0 to 1.
    share: f64,
    /// False if the shares are estimates, because check characters depend on their secret.
    exact: bool,
    /// The share of each kind.
    kinds: BTreeMap<&'static str, f64>,
    #[serde(skip)]
    description: String,
}

impl From<Exposure> for Spreadsheet {
    fn from(exposure: Exposure) -> Self {
        let kinds = exposure.kinds().map(|(kind, share)| (kind.into_str(), share)).collect();
        let (share, exact, description) = (exposure.share(), exposure.is_exact(), describe(&exposure));
        Self { share, exact, kinds, description }
    }
}

#[derive(Debug, Serialize)]
struct Plan {
    count: u64,
    feasible: bool,
    /// The share of the keyspace that would be handed out, 0 to 1.
    share: f64,
    /// The average number of random guesses per hit.
    guesses_a_hit: f64,
}

/// The check characters of a mask.
#[derive(Debug, Serialize)]
struct CheckCharacters {
    length: usize,
    /// The average number of random guesses per one with the right check characters.
    guesses_a_pass: u64,
    /// False if check.key_file is not set.
    key_configured: bool,
}

impl Explain {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let mask = parse_mask(&self.mask)?;
        let (keyspace, check) = keyspace_and_check(&mask, context)?;
        let samples = match &check {
            Some(check) if !check.key_configured => Vec::new(),
            _ => samples(&keyspace, self.samples)?,
        };
        let denied = policy_files::denied_words(&context.config)?.map(Arc::new);
        let allowed = denied.map(|words| DeniedInMask::new(&words, &mask).count_allowed(mask.positions()));
        let mintable = allowed.unwrap_or(keyspace.size());
        let plan = self.count.map(|count| plan(&mask, mintable, count, context.config.limits.count_max)).transpose()?;
        let feasible = plan.as_ref().is_none_or(|plan| plan.feasible);
        let explanation = Explanation {
            mask: self.mask,
            canonical_mask: mask.to_string(),
            code_length: keyspace.code_length(),
            keyspace: keyspace.size().to_string(),
            bits: ((keyspace.size() as f64).log2() * 100.0).round() / 100.0,
            allowed: allowed.map(|allowed| allowed.to_string()),
            check,
            samples,
            plan,
            spreadsheet: exposure(&mask)?.map(Spreadsheet::from),
        };
        print_report(self.json, &explanation)?;
        Failure::unless(feasible)
    }
}

/// Returns the keyspace and the check characters of a mask. The check key's file is read only for a mask that needs it.
fn keyspace_and_check(mask: &Mask, context: &Context) -> Result<(Keyspace, Option<CheckCharacters>), Failure> {
    let (keyspace, length) = (Keyspace::new(mask), mask.check_length());
    if length == 0 {
        return Ok((keyspace, None));
    }
    let key = policy_files::check_key(&context.config)?;
    // At most 4 check characters, so the power fits.
    let guesses_a_pass = u64::from(SAFE.len()).pow(length as u32);
    let check = CheckCharacters { length, guesses_a_pass, key_configured: key.is_some() };
    Ok((key.into_iter().fold(keyspace, Keyspace::with_check_key), Some(check)))
}

fn plan(mask: &Mask, mintable: u128, count: i128, count_max: u64) -> Result<Plan, RequestError> {
    if count < 1 {
        return Err(RequestError::CountNotPositive(count));
    }
    let fitting = u64::try_from(count).ok().filter(|&count| count <= count_max);
    let count = fitting.ok_or(RequestError::CountAboveLimit { count, limit: count_max })?;
    Ok(Plan {
        count,
        feasible: u128::from(count) <= mintable,
        share: count as f64 / size(mask.body()) as f64,
        guesses_a_hit: mask.guesses_a_hit(count),
    })
}

fn samples(keyspace: &Keyspace, wanted: u32) -> Result<Vec<String>, Failure> {
    let key = fresh_key().map_err(Failure::other)?;
    let whole = Slice { start: 0, length: keyspace.size() };
    let draw = Draw::new(&key, Stream::chunk(0, 0), whole, wanted as usize);
    Ok(draw.ranks().iter().filter_map(|&rank| keyspace.unrank(rank)).collect())
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both numbers are kept as decimal digits.
        let codes = |digits: &str| counted(digits.parse().unwrap_or_default(), "code");
        writeln!(f, "mask      {}", self.canonical_mask)?;
        writeln!(f, "length    {}", counted(self.code_length as u128, "character"))?;
        write!(f, "keyspace  {} ({:.1} bits)", codes(&self.keyspace), self.bits)?;
        if let Some(allowed) = &self.allowed {
            write!(f, "\nallowed   {} without a denied word", codes(allowed))?;
        }
        if let Some(CheckCharacters { length, guesses_a_pass, key_configured }) = &self.check {
            let characters = counted(*length as u128, "character");
            let guesses = grouped((*guesses_a_pass).into());
            write!(f, "\ncheck     {characters}: 1 random guess in {guesses} passes")?;
            if !key_configured {
                f.write_str("\nsamples   none without the secret of check characters; set check.key_file")?;
            }
        }
        for (at, sample) in self.samples.iter().enumerate() {
            let label = if at == 0 { "samples   " } else { "          " };
            write!(f, "\n{label}{sample}  (a sample, not minted)")?;
        }
        if let Some(spreadsheet) = &self.spreadsheet {
            write!(f, "\ncsv       {}", spreadsheet.description)?;
        }
        let Some(plan) = &self.plan else { return Ok(()) };
        let count = counted(plan.count.into(), "code");
        if !plan.feasible {
            return write!(f, "\n{count}: not feasible, the mask has fewer");
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
    /// Code, as a customer typed it
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
        let (keyspace, check) = keyspace_and_check(&mask, context)?;
        if check.as_ref().is_some_and(|check| !check.key_configured) {
            return Err(Failure::usage(
                "the mask has check characters; set check.key_file to the file that holds their secret",
            ));
        }
        let problem = keyspace.check(&self.code.to_ascii_uppercase()).err();
        let verdict = CheckVerdict {
            canonical_mask: mask.to_string(),
            is_code: problem.is_none(),
            check_verified: problem.is_none() && check.is_some(),
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
