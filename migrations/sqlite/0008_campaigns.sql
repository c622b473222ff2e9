-- Campaigns: what codes are for, and whose they are. See the PostgreSQL migration of this number. SQLite cannot change a
-- constraint, so jobs are made anew; references to them are looked at when all is done.

pragma defer_foreign_keys = on;

create table old_jobs as select * from jobs;
drop table jobs;

create table jobs (
    no integer primary key,
    id blob not null unique,
    kind text not null default 'mint' check (kind in ('mint', 'import', 'waiting', 'restricted')),
    mask text,
    canonical_mask text,
    mask_no integer references masks (mask_no),
    count integer not null check (count > 0 or count = 0 and state = 'failed'),
    campaign text,
    priority integer not null default 0 check (priority between 0 and 9),
    announced integer not null default 0 check (announced in (0, 1)),
    reply_to text,
    correlation_id text,
    traceparent text,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'cancelling', 'cancelled', 'completed', 'failed')),
    waits_for text,
    restricted_to text check (restricted_to in ('list', 'pool')),
    list_id blob,
    key blob,
    generator_version integer not null,
    chunk_size integer not null check (chunk_size > 0),
    check_fingerprint text,
    deny_digest blob,
    source_digest blob,
    minted integer,
    rejected integer,
    conflicts integer,
    reserved integer,
    denied integer,
    false_positives integer,
    digest blob,
    error_code text,
    error_message text,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    started_at text,
    progress_at text,
    finished_at text,
    check ((state in ('cancelled', 'completed', 'failed') or kind = 'import') = (key is null)),
    check ((state in ('cancelled', 'completed', 'failed')) = (minted is not null)),
    check (state <> 'completed' or minted + case kind when 'import' then rejected else 0 end = count),
    check ((kind = 'import') = (mask is null) and (kind = 'import') = (source_digest is not null)),
    check (kind <> 'waiting' or state <> 'running' and started_at is null),
    check (kind <> 'waiting' or waits_for is not null),
    check (kind <> 'restricted' or restricted_to is not null)
) strict;

insert into jobs (no, id, kind, mask, canonical_mask, mask_no, count, campaign, priority, announced, reply_to,
                  correlation_id, traceparent, state, key, generator_version, chunk_size, check_fingerprint, deny_digest,
                  source_digest, minted, rejected, conflicts, reserved, denied, false_positives, digest, error_code,
                  error_message, created_at, started_at, progress_at, finished_at, waits_for)
select no, id, kind, mask, canonical_mask, mask_no, count, campaign, priority, announced, reply_to, correlation_id,
       traceparent, state, key, generator_version, chunk_size, check_fingerprint, deny_digest, source_digest, minted,
       rejected, conflicts, reserved, denied, false_positives, digest, error_code, error_message, created_at, started_at,
       progress_at, finished_at, waits_for
  from old_jobs;

drop table old_jobs;

create index jobs_unfinished on jobs (priority desc, no) where state in ('queued', 'running', 'cancelling');
create index jobs_waiting on jobs (no) where kind = 'waiting' and state = 'queued';

create index jobs_by_campaign on jobs (campaign, no) where campaign is not null;

create table campaigns (
    no integer primary key,
    name text not null unique,
    kind text not null check (kind in ('public', 'private', 'restricted')),
    active integer not null check (active in (0, 1)),
    version integer not null check (version > 0),
    starts_at text,
    ends_at text,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) strict;

create table campaign_versions (
    campaign_no integer not null references campaigns (no),
    version integer not null check (version > 0),
    definition text not null check (json_valid(definition)),
    made_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    made_by text not null,
    primary key (campaign_no, version)
) strict, without rowid;

create table allowances (
    campaign_no integer not null references campaigns (no),
    scope text not null check (scope in ('campaign', 'code', 'identity', 'budget', 'issued')),
    subject text not null,
    quota integer not null check (quota > 0),
    taken integer not null default 0,
    pruned integer not null default 0 check (pruned between 0 and taken),
    primary key (campaign_no, scope, subject),
    check (taken between 0 and quota)
) strict, without rowid;

create table pool (
    campaign_no integer not null references campaigns (no),
    code text not null,
    primary key (campaign_no, code)
) strict, without rowid;

create table assignments (
    campaign_no integer not null references campaigns (no),
    identity text not null,
    code text not null unique,
    identity_text text,
    cause text not null check (cause in ('list', 'issue', 'trigger')),
    trigger_id text,
    at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    primary key (campaign_no, identity)
) strict, without rowid;

create table segments (
    name text primary key,
    tree text check (json_valid(tree)),
    changed_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) strict, without rowid;

create table segment_members (
    segment text not null references segments (name) on delete cascade,
    identity text not null,
    primary key (segment, identity)
) strict, without rowid;

create index segment_members_by_identity on segment_members (identity);

create table secrets (
    name text primary key,
    bytes blob not null
) strict, without rowid;

create table job_identities (
    list_id blob not null,
    first_place integer not null check (first_place >= 0),
    identities text not null,
    loaded_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    primary key (list_id, first_place)
) strict;

insert into schema_compatibility (schema_version, programs_from) values (8, 4);
