//! Magento 2 (magento/magento2, MySQL). A guest places an order with a coupon that has `uses_per_coupon`.
//!
//! | step | source in `app/code/Magento/SalesRule`, commit |
//! |---|---|
//! | check of the cart | `Model/Utility.php` `canProcessRule`, f3a59a5b |
//! | count, today | `Model/Coupon/UpdateCouponUsages.php` `execute`, 447c9b4d; `Model/Coupon/Usage/Processor.php` `updateCouponUsages`, `lockLoadedCoupon`, 74c7a871 |
//! | count, before the lock | `Model/Coupon/Usage/Processor.php` `process`, 0a5c099d |
//! | save of a model | `lib/internal/Magento/Framework/Model/ResourceModel/Db/AbstractDb.php` `save`, `_checkUnique`, 696c0dae; the unique field: `Model/ResourceModel/Coupon.php`, 95e6e1bc |
//! | lock | `lib/internal/Magento/Framework/Lock/Backend/Database.php` `lock`, `unlock`, 906c5a0d |
//! | tables | `etc/db_schema.xml`, fdc92a6a |
//!
//! The reads are statements of their own, outside any transaction, so MySQL's repeatable reads and PostgreSQL's committed
//! reads see the same. `GET_LOCK` and `RELEASE_LOCK` become advisory locks of the session. Left out, in Magento's favour: the
//! message for the queue that counts `salesrule.times_used` later, and the order.

use sqlx::{Connection, PgConnection, Row};

const CODE: &str = "SPRING";

/// Which version of the loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A lock of the coupon's name, and a check behind it.
    Locking,
    /// Read, add one, write.
    Before,
}

/// The uses that Magento counted.
pub const COUNT: &str = "select times_used::bigint from salesrule_coupon";

pub fn tables(limit: i64) -> String {
    format!(
        "create table salesrule (
             rule_id serial primary key, name varchar(255), description text, from_date date, to_date date,
             uses_per_customer integer not null default 0, is_active smallint not null default 0,
             conditions_serialized text, actions_serialized text, stop_rules_processing smallint not null default 1,
             is_advanced smallint not null default 1, product_ids text, sort_order integer not null default 0,
             simple_action varchar(32), discount_amount numeric(12, 4) not null default 0, discount_qty numeric(12, 4),
             discount_step integer not null default 0, apply_to_shipping smallint not null default 0,
             times_used integer not null default 0, is_rss smallint not null default 0, coupon_type smallint not null default 1,
             use_auto_generation smallint not null default 0, uses_per_coupon integer not null default 0);
         create index on salesrule (is_active, sort_order, to_date, from_date);
         create table salesrule_coupon (
             coupon_id serial primary key, rule_id integer not null references salesrule on delete cascade,
             code varchar(255) unique, usage_limit integer, usage_per_customer integer, times_used integer not null default 0,
             expiration_date timestamp, is_primary smallint, created_at timestamp, type smallint default 0,
             unique (rule_id, is_primary));
         create index on salesrule_coupon (rule_id);
         insert into salesrule (name, is_active, coupon_type, uses_per_coupon) values ('Spring', 1, 2, {limit});
         insert into salesrule_coupon (rule_id, code, usage_limit, is_primary, created_at)
         values (1, '{CODE}', {limit}, 1, now());"
    )
}

/// Places an order, and returns true if the use was granted.
pub async fn redeem(session: &mut PgConnection, version: Version) -> Result<bool, sqlx::Error> {
    let by_code = "select * from salesrule_coupon where code = $1";
    let coupon = sqlx::query(by_code).bind(CODE).fetch_one(&mut *session).await?;
    if coupon.get::<i32, _>("times_used") >= coupon.get::<i32, _>("usage_limit") {
        return Ok(false);
    }
    match version {
        Version::Locking => update_coupon_usages(session).await,
        Version::Before => process(session).await.map(|()| true),
    }
}

/// Ports `updateCouponUsages`. A lock that is not had in 60 seconds would leave the use uncounted; no call waits that long here.
async fn update_coupon_usages(session: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let in_codes = "select * from salesrule_coupon where code in ($1)";
    let coupon = sqlx::query(in_codes).bind(CODE).fetch_one(&mut *session).await?;
    let name = format!("coupon_code_{CODE}");
    sqlx::query("select pg_advisory_lock(hashtext($1))").bind(&name).execute(&mut *session).await?;
    let counted = count_locked(session, coupon.get("coupon_id")).await;
    sqlx::query("select pg_advisory_unlock(hashtext($1))").bind(&name).execute(&mut *session).await?;
    counted
}

async fn count_locked(session: &mut PgConnection, coupon_id: i32) -> Result<bool, sqlx::Error> {
    let by_id = "select * from salesrule_coupon where coupon_id = $1";
    let coupon = sqlx::query(by_id).bind(coupon_id).fetch_one(&mut *session).await?;
    let times_used: i32 = coupon.get("times_used");
    if times_used >= coupon.get::<i32, _>("usage_limit") {
        return Ok(false);
    }
    save_coupon(session, coupon_id, times_used + 1).await?;
    Ok(true)
}

/// Ports `process` of the version without a lock, for a guest: the coupon, then its rule.
async fn process(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    let by_code = "select * from salesrule_coupon where code = $1";
    let coupon = sqlx::query(by_code).bind(CODE).fetch_one(&mut *session).await?;
    save_coupon(session, coupon.get("coupon_id"), coupon.get::<i32, _>("times_used") + 1).await?;
    let by_id = "select * from salesrule where rule_id = $1";
    let rule = sqlx::query(by_id).bind(coupon.get::<i32, _>("rule_id")).fetch_one(&mut *session).await?;
    let primary = "select * from salesrule_coupon where rule_id = $1 and is_primary = 1";
    sqlx::query(primary).bind(rule.get::<i32, _>("rule_id")).fetch_one(&mut *session).await?;
    let mut transaction = session.begin().await?;
    let update = "update salesrule set times_used = $1 where rule_id = $2";
    let query = sqlx::query(update).bind(rule.get::<i32, _>("times_used") + 1).bind(rule.get::<i32, _>("rule_id"));
    query.execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn save_coupon(session: &mut PgConnection, coupon_id: i32, times_used: i32) -> Result<(), sqlx::Error> {
    let mut transaction = session.begin().await?;
    let others = "select * from salesrule_coupon where code = $1 and coupon_id != $2";
    sqlx::query(others).bind(CODE).bind(coupon_id).fetch_optional(&mut *transaction).await?;
    let update = "update salesrule_coupon set times_used = $1 where coupon_id = $2";
    sqlx::query(update).bind(times_used).bind(coupon_id).execute(&mut *transaction).await?;
    transaction.commit().await
}
