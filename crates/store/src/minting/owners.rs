//! Who the codes of a restricted campaign are for: they are bound to identities, or go into the pool, in the transaction
//! that stores them.

use std::collections::HashSet;

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::connection::error::{StoreError, is_duplicate, reach, require_rows};
use crate::connection::postgres_transaction::PostgresSession;
use crate::connection::transaction::StoreTransaction;
use crate::minting::chunks::ClaimedChunk;
use crate::minting::copy_format::copy_pieces;
use codemint_codes::batch::CodeBatch;
use codemint_codes::identity::{IdentityDigest, IdentityKey};
use codemint_telemetry::failpoint;

/// The number of owners that are encoded and sent at once: all of a chunk would take more memory than all else about it.
const ROWS_AT_ONCE: usize = 2000;

/// Where the codes of a chunk go.
#[derive(Debug)]
pub enum Owners {
    /// The campaign's pool.
    Pool { campaign_no: i64 },
    /// These identities, in the order of the codes. If there are fewer codes, the last ones get none.
    Identities { campaign_no: i64, identities: Identities },
}

/// Identities with their digests.
#[derive(Debug)]
pub struct Identities {
    /// Several in each, one per line.
    texts: Vec<String>,
    digests: Vec<IdentityDigest>,
}

/// The codes of a chunk with their owners. Those that were meant for `bound` go into the pool.
struct Destinations<'a> {
    codes: &'a CodeBatch,
    owners: &'a Owners,
    /// The day on which they are issued, in the campaign's zone.
    day: NaiveDate,
    /// The digests of identities that have codes already.
    bound: HashSet<String>,
}

/// A code with the identity that gets it.
struct Assignment<'a> {
    code: &'a str,
    identity: &'a str,
    digest: &'a IdentityDigest,
}

/// Rows that are encoded one after the other.
type Rows<'a, T> = Box<dyn Iterator<Item = T> + Send + 'a>;

impl Identities {
    /// Digests identities, one per line of these texts. Call it off the async threads: a chunk takes milliseconds.
    pub fn new(texts: Vec<String>, key: &IdentityKey) -> Self {
        let mut digests = Vec::with_capacity(lines(&texts).count());
        digests.extend(lines(&texts).map(|identity| key.digest(identity)));
        Self { texts, digests }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &IdentityDigest)> {
        lines(&self.texts).zip(&self.digests)
    }
}

fn lines(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().flat_map(|text| text.lines())
}

impl<'a> Destinations<'a> {
    const fn campaign_no(&self) -> i64 {
        match self.owners {
            Owners::Pool { campaign_no } | Owners::Identities { campaign_no, .. } => *campaign_no,
        }
    }

    /// Returns all codes that identities are to get, whether these have codes already or not.
    fn meant(&self) -> impl Iterator<Item = Assignment<'a>> + Send + use<'a> {
        let identities = match self.owners {
            Owners::Pool { .. } => None,
            Owners::Identities { identities, .. } => Some(identities.iter()),
        };
        let pairs = self.codes.iter().zip(identities.into_iter().flatten());
        pairs.map(|(code, (identity, digest))| Assignment { code, identity, digest })
    }

    fn assigned(&self) -> impl Iterator<Item = Assignment<'a>> + Send {
        self.meant().filter(|one| !self.is_bound(one))
    }

    fn pooled(&self) -> impl Iterator<Item = &'a str> + Send {
        let all = matches!(self.owners, Owners::Pool { .. }).then(|| self.codes.iter());
        let of_bound = self.meant().filter(|one| self.is_bound(one)).map(|one| one.code);
        all.into_iter().flatten().chain(of_bound)
    }

    fn assigned_pieces(&self) -> Rows<'_, Vec<u8>> {
        let (campaign_no, day) = (self.campaign_no(), self.day);
        Box::new(copy_pieces(self.assigned(), ROWS_AT_ONCE, move |rows, Assignment { code, identity, digest }| {
            rows.begin_row(6);
            rows.integer(campaign_no);
            [&*digest.to_string(), code, identity, "list"].into_iter().for_each(|text| rows.text(text));
            rows.day(day);
        }))
    }

    fn pooled_pieces(&self) -> Rows<'_, Vec<u8>> {
        let campaign_no = self.campaign_no();
        Box::new(copy_pieces(self.pooled(), ROWS_AT_ONCE, move |rows, code| {
            rows.begin_row(2);
            rows.integer(campaign_no);
            rows.text(code);
        }))
    }

    fn assigned_values(&self) -> Rows<'_, Value> {
        let (campaign_no, day) = (self.campaign_no(), self.day);
        let row = move |one: Assignment<'_>| json!([campaign_no, one.digest.to_string(), one.code, one.identity, day]);
        Box::new(self.assigned().map(row))
    }

    fn pooled_values(&self) -> Rows<'_, Value> {
        let campaign_no = self.campaign_no();
        Box::new(self.pooled().map(move |code| json!([campaign_no, code])))
    }

    fn is_bound(&self, one: &Assignment<'_>) -> bool {
        !self.bound.is_empty() && self.bound.contains(&one.digest.to_string())
    }
}

