//! Admission: whether enough codes are free for a job, according to the masks in use if they suffice, else by counting.
//!
//! Counting may read millions of codes, so it happens outside the admission's transaction, in a snapshot of its own;
//! codes that were promised to other jobs since are added. A job that waits for room comes after all jobs that were there
//! before it: what later ones wait for is not counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::admission::overlaps::{CodeRange, MaskInUse};
use crate::connection::error::StoreError;
use crate::connection::patterns::{glob, regular_expression};
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use codemint_codes::capacity::{Capacity, Count, Mintable, Taken};
use codemint_codes::denied::DeniedInMask;
use codemint_codes::free_ranks::FreeRanks;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::rules::Rules;
use codemint_codes::slice::Slice;

/// Keyspaces up to this size are counted code by code, so that every rule is applied; the database counts larger ones.
const READ_CODES_MAX: u128 = 1 << 22;
/// Maximum number of counts for one job: a count is repeated if other jobs were promised codes meanwhile.
const COUNTS_MAX: u32 = 3;

/// The codes of a mask that were found taken or owed to unfinished jobs, and what was promised at that moment.
#[derive(Debug)]
pub(crate) struct Counted {
    /// How many times the codes were counted for this job.
    times: u32,
    count: Count,
    promised: BTreeMap<i64, u64>,
    /// What neighbours can spare, by the numbers of their masks.
    pub spare: BTreeMap<i64, Spare>,
}

/// The codes of a neighbour's mask that nobody needs, and what was promised at that moment.
#[derive(Debug)]
pub(crate) struct Spare {
    pub codes: u128,
    pub promised: BTreeMap<i64, u64>,
}

/// The codes that unfinished jobs of one mask may still take.
pub(crate) struct Owed {
    pub mask_no: i64,
    check_fingerprint: Option<String>,
    codes: u64,
    /// False if the jobs may take fewer: jobs that wait or are being cancelled, and imports of codes that may exist.
    certain: bool,
    pub waits: bool,
}

/// A request for `count` codes of this mask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub mask: &'a Mask,
    pub keyspace: &'a Arc<Keyspace>,
    pub denied: Option<&'a Arc<DeniedInMask>>,
    pub check_fingerprint: Option<&'a str>,
    pub count: u64,
    /// The number of the job if it waits already: other waiting jobs with higher numbers come after it.
    pub waiting_no: Option<i64>,
}

impl Wanted<'_> {
    fn range(&self) -> (String, String) {
        Slice::whole(self.keyspace).range(self.keyspace)
    }

    fn mintable(&self, reserved: &[Mask]) -> Mintable<'_> {
        Mintable::new(self.mask, reserved, self.denied.map(|denied| &**denied))
    }

    /// Returns true if existing codes are examined one by one.
    fn is_read(&self) -> bool {
        self.keyspace.size() <= READ_CODES_MAX
    }
}

impl Store {
    /// Counts the taken codes of a mask, in one snapshot.
    pub(crate) async fn count_taken(
        &self,
        wanted: Wanted<'_>,
        before: Option<&Counted>,
    ) -> Result<Counted, StoreError> {
        let mut snapshot = self.begin_reading().await?;
        let reserved = snapshot.find_reserved(wanted.mask.code_length()).await?;
        let mintable = wanted.mintable(&reserved);
        let in_use = snapshot.find_overlapping(wanted).await?;
        let present = snapshot.count_present(wanted, &reserved).await?;
        let owed = snapshot.find_owed(wanted.waiting_no).await?;
        let spare = snapshot.count_spare(wanted, &reserved, &in_use, &owed).await?;
        snapshot.rollback().await?;
        let taken = |owed: &Owed| {
            let other = in_use.iter().find(|other| other.mask_no == owed.mask_no)?;
            Some(owed.taken(&mintable, wanted, &other.mask))
        };
        // Existing codes may include denied ones and ones made under another check key; how many is known only where
        // the codes were read.
        let plain = wanted.denied.is_none() && wanted.mask.check_length() == 0;
        let count = Count { present, owed: owed.iter().filter_map(taken).sum(), exact: plain || wanted.is_read() };
        let times = before.map_or(1, |before| before.times + 1);
        let promised = in_use.iter().map(|other| (other.mask_no, other.codes)).collect();
        Ok(Counted { times, count, promised, spare })
    }
}

