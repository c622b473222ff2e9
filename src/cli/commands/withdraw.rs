//! `codemint jobs withdraw`: removes the codes of a wrong import.

use std::fmt;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::counted;
use codemint_codes::text::one_or_many;
use codemint_store::connection::store::Store;
use codemint_store::upkeep::withdrawal::WithdrawalStep;

/// Remove the codes of a wrong import; minted codes are never removed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint jobs withdraw 01890a5d-ac96-774b-bcce-b302099a8057 --yes
  codemint --store postgres://owner@db/shop jobs withdraw 01890a5d-ac96-774b-bcce-b302099a8057 --yes

Withdraw an import only if nobody has got its codes: they become free, and new jobs may mint them. Codes \
that existed before the import stay, and so does the job, as cancelled with the error withdrawn. To \
resume an interrupted withdrawal, repeat the command. Codes of a restricted campaign leave its pool; if \
identities have any of them, nothing is withdrawn. In PostgreSQL, only members of codemint_owner may \
delete codes.")]
pub struct Withdraw {
    /// Job id of the import, from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
    /// Confirm the withdrawal
    #[arg(long, required = true)]
    yes: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// The report of what was withdrawn.
#[derive(Debug, Default, Serialize)]
struct Withdrawn {
    job_id: Uuid,
    /// The number of codes that this command removed.
    codes: u64,
    /// True if an earlier command had removed all of them.
    repeated: bool,
}

impl Withdraw {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let (store, job) = find::store_and_job(context, self.job).await?;
        let mut withdrawn = Withdrawn { job_id: job.id, ..Withdrawn::default() };
        loop {
            context.stop.check(|| format!("stopped; {withdrawn}; repeat the command to withdraw the rest"))?;
            match withdraw_run(context, &store, job.no).await? {
                Some(WithdrawalStep::Advanced { codes }) => withdrawn.codes += codes,
                Some(WithdrawalStep::Completed { codes }) => {
                    withdrawn.codes += codes;
                    break;
                }
                Some(WithdrawalStep::Repeated) => {
                    withdrawn.repeated = true;
                    break;
                }
                Some(WithdrawalStep::Refused(why)) => {
                    return Err(Failure::negative_result(format!("job {} cannot be withdrawn: {why}", job.id)));
                }
                Some(WithdrawalStep::Issued { codes }) => return Err(in_use(job.id, codes, "issued to identities")),
                Some(WithdrawalStep::Redeemed { codes }) => return Err(in_use(job.id, codes, "redeemed")),
                Some(WithdrawalStep::NeededBy(other)) => return Err(needed_by(context, &withdrawn, other)),
                None => {
                    return Err(Failure::other(
                        "the database user may not delete codes; nothing was changed: use a member of codemint_owner, see \
                         deploy/postgres/roles.sql",
                    ));
                }
            }
        }
        print_report(self.json, &withdrawn)
    }
}

fn in_use(job_id: Uuid, codes: u64, what: &str) -> Failure {
    let (count, are) = (counted(codes.into(), "code"), one_or_many(codes, "is", "are"));
    Failure::negative_result(format!(
        "import {job_id} cannot be withdrawn: {count} of it {are} {what}; nothing was changed"
    ))
}

/// Withdraws one run; `None` if the database user lacks the right.
async fn withdraw_run(context: &Context, store: &Store, job_no: i64) -> Result<Option<WithdrawalStep>, Failure> {
    let step = async || match store.withdraw_run(job_no).await {
        Err(error) if error.is_denied() => Ok(None),
        step => step.map(Some),
    };
    context.with_retries(step).await
}

fn needed_by(context: &Context, withdrawn: &Withdrawn, other: Uuid) -> Failure {
    let show = context.command(format_args!("jobs show {other}"));
    Failure::negative_result(format!(
        "import {other} may have left out codes because import {} has them; withdraw or cancel it first, {show} shows it \
         ({withdrawn})",
        withdrawn.job_id
    ))
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job_id, codes, repeated } = self;
        match *repeated && *codes == 0 {
            true => write!(f, "all codes of import {job_id} had been withdrawn before"),
            false => write!(f, "withdrawn: {} of import {job_id}", counted((*codes).into(), "code")),
        }
    }
}
