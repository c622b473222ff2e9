//! Look-ups of many codes in a table that is distributed over the nodes of a cluster.

use std::collections::BTreeMap;

use crate::admission::overlaps::PRESENT;
use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use codemint_codes::screening::{LOOK_UP_A_CODE_AT_NODES_US, LOOK_UP_A_CODE_US};

/// The number of codes up to which every shard is asked about all of them, in one query.
const ASKED_AT_ONCE: usize = 1000;

impl StoreTransaction {
    /// Returns how many microseconds it takes to look a code up.
    pub fn look_up_a_code_us(&self) -> f64 {
        if self.is_distributed() { LOOK_UP_A_CODE_AT_NODES_US } else { LOOK_UP_A_CODE_US }
    }

    /// Returns those of these codes that exist, ascending. The coordinator would send the whole list to each shard, and
    /// each would look all of it up; so every shard is asked about its own codes.
    pub(crate) async fn find_present_at_nodes(&mut self, wanted: &[&str]) -> Result<Vec<String>, StoreError> {
        if wanted.len() <= ASKED_AT_ONCE {
            return self.query(PRESENT).bind(List(wanted)).fetch_values().await;
        }
        let shards = self.find_shards(wanted).await?;
        let mut present: Vec<String> = Vec::new();
        for part in parts_by_shard(wanted, &shards) {
            present.extend(self.query(PRESENT).bind(List(&part)).fetch_values::<String>().await?);
        }
        present.sort_unstable();
        Ok(present)
    }

    /// Returns the shard of each code, in the order of the codes.
    async fn find_shards(&mut self, codes: &[&str]) -> Result<Vec<i64>, StoreError> {
        const SQL: &str = "
            select get_shard_id_for_distribution_column('codes', code)
              from unnest($1) with ordinality as wanted (code, place)
             order by place";
        let shards: Vec<i64> = self.query(SQL).bind(List(codes)).fetch_values().await?;
        require_rows("the look-up of shards", shards.len() as u64, codes.len() as u64)?;
        Ok(shards)
    }
}

/// Groups codes by their shards; within a part they keep their order.
fn parts_by_shard<'c>(codes: &[&'c str], shards: &[i64]) -> Vec<Vec<&'c str>> {
    let mut parts: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for (code, shard) in codes.iter().zip(shards) {
        parts.entry(*shard).or_default().push(code);
    }
    parts.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::parts_by_shard;

    #[test]
    fn each_part_has_the_codes_of_one_shard_in_their_order() {
        let parts = parts_by_shard(&["A", "B", "C", "D", "E"], &[7, 3, 7, 7, 3]);
        assert_eq!(parts, [vec!["B", "E"], vec!["A", "C", "D"]]);
        assert!(parts_by_shard(&[], &[]).is_empty());
    }
}