impl StoreTransaction {
    /// Decides whether enough codes are free, as far as the masks in use and an earlier count show.
    pub(crate) async fn find_capacity(
        &mut self,
        wanted: Wanted<'_>,
        counted: Option<&Counted>,
    ) -> Result<Capacity, StoreError> {
        let reserved = self.find_reserved(wanted.mask.code_length()).await?;
        let mintable = wanted.mintable(&reserved);
        let in_use = self.find_overlapping(wanted).await?;
        let Some(counted) = counted else {
            let taken = in_use.iter().map(|other| mintable.taken_by(&other.mask, other.codes)).sum();
            return match mintable.capacity_for(wanted.count, taken) {
                Capacity::TooFew { .. } if self.some_may_take_fewer().await? => Ok(Capacity::Unsure),
                Capacity::Enough if !self.neighbours_can_spare(wanted, &reserved, &in_use).await? => {
                    Ok(Capacity::Unsure)
                }
                decided => Ok(decided),
            };
        };
        let since: u128 = in_use.iter().map(|other| counted.promised_since(&mintable, other)).sum();
        let mut count = counted.count;
        count.owed.at_most += since;
        let capacity = mintable.capacity_after(&count, wanted.count);
        let capacity = match capacity {
            Capacity::Enough => self.capacity_beside(wanted, &reserved, &in_use, counted).await?,
            other => other,
        };
        let is_final = capacity == Capacity::Enough || since == 0 || counted.is_last();
        Ok(if is_final { capacity } else { Capacity::Unsure })
    }

    async fn find_overlapping(&mut self, wanted: Wanted<'_>) -> Result<Vec<MaskInUse>, StoreError> {
        let (first, last) = wanted.range();
        let mut in_use = self.find_masks_in_use(CodeRange { first: &first, last: &last }).await?;
        in_use.retain(|other| other.mask.meets(wanted.mask));
        self.leave_out_waiting(&mut in_use, wanted.waiting_no).await?;
        Ok(in_use)
    }

    /// Subtracts the codes that jobs wait for, from the waiting job of this number on.
    pub(crate) async fn leave_out_waiting(
        &mut self,
        in_use: &mut [MaskInUse],
        waiting_no: Option<i64>,
    ) -> Result<(), StoreError> {
        let Some(waiting_no) = waiting_no else { return Ok(()) };
        let behind = self.find_waiting_from(waiting_no).await?;
        for other in in_use {
            other.codes = other.codes.saturating_sub(behind.get(&other.mask_no).copied().unwrap_or_default());
        }
        Ok(())
    }

    /// Returns how many codes the waiting jobs from this number on are waiting for, by mask.
    async fn find_waiting_from(&mut self, job_no: i64) -> Result<HashMap<i64, u64>, StoreError> {
        const SQL: &str = "
            select mask_no, cast(sum(count) as bigint) from jobs
             where kind = 'waiting' and state in ('queued', 'running', 'cancelling') and no >= $1
             group by mask_no";
        let rows: Vec<(i64, i64)> = self.query(SQL).bind(job_no).fetch_all().await?;
        rows.into_iter().map(|(mask_no, codes)| Ok((mask_no, unsigned("jobs", codes)?))).collect()
    }

    /// Returns true if the masks in use may count codes that no job will take.
    async fn some_may_take_fewer(&mut self) -> Result<bool, StoreError> {
        const SQL: &str = "
            select exists (
                select 1 from jobs
                 where state in ('queued', 'running', 'cancelling') and (kind not in ('mint', 'restricted') or state = 'cancelling'))";
        self.query(SQL).fetch_value().await
    }

