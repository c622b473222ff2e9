//! Codes that the nodes of a cluster have yet to commit after a crash.

use crate::connection::error::StoreError;
use crate::connection::store::Store;

impl Store {
    /// Returns true if a node holds transactions that are prepared but not yet committed. After a crash they may hold
    /// codes of completed jobs, which nobody sees until the coordinator commits them: within
    /// `citus.recover_2pc_interval`, a minute by default.
    pub async fn is_recovering(&self) -> Result<bool, StoreError> {
        const PREPARED_AT_NODES: &str = "
            select exists (
                select from run_command_on_workers(
                    $$select count(*) from pg_prepared_xacts where database = current_database() and gid like 'citus%'$$)
                 where success and result <> '0')";
        if !self.is_distributed() {
            return Ok(false);
        }
        self.query(PREPARED_AT_NODES).fetch_value().await
    }
}
