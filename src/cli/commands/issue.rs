//! `codemint issue`: binds a code of a campaign's pool to an identity.

use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::quoted;
use codemint_campaigns::issuing::{IssueError, Issuer};
use codemint_codes::text::printable;
use codemint_store::campaigns::pool::IssueOutcome;
use codemint_store::connection::store::Access;

/// Bind a code of a restricted campaign's pool to an identity, and print the code
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint issue 'New locations' loc-1

An identity gets one code of a campaign: the command again prints the same code. Fill the pool with \
`codemint campaign codes NAME --count N`.")]
pub struct Issue {
    /// Campaign name
    campaign: String,
    /// Identity that gets the code, such as a customer number
    identity: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct IssuedDocument<'a> {
    code: &'a str,
    campaign: &'a str,
    identity: &'a str,
    already_generated: bool,
}

impl Issue {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.identity.trim() == "-" {
            return Err(Failure::usage(
                "- is no identity, and no identity is read from standard input; write the identity as the argument",
            ));
        }
        let store = context.open_store(Access::Existing).await?;
        let issuer = Issuer::start(&store);
        let (code, already_generated) = match issuer.issue(&self.campaign, &self.identity).await.map_err(failure)? {
            IssueOutcome::Issued { code } => (code, false),
            IssueOutcome::AlreadyGenerated { code } => (code, true),
            refused => return Err(Failure::negative_result(self.refusal(context, &refused))),
        };
        if self.json {
            let (campaign, identity) = (&*self.campaign, self.identity.trim());
            return print_json(&IssuedDocument { code: &code, campaign, identity, already_generated });
        }
        if already_generated {
            context.note("note: the identity had this code already");
        }
        print_line(&code)
    }

    fn refusal(&self, context: &Context, refused: &IssueOutcome) -> String {
        let campaign = printable(&self.campaign);
        match refused {
            IssueOutcome::UnknownCampaign => {
                format!("there is no campaign {campaign}; {} shows them", context.command("campaign list"))
            }
            IssueOutcome::NotRestricted => {
                format!("campaign {campaign} is not restricted: its codes belong to nobody, so none is issued")
            }
            IssueOutcome::NotActive => format!("campaign {campaign} is off, has not started or has ended"),
            IssueOutcome::LimitReached => {
                format!("campaign {campaign} has issued as many codes as limits.issued allows")
            }
            IssueOutcome::LimitReserved => {
                let jobs = context.command(format_args!("jobs list --campaign {}", quoted(&self.campaign)));
                format!(
                    "campaign {campaign} has issued or promised as many codes as limits.issued allows: the list of an unfinished \
                     job gets the rest; {jobs} shows it"
                )
            }
            _ => format!(
                "the pool of campaign {campaign} is empty; {} fills it",
                context.command(format_args!("campaign codes {} --count N", quoted(&self.campaign)))
            ),
        }
    }
}

fn failure(error: IssueError) -> Failure {
    match error {
        IssueError::Identity(error) => Failure::impossible(error),
        IssueError::Busy => Failure::other(IssueError::Busy),
        IssueError::Store(error) => Failure::from(&*error),
    }
}
