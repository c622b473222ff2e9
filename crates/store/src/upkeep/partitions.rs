//! Partitions of `codes`: many small indexes instead of a large one; the hash of a code names its partition.
//!
//! A table cannot be turned into a partitioned one, so an empty table is replaced. No other statement depends on this.

use sqlx::{Connection, Executor, PgConnection, Row};

use crate::connection::error::StoreError;
use crate::connection::location::Location;
use crate::connection::store::Store;
use crate::records::rows::unsigned;

/// Maximum number of partitions. A foreign key, a lock or a plan touches all of them: more cost more than they help.
pub const PARTITIONS_MAX: u32 = 1024;

/// The reason why `codes` was left unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionsError {
    #[error("an SQLite store has no partitions; use a PostgreSQL store")]
    File,
    #[error(
        "only an empty store can be partitioned, and this one holds {codes} codes; partition a new store and move the contents of this one there, as described in docs/scaling.md"
    )]
    NotEmpty { codes: u64 },
    #[error(
        "the store has {found} partitions already, and their number cannot be changed; for {wanted}, create a new store and move the contents of this one there, as described in docs/scaling.md"
    )]
    OtherNumber { found: u32, wanted: u32 },
}

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
        let found = count_partitions(&mut connection).await?;
        connection.close().await?;
        Ok(found)
    }

    /// Partitions an empty `codes` by the hash of the code, after waiting for current writers. Idempotent.
    ///
    /// # Errors
    /// `Partitions` if that is impossible, and the errors of [`Store::open`].
    pub async fn partition_codes(location: &Location, partitions: u32) -> Result<(), StoreError> {
        let Location::Postgres(server) = location else { return Err(PartitionsError::File.into()) };
        let address = server.address();
        let mut connection = address.connect().await?;
        let mut transaction = connection.begin_with(address.begin()).await?;
        transaction.execute("lock table codes in access exclusive mode").await?;
        let found = count_partitions(&mut transaction).await?;
        if found > 0 && found != partitions {
            return Err(PartitionsError::OtherNumber { found, wanted: partitions }.into());
        }
        if found == 0 {
            let codes: i64 = transaction.fetch_one("select count(*) from codes").await?.try_get(0)?;
            if codes > 0 {
                return Err(PartitionsError::NotEmpty { codes: unsigned("codes", codes)? }.into());
            }
            transaction.execute(replace_codes(partitions).as_str()).await?;
        }
        transaction.commit().await?;
        connection.close().await?;
        Ok(())
    }
}

async fn count_partitions(connection: &mut PgConnection) -> Result<u32, StoreError> {
    let found: i64 = connection.fetch_one(COUNT_PARTITIONS).await?.try_get(0)?;
    unsigned("pg_inherits", found)
}

/// Returns the SQL that replaces the table; owner and rights stay. Rights on the whole suffice for its partitions.
fn replace_codes(partitions: u32) -> String {
    format!(
        "do $$
         declare
             owner text := (select relowner::regrole::text from pg_class where oid = 'codes'::regclass);
             rights text[] := array(
                 select format('grant %s on codes to %s%s', privilege_type,
                               case grantee when 0 then 'public' else grantee::regrole::text end,
                               case when is_grantable then ' with grant option' else '' end)
                   from pg_class, aclexplode(relacl)
                  where oid = 'codes'::regclass and grantee <> relowner);
             statement text;
         begin
             drop table codes;
             create table codes (
                 code text collate \"C\" primary key,
                 run_no bigint not null
             ) partition by hash (code);
             for remainder in 0 .. {partitions} - 1 loop
                 execute format('create table codes_%s partition of codes for values with (modulus {partitions}, remainder %s)',
                                remainder, remainder);
                 execute format('alter table codes_%s owner to %s', remainder, owner);
             end loop;
             execute format('alter table codes owner to %s', owner);
             foreach statement in array rights loop
                 execute statement;
             end loop;
         end $$"
    )
}
