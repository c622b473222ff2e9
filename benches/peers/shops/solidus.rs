//! Solidus (solidusio/solidus, here on PostgreSQL, read committed). An order with a coupon of a promotion that has
//! `usage_limit` is completed.
//!
//! | step | source, commit |
//! |---|---|
//! | count and check | `promotions/app/models/solidus_promotions/load_promotions.rb` `call`, 987fd445; `promotion.rb` `usage_limit_exceeded?`, `usage_count`, e5ae374d |
//! | when it is checked | `core/lib/spree/core/state_machines/order.rb` `before_transition to: :complete, do: :ensure_promotions_eligible`, 0cf16de1; `core/app/models/spree/order.rb`, 234a36de |
//! | completion | `core/app/models/spree/order.rb` `finalize!`, 234a36de |
//! | tables | `promotions/db/migrate/20230704102444_create_promotion_codes.rb`, 052ea410; `20230705171556_create_order_promotions.rb`, b36be11b |
//!
//! No counter exists: the completed orders are counted. The machine says `use_transactions: false`, so each save is a
//! transaction of its own, and an order counts from the last of them on, when `completed_at` is set. Left out, in Solidus' favour:
//! what lies between the check and that, above all the payment, and the lines of the order.

use sqlx::{Connection, PgConnection, Row};

/// The uses that Solidus counts.
pub const COUNT: &str = "select count(*) from spree_orders where completed_at is not null";

pub fn tables(limit: i64, carts: u64) -> String {
    format!(
        "create table spree_orders (
             id serial primary key, number varchar(32), item_total numeric(10, 2) not null default 0,
             total numeric(10, 2) not null default 0, state varchar, adjustment_total numeric(10, 2) not null default 0,
             user_id integer, completed_at timestamp, email varchar, currency varchar, guest_token varchar,
             created_at timestamp not null, updated_at timestamp not null);
         create index on spree_orders (completed_at);
         create index on spree_orders (number);
         create index on spree_orders (user_id);
         create index on spree_orders (email);
         create index on spree_orders (guest_token);
         create table spree_adjustments (
             id serial primary key, source_type varchar, source_id integer, adjustable_type varchar,
             adjustable_id integer not null, amount numeric(10, 2), label varchar, eligible boolean default true,
             created_at timestamp not null, updated_at timestamp not null, order_id integer not null,
             included boolean default false, promotion_code_id integer, finalized boolean not null default false);
         create index on spree_adjustments (adjustable_id);
         create index on spree_adjustments (adjustable_id, adjustable_type);
         create index on spree_adjustments (eligible);
         create index on spree_adjustments (order_id);
         create index on spree_adjustments (promotion_code_id);
         create index on spree_adjustments (source_id, source_type);
         create table spree_state_changes (
             id serial primary key, name varchar, previous_state varchar, stateful_id integer, user_id integer,
             stateful_type varchar, next_state varchar, created_at timestamp not null, updated_at timestamp not null);
         create index on spree_state_changes (stateful_id, stateful_type);
         create table solidus_promotions_promotions (
             id bigserial primary key, name varchar not null, usage_limit integer, per_code_usage_limit integer,
             starts_at timestamp, expires_at timestamp, apply_automatically boolean not null default false, deleted_at timestamp);
         create table solidus_promotions_benefits (
             id bigserial primary key, promotion_id bigint not null references solidus_promotions_promotions, type varchar);
         create index on solidus_promotions_benefits (promotion_id);
         create table solidus_promotions_promotion_codes (
             id bigserial primary key, promotion_id bigint not null references solidus_promotions_promotions,
             value varchar not null unique, created_at timestamp not null, updated_at timestamp not null);
         create index on solidus_promotions_promotion_codes (promotion_id);
         create table solidus_promotions_order_promotions (
             id bigserial primary key, order_id integer not null references spree_orders,
             promotion_id bigint not null references solidus_promotions_promotions,
             promotion_code_id bigint references solidus_promotions_promotion_codes,
             created_at timestamp not null, updated_at timestamp not null);
         create index on solidus_promotions_order_promotions (order_id);
         create index on solidus_promotions_order_promotions (promotion_id);
         create index on solidus_promotions_order_promotions (promotion_code_id);
         insert into solidus_promotions_promotions (name, usage_limit) values ('Spring', {limit});
         insert into solidus_promotions_benefits (promotion_id, type) values (1, 'SolidusPromotions::Benefits::AdjustLineItem');
         insert into solidus_promotions_promotion_codes (promotion_id, value, created_at, updated_at) values (1, 'spring', now(), now());
         insert into spree_orders (number, item_total, total, state, email, currency, guest_token, created_at, updated_at)
         select 'R' || number, 10, 9, 'confirm', 'guest@example.com', 'EUR', md5(number::text), now(), now()
           from generate_series(1, {carts}) number;
         insert into spree_adjustments (source_type, source_id, adjustable_type, adjustable_id, amount, label, order_id,
                                        created_at, updated_at)
         select 'SolidusPromotions::Benefit', 1, 'Spree::LineItem', id, -1, 'Spring', id, now(), now() from spree_orders;
         insert into solidus_promotions_order_promotions (order_id, promotion_id, promotion_code_id, created_at, updated_at)
         select id, 1, 1, now(), now() from spree_orders;"
    )
}

