-- A job waits for room if other unfinished jobs may take the codes that it needs. See the PostgreSQL migration of this
-- number. SQLite cannot change a constraint, so jobs are made anew; references to them are looked at when all is done.

pragma defer_foreign_keys = on;

create table old_jobs as select * from jobs;
drop table jobs;

create table jobs (
    no integer primary key,
    id blob not null unique,
    kind text not null default 'mint' check (kind in ('mint', 'import', 'waiting')),
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
    check (kind <> 'waiting' or waits_for is not null)
) strict;

insert into jobs (no, id, kind, mask, canonical_mask, mask_no, count, campaign, priority, announced, reply_to,
                  correlation_id, traceparent, state, key, generator_version, chunk_size, check_fingerprint, deny_digest,
                  source_digest, minted, rejected, conflicts, reserved, denied, false_positives, digest, error_code,
                  error_message, created_at, started_at, progress_at, finished_at)
select no, id, kind, mask, canonical_mask, mask_no, count, campaign, priority, announced, reply_to, correlation_id,
       traceparent, state, key, generator_version, chunk_size, check_fingerprint, deny_digest, source_digest, minted,
       rejected, conflicts, reserved, denied, false_positives, digest, error_code, error_message, created_at, started_at,
       progress_at, finished_at
  from old_jobs;

drop table old_jobs;

create index jobs_unfinished on jobs (priority desc, no) where state in ('queued', 'running', 'cancelling');
create index jobs_waiting on jobs (no) where kind = 'waiting' and state = 'queued';

insert into schema_compatibility (schema_version, programs_from) values (7, 4);
