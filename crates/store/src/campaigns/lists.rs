//! Lists of identities: they are loaded before the job that binds a code to each of them is accepted.

use std::ops::Range;

use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::error::{StoreError, reach, require_rows};
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use codemint_codes::identity::IdentityKey;
use codemint_codes::job::restriction::{ChunkShare, places_of};
use codemint_telemetry::failpoint;

/// The number of identities in a page of a list; the last page has fewer.
pub const PLACES_IN_PAGE: usize = 10_000;

/// The name of the key of identities among the secrets.
const IDENTITIES: &str = "identities";

/// A code of a restricted campaign.
#[derive(Clone, Debug, FromRow)]
pub struct OwnedCode {
    pub code: String,
    /// The keyed digest of the identity that has it; `None` in the pool.
    pub identity: Option<String>,
    /// The identity itself, unless it was forgotten.
    pub identity_text: Option<String>,
}

impl OwnedCode {
    /// Returns false if the identity is not the one that the code was bound to. Without a key, nothing was bound.
    pub fn has_its_identity(&self, key: Option<&IdentityKey>) -> bool {
        match (&self.identity, &self.identity_text) {
            (Some(digest), Some(text)) => key.is_some_and(|key| key.digest(text).to_string() == *digest),
            _ => true,
        }
    }
}

impl Store {
    /// Returns the key under which this store digests identities; the first call draws it.
    ///
    /// # Errors
    /// `Corrupt` if the stored bytes are not a key.
    pub async fn identity_key(&self) -> Result<IdentityKey, StoreError> {
        const INSERT: &str = "insert into secrets (name, bytes) values ($1, $2) on conflict (name) do nothing";
        if let Some(key) = self.find_identity_key().await? {
            return Ok(key);
        }
        let mut drawn = [0; IdentityKey::LENGTH_BYTES];
        getrandom::fill(&mut drawn)?;
        let mut transaction = self.begin_writing().await?;
        transaction.query(INSERT).bind(IDENTITIES).bind(&drawn[..]).execute().await?;
        transaction.commit().await?;
        // Another process may have been first.
        self.find_identity_key().await?.ok_or_else(invalid_key)
    }

    /// Returns the key under which this store digests identities; `None` if it has none yet. Writes nothing.
    ///
    /// # Errors
    /// `Corrupt` if the stored bytes are not a key.
    pub async fn find_identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        const SQL: &str = "select bytes from secrets where name = $1";
        let stored: Option<(Vec<u8>,)> = self.query(SQL).bind(IDENTITIES).fetch_optional().await?;
        stored.map(|(bytes,)| IdentityKey::new(&bytes).ok_or_else(invalid_key)).transpose()
    }

    /// Returns those of these digests to which the campaign has bound codes.
    pub async fn find_bound(&self, campaign_no: i64, digests: &[String]) -> Result<Vec<String>, StoreError> {
        self.query(BOUND).bind(campaign_no).bind(List(digests)).fetch_values().await
    }

    /// Returns the codes in a range that identities have, ascending, each with its identity unless that was forgotten.
    pub async fn read_owners(&self, first: &str, last: &str) -> Result<Vec<(String, Option<String>)>, StoreError> {
        const SQL: &str = "select code, identity_text from assignments where code between $1 and $2 order by code";
        self.query(SQL).bind(first).bind(last).fetch_all().await
    }

    /// Returns those of the codes that identities have because they are on a list. A code whose identity got another one meanwhile
    /// goes to the pool, and then to somebody who is not on the list of its job.
    pub async fn read_owners_on_lists(
        &self,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, Option<String>)>, StoreError> {
        const SQL: &str = "
            select code, identity_text from assignments where code between $1 and $2 and cause = 'list' order by code";
        self.query(SQL).bind(first).bind(last).fetch_all().await
    }

    /// Returns the codes in a range that belong to identities or are in the pool of this campaign, ascending.
    pub async fn read_owned(&self, campaign_no: i64, first: &str, last: &str) -> Result<Vec<OwnedCode>, StoreError> {
        const SQL: &str = "
            select code, identity, identity_text from assignments where code between $1 and $2
            union all
            select code, null, null from pool where campaign_no = $3 and code between $1 and $2
            order by code";
        self.query(SQL).bind(first).bind(last).bind(campaign_no).fetch_all().await
    }

    /// Stores a list, all of it or nothing: pages of [`PLACES_IN_PAGE`] identities, one per line.
    pub async fn put_list(&self, list_id: Uuid, pages: impl Iterator<Item = String> + Send) -> Result<(), StoreError> {
        const SQL: &str = "insert into job_identities (list_id, first_place, identities) values ($1, $2, $3)";
        let mut transaction = self.begin_writing().await?;
        for (number, page) in pages.enumerate() {
            let first_place = (number * PLACES_IN_PAGE) as i64;
            let insert = transaction.query(SQL).bind(list_id).bind(first_place).bind(page);
            require_rows("the insert of a list", insert.execute().await?, 1)?;
            if number == 0 {
                reach(failpoint::LIST_HALF_LOADED).await?;
            }
        }
        transaction.commit().await
    }

    /// Returns the number of a campaign.
    ///
    /// # Errors
    /// `Corrupt` if there is none: a job for it exists, and campaigns are never removed.
    pub async fn find_campaign_no(&self, name: &str) -> Result<i64, StoreError> {
        let mut transaction = self.begin_reading().await?;
        let no = transaction.find_campaign_no(name).await?;
        transaction.rollback().await?;
        Ok(no)
    }

    pub async fn delete_list(&self, list_id: Uuid) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.delete_list(list_id).await?;
        transaction.commit().await
    }
}

