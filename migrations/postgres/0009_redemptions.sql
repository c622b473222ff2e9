-- Redemptions: uses of codes, each once, and never beyond a limit.
--
-- A redemption counts from the moment in which it is held. What it takes of the limits is in `allowances`, whose check makes
-- one use too many impossible. A change of its state is conditional and changes exactly one row. References to campaigns
-- are not declared: campaigns are never removed, and each check would write to the campaign's row.
--
-- On a cluster of Citus, redemptions and allowances stay on the coordinator: docs/citus.md.

create table redemptions (
    -- Named by the caller: the same id is the same redemption.
    id uuid primary key,
    campaign_no bigint not null,
    -- In minor units; null if the request had no cart.
    discount bigint check (discount >= 0),
    order_amount bigint check (order_amount >= 0),
    held_at timestamptz not null,
    -- The deadline of the payment; null if it was confirmed at once.
    expires_at timestamptz,
    ended_at timestamptz,
    click_id uuid,
    -- The version of the definition under which it was decided.
    version integer not null,
    -- A use that was rolled back and counts all the same.
    keep_use boolean not null default false,
    state text not null check (state in ('held', 'confirmed', 'released', 'expired', 'rolled_back')),
    code text collate "C" not null,
    -- The identity, or the mark and the keyed digest of one that was forgotten.
    identity text collate "C",
    order_ref text collate "C",
    currency text,
    source text,
    ad text,
    affiliate text,
    actor text,
    -- The first 16 bytes of the SHA-256 of the request, and of the cart with which it was confirmed.
    request_digest bytea not null,
    confirm_digest bytea,
    -- The discount of each line of the cart: pairs of an SKU and an amount.
    lines json,
    -- What a confirmation needs to decide again; only while one may come.
    context json,
    check ((state = 'held') = (ended_at is null)),
    check (state not in ('held', 'expired') or expires_at is not null),
    check (state = 'rolled_back' or not keep_use)
);

create index redemptions_by_campaign on redemptions (campaign_no, held_at);
create index redemptions_by_code on redemptions (code);
create index redemptions_by_identity on redemptions (identity) where identity is not null;
create index redemptions_by_order on redemptions (order_ref) where order_ref is not null;

-- Whoever meets a full limit looks for holds whose deadline is over.
create index redemptions_held_by_campaign on redemptions (campaign_no, expires_at) where state = 'held';
create index redemptions_held_by_code on redemptions (code, expires_at) where state = 'held';
create index redemptions_held_by_identity on redemptions (identity, expires_at)
    where state = 'held' and identity is not null;
create index redemptions_held on redemptions (expires_at) where state = 'held';

-- Sums of facts by the day on which a redemption was made, in its campaign's zone. What a transaction adds is a delta; the
-- worker adds the deltas up. Empty texts stand for what is unknown.
create table tallies (
    campaign_no bigint not null,
    day date not null,
    source text collate "C" not null,
    ad text collate "C" not null,
    affiliate text collate "C" not null,
    currency text collate "C" not null,
    metric text collate "C" not null,
    amount bigint not null,
    primary key (campaign_no, day, source, ad, affiliate, currency, metric)
);

create table tally_deltas (
    no bigint generated always as identity primary key,
    campaign_no bigint not null,
    day date not null,
    source text collate "C" not null,
    ad text collate "C" not null,
    affiliate text collate "C" not null,
    currency text collate "C" not null,
    metric text collate "C" not null,
    amount bigint not null
);

-- Events about redemptions belong to no job.
alter table outbox alter column job_no drop not null;

-- A check of the reference at each first use of a code would write to the campaign's row.
alter table allowances drop constraint allowances_campaign_no_fkey;

insert into schema_compatibility (schema_version, programs_from) values (9, 4);
