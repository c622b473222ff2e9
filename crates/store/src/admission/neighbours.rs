//! Neighbours: unfinished jobs of other masks that have codes in common with a job's mask. A job may only start if they
//! still get all their codes, whatever it takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admission::capacity::{Counted, Owed, Spare, Wanted};
use crate::admission::overlaps::{CodeRange, MaskInUse};
use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use codemint_codes::capacity::{Capacity, Mintable};
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;

/// Maximum number of masks that are examined.
const NEIGHBOURS_MAX: usize = 50;

/// A mask of unfinished jobs.
pub(crate) struct Neighbour {
    mask: MaskInUse,
    /// The masks in use that have codes in common with it, itself included.
    in_use: Vec<MaskInUse>,
    has_admitted: bool,
    /// The number of codes that its waiting jobs wait for.
    waiting: u64,
}

impl StoreTransaction {
    /// Returns true if it is certain, without counting a code, that all neighbours still get their codes.
    pub(crate) async fn neighbours_can_spare(
        &mut self,
        wanted: Wanted<'_>,
        reserved: &[Mask],
        in_use: &[MaskInUse],
    ) -> Result<bool, StoreError> {
        let neighbours = self.find_neighbours(wanted, in_use).await?;
        Ok(neighbours.iter().all(|neighbour| neighbour.can_spare(wanted, reserved)))
    }

    /// Returns `Enough` if all neighbours still get their codes, as far as an earlier count shows.
    pub(crate) async fn capacity_beside(
        &mut self,
        wanted: Wanted<'_>,
        reserved: &[Mask],
        in_use: &[MaskInUse],
        counted: &Counted,
    ) -> Result<Capacity, StoreError> {
        let mut certain: Option<u128> = None;
        for neighbour in self.find_neighbours(wanted, in_use).await? {
            if neighbour.can_spare(wanted, reserved) {
                continue;
            }
            let Some(spare) = counted.spare.get(&neighbour.mask.mask_no) else {
                return Ok(if counted.is_last() {
                    Capacity::Depends { certain: 0, possible: u128::from(wanted.count) }
                } else {
                    Capacity::Unsure
                });
            };
            let mintable = Mintable::new(&neighbour.mask.mask, reserved, None);
            let left = spare.codes.saturating_sub(neighbour.promised_since(&mintable, spare));
            if mintable.taken_by(wanted.mask, wanted.count).at_most > left {
                certain = Some(certain.map_or(left, |certain| certain.min(left)));
            }
        }
        Ok(certain
            .map_or(Capacity::Enough, |certain| Capacity::Depends { certain, possible: u128::from(wanted.count) }))
    }

    /// Counts what those neighbours can spare for which the masks leave it open.
    pub(crate) async fn count_spare(
        &mut self,
        wanted: Wanted<'_>,
        reserved: &[Mask],
        in_use: &[MaskInUse],
        owed: &[Owed],
    ) -> Result<BTreeMap<i64, Spare>, StoreError> {
        let mut spare = BTreeMap::new();
        for neighbour in self.find_neighbours(wanted, in_use).await? {
            if !neighbour.can_spare(wanted, reserved) {
                let codes = self.count_spare_of(&neighbour, reserved, owed).await?;
                let promised = neighbour.in_use.iter().map(|other| (other.mask_no, other.codes)).collect();
                spare.insert(neighbour.mask.mask_no, Spare { codes, promised });
            }
        }
        Ok(spare)
    }

