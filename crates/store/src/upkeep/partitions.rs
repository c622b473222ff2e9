//! Partitions of `codes`, which deploy/postgres/partitions.sql creates: many small indexes instead of a large one.

use sqlx::{Connection, Executor, Row};

use crate::connection::error::StoreError;
use crate::connection::location::Location;
use crate::connection::store::Store;
use crate::records::rows::unsigned;

const COUNT_PARTITIONS: &str = "
    select count(*) from pg_inherits where inhparent = to_regclass('codes')
       and exists (select 1 from pg_class where oid = to_regclass('codes') and relkind = 'p')";

impl Store {
    /// Returns the number of partitions of `codes`; 0 if it is not partitioned or does not exist.
    ///
    /// # Errors
    /// The errors of [`Store::open`].
    pub async fn count_partitions(location: &Location) -> Result<u32, StoreError> {
        let Location::Postgres(server) = location else { return Ok(0) };
        let mut connection = server.address().connect().await?;
        let found: i64 = connection.fetch_one(COUNT_PARTITIONS).await?.try_get(0)?;
        connection.close().await?;
        unsigned("pg_inherits", found)
    }
}
