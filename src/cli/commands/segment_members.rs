//! `codemint segment members`: replaces the members of a segment.

use std::collections::HashSet;
use std::ops::ControlFlow;

use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::input;
use crate::cli::support::requests::check_segment;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::{counted, grouped, quoted};
use codemint_codes::text::printable;
use codemint_import::error::ImportError;
use codemint_import::identities::{InvalidIdentity, ListFormat, each_identity};
use codemint_store::campaigns::segments::MEMBERS_AT_ONCE;
use codemint_store::connection::store::Access;

/// The maximum number of wrong lines that are reported.
const WRONG_LINES_MAX: usize = 100;

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

/// What was read from a list.
#[derive(Debug, Default)]
struct List {
    identities: HashSet<String>,
    repeated: u64,
    wrong_lines: u64,
    /// The first lines without an identity.
    wrong: Vec<(u64, InvalidIdentity)>,
}

#[derive(Serialize)]
struct MembersDocument<'a> {
    name: &'a str,
    before: u64,
    now: u64,
    repeated: u64,
}

#[derive(Serialize)]
struct Errors {
    errors: Vec<LineError>,
}

#[derive(Serialize)]
struct LineError {
    line: u64,
    message: String,
}

impl Members {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        check_segment(&self.name)?;
        let (format, list) = self.read(context).await?;
        if list.wrong_lines > 0 {
            return Err(self.refuse(&list));
        }
        if list.identities.is_empty() && format == ListFormat::Lines {
            return Err(Failure::impossible(format!(
                "{} holds no identities; nothing was changed; for no members, write a line with the header identity",
                input::shown(&self.file)
            )));
        }
        let identities: Vec<String> = list.identities.into_iter().collect();
        let store = context.open_store(Access::CreateFile).await?;
        let batches = || identities.chunks(MEMBERS_AT_ONCE).map(<[String]>::to_vec);
        let replaced = context.with_retries(async || store.replace_members(&self.name, batches()).await).await?;
        if self.json {
            let repeated = list.repeated;
            return print_json(&MembersDocument {
                name: &self.name,
                before: replaced.before,
                now: replaced.now,
                repeated,
            });
        }
        let repeated = match list.repeated {
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

    async fn read(&self, context: &Context) -> Result<(ListFormat, List), Failure> {
        let opened = input::open(&self.file)?;
        let is_csv = input::is_named_csv(&self.file);
        let stop = context.stop.token().clone();
        let read = input::on_a_thread(context, move || {
            let proceed = |_bytes| if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let mut list = List::default();
            let format = each_identity(opened, is_csv, &proceed, |line, identity| list.take(line, identity))?;
            Ok::<_, ImportError>((format, list))
        });
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
    fn refuse(&self, list: &List) -> Failure {
        let count = counted(list.wrong_lines.into(), "line");
        let head = format!("{} has {count} without an identity; nothing was changed", input::shown(&self.file));
        if self.json {
            let error =
                |(line, problem): &(u64, InvalidIdentity)| LineError { line: *line, message: problem.to_string() };
            let errors = list.wrong.iter().map(error).collect();
            return print_json(&Errors { errors }).err().unwrap_or_else(|| Failure::impossible(head));
        }
        let mut message =
            list.wrong.iter().fold(head, |message, (line, problem)| format!("{message}\n  line {line}: {problem}"));
        let more = list.wrong_lines.saturating_sub(list.wrong.len() as u64);
        if more > 0 {
            message.push_str(&format!("\n  and {} more", grouped(more.into())));
        }
        Failure::impossible(message)
    }
}

impl List {
    fn take(&mut self, line: u64, identity: Result<&str, InvalidIdentity>) {
        match identity {
            Ok(identity) => self.repeated += u64::from(!self.identities.insert(identity.to_owned())),
            Err(problem) => {
                self.wrong_lines += 1;
                if self.wrong.len() < WRONG_LINES_MAX {
                    self.wrong.push((line, problem));
                }
            }
        }
    }
}
