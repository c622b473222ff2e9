//! `codemint segment members`: replaces the members of a segment.

use clap::Args;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::input;
use crate::cli::support::member_list::MemberList;
use crate::cli::support::requests::check_segment;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::{counted, quoted};
use codemint_codes::text::{grouped, printable};
use codemint_codes::wire::list::MembersDocument;
use codemint_import::error::ImportError;
use codemint_import::identity_list::ListError;
use codemint_store::connection::store::Access;

/// Replace all members of a segment, which is created if it is new
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint segment members gold gold-customers.txt
  codemint segment members gold customers.csv

The file has one identity per line, or is a CSV file with a column identity. Blanks around an identity are \
cut off, and repeated identities count once. If a line is empty, too long or is not UTF-8, nothing is changed \
and all such lines are reported. A CSV file of a header alone leaves the segment without members.")]
pub struct Members {
    /// Segment name
    name: String,
    /// File with the identities, or - for standard input
    file: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Members {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        check_segment(&self.name)?;
        let list = self.read(context).await?;
        if list.is_too_large {
            return Err(Failure::impossible(ListError::TooLarge));
        }
        if list.wrong.count > 0 {
            return Err(self.refuse(&list));
        }
        if list.is_missing() {
            return Err(Failure::impossible(format!(
                "{} holds no identities; nothing was changed; for no members, write a line with the header identity",
                input::shown(&self.file)
            )));
        }
        let repeated = list.repeated;
        let store = context.open_store(Access::CreateFile).await?;
        let replaced = list.replace_members(context, &store, &self.name).await?;
        if self.json {
            let name = self.name;
            return print_json(&MembersDocument { name, before: replaced.before, now: replaced.now, repeated });
        }
        let repeated = match repeated {
            0 => String::new(),
            repeated => format!("; {} left out", counted(repeated.into(), "repeat")),
        };
        print_line(&format!(
            "segment {} has {}, {} before{repeated}",
            printable(&self.name),
            counted(replaced.now.into(), "member"),
            grouped(replaced.before.into())
        ))
    }

    async fn read(&self, context: &Context) -> Result<MemberList, Failure> {
        let opened = input::open(&self.file)?;
        let is_csv = input::is_named_csv(&self.file);
        let stop = context.stop.token().clone();
        let read = input::on_a_thread(context, move || MemberList::read(opened, is_csv, &stop));
        read.await?.map_err(|error| self.failure(context, error))
    }

    /// Adds the command that fixes an error to its message.
    fn failure(&self, context: &Context, error: ImportError) -> Failure {
        let name = quoted(&self.name);
        let repeated = |path: &str| format!("segment members {name} {}", quoted(path));
        let fix = error.advice().and_then(|advice| input::conversion(context, &self.file, &advice, repeated));
        let failure = Failure::from(error);
        match fix {
            Some(fix) => failure.with_hint(fix),
            None => failure,
        }
    }

    /// Returns the failure of a list with wrong lines, and reports them for programs if that was requested.
    fn refuse(&self, list: &MemberList) -> Failure {
        let count = counted(list.wrong.count.into(), "line");
        let head = format!("{} has {count} without an identity; nothing was changed", input::shown(&self.file));
        list.wrong.refuse(head, self.json)
    }
}
