-- Redemptions: uses of codes, each once, and never beyond a limit. See the PostgreSQL migration of this number. SQLite cannot
-- change a constraint, so the outbox is made anew.

create table redemptions (
    id blob primary key,
    campaign_no integer not null,
    discount integer check (discount >= 0),
    order_amount integer check (order_amount >= 0),
    held_at text not null,
    expires_at text,
    ended_at text,
    click_id blob,
    version integer not null,
    keep_use integer not null default 0 check (keep_use in (0, 1)),
    state text not null check (state in ('held', 'confirmed', 'released', 'expired', 'rolled_back')),
    code text not null,
    identity text,
    order_ref text,
    currency text,
    source text,
    ad text,
    affiliate text,
    actor text,
    request_digest blob not null,
    confirm_digest blob,
    lines text check (json_valid(lines)),
    context text check (json_valid(context)),
    check ((state = 'held') = (ended_at is null)),
    check (state not in ('held', 'expired') or expires_at is not null),
    check (state = 'rolled_back' or not keep_use)
) strict;

create index redemptions_by_campaign on redemptions (campaign_no, held_at);
create index redemptions_by_code on redemptions (code);
create index redemptions_by_identity on redemptions (identity) where identity is not null;
create index redemptions_by_order on redemptions (order_ref) where order_ref is not null;
create index redemptions_held_by_campaign on redemptions (campaign_no, expires_at) where state = 'held';
create index redemptions_held_by_code on redemptions (code, expires_at) where state = 'held';
create index redemptions_held_by_identity on redemptions (identity, expires_at)
    where state = 'held' and identity is not null;
create index redemptions_held on redemptions (expires_at) where state = 'held';

create table tallies (
    campaign_no integer not null,
    day text not null,
    source text not null,
    ad text not null,
    affiliate text not null,
    currency text not null,
    metric text not null,
    amount integer not null,
    primary key (campaign_no, day, source, ad, affiliate, currency, metric)
) strict, without rowid;

create table tally_deltas (
    no integer primary key,
    campaign_no integer not null,
    day text not null,
    source text not null,
    ad text not null,
    affiliate text not null,
    currency text not null,
    metric text not null,
    amount integer not null
) strict;

create table new_outbox (
    no integer primary key autoincrement,
    job_no integer references jobs (no),
    message_id text not null,
    message_type text not null,
    routing_key text not null,
    reply_to text,
    correlation_id text,
    payload text not null,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) strict;

insert into new_outbox select * from outbox;
-- Numbers are never used again.
delete from sqlite_sequence where name = 'new_outbox';
insert into sqlite_sequence (name, seq) select 'new_outbox', seq from sqlite_sequence where name = 'outbox';
drop table outbox;
alter table new_outbox rename to outbox;

insert into schema_compatibility (schema_version, programs_from) values (9, 4);
