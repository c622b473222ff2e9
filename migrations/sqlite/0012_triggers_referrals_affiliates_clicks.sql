-- What brings people to codes: triggers that issue them, referrals, affiliates, and clicks on links. See the PostgreSQL migration of
-- this number.

create table triggers (
    id text primary key check (length(id) between 1 and 100),
    request_digest blob not null,
    type text not null,
    identity text not null,
    identity_text text,
    payload text not null check (json_valid(payload)),
    at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) strict, without rowid;

create index triggers_by_identity on triggers (identity);

create table trigger_results (
    trigger_id text not null references triggers (id) on delete cascade,
    campaign_no integer not null,
    identity text not null,
    state text not null check (state in ('issued', 'skipped', 'waiting')),
    due_at text,
    code text,
    reason text,
    primary key (trigger_id, campaign_no),
    check ((state = 'waiting') = (due_at is not null)),
    check ((state = 'issued') = (code is not null)),
    check ((state = 'skipped') = (reason is not null))
) strict, without rowid;

create index trigger_results_due on trigger_results (due_at) where state = 'waiting';
create unique index trigger_results_waiting on trigger_results (campaign_no, identity) where state = 'waiting';

create table referrers (
    id blob primary key,
    campaign_no integer not null,
    address text not null,
    address_text text,
    code text not null unique,
    parent blob references referrers (id),
    depth integer not null check (depth >= 0),
    children integer not null default 0 check (children >= 0),
    request_digest blob,
    at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    unique (campaign_no, address)
) strict, without rowid;

create index referrers_by_parent on referrers (parent) where parent is not null;
create index referrers_by_address on referrers (address);

create table referrals (
    redemption_id blob primary key,
    campaign_no integer not null,
    referrer_id blob not null references referrers (id),
    referee text not null,
    state text not null check (state in ('pending', 'rewarded', 'void')),
    reward_due_at text,
    reward_code text,
    at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    check (state <> 'rewarded' or reward_due_at is null)
) strict, without rowid;

create unique index referrals_once on referrals (campaign_no, referee) where state <> 'void';
create index referrals_by_referrer on referrals (referrer_id);
create index referrals_due on referrals (reward_due_at) where state = 'pending' and reward_due_at is not null;

alter table assignments add column revoked_at text;

create table affiliate_rules (
    no integer primary key,
    name text not null unique,
    mask text not null,
    prefix text not null,
    campaign text not null,
    active integer not null check (active in (0, 1)),
    priority integer not null,
    periods text not null check (json_valid(periods)),
    exclusions integer not null default 0 check (exclusions >= 0),
    exclusions_version integer not null,
    list_version integer not null,
    changed_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) strict;

create table affiliate_exclusions (
    rule_no integer not null references affiliate_rules (no) on delete cascade,
    reference text not null,
    affiliate text,
    promotion text,
    note text,
    primary key (rule_no, reference)
) strict, without rowid;

create table affiliate_exclusion_changes (
    rule_no integer not null references affiliate_rules (no) on delete cascade,
    version integer not null,
    reference text not null,
    primary key (rule_no, version)
) strict, without rowid;

create table kept_versions (
    name text primary key,
    version integer not null
) strict, without rowid;

insert into kept_versions (name, version) values ('affiliates', 0);

create table clicks (
    id blob primary key,
    campaign_no integer not null,
    source text,
    ad text,
    affiliate text,
    day text not null,
    at text not null
) strict, without rowid;

create index clicks_by_time on clicks (at);

alter table assignments add column day text;

insert into tallies (campaign_no, day, source, ad, affiliate, currency, metric, amount)
select campaign_no, substr(at, 1, 10), '', '', '', '', 'issued', count(*) from assignments group by 1, 2;

insert into schema_compatibility (schema_version, programs_from) values (12, 4);
