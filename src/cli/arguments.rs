//! The arguments of the program.

use clap::{Parser, Subcommand};

use crate::cli::commands;
use crate::cli::support::global_options::GlobalOptions;

/// Mint unique, unguessable promo codes in bulk.
#[derive(Debug, Parser)]
#[command(
    name = "codemint",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:
  codemint generate 'MY_LITTLE_PROMO????##' --count 1000000 --output codes.csv
  codemint mask explain 'SPRING-[:safe:]{8}' --count 50000
  codemint jobs list

Exit codes: 0 done, 1 failure, 2 usage or configuration error, 3 negative result (a job or check \
failed, a code is refused, lines of an import left out as invalid, nothing found, nothing changed), 4 impossible request, \
5 server unreachable or store unavailable, 129, 130 or 143 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalOptions,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Configured(Configured),
    #[command(flatten)]
    Shell(commands::shell::ShellCommand),
}

/// The commands that read the configuration.
#[derive(Debug, Subcommand)]
pub enum Configured {
    Generate(commands::generate::Generate),
    Worker(commands::worker::Worker),
    Serve(commands::serve::Serve),
    Health(commands::health::Health),
    Enqueue(commands::enqueue::Enqueue),
    #[command(subcommand, visible_alias = "dead")]
    Dlq(commands::dlq::DlqCommand),
    #[command(subcommand)]
    Mask(commands::mask::MaskCommand),
    #[command(subcommand)]
    Jobs(commands::jobs::JobsCommand),
    Export(commands::export::Export),
    Verify(commands::verify::Verify),
    Import(commands::import::Import),
    #[command(subcommand)]
    Campaign(commands::campaign::CampaignCommand),
    #[command(subcommand)]
    Segment(commands::segment::SegmentCommand),
    #[command(subcommand)]
    Affiliate(commands::affiliate::AffiliateCommand),
    Issue(commands::issue::Issue),
    #[command(subcommand)]
    Trigger(commands::trigger::TriggerCommand),
    Validate(commands::validate::Validate),
    Redeem(commands::redeem::Redeem),
    #[command(subcommand)]
    Redemption(commands::redemption::RedemptionCommand),
    #[command(subcommand)]
    Referral(commands::referral::ReferralCommand),
    #[command(subcommand)]
    Identity(commands::identity::IdentityCommand),
    #[command(subcommand)]
    Reserve(commands::reserve::ReserveCommand),
    Code(commands::code::Code),
    Link(commands::link::Link),
    #[command(subcommand)]
    Report(commands::report::ReportCommand),
    Audit(commands::audit::Audit),
    #[command(subcommand)]
    Keys(commands::keys::KeysCommand),
    #[command(subcommand)]
    Users(commands::users::UsersCommand),
    Demo(commands::demo::Demo),
    Backup(commands::backup::Backup),
    Migrate(commands::migrate::Migrate),
    #[command(subcommand)]
    Config(commands::settings::ConfigCommand),
}
