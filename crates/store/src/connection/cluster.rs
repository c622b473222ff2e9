//! What differs if the server is the coordinator of a Citus cluster and `codes` is distributed over its nodes.
//!
//! The coordinator plans, but the rows and their indexes are at the nodes: settings of a session do not reach them, and they
//! report errors without an SQLSTATE. docs/citus.md describes the set-up.

use sqlx::{Executor, PgConnection, Row};

use crate::connection::error::StoreError;
use crate::connection::postgres_transaction::PostgresSession;

/// Finds out whether `codes` is distributed.
///
/// # Errors
/// `RoleWithoutLogin` if it is, and the coordinator cannot connect to the nodes as the current role.
pub(crate) async fn is_distributed(connection: &mut PgConnection) -> Result<bool, StoreError> {
    const DISTRIBUTED: &str = "
        select exists (select from pg_dist_partition where logicalrelid = to_regclass('codes') and partmethod = 'h'), rolcanlogin, rolname::text
          from pg_roles where rolname = current_user";
    let is_coordinator: bool =
        connection.fetch_one("select to_regclass('pg_dist_partition') is not null").await?.try_get(0)?;
    if !is_coordinator {
        return Ok(false);
    }
    let found = connection.fetch_one(DISTRIBUTED).await?;
    let (is_distributed, may_log_in): (bool, bool) = (found.try_get(0)?, found.try_get(1)?);
    if is_distributed && !may_log_in {
        return Err(StoreError::RoleWithoutLogin { role: found.try_get(2)? });
    }
    Ok(is_distributed)
}

impl PostgresSession {
    /// Makes the rest of the transaction write over one connection to each node instead of one to each shard. A `COPY` of
    /// a chunk then takes less than half as long; reads would take longer.
    pub(crate) async fn write_sequentially_at_nodes(&mut self) -> Result<(), StoreError> {
        match self.is_distributed() {
            true => self.execute_text("set local citus.multi_shard_modify_mode = 'sequential'").await,
            false => Ok(()),
        }
    }
}
