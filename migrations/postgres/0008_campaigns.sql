-- Campaigns: what codes are for, and whose they are.
--
-- A campaign is one value, its definition; each change makes a new version. Codes belong to the campaign that their job names. A
-- code of a restricted campaign is for one identity, which is bound to it in `assignments`, or nobody's yet, in `pool`. A
-- job for such codes has a kind of its own, so that programs that know nothing of identities leave it alone.
--
-- On a cluster of Citus, campaigns, their versions and segments can be reference tables, the pool belongs beside the codes,
-- assignments are found by identity, and the rest stays on the coordinator: docs/citus.md.

create table campaigns (
    no bigint generated always as identity primary key,
    name text collate "C" not null unique,
    -- What is asked often; the rest is in the definition.
    kind text not null check (kind in ('public', 'private', 'restricted')),
    active boolean not null,
    version integer not null check (version > 0),
    starts_at timestamptz,
    ends_at timestamptz,
    created_at timestamptz not null default now()
);

create table campaign_versions (
    campaign_no bigint not null references campaigns (no),
    version integer not null check (version > 0),
    definition json not null,
    made_at timestamptz not null default now(),
    made_by text not null,
    primary key (campaign_no, version)
);

-- A limit of one subject. Unlimited has no row.
create table allowances (
    campaign_no bigint not null references campaigns (no),
    scope text collate "C" not null check (scope in ('campaign', 'code', 'identity', 'budget', 'issued')),
    -- A code, the keyed digest of an identity, a currency; empty where the campaign is the subject.
    subject text collate "C" not null,
    quota bigint not null check (quota > 0),
    taken bigint not null default 0,
    -- What is taken by redemptions that are no longer stored.
    pruned bigint not null default 0 check (pruned between 0 and taken),
    primary key (campaign_no, scope, subject),
    check (taken between 0 and quota)
) with (fillfactor = 50);

create table pool (
    campaign_no bigint not null references campaigns (no),
    code text collate "C" not null,
    primary key (campaign_no, code)
);

create table assignments (
    campaign_no bigint not null references campaigns (no),
    -- The keyed digest of the identity.
    identity text collate "C" not null,
    code text collate "C" not null unique,
    -- The identity itself; null once it was forgotten.
    identity_text text,
    cause text not null check (cause in ('list', 'issue', 'trigger')),
    trigger_id text,
    at timestamptz not null default now(),
    primary key (campaign_no, identity)
);

create table segments (
    name text collate "C" primary key,
    tree json,
    changed_at timestamptz not null default now()
);

create table segment_members (
    segment text collate "C" not null references segments (name) on delete cascade,
    identity text collate "C" not null,
    primary key (segment, identity)
);

create index segment_members_by_identity on segment_members (identity);

-- Random bytes that belong to the store: with them, digests of identities cannot be guessed.
create table secrets (
    name text primary key,
    bytes bytea not null
);

-- The list of a job: identities, one per line, in the order in which its codes go to them. A list is loaded before its job
-- is accepted, and removed when the job has ended.
create table job_identities (
    list_id uuid not null,
    -- The number of identities before this page.
    first_place bigint not null check (first_place >= 0),
    identities text not null,
    loaded_at timestamptz not null default now(),
    primary key (list_id, first_place)
);

-- A list is read once.
alter table job_identities alter column identities set storage external;

alter table jobs
    -- Where the codes of a restricted campaign go: to the identities of a list, or into the pool.
    add column restricted_to text check (restricted_to in ('list', 'pool')),
    add column list_id uuid,
    drop constraint jobs_kind_check,
    add constraint jobs_kind_check check (kind in ('mint', 'import', 'waiting', 'restricted')),
    add constraint jobs_restricted_alike check (kind <> 'restricted' or restricted_to is not null);

create index jobs_by_campaign on jobs (campaign, no) where campaign is not null;

insert into schema_compatibility (schema_version, programs_from) values (8, 4);
