//! The usual ways to redeem, each a transaction for each use. Their table of uses has the columns and the indexes of ours.

use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, Executor};
use uuid::Uuid;

/// A way to redeem a code with a limit that all uses share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// (a) Insert, then count up under the condition that the limit is not reached.
    Counter,
    /// (b) Lock the campaign, compare, insert, count up.
    Lock,
    /// (c) Count, compare, insert; serializable, again after a conflict.
    Serializable,
    /// (d) A row for each possible use, of which one that nobody has locked is taken.
    Slots,
    /// (e) The way of many shops: count, compare, insert. It exceeds the limit.
    Unsafe,
    /// Each code has its own limit, and there is no shared one.
    Private,
}

impl Way {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "(a) counter under a condition",
            Self::Lock => "(b) select for update",
            Self::Serializable => "(c) count, serializable",
            Self::Slots => "(d) slots with skip locked",
            Self::Unsafe => "(e) count, then insert",
            Self::Private => "row at a time, limit of a code",
        }
    }
}

/// The tables of the baselines.
#[derive(Clone, Debug)]
pub struct Shop {
    pool: PgPool,
}

const INSERT: &str = "
    insert into shop.uses (id, campaign_no, version, code, state, request_digest, held_at, ended_at)
    values ($1, 1, 1, $2, 'confirmed', $3, now(), now())";

impl Shop {
    /// Creates the tables, with a limit of this many uses.
    pub async fn create(url: &str, connections: u32, quota: i64) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(60))
            .connect(url)
            .await
            .expect("the server");
        let tables = format!(
            "drop schema if exists shop cascade;
             create schema shop;
             create table shop.uses (like public.redemptions including all);
             create table shop.counters (campaign_no bigint primary key, used bigint not null, quota bigint not null,
                 check (used <= quota)) with (fillfactor = 50);
             create table shop.codes (code text primary key, used bigint not null, quota bigint not null) with (fillfactor = 50);
             create table shop.slots (no bigint primary key, is_taken boolean not null);
             insert into shop.counters values (1, 0, {quota});
             insert into shop.slots select no, false from generate_series(1, least({quota}, 100000)) no;
             create index on shop.slots (no) where not is_taken;
             analyze shop.slots"
        );
        pool.execute(sqlx::raw_sql(&tables)).await.expect("tables");
        Self { pool }
    }

    /// Redeems a code once, and returns true if it was granted.
    pub async fn redeem(&self, way: Way, code: &str) -> bool {
        if way == Way::Serializable {
            loop {
                match self.serializable(code).await {
                    Ok(is_granted) => return is_granted,
                    // A conflict: again after a moment.
                    Err(_) => tokio::time::sleep(Duration::from_micros(Uuid::now_v7().as_u128() as u64 % 2000)).await,
                }
            }
        }
        self.transaction(way, code).await.expect("a transaction")
    }

    async fn transaction(&self, way: Way, code: &str) -> Result<bool, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let is_granted = match way {
            Way::Counter => {
                insert(&mut transaction, code).await?;
                let count = "update shop.counters set used = used + 1 where campaign_no = 1 and used < quota";
                sqlx::query(count).execute(&mut *transaction).await?.rows_affected() == 1
            }
            Way::Lock => {
                let lock = "select used < quota from shop.counters where campaign_no = 1 for update";
                let is_free: bool = sqlx::query_scalar(lock).fetch_one(&mut *transaction).await?;
                if is_free {
                    insert(&mut transaction, code).await?;
                    let count = "update shop.counters set used = used + 1 where campaign_no = 1";
                    sqlx::query(count).execute(&mut *transaction).await?;
                }
                is_free
            }
            Way::Slots => {
                let take = "update shop.slots set is_taken = true where no =
                                (select no from shop.slots where not is_taken limit 1 for update skip locked)";
                let is_taken = sqlx::query(take).execute(&mut *transaction).await?.rows_affected() == 1;
                if is_taken {
                    insert(&mut transaction, code).await?;
                }
                is_taken
            }
            Way::Private => {
                insert(&mut transaction, code).await?;
                let count = "insert into shop.codes values ($1, 1, 1)
                             on conflict (code) do update set used = shop.codes.used + 1
                              where shop.codes.used < shop.codes.quota";
                sqlx::query(count).bind(code).execute(&mut *transaction).await?.rows_affected() == 1
            }
            Way::Unsafe | Way::Serializable => count_then_insert(&mut transaction, code).await?,
        };
        if is_granted {
            transaction.commit().await?
        } else {
            transaction.rollback().await?
        }
        Ok(is_granted)
    }

    async fn serializable(&self, code: &str) -> Result<bool, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin_with("begin isolation level serializable").await?;
        let is_granted = count_then_insert(&mut transaction, code).await?;
        if is_granted {
            transaction.commit().await?
        } else {
            transaction.rollback().await?
        }
        Ok(is_granted)
    }

    /// Returns the number of uses.
    pub async fn uses(&self) -> i64 {
        sqlx::query_scalar("select count(*) from shop.uses").fetch_one(&self.pool).await.expect("a number")
    }
}

async fn count_then_insert(session: &mut sqlx::PgConnection, code: &str) -> Result<bool, sqlx::Error> {
    let count = "select (select count(*) from shop.uses where campaign_no = 1) < quota from shop.counters where campaign_no = 1";
    let is_free: bool = sqlx::query_scalar(count).fetch_one(&mut *session).await?;
    if is_free {
        insert(session, code).await?;
    }
    Ok(is_free)
}

async fn insert(session: &mut sqlx::PgConnection, code: &str) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT).bind(Uuid::now_v7()).bind(code).bind(&[0_u8; 16][..]).execute(session).await.map(drop)
}
