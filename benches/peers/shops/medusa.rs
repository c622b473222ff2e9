//! Medusa 2 (medusajs/medusa, PostgreSQL, read committed). A cart with a promotion whose campaign has a budget of uses is
//! completed.
//!
//! | step | source, commit |
//! |---|---|
//! | count, today | `packages/modules/promotion/src/services/promotion-module.ts` `registerUsage`, as changed by pull request 16097 of July 2026; read in COG-GTM/medusa, fe0e82ad |
//! | count, before the lock | the same function, 8f7d7d2b |
//! | tables | `packages/modules/promotion/src/migrations/Migration20240227120221.ts`, 25efb7ff; `Migration20250909083125.ts`, 2cf2cf30 |
//!
//! The module loads a promotion, its campaign, its budget and the uses of the budget with a select each. Left out, in
//! Medusa's favour: the order, the events, and the other steps of the workflow that completes the cart.

use sqlx::{Connection, PgConnection, Row};

const CODE: &str = "SPRING";

/// Which version of the loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The budget is locked, then read again.
    Locking,
    /// Read, compare, write.
    Before,
}

/// The uses that Medusa counted.
pub const COUNT: &str = "select coalesce(used, 0)::bigint from promotion_campaign_budget";

pub fn tables(limit: i64) -> String {
    let dates = "created_at timestamptz not null default now(), updated_at timestamptz not null default now(), deleted_at timestamptz";
    format!(
        "create table promotion_campaign (
             id text primary key, name text not null, description text, campaign_identifier text not null unique,
             starts_at timestamptz, ends_at timestamptz, {dates});
         create table promotion_campaign_budget (
             id text primary key, type text not null check (type in ('spend', 'usage', 'use_by_attribute', 'spend_by_attribute')),
             campaign_id text not null unique references promotion_campaign on update cascade, currency_code text, attribute text,
             \"limit\" numeric, raw_limit jsonb, used numeric, raw_used jsonb, {dates});
         create index on promotion_campaign_budget (type);
         create table promotion_campaign_budget_usage (
             id text primary key, attribute_value text not null, used numeric not null default 0,
             budget_id text not null references promotion_campaign_budget on update cascade on delete cascade,
             raw_used jsonb not null, {dates});
         create index on promotion_campaign_budget_usage (budget_id) where deleted_at is null;
         create unique index on promotion_campaign_budget_usage (attribute_value, budget_id) where deleted_at is null;
         create table promotion (
             id text primary key, code text not null unique, campaign_id text references promotion_campaign on delete set null,
             is_automatic boolean not null default false, type text not null, status text not null, \"limit\" integer,
             used integer not null default 0, metadata jsonb, {dates});
         create index on promotion (code);
         create index on promotion (type);
         create index on promotion (status) where deleted_at is null;
         insert into promotion_campaign (id, name, campaign_identifier) values ('procamp_1', 'Spring', 'spring');
         insert into promotion_campaign_budget (id, type, campaign_id, \"limit\", raw_limit, used, raw_used)
         values ('probudg_1', 'usage', 'procamp_1', {limit}, jsonb_build_object('value', '{limit}', 'precision', 20),
                 0, jsonb_build_object('value', '0', 'precision', 20));
         insert into promotion (id, code, campaign_id, type, status) values ('promo_1', '{CODE}', 'procamp_1', 'standard', 'active');"
    )
}

/// Registers a use, and returns true if it was granted.
pub async fn redeem(session: &mut PgConnection, version: Version) -> Result<bool, sqlx::Error> {
    let mut transaction = session.begin().await?;
    let mut budget = list_active_promotions(&mut transaction).await?;
    if version == Version::Locking {
        sqlx::query("set local lock_timeout = '3s'").execute(&mut *transaction).await?;
        let lock = "select id from promotion_campaign_budget where id in ($1) order by id asc for update";
        sqlx::query(lock).bind(&budget.id).execute(&mut *transaction).await?;
        budget = list_active_promotions(&mut transaction).await?;
    }
    let used = budget.used + 1;
    if used > budget.limit {
        transaction.rollback().await?;
        return Ok(false);
    }
    let by_id = "select * from promotion_campaign_budget where id = $1 and deleted_at is null";
    sqlx::query(by_id).bind(&budget.id).fetch_one(&mut *transaction).await?;
    let update = "update promotion_campaign_budget
                     set used = $1::bigint, raw_used = jsonb_build_object('value', $1::text, 'precision', 20), updated_at = now()
                   where id = $2";
    sqlx::query(update).bind(used).bind(&budget.id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

/// What the decision needs of a budget.
struct Budget {
    id: String,
    limit: i64,
    used: i64,
}

/// Ports `listActivePromotions_` with the relations `campaign`, `campaign.budget` and `campaign.budget.usages`.
async fn list_active_promotions(session: &mut PgConnection) -> Result<Budget, sqlx::Error> {
    let promotions = "
        select p.* from promotion p left join promotion_campaign c on c.id = p.campaign_id
         where p.deleted_at is null and p.status = 'active'
           and ((p.campaign_id is null and p.code in ($1))
                or (p.code in ($1) and (c.starts_at is null or c.starts_at <= now()) and (c.ends_at is null or c.ends_at > now())))";
    let promotion = sqlx::query(promotions).bind(CODE).fetch_one(&mut *session).await?;
    let campaigns = "select * from promotion_campaign where deleted_at is null and id in ($1)";
    let campaign =
        sqlx::query(campaigns).bind(promotion.get::<String, _>("campaign_id")).fetch_one(&mut *session).await?;
    let budgets = "select *, \"limit\"::bigint as most, coalesce(used, 0)::bigint as taken
                     from promotion_campaign_budget where deleted_at is null and campaign_id in ($1)";
    let budget = sqlx::query(budgets).bind(campaign.get::<String, _>("id")).fetch_one(&mut *session).await?;
    let budget = Budget { id: budget.get("id"), limit: budget.get("most"), used: budget.get("taken") };
    let usages = "select * from promotion_campaign_budget_usage where deleted_at is null and budget_id in ($1)";
    sqlx::query(usages).bind(&budget.id).fetch_all(&mut *session).await?;
    Ok(budget)
}
