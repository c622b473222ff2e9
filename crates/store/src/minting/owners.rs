//! Who the codes of a restricted campaign are for: they are bound to identities, or go into the pool, in the transaction
//! that stores them.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::connection::error::{StoreError, is_duplicate, reach, require_rows};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::minting::chunks::ClaimedChunk;
use crate::minting::copy_format::CopyRows;
use codemint_codes::batch::CodeBatch;
use codemint_codes::identity::IdentityKey;
use codemint_telemetry::failpoint;

/// Where the codes of a chunk go.
#[derive(Clone, Debug)]
pub enum Owners {
    /// The campaign's pool.
    Pool { campaign_no: i64 },
    /// These identities, in the order of the codes. If there are fewer codes, the last ones get none.
    Identities { campaign_no: i64, key: IdentityKey, identities: Vec<String> },
}

/// The rows of the owners of a chunk's codes, in the store's format.
#[derive(Debug)]
pub struct EncodedOwners {
    assignments: Rows,
    pool: Rows,
}

#[derive(Debug)]
struct Rows {
    count: u64,
    bytes: Vec<u8>,
}

impl Store {
    /// Encodes the owners of these codes. Call it off the async threads: a chunk takes milliseconds.
    pub fn encode_owners(&self, codes: &CodeBatch, owners: &Owners) -> EncodedOwners {
        self.encode_owners_without(codes, owners, &HashSet::new())
    }

    /// Does the same where some digests have codes already: the codes that were meant for them go into the pool.
    fn encode_owners_without(&self, codes: &CodeBatch, owners: &Owners, bound: &HashSet<String>) -> EncodedOwners {
        let mut rows = OwnerRows::new(matches!(self, Self::Postgres(_)), codes);
        match owners {
            Owners::Pool { campaign_no } => codes.iter().for_each(|code| rows.put_into_pool(*campaign_no, code)),
            Owners::Identities { campaign_no, key, identities } => {
                for (code, identity) in codes.iter().zip(identities) {
                    let digest = key.digest(identity).to_string();
                    match bound.contains(&digest) {
                        true => rows.put_into_pool(*campaign_no, code),
                        false => rows.assign(*campaign_no, &digest, code, identity),
                    }
                }
            }
        }
        rows.finish()
    }
}

impl ClaimedChunk {
    /// Stores the owners of the codes of this chunk. An identity that has got a code of the campaign since the list was
    /// loaded keeps that one, and the code that was meant for it goes into the pool.
    ///
    /// # Errors
    /// After any error the claim is unusable.
    pub async fn put_owners(
        &mut self,
        store: &Store,
        codes: &CodeBatch,
        owners: &Owners,
        encoded: EncodedOwners,
    ) -> Result<(), StoreError> {
        let (mut encoded, mut already_bound) = (encoded, 0);
        loop {
            match self.transaction.put_owners(&encoded).await {
                Err(StoreError::Database(error)) if is_duplicate(&error) => {}
                Ok(()) => return self.give_back(owners, already_bound).await,
                Err(error) => return Err(error),
            }
            if let StoreTransaction::Postgres(session) = &mut self.transaction {
                session.execute_text("rollback to savepoint before_owners; release savepoint before_owners").await?;
            }
            let Owners::Identities { campaign_no, key, identities } = owners else {
                let problem = "a new code is in the pool already".to_owned();
                return Err(StoreError::Corrupt { table: "pool", problem });
            };
            let digests: Vec<String> =
                identities.iter().take(codes.len()).map(|identity| key.digest(identity).to_string()).collect();
            let bound: HashSet<String> =
                self.transaction.find_bound(*campaign_no, &digests).await?.into_iter().collect();
            tracing::info!(identities = bound.len(), "identities of the list have got a code meanwhile");
            already_bound = bound.len();
            encoded = store.encode_owners_without(codes, owners, &bound);
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
    async fn put_owners(&mut self, encoded: &EncodedOwners) -> Result<(), StoreError> {
        const ASSIGN: &str = "
            insert into assignments (campaign_no, identity, code, identity_text, cause)
            select cast(value ->> 0 as bigint), value ->> 1, value ->> 2, value ->> 3, 'list'
              from json_array_elements($1::json)";
        const POOL: &str = "
            insert into pool (campaign_no, code)
            select cast(value ->> 0 as bigint), value ->> 1 from json_array_elements($1::json)";
        if let Self::Postgres(session) = self {
            session.execute_text("savepoint before_owners").await?;
            for (sql, rows) in [
                (
                    "copy assignments (campaign_no, identity, code, identity_text, cause) from stdin (format binary)",
                    &encoded.assignments,
                ),
                ("copy pool (campaign_no, code) from stdin (format binary)", &encoded.pool),
            ] {
                if rows.count > 0 {
                    require_rows("the copy of owners", session.copy_in(sql, &rows.bytes).await?, rows.count)?;
                    reach(failpoint::OWNERS_HALF_WRITTEN).await?;
                }
            }
            return session.execute_text("release savepoint before_owners").await;
        }
        for (sql, rows) in [(ASSIGN, &encoded.assignments), (POOL, &encoded.pool)] {
            // These bytes were written as text, so they are valid UTF-8.
            let json = std::str::from_utf8(&rows.bytes).unwrap_or_default();
            if rows.count > 0 {
                require_rows("the insert of owners", self.query(sql).bind(json).execute().await?, rows.count)?;
                reach(failpoint::OWNERS_HALF_WRITTEN).await?;
            }
        }
        Ok(())
    }
}

/// The rows of the owners of a chunk's codes, being encoded.
struct OwnerRows {
    assignments: (u64, Encoding),
    pool: (u64, Encoding),
}

enum Encoding {
    Postgres(CopyRows),
    Sqlite(Vec<Value>),
}

impl OwnerRows {
    fn new(is_postgres: bool, codes: &CodeBatch) -> Self {
        // Digests, identities and what surrounds fields take about this much.
        let bytes = codes.as_lines().len() + 100 * codes.len();
        let encoding = |bytes| match is_postgres {
            true => Encoding::Postgres(CopyRows::with_capacity(bytes)),
            false => Encoding::Sqlite(Vec::new()),
        };
        Self { assignments: (0, encoding(bytes)), pool: (0, encoding(0)) }
    }

    fn assign(&mut self, campaign_no: i64, digest: &str, code: &str, identity: &str) {
        self.assignments.0 += 1;
        match &mut self.assignments.1 {
            Encoding::Postgres(rows) => {
                rows.begin_row(5);
                rows.integer(campaign_no);
                [digest, code, identity, "list"].into_iter().for_each(|text| rows.text(text));
            }
            Encoding::Sqlite(rows) => rows.push(json!([campaign_no, digest, code, identity])),
        }
    }

    fn put_into_pool(&mut self, campaign_no: i64, code: &str) {
        self.pool.0 += 1;
        match &mut self.pool.1 {
            Encoding::Postgres(rows) => {
                rows.begin_row(2);
                rows.integer(campaign_no);
                rows.text(code);
            }
            Encoding::Sqlite(rows) => rows.push(json!([campaign_no, code])),
        }
    }

    fn finish(self) -> EncodedOwners {
        let rows = |(count, encoding)| Rows {
            count,
            bytes: match encoding {
                Encoding::Postgres(rows) => rows.finish(),
                Encoding::Sqlite(rows) => Value::from(rows).to_string().into_bytes(),
            },
        };
        EncodedOwners { assignments: rows(self.assignments), pool: rows(self.pool) }
    }
}