    async fn count_spare_of(
        &mut self,
        neighbour: &Neighbour,
        reserved: &[Mask],
        owed: &[Owed],
    ) -> Result<u128, StoreError> {
        let mask = &neighbour.mask.mask;
        let keyspace = Arc::new(Keyspace::new(mask));
        let wanted =
            Wanted { mask, keyspace: &keyspace, denied: None, check_fingerprint: None, count: 0, waiting_no: None };
        let present = match mask.check_length() {
            0 => self.count_present(wanted, reserved).await?,
            _ => self.count_matching(wanted, reserved).await?,
        };
        let mintable = Mintable::new(mask, reserved, None);
        let (mut at_least, mut at_most) = (0, 0);
        for owed in owed.iter().filter(|owed| !owed.waits) {
            if let Some(other) = neighbour.in_use.iter().find(|other| other.mask_no == owed.mask_no) {
                let taken = owed.taken(&mintable, wanted, &other.mask);
                // The neighbour's own jobs take all their codes from it.
                at_least += if other.mask_no == neighbour.mask.mask_no { taken.at_most } else { taken.at_least };
                at_most += taken.at_most;
            }
        }
        let free = mintable.codes_at_least.saturating_sub(present);
        // A job that was admitted gets its codes for certain; one that waits must only not lose its chance.
        let of_admitted = if neighbour.has_admitted { free.saturating_sub(at_most) } else { u128::MAX };
        let of_waiting = match neighbour.waiting {
            0 => u128::MAX,
            waiting => free.saturating_sub(at_least).saturating_sub(u128::from(waiting)),
        };
        Ok(of_admitted.min(of_waiting))
    }

    /// Returns the neighbours that were there before the job.
    async fn find_neighbours(
        &mut self,
        wanted: Wanted<'_>,
        in_use: &[MaskInUse],
    ) -> Result<Vec<Neighbour>, StoreError> {
        const SQL: &str = "
            select mask_no, cast(sum(case when kind in ('mint', 'restricted') then 1 else 0 end) as bigint),
                   cast(sum(case when kind = 'waiting' then count else 0 end) as bigint)
              from jobs
             where state in ('queued', 'running', 'cancelling') and state <> 'cancelling' and mask_no = any($1)
               and (kind in ('mint', 'restricted') or kind = 'waiting' and no < $2)
             group by mask_no
             order by mask_no
             limit $3";
        let others: Vec<&MaskInUse> = in_use.iter().filter(|other| other.mask != *wanted.mask).collect();
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<i64> = others.iter().map(|other| other.mask_no).collect();
        let query = self.query(SQL).bind(List(&numbers)).bind(wanted.waiting_no.unwrap_or(i64::MAX));
        let rows: Vec<(i64, i64, i64)> = query.bind(NEIGHBOURS_MAX as i64).fetch_all().await?;
        let mut neighbours = Vec::with_capacity(rows.len());
        for (mask_no, admitted, waiting) in rows {
            let Some(mask) = others.iter().find(|other| other.mask_no == mask_no) else { continue };
            let (first, last) = mask.mask.range();
            let mut in_use = self.find_masks_in_use(CodeRange { first: &first, last: &last }).await?;
            in_use.retain(|other| other.mask.meets(&mask.mask));
            self.leave_out_waiting(&mut in_use, wanted.waiting_no).await?;
            let waiting = unsigned("jobs", waiting)?;
            neighbours.push(Neighbour { mask: (*mask).clone(), in_use, has_admitted: admitted > 0, waiting });
        }
        Ok(neighbours)
    }
}

impl Neighbour {
    /// Returns true if the masks in use alone show that the neighbour still gets its codes.
    fn can_spare(&self, wanted: Wanted<'_>, reserved: &[Mask]) -> bool {
        let mintable = Mintable::new(&self.mask.mask, reserved, None);
        let promised: u128 = self.in_use.iter().map(|other| mintable.taken_by(&other.mask, other.codes).at_most).sum();
        let taken = mintable.taken_by(wanted.mask, wanted.count).at_most;
        taken == 0 || promised + taken <= mintable.codes_at_least
    }

    /// Returns an upper bound of the codes that were promised after the count.
    fn promised_since(&self, mintable: &Mintable<'_>, spare: &Spare) -> u128 {
        let since = |other: &MaskInUse| {
            let before = spare.promised.get(&other.mask_no).copied().unwrap_or_default();
            mintable.taken_by(&other.mask, other.codes.saturating_sub(before)).at_most
        };
        self.in_use.iter().map(since).sum()
    }
}
