//! How fast is a reference of an affiliate resolved on one core, with 1,000 rules and 500,000 exclusions?
//!
//! - `few`: 40 affiliates, of whom some are excluded: at least 1,000,000 a second.
//! - `many`: 40,000 affiliates. The work is the same, but not the memory that is read: at least 1,000,000 a second, too.
//!
//! Bounds apply to the best repetition of each row, because other load on the machine can only slow a repetition down.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use codemint_offers::affiliate::book::RuleBook;
use codemint_offers::affiliate::rule::{RULES_MAX, Rule};

const EXCLUSIONS: u64 = 500_000;
const RESOLVED: usize = 200_000;
const REPEAT_FOR: Duration = Duration::from_secs(3);
const A_SECOND_MIN: f64 = 1_000_000.0;

fn main() -> ExitCode {
    let (book, now) = (book(), DateTime::UNIX_EPOCH);
    println!("row               best   median   references a second");
    let mut holds = true;
    for (name, affiliates) in [("few", 40), ("many", 40_000)] {
        let seconds = measure(&book, &references(affiliates), now);
        let a_second = |seconds: f64| RESOLVED as f64 / seconds;
        let best = a_second(seconds[0]);
        println!("{name:<12} {best:>9.0} {:>9.0}", a_second(seconds[seconds.len() / 2]));
        holds &= best >= A_SECOND_MIN;
    }
    println!("bound {A_SECOND_MIN:.0} a second: {}", if holds { "holds" } else { "MISSED" });
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A rule for each three digits at the start. The last one has all exclusions.
fn book() -> RuleBook {
    RuleBook::new((0..RULES_MAX).map(|no| {
        let rule = Rule {
            name: format!("rule-{no:03}"),
            mask: format!("{no:03}#######").parse().expect("a mask"),
            mask_text: format!("{no:03}#######"),
            prefix: "FCH".to_owned(),
            campaign: "choc".to_owned(),
            active: true,
            priority: 0,
            periods: Vec::new(),
        };
        let excluded: Vec<String> =
            if no + 1 == RULES_MAX { (0..EXCLUSIONS).map(reference).collect() } else { Vec::new() };
        (rule, Arc::new(excluded.into()))
    }))
}

/// Returns the reference of an affiliate; one in ten falls under the rule with the exclusions.
fn reference(number: u64) -> String {
    format!("999{:07}", number * 7 % 10_000_000)
}

fn references(affiliates: u64) -> Vec<String> {
    let of = |affiliate: u64| match affiliate % 10 {
        0 => reference(affiliate),
        _ => format!("{:010}", affiliate * 7_919_717 % 10_000_000_000),
    };
    (0..RESOLVED as u64).map(|number| of(number * 31 % affiliates)).collect()
}

/// Returns the seconds of each repetition, ascending.
fn measure(book: &RuleBook, references: &[String], now: DateTime<Utc>) -> Vec<f64> {
    let (started, mut seconds) = (Instant::now(), Vec::new());
    while started.elapsed() < REPEAT_FOR {
        let repetition = Instant::now();
        for reference in references {
            black_box(book.resolve(black_box(reference), now));
        }
        seconds.push(repetition.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds
}
