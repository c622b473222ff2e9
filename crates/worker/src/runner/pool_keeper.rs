//! Keeps the pools of restricted campaigns filled: below its mark, a pool gets a job, once, whatever the number of workers.

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Limits, Request};
use codemint_codes::job::restriction::{pool_mark, refill};
use codemint_codes::policy::Policy;
use codemint_store::admission::submit::PutJob;
use codemint_store::campaigns::pool::KeptPool;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;

/// The time after which a refused order is tried again: the mask has too few codes left, and somebody must change it.
const REFUSED_PAUSE: Duration = Duration::from_secs(600);

/// What a worker knows about pools between two looks.
#[derive(Debug, Default)]
pub(crate) struct PoolKeeper {
    refused: HashMap<i64, Instant>,
}

impl PoolKeeper {
    /// Orders codes for every pool below its mark, and returns the jobs that are new.
    pub async fn look(&mut self, store: &Store, policy: &Policy) -> Result<Vec<Job>, StoreError> {
        let mut ordered = Vec::new();
        self.refused.retain(|_campaign, since| since.elapsed() < REFUSED_PAUSE);
        for pool in store.list_kept_pools().await? {
            let first_order = pool.first_order();
            let pooled = store.count_pool(pool.campaign_no, pool_mark(first_order)).await?;
            if let Some(count) = refill(pooled, first_order)
                && !self.refused.contains_key(&pool.campaign_no)
            {
                ordered.extend(self.order(store, policy, &pool, count).await?);
            }
        }
        Ok(ordered)
    }

    async fn order(
        &mut self,
        store: &Store,
        policy: &Policy,
        pool: &KeptPool,
        count: u64,
    ) -> Result<Option<Job>, StoreError> {
        // The first order has passed the limits of the operator.
        let limits = Limits { guess_odds_min: 0, count_max: count };
        let request = Request::check(&pool.mask, count.into(), Some(&pool.campaign), pool.chunk_size(), limits)
            .and_then(|request| request.under(policy.clone()));
        let put = match request {
            Ok(request) => store.put_job(id_of(pool), &request).await?,
            Err(error) => {
                tracing::warn!(%error, "a pool is low and cannot be refilled");
                self.refused.insert(pool.campaign_no, Instant::now());
                return Ok(None);
            }
        };
        match put {
            PutJob::Stored(job) => {
                tracing::info!(job_id = %job.id, count, "a pool is low; ordered codes for it");
                Ok(Some(job))
            }
            // Another worker was first.
            PutJob::Repeated(_) | PutJob::Conflict(_) => Ok(None),
            PutJob::InsufficientKeyspace { .. } | PutJob::RoomUncertain { .. } | PutJob::OtherCheckKey(_) => {
                tracing::warn!(campaign_no = pool.campaign_no, "a pool is low, and its mask has too few codes left");
                self.refused.insert(pool.campaign_no, Instant::now());
                Ok(None)
            }
        }
    }
}

/// Returns the id of the next job for a pool: the same in every worker, so that only one is stored.
fn id_of(pool: &KeptPool) -> Uuid {
    let digest = Sha256::new()
        .chain_update("codemint pool")
        .chain_update(pool.campaign_no.to_be_bytes())
        .chain_update(pool.orders.to_be_bytes())
        .finalize();
    uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid()
}