/// Completes the order of a number, and returns true if the use was granted.
pub async fn redeem(session: &mut PgConnection, number: i64) -> Result<bool, sqlx::Error> {
    let order_id = i32::try_from(number + 1).expect("the number of an order");
    let Some(limit) = connected_promotion(session, order_id).await? else {
        return Ok(false);
    };
    let usage_count = "
        select count(distinct o.id) from spree_orders o join spree_adjustments a on a.order_id = o.id
         where a.source_type = 'SolidusPromotions::Benefit' and a.source_id = 1 and o.completed_at is not null
           and o.id != $1 and o.state != 'canceled'";
    let used: i64 = sqlx::query_scalar(usage_count).bind(order_id).fetch_one(&mut *session).await?;
    if used >= i64::from(limit) {
        return Ok(false);
    }
    save(session, "update spree_orders set state = 'complete', updated_at = now() where id = $1", order_id).await?;
    let change = "insert into spree_state_changes (name, previous_state, next_state, stateful_id, stateful_type, created_at, updated_at)
                  values ('order', 'confirm', 'complete', $1, 'Spree::Order', now(), now())";
    save(session, change, order_id).await?;
    save(session, "update spree_adjustments set finalized = true, updated_at = now() where order_id = $1", order_id)
        .await?;
    save(session, "update spree_orders set completed_at = now(), updated_at = now() where id = $1", order_id).await?;
    Ok(true)
}

/// Loads the promotion of the order's code, and returns its limit.
async fn connected_promotion(session: &mut PgConnection, order_id: i32) -> Result<Option<i32>, sqlx::Error> {
    let of_order = "select * from solidus_promotions_order_promotions where order_id = $1";
    let connected = sqlx::query(of_order).bind(order_id).fetch_one(&mut *session).await?;
    let (promotion_id, code_id): (i64, i64) = (connected.get("promotion_id"), connected.get("promotion_code_id"));
    let by_id = "select * from solidus_promotions_promotions where id = $1 limit 1";
    sqlx::query(by_id).bind(promotion_id).fetch_one(&mut *session).await?;
    let code = "select * from solidus_promotions_promotion_codes where id = $1 limit 1";
    sqlx::query(code).bind(code_id).fetch_one(&mut *session).await?;
    let active = "
        select distinct p.* from solidus_promotions_promotions p
          join solidus_promotions_order_promotions c on p.id = c.promotion_id
          join solidus_promotions_benefits b on b.promotion_id = p.id
         where c.order_id = $1 and (p.starts_at is null or p.starts_at < now()) and (p.expires_at is null or p.expires_at > now())
           and p.id = $2";
    let active = sqlx::query(active).bind(order_id).bind(promotion_id).fetch_optional(&mut *session).await?;
    Ok(active.map(|promotion| promotion.get("usage_limit")))
}

async fn save(session: &mut PgConnection, sql: &str, order_id: i32) -> Result<(), sqlx::Error> {
    let mut transaction = session.begin().await?;
    sqlx::query(sql).bind(order_id).execute(&mut *transaction).await?;
    transaction.commit().await
}