fn invalid_key() -> StoreError {
    StoreError::Corrupt { table: "secrets", problem: "the key of identities is invalid".to_owned() }
}

/// Reads those of these digests to which the campaign has bound codes.
const BOUND: &str = "select identity from assignments where campaign_no = $1 and identity = any($2)";

impl StoreTransaction {
    /// Returns the identities of a list that a chunk binds, in the order of its codes, as texts with one per line.
    pub async fn read_identities_of_chunk(
        &mut self,
        (job_no, count): (i64, u64),
        (round, chunk_no): (u32, u32),
        list_id: Uuid,
    ) -> Result<Vec<String>, StoreError> {
        const SHARES: &str = "
            select round, chunk_no, quota, minted from chunks
             where job_no = $1 and round <= $2 order by round, chunk_no";
        let rows: Vec<(i32, i32, i32, i32)> = self.query(SHARES).bind(job_no).bind(round as i32).fetch_all().await?;
        let number = |number: i32| u64::from(number.unsigned_abs());
        let share = |(round, chunk_no, quota, minted): (i32, i32, i32, i32)| ChunkShare {
            round: round.unsigned_abs(),
            chunk_no: chunk_no.unsigned_abs(),
            quota: number(quota),
            minted: number(minted),
        };
        let shares: Vec<ChunkShare> = rows.into_iter().map(share).collect();
        let mut identities = Vec::new();
        for places in places_of(&shares, count, round, chunk_no) {
            self.read_places(list_id, places, &mut identities).await?;
        }
        Ok(identities)
    }

    async fn read_places(
        &mut self,
        list_id: Uuid,
        places: Range<u64>,
        into: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "select identities from job_identities where list_id = $1 and first_place = $2";
        let (page_length, mut found) = (PLACES_IN_PAGE as u64, 0);
        // One by one: all of a chunk would take twice the memory of its identities.
        for first_place in (places.start / page_length * page_length..places.end).step_by(PLACES_IN_PAGE) {
            let query = self.query(SQL).bind(list_id).bind(first_place.cast_signed());
            let Some((page,)) = query.fetch_optional::<(String,)>().await? else { continue };
            let from = places.start.max(first_place);
            let (skipped, taken) = ((from - first_place) as usize, (places.end - from) as usize);
            let identities: Vec<&str> = page.lines().skip(skipped).take(taken).collect();
            found += identities.len() as u64;
            into.push(identities.join("\n"));
        }
        if found == places.end - places.start {
            return Ok(());
        }
        let problem = format!("list {list_id} has {found} identities in the places {places:?}");
        Err(StoreError::Corrupt { table: "job_identities", problem })
    }

    /// Returns those of these digests to which the campaign has bound codes.
    pub(crate) async fn find_bound(&mut self, campaign_no: i64, digests: &[String]) -> Result<Vec<String>, StoreError> {
        self.query(BOUND).bind(campaign_no).bind(List(digests)).fetch_values().await
    }

    /// Removes the list of a job that has ended, and gives back what it had taken of the campaign's limit and not issued.
    pub(crate) async fn end_list(&mut self, list_id: Uuid, campaign: &str, unissued: u64) -> Result<(), StoreError> {
        self.delete_list(list_id).await?;
        match unissued {
            0 => Ok(()),
            _ => {
                let campaign_no = self.find_campaign_no(campaign).await?;
                self.change_issued(campaign_no, -(unissued as i64)).await
            }
        }
    }

    /// Changes what is taken of the limit of issued codes, if there is one.
    ///
    /// # Errors
    /// `IssueLimit` if the limit does not allow so many.
    pub(crate) async fn change_issued(&mut self, campaign_no: i64, by: i64) -> Result<(), StoreError> {
        const SQL: &str = "
            update allowances set taken = taken + $2
             where campaign_no = $1 and scope = 'issued' and subject = '' and taken + $2 <= quota";
        const LEFT: &str = "
            select quota - taken from allowances where campaign_no = $1 and scope = 'issued' and subject = ''";
        // Whoever sets a limit counts first, and must not miss this.
        self.share_campaign_no(campaign_no).await?;
        if self.query(SQL).bind(campaign_no).bind(by).execute().await? == 1 {
            return Ok(());
        }
        let left: Option<(i64,)> = self.query(LEFT).bind(campaign_no).fetch_optional().await?;
        match left {
            Some((left,)) => Err(StoreError::IssueLimit { left: left.unsigned_abs() }),
            None => Ok(()),
        }
    }

    pub(crate) async fn find_campaign_no(&mut self, name: &str) -> Result<i64, StoreError> {
        let found =
            self.query("select no from campaigns where name = $1").bind(name).fetch_optional::<(i64,)>().await?;
        let missing = || StoreError::Corrupt { table: "jobs", problem: "a job names no campaign".to_owned() };
        found.map(|(no,)| no).ok_or_else(missing)
    }

    async fn delete_list(&mut self, list_id: Uuid) -> Result<(), StoreError> {
        self.query("delete from job_identities where list_id = $1").bind(list_id).execute().await?;
        Ok(())
    }
}
