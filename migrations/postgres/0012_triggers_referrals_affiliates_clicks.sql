-- What brings people to codes: triggers that issue them, referrals, affiliates, and clicks on links.
--
-- Identities and addresses are keyed digests wherever they are compared. The plain text stands in one column beside, which is null
-- once it was forgotten. On a cluster of Citus, these tables stay on the coordinator: docs/citus.md.

-- What happened at the shop, each once, whatever it issued.
create table triggers (
    -- Named by the caller: the same id is the same trigger.
    id text collate "C" primary key check (char_length(id) between 1 and 100),
    -- The first 16 bytes of the SHA-256 of the request.
    request_digest bytea not null,
    type text collate "C" not null,
    identity text collate "C" not null,
    identity_text text,
    -- What the request stated: segments, attributes, the time of a deactivation.
    payload json not null,
    at timestamptz not null default now()
);

create index triggers_by_identity on triggers (identity);

-- What a trigger meant for the campaigns that name its type.
create table trigger_results (
    trigger_id text collate "C" not null references triggers (id) on delete cascade,
    campaign_no bigint not null,
    identity text collate "C" not null,
    state text not null check (state in ('issued', 'skipped', 'waiting')),
    -- When a waiting one is decided.
    due_at timestamptz,
    code text collate "C",
    -- Why it was skipped.
    reason text,
    primary key (trigger_id, campaign_no),
    check ((state = 'waiting') = (due_at is not null)),
    check ((state = 'issued') = (code is not null)),
    check ((state = 'skipped') = (reason is not null))
);

create index trigger_results_due on trigger_results (due_at) where state = 'waiting';
-- An identity waits once for each campaign.
create unique index trigger_results_waiting on trigger_results (campaign_no, identity) where state = 'waiting';

-- Who passes codes on: a tree for each campaign.
create table referrers (
    id uuid primary key,
    campaign_no bigint not null,
    -- The keyed digest of the strict form of the address.
    address text collate "C" not null,
    -- The address as it was given.
    address_text text,
    code text collate "C" not null unique,
    -- Whose code brought this person; null for those whom the shop named.
    parent uuid references referrers (id),
    depth integer not null check (depth >= 0),
    -- The number of friends who have a code of their own from this person's.
    children integer not null default 0 check (children >= 0),
    -- Null if nobody asked for it: a friend gets a code by redeeming.
    request_digest bytea,
    at timestamptz not null default now(),
    unique (campaign_no, address)
);

create index referrers_by_parent on referrers (parent) where parent is not null;
create index referrers_by_address on referrers (address);

-- Friends who confirmed a redemption.
create table referrals (
    redemption_id uuid primary key,
    campaign_no bigint not null,
    referrer_id uuid not null references referrers (id),
    -- The keyed digest of the strict form of the friend's address.
    referee text collate "C" not null,
    state text not null check (state in ('pending', 'rewarded', 'void')),
    -- When a pending one is rewarded; null if there is nothing to wait for.
    reward_due_at timestamptz,
    -- The referrer's reward. It is no longer valid if the referral is void.
    reward_code text collate "C",
    at timestamptz not null default now(),
    check (state <> 'rewarded' or reward_due_at is null)
);

create unique index referrals_once on referrals (campaign_no, referee) where state <> 'void';
create index referrals_by_referrer on referrals (referrer_id);
create index referrals_due on referrals (reward_due_at) where state = 'pending' and reward_due_at is not null;

-- A code that was issued and is no longer valid: the reward of a referral that became void.
alter table assignments add column revoked_at timestamptz;

-- References that get the offer of a campaign.
create table affiliate_rules (
    no bigint generated always as identity primary key,
    name text collate "C" not null unique,
    mask text not null,
    prefix text not null,
    -- The campaign's name.
    campaign text collate "C" not null,
    active boolean not null,
    priority integer not null,
    -- A list of objects with "from" and "to"; empty is always.
    periods json not null,
    -- How many there are: counting a million takes long.
    exclusions bigint not null default 0 check (exclusions >= 0),
    -- The version in kept_versions that changed them last, so that others are not read again.
    exclusions_version bigint not null,
    -- Since this version, all changes of exclusions stand in affiliate_exclusion_changes.
    list_version bigint not null,
    changed_at timestamptz not null default now()
);

create table affiliate_exclusions (
    rule_no bigint not null references affiliate_rules (no) on delete cascade,
    reference text collate "C" not null,
    affiliate text,
    promotion text,
    note text,
    primary key (rule_no, reference)
);

-- References that were excluded, or included again, one by one: processes need not read the whole list for them.
create table affiliate_exclusion_changes (
    rule_no bigint not null references affiliate_rules (no) on delete cascade,
    version bigint not null,
    reference text collate "C" not null,
    primary key (rule_no, version)
);

-- The version of what processes keep in memory. Whoever changes it adds one, and so waits for others that change it.
create table kept_versions (
    name text primary key,
    version bigint not null
);

insert into kept_versions (name, version) values ('affiliates', 0);

-- Clicks on links of campaigns.
create table clicks (
    id uuid primary key,
    campaign_no bigint not null,
    source text collate "C",
    ad text collate "C",
    affiliate text collate "C",
    -- The day of the click in its campaign's zone.
    day date not null,
    at timestamptz not null
);

create index clicks_by_time on clicks (at);

-- Codes that are issued are summed up by the day on which they were, in their campaign's zone. It is null in rows of programs that did
-- not sum them up, and is then taken in UTC.
alter table assignments add column day date;

insert into tallies (campaign_no, day, source, ad, affiliate, currency, metric, amount)
select campaign_no, (at at time zone 'UTC')::date, '', '', '', '', 'issued', count(*) from assignments group by 1, 2;

insert into schema_compatibility (schema_version, programs_from) values (12, 4);
