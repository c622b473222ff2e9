//! Partitions of `codes`: many small indexes instead of a large one, each code in the partition that its hash names.
//!
//! A table cannot be turned into a partitioned one, so an empty one is replaced. No statement elsewhere knows of it.

use sqlx::{Connection, Executor, PgConnection, Row};

use crate::Store;
use crate::error::StoreError;
use crate::location::Location;
use crate::rows::unsigned;

/// A foreign key, a lock or a plan touches every one of them: more cost more than they help.
pub const PARTITIONS_MAX: u32 = 1024;

/// Why `codes` was left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionsError {
    #[error("a store in a file has no partitions")]
    File,
    #[error(
        "the store holds {codes} codes, and only an empty one can be partitioned: partition a new store, and take what is in this one over, as docs/scaling.md says"
    )]
    NotEmpty { codes: u64 },
    #[error(
        "the store has {found} partitions already, and their number is for ever: for {wanted} make a new store, and take what is in this one over, as docs/scaling.md says"
    )]
    OtherNumber { found: u32, wanted: u32 },
}

const COUNT_PARTITIONS: &str = "
    select count(*) from pg_inherits where inhparent = to_regclass('codes')
       and exists (select 1 from pg_class where oid = to_regclass('codes') and relkind = 'p')";

impl Store {
    /// How many partitions `codes` has; 0 where it is not partitioned, or not there.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn count_partitions(location: &Location) -> Result<u32, StoreError> {
        let Location::Postgres(server) = location else { return Ok(0) };
        let mut connection = server.address().connect().await?;
        let found = count_partitions(&mut connection).await?;
        connection.close().await?;
        Ok(found)
    }

    /// Cuts an empty `codes` into partitions by the hash of the code. Doing it again changes nothing. Whoever writes is
    /// waited for.
    ///
    /// # Errors
    /// `Partitions` if that cannot be done, and as [`Store::open`].
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

/// Owner and rights stay those of the table that is replaced. Rights on the whole are enough for its partitions.
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
