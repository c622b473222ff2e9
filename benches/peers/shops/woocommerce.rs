//! WooCommerce (woocommerce/woocommerce, MySQL). A guest places an order with a coupon that has `usage_limit`, and pays.
//!
//! | step | source in `plugins/woocommerce/includes`, commit |
//! |---|---|
//! | hold | `data-stores/class-wc-coupon-data-store-cpt.php` `check_and_hold_coupon`, `get_tentative_usage_query`, cb40eee7 |
//! | count | the same file, `increase_usage_count`, `update_usage_count_meta`, `add_coupon_used_by` |
//! | release of the hold | `wc-order-functions.php` `wc_update_coupon_usage_counts`, e90e33e7 |
//! | reading a coupon | the first file, `read`, `get_ids_by_code` |
//! | metadata | WordPress, `wp-includes/meta.php` `update_meta_cache`, `add_metadata` |
//!
//! MySQL takes the hold in one `insert .. select` whose subqueries are locking reads, which see what was committed last.
//! PostgreSQL has no locking read of an aggregate, and a statement that waits for a lock counts what was visible when it
//! began. So the port locks the row of `usage_count` in a statement before the insert, in one transaction: the same order of
//! waiting, and the count sees all that was committed. MySQL's gap locks, which may deadlock (WooCommerce tries three times), do
//! not exist. Left out, in WooCommerce's favour: the order, its own metadata, and checks of the cart.

use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

const CODE: &str = "spring";
const HELD_SECONDS: i64 = 60 * 60;
const TRIES: u32 = 3;

/// The uses that WooCommerce counted.
pub const COUNT: &str = "select meta_value::bigint from wp_postmeta where meta_key = 'usage_count'";

pub fn tables(limit: i64) -> String {
    format!(
        "create table wp_posts (
             id bigserial primary key, post_author bigint not null default 0, post_date timestamp not null,
             post_content text not null default '', post_title text not null, post_excerpt text not null default '',
             post_status varchar(20) not null, post_name varchar(200) not null default '', post_parent bigint not null default 0,
             post_modified timestamp not null, post_type varchar(20) not null);
         create index on wp_posts (post_name);
         create index on wp_posts (post_type, post_status, post_date, id);
         create index on wp_posts (post_parent);
         create index on wp_posts (post_author);
         create table wp_postmeta (meta_id bigserial primary key, post_id bigint not null default 0, meta_key varchar(255), meta_value text);
         create index on wp_postmeta (post_id);
         create index on wp_postmeta (meta_key);
         insert into wp_posts (post_date, post_title, post_status, post_modified, post_type)
         values (now(), '{CODE}', 'publish', now(), 'shop_coupon');
         insert into wp_postmeta (post_id, meta_key, meta_value)
         values (1, 'discount_type', 'percent'), (1, 'coupon_amount', '10'), (1, 'individual_use', 'no'), (1, 'product_ids', ''),
                (1, 'usage_limit', '{limit}'), (1, 'usage_limit_per_user', '0'), (1, 'usage_count', '0'), (1, 'date_expires', '');"
    )
}

/// Places an order and pays it, and returns true if the use was granted.
pub async fn redeem(session: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let (coupon_id, limit) = read_coupon(session).await?;
    let Some(held) = hold(session, coupon_id, limit).await? else {
        return Ok(false);
    };
    read_coupon(session).await?;
    increase_usage_count(session, coupon_id).await?;
    release(session, coupon_id, &held).await?;
    Ok(true)
}

/// Ports `read`: the post, and all of its metadata, with a row for each use so far.
async fn read_coupon(session: &mut PgConnection) -> Result<(i64, i64), sqlx::Error> {
    let by_code =
        "select id from wp_posts where post_title = $1 and post_type = 'shop_coupon' and post_status = 'publish'
                    order by post_date desc";
    let id: i64 = sqlx::query_scalar(by_code).bind(CODE).fetch_one(&mut *session).await?;
    sqlx::query("select * from wp_posts where id = $1 limit 1").bind(id).fetch_one(&mut *session).await?;
    let rows = read_metadata(session, id).await?;
    let limit = rows.iter().find(|row| row.get::<&str, _>("meta_key") == "usage_limit").expect("a limit");
    Ok((id, limit.get::<&str, _>("meta_value").parse().expect("a number")))
}