    /// Returns how many codes unfinished jobs may still mint, by mask; with `before`, only jobs that do not wait, and
    /// waiting ones with lower numbers.
    async fn find_owed(&mut self, before: Option<i64>) -> Result<Vec<Owed>, StoreError> {
        const SQL: &str = "
            select mask_no, check_fingerprint, certain, waits, cast(sum(owed) as bigint)
              from (select j.mask_no, j.check_fingerprint, j.kind in ('mint', 'restricted') and j.state <> 'cancelling' as certain,
                           j.kind = 'waiting' as waits,
                           j.count - coalesce((select sum(c.minted) from chunks c where c.job_no = j.no), 0) as owed
                      from jobs j
                     where j.state in ('queued', 'running', 'cancelling')
                       and (j.kind in ('mint', 'restricted') or j.kind = 'waiting' and j.no < $1)
                    union all
                    select c.mask_no, null, false, false, c.quota
                      from jobs j
                      join chunks c on c.job_no = j.no and c.state = 'open'
                     where j.state in ('queued', 'running', 'cancelling') and j.kind = 'import') unfinished
             group by mask_no, check_fingerprint, certain, waits";
        let query = self.query(SQL).bind(before.unwrap_or(i64::MAX));
        let rows: Vec<(i64, Option<String>, bool, bool, i64)> = query.fetch_all().await?;
        let owed = |(mask_no, check_fingerprint, certain, waits, codes)| {
            Ok(Owed { mask_no, check_fingerprint, codes: unsigned("chunks", codes)?, certain, waits })
        };
        rows.into_iter().map(owed).collect()
    }

    /// Counts the codes of the mask that are in the store and that the rules allow.
    pub(crate) async fn count_present(&mut self, wanted: Wanted<'_>, reserved: &[Mask]) -> Result<u128, StoreError> {
        if !wanted.is_read() {
            return self.count_matching(wanted, reserved).await;
        }
        let rules = Rules::new(wanted.mask, reserved, wanted.denied.cloned());
        let mut present = 0;
        for page in Slice::whole(wanted.keyspace).pieces(FreeRanks::PAGE_RANKS) {
            let codes = self.read_page(wanted.keyspace, page).await?;
            let taken = |code: &&str| wanted.keyspace.contains(code) && rules.forbids(code).is_none();
            present += codes.lines().filter(taken).count() as u128;
        }
        Ok(present)
    }

    pub(crate) async fn count_matching(&mut self, wanted: Wanted<'_>, reserved: &[Mask]) -> Result<u128, StoreError> {
        let (first, last) = wanted.range();
        let (pattern, sql): (fn(&Mask) -> String, _) = match self {
            Self::Postgres(_) => (
                regular_expression,
                "select count(*) from codes where code between $1 and $2 and code ~ $3 and code !~ all($4)",
            ),
            Self::Sqlite(_) => (
                glob,
                "select count(*) from codes
                  where code between $1 and $2 and code glob $3
                    and not exists (select 1 from json_each($4) where code glob value)",
            ),
        };
        let others: Vec<String> = reserved.iter().map(pattern).collect();
        let count = self.query(sql).bind(first).bind(last).bind(pattern(wanted.mask)).bind(List(&others));
        let count: i64 = count.without_time_limit().fetch_value().await?;
        unsigned("codes", count)
    }
}

impl Owed {
    /// Returns how many of the wanted mask's codes these are. Such codes are promised and therefore not free, wherever
    /// they will lie.
    pub(crate) fn taken(&self, mintable: &Mintable<'_>, wanted: Wanted<'_>, mask: &Mask) -> Taken {
        let is_same_key =
            self.check_fingerprint.is_some() && self.check_fingerprint.as_deref() == wanted.check_fingerprint;
        let taken = match is_same_key {
            true => mintable.taken_under_the_same_key(mask, self.codes),
            false => mintable.taken_by(mask, self.codes),
        };
        Taken { at_least: if self.certain { taken.at_least } else { 0 }, ..taken }
    }
}

impl Counted {
    /// Returns true if the codes are not counted again for this job.
    pub(crate) const fn is_last(&self) -> bool {
        self.times >= COUNTS_MAX
    }

    /// Returns an upper bound of the codes that were promised to jobs of this mask after the count.
    fn promised_since(&self, mintable: &Mintable, other: &MaskInUse) -> u128 {
        let before = self.promised.get(&other.mask_no).copied().unwrap_or_default();
        mintable.taken_by(&other.mask, other.codes.saturating_sub(before)).at_most
    }
}
