//! Saleor (saleor/saleor, PostgreSQL, read committed). A checkout with a voucher that has `usage_limit` becomes an order.
//!
//! | step | source, commit |
//! |---|---|
//! | count | `saleor/checkout/complete_checkout.py` `create_order_from_checkout`, `_increase_voucher_code_usage_value`, `_increase_checkout_voucher_usage`, a4621623 |
//! | check and lock | `saleor/checkout/utils.py` `get_voucher_for_checkout`; `saleor/discount/models.py` `VoucherQueryset.active_in_channel`, as read after version 3.19 |
//! | increment | `saleor/discount/utils/voucher.py` `increase_voucher_usage`, `increase_voucher_code_usage_value`, 801ceca0 |
//! | tables | `saleor/discount/models.py`, as read after version 3.19 |
//!
//! The limit is compared before the row is locked and not again after it. A caller that waits for the lock adds its use
//! whatever the others did meanwhile. Left out, in Saleor's favour: the order, which follows in a transaction of its own; with a
//! payment, the lock is held until the payment has been prepared.

use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

const CODE: &str = "SPRING";
const CHANNEL: &str = "default-channel";

/// The uses that Saleor counted.
pub const COUNT: &str = "select used::bigint from discount_vouchercode";

pub fn tables(limit: i64, carts: u64) -> String {
    format!(
        "create table channel_channel (id serial primary key, slug varchar(255) not null unique, is_active boolean not null);
         create table discount_voucher (
             id serial primary key, type varchar(20) not null, name varchar(255), usage_limit integer check (usage_limit >= 0),
             start_date timestamptz not null, end_date timestamptz, apply_once_per_order boolean not null,
             apply_once_per_customer boolean not null, single_use boolean not null, only_for_staff boolean not null,
             discount_value_type varchar(10) not null, countries varchar(749) not null,
             min_checkout_items_quantity integer check (min_checkout_items_quantity >= 0),
             metadata jsonb, private_metadata jsonb);
         create table discount_vouchercode (
             id uuid primary key, code varchar(255) not null unique, used integer not null check (used >= 0),
             is_active boolean not null, voucher_id integer not null references discount_voucher, created_at timestamptz not null);
         create index vouchercode_voucher_idx on discount_vouchercode (voucher_id);
         create index on discount_vouchercode (code varchar_pattern_ops);
         create table discount_voucherchannellisting (
             id serial primary key, voucher_id integer not null references discount_voucher,
             channel_id integer not null references channel_channel, discount_value numeric(12, 3) not null,
             currency varchar(3) not null, min_spent_amount numeric(12, 3), unique (voucher_id, channel_id));
         create index on discount_voucherchannellisting (voucher_id);
         create index on discount_voucherchannellisting (channel_id);
         create table checkout_checkout (
             token uuid primary key, number bigint not null, created_at timestamptz not null, last_change timestamptz not null,
             email varchar(254), currency varchar(3) not null, discount_amount numeric(12, 3) not null,
             voucher_code varchar(255), is_voucher_usage_increased boolean not null);
         insert into channel_channel (slug, is_active) values ('{CHANNEL}', true);
         insert into discount_voucher (type, name, usage_limit, start_date, apply_once_per_order, apply_once_per_customer,
                                       single_use, only_for_staff, discount_value_type, countries)
         values ('entire_order', 'Spring', {limit}, now() - interval '1 day', false, false, false, false, 'percentage', '');
         insert into discount_vouchercode values (gen_random_uuid(), '{CODE}', 0, true, 1, now());
         insert into discount_voucherchannellisting (voucher_id, channel_id, discount_value, currency) values (1, 1, 10, 'EUR');
         insert into checkout_checkout
         select gen_random_uuid(), number, now(), now(), 'guest@example.com', 'EUR', 10, '{CODE}', false
           from generate_series(0, {carts} - 1) number;
         create index number on checkout_checkout (number);"
    )
}

/// Returns the checkout of a number, which the request names by its token.
async fn token(session: &mut PgConnection, number: i64) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar("select token from checkout_checkout where number = $1").bind(number).fetch_one(session).await
}

/// Completes a checkout, and returns true if the use was granted.
pub async fn redeem(session: &mut PgConnection, number: i64) -> Result<bool, sqlx::Error> {
    let token = token(session, number).await?;
    let mut transaction = session.begin().await?;
    let active = "select * from discount_vouchercode where code = $1 and is_active limit 21";
    let code = sqlx::query(active).bind(CODE).fetch_one(&mut *transaction).await?;
    let in_channel = "
        select v.* from discount_voucher v
         where (v.usage_limit is null
                or v.usage_limit > (select sum(u.used) from discount_vouchercode u where u.voucher_id = v.id group by u.id limit 1))
           and (v.end_date is null or v.end_date >= now()) and v.start_date <= now()
           and exists (select 1 from discount_voucherchannellisting l
                        where exists (select 1 from channel_channel c
                                       where c.is_active and c.slug = $1 and c.id = l.channel_id limit 1)
                          and l.voucher_id = v.id limit 1)
           and v.id = $2
         order by v.name, v.id limit 1";
    let voucher = sqlx::query(in_channel).bind(CHANNEL).bind(code.get::<i32, _>("voucher_id"));
    if voucher.fetch_optional(&mut *transaction).await?.is_none() {
        transaction.rollback().await?;
        return Ok(false);
    }
    let lock = "select * from discount_vouchercode where code = $1 limit 21 for update";
    let code = sqlx::query(lock).bind(CODE).fetch_one(&mut *transaction).await?;
    let mut nested = transaction.begin().await?;
    let increment = "update discount_vouchercode set used = used + 1 where id = $1";
    sqlx::query(increment).bind(code.get::<Uuid, _>("id")).execute(&mut *nested).await?;
    let mark = "update checkout_checkout set is_voucher_usage_increased = true where token = $1";
    sqlx::query(mark).bind(token).execute(&mut *nested).await?;
    nested.commit().await?;
    transaction.commit().await?;
    Ok(true)
}