async fn read_metadata(session: &mut PgConnection, id: i64) -> Result<Vec<sqlx::postgres::PgRow>, sqlx::Error> {
    let metadata = "select post_id, meta_key, meta_value from wp_postmeta where post_id in ($1) order by meta_id asc";
    sqlx::query(metadata).bind(id).fetch_all(session).await
}

/// Ports `check_and_hold_coupon`, and returns the key of the hold.
async fn hold(session: &mut PgConnection, coupon_id: i64, limit: i64) -> Result<Option<String>, sqlx::Error> {
    let now = "select extract(epoch from now())::bigint from wp_posts limit 1";
    let now: i64 = sqlx::query_scalar(now).fetch_one(&mut *session).await?;
    // Ends with random digits.
    let random = Uuid::now_v7().simple().to_string();
    let key = format!("_coupon_held_{}_{}", now + HELD_SECONDS, &random[26..]);
    let mut tried = try_to_hold(session, coupon_id, limit, &key, now).await;
    for _ in 1..TRIES {
        if tried.is_ok() {
            break;
        }
        tried = try_to_hold(session, coupon_id, limit, &key, now).await;
    }
    Ok(tried?.then_some(key))
}

async fn try_to_hold(
    session: &mut PgConnection,
    coupon_id: i64,
    limit: i64,
    key: &str,
    now: i64,
) -> Result<bool, sqlx::Error> {
    let mut transaction = session.begin().await?;
    let lock = "select meta_value from wp_postmeta where meta_key = 'usage_count' and post_id = $1 limit 1 for update";
    sqlx::query(lock).bind(coupon_id).execute(&mut *transaction).await?;
    let insert = "
        insert into wp_postmeta (post_id, meta_key, meta_value)
        select $1, $2, '' from wp_posts
         where (select meta_value from wp_postmeta where meta_key = 'usage_count' and post_id = $1 limit 1)::bigint
               + (select count(meta_id) from wp_postmeta
                   where meta_key like '\\_coupon\\_held\\_%' and meta_key > $3 and post_id = $1) < $4
         limit 1";
    let query = sqlx::query(insert).bind(coupon_id).bind(key).bind(format!("_coupon_held_{now}")).bind(limit);
    let is_held = query.execute(&mut *transaction).await?.rows_affected() == 1;
    transaction.commit().await?;
    Ok(is_held)
}

/// Ports `increase_usage_count`; each statement is a transaction of its own.
async fn increase_usage_count(session: &mut PgConnection, coupon_id: i64) -> Result<(), sqlx::Error> {
    let exists = "select count(*) from wp_postmeta where meta_key = 'usage_count' and post_id = $1";
    let _there: i64 = sqlx::query_scalar(exists).bind(coupon_id).fetch_one(&mut *session).await?;
    let update = "update wp_postmeta set meta_value = (meta_value::bigint + 1)::text where meta_key = 'usage_count' and post_id = $1";
    sqlx::query(update).bind(coupon_id).execute(&mut *session).await?;
    let latest = "select meta_value from wp_postmeta where meta_key = 'usage_count' and post_id = $1";
    let _count: String = sqlx::query_scalar(latest).bind(coupon_id).fetch_one(&mut *session).await?;
    let used_by =
        "insert into wp_postmeta (post_id, meta_key, meta_value) values ($1, '_used_by', 'guest@example.com')";
    sqlx::query(used_by).bind(coupon_id).execute(&mut *session).await?;
    read_metadata(session, coupon_id).await.map(drop)
}

async fn release(session: &mut PgConnection, coupon_id: i64, key: &str) -> Result<(), sqlx::Error> {
    let held = "select meta_id from wp_postmeta where meta_key = $1 and post_id = $2";
    let ids: Vec<i64> = sqlx::query_scalar(held).bind(key).bind(coupon_id).fetch_all(&mut *session).await?;
    sqlx::query("delete from wp_postmeta where meta_id = any($1)").bind(ids).execute(session).await.map(drop)
}
