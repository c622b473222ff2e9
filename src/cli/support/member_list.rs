//! The list of the members of a segment.

use std::collections::HashSet;
use std::io::Read;
use std::ops::ControlFlow;

use tokio_util::sync::CancellationToken;

use codemint_import::error::ImportError;
use codemint_import::identities::{InvalidIdentity, ListFormat, each_identity};
use codemint_import::identity_list::{LIST_BYTES_MAX, LIST_MAX};
use codemint_store::campaigns::segments::{MEMBERS_AT_ONCE, ReplacedMembers};

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::wrong_lines::WrongLines;
use codemint_store::connection::store::Store;

/// What was read from a list.
#[derive(Debug)]
pub struct MemberList {
    pub format: ListFormat,
    pub identities: HashSet<String>,
    pub repeated: u64,
    /// The lines without an identity.
    pub wrong: WrongLines<InvalidIdentity>,
    /// There are more identities than a list may have.
    pub is_too_large: bool,
    bytes: usize,
}

impl MemberList {
    /// Reads a list, until a stop is requested.
    pub fn read(input: impl Read, is_csv: bool, stop: &CancellationToken) -> Result<Self, ImportError> {
        let proceed = |_bytes| if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut list = Self {
            format: ListFormat::Lines,
            identities: HashSet::new(),
            repeated: 0,
            wrong: WrongLines::default(),
            is_too_large: false,
            bytes: 0,
        };
        let format = each_identity(input, is_csv, &proceed, |line, identity| list.take(line, identity))?;
        Ok(Self { format, ..list })
    }

    /// Returns true if the list has nothing to read, not even the header of a list without members.
    pub fn is_missing(&self) -> bool {
        self.identities.is_empty() && self.format == ListFormat::Lines
    }

    fn take(&mut self, line: u64, identity: Result<&str, InvalidIdentity>) {
        match identity {
            Ok(identity) if self.identities.contains(identity) => self.repeated += 1,
            Ok(identity) => {
                self.bytes += identity.len();
                self.is_too_large |= self.identities.len() == LIST_MAX || self.bytes > LIST_BYTES_MAX;
                if !self.is_too_large {
                    self.identities.insert(identity.to_owned());
                }
            }
            Err(problem) => self.wrong.add(line, problem),
        }
    }

    /// Replaces all members of a segment by those of the list.
    pub async fn replace_members(
        self,
        context: &Context,
        store: &Store,
        segment: &str,
    ) -> Result<ReplacedMembers, Failure> {
        let identities: Vec<String> = self.identities.into_iter().collect();
        let batches = || identities.chunks(MEMBERS_AT_ONCE).map(<[String]>::to_vec);
        context.with_retries(async || store.replace_members(segment, batches()).await).await
    }
}
