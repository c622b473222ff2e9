//! The arguments of all commands that prune.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use crate::cli::support::age::age;
use crate::cli::support::failure::Failure;

#[derive(Debug, Args)]
pub struct Pruning {
    /// Remove only what is at least this old, in hours, days or weeks, such as 12h, 90d or 4w
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: TimeDelta,
    /// Only report what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

impl Pruning {
    /// Returns the time before which something must have ended or come to be removed.
    pub fn before(&self) -> Result<DateTime<Utc>, Failure> {
        let too_long = || Failure::usage("--older-than reaches back before all calendars; choose a shorter time");
        Utc::now().checked_sub_signed(self.older_than).ok_or_else(too_long)
    }
}
