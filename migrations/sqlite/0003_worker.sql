-- The worker: jobs that come from a broker, and what is told about them. See the PostgreSQL migration of this number.
-- SQLite cannot change a constraint, so jobs are made anew; references to them are looked at when all is done.

pragma defer_foreign_keys = on;

create table old_jobs as select * from jobs;
drop table jobs;

create table jobs (
    no integer primary key,
    id blob not null unique,
    kind text not null default 'mint' check (kind in ('mint', 'import')),
    mask text,
    canonical_mask text,
    mask_no integer references masks (mask_no),
    count integer not null check (count > 0 or count = 0 and state = 'failed'),
    campaign text,
    priority integer not null default 0 check (priority between 0 and 9),
    announced integer not null default 0 check (announced in (0, 1)),
    reply_to text,
    correlation_id text,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'cancelling', 'cancelled', 'completed', 'failed')),
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
    check ((kind = 'import') = (mask is null) and (kind = 'import') = (source_digest is not null))
) strict;

insert into jobs (no, id, kind, mask, canonical_mask, mask_no, count, campaign, state, key, generator_version, chunk_size,
                  check_fingerprint, deny_digest, source_digest, minted, rejected, conflicts, reserved, denied,
                  false_positives, digest, error_code, error_message, created_at, started_at, finished_at)
select no, id, kind, mask, canonical_mask, mask_no, count, campaign, state, key, generator_version, chunk_size,
       check_fingerprint, deny_digest, source_digest, minted, rejected, conflicts, reserved, denied, false_positives,
       digest, error_code, error_message, created_at, started_at, finished_at
  from old_jobs;

drop table old_jobs;

create index jobs_unfinished on jobs (priority desc, no) where state in ('queued', 'running', 'cancelling');

alter table chunks add column failures integer not null default 0;

create table outbox (
    no integer primary key autoincrement,
    job_no integer not null references jobs (no),
    message_id text not null,
    message_type text not null,
    routing_key text not null,
    reply_to text,
    correlation_id text,
    payload text not null,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) strict;