impl ClaimedChunk {
    /// Stores the owners of the codes of this chunk. An identity that has got a code of the campaign since the list was
    /// loaded keeps that one, and the code that was meant for it goes into the pool.
    ///
    /// # Errors
    /// After any error the claim is unusable.
    pub async fn put_owners(&mut self, codes: &CodeBatch, owners: &Owners) -> Result<(), StoreError> {
        let (Owners::Pool { campaign_no } | Owners::Identities { campaign_no, .. }) = *owners;
        let day = self.transaction.day_in_zone_of(campaign_no).await?;
        let mut destinations = Destinations { codes, owners, day, bound: HashSet::new() };
        loop {
            match self.transaction.put_owners(&destinations).await {
                Err(StoreError::Database(error)) if is_duplicate(&error) => {}
                Ok(()) => {
                    self.transaction.add_issued(campaign_no, day, destinations.assigned().count()).await?;
                    return self.give_back(owners, destinations.bound.len()).await;
                }
                Err(error) => return Err(error),
            }
            if let StoreTransaction::Postgres(session) = &mut self.transaction {
                session.execute_text("rollback to savepoint before_owners; release savepoint before_owners").await?;
            }
            let digests: Vec<String> = destinations.meant().map(|one| one.digest.to_string()).collect();
            if digests.is_empty() {
                let problem = "a new code is in the pool already".to_owned();
                return Err(StoreError::Corrupt { table: "pool", problem });
            }
            let bound = self.transaction.find_bound(destinations.campaign_no(), &digests).await?;
            tracing::info!(identities = bound.len(), "identities of the list have got a code meanwhile");
            destinations.bound = bound.into_iter().collect();
        }
    }

    /// Gives back what the job had taken of the limit of issued codes for identities that have got theirs otherwise.
    async fn give_back(&mut self, owners: &Owners, already_bound: usize) -> Result<(), StoreError> {
        match owners {
            Owners::Identities { campaign_no, .. } if already_bound > 0 => {
                self.transaction.change_issued(*campaign_no, -(already_bound as i64)).await
            }
            _ => Ok(()),
        }
    }
}

impl StoreTransaction {
    async fn put_owners(&mut self, destinations: &Destinations<'_>) -> Result<(), StoreError> {
        const COPY_ASSIGNED: &str =
            "copy assignments (campaign_no, identity, code, identity_text, cause, day) from stdin (format binary)";
        const COPY_POOLED: &str = "copy pool (campaign_no, code) from stdin (format binary)";
        const INSERT_ASSIGNED: &str = "
            insert into assignments (campaign_no, identity, code, identity_text, cause, day)
            select cast(value ->> 0 as bigint), value ->> 1, value ->> 2, value ->> 3, 'list', cast(value ->> 4 as date)
              from json_array_elements($1::json)";
        const INSERT_POOLED: &str = "
            insert into pool (campaign_no, code)
            select cast(value ->> 0 as bigint), value ->> 1 from json_array_elements($1::json)";
        let (assigned, pooled) = (destinations.assigned().count() as u64, destinations.pooled().count() as u64);
        if let Self::Postgres(session) = self {
            session.execute_text("savepoint before_owners").await?;
            session.copy_owners(COPY_ASSIGNED, destinations.assigned_pieces(), assigned).await?;
            session.copy_owners(COPY_POOLED, destinations.pooled_pieces(), pooled).await?;
            return session.execute_text("release savepoint before_owners").await;
        }
        self.insert_owners(INSERT_ASSIGNED, destinations.assigned_values(), assigned).await?;
        self.insert_owners(INSERT_POOLED, destinations.pooled_values(), pooled).await
    }

    async fn insert_owners(&mut self, sql: &str, mut rows: Rows<'_, Value>, count: u64) -> Result<(), StoreError> {
        let mut inserted = 0;
        while inserted < count {
            let piece: Vec<Value> = rows.by_ref().take(ROWS_AT_ONCE).collect();
            let length = piece.len() as u64;
            let done = self.query(sql).bind(Value::from(piece).to_string()).execute().await?;
            require_rows("the insert of owners", done, length)?;
            inserted += length;
            reach(failpoint::OWNERS_HALF_WRITTEN).await?;
        }
        Ok(())
    }
}

impl PostgresSession {
    async fn copy_owners(&mut self, sql: &str, pieces: Rows<'_, Vec<u8>>, count: u64) -> Result<(), StoreError> {
        if count == 0 {
            return Ok(());
        }
        require_rows("the copy of owners", self.copy_in(sql, pieces).await?, count)?;
        reach(failpoint::OWNERS_HALF_WRITTEN).await
    }
}
