-- Never a duplicate, never a wrong count: what says which codes may exist already. See the PostgreSQL migration of this
-- number. SQLite cannot change a constraint, so jobs and chunks are made anew; the codes stay where they are.

create table masks (
    mask_no integer primary key,
    mask text not null unique,
    code_length integer not null,
    first_code text not null,
    last_code text not null,
    codes integer not null check (codes >= 0)
) strict;

create index masks_by_range on masks (code_length, first_code, last_code);

insert into masks (mask, code_length, first_code, last_code, codes)
select j.canonical_mask, min(length(r.first_code)), min(r.first_code), max(r.last_code), sum(coalesce(j.minted, j.count))
  from jobs j
  join (select job_no, min(range_first) as first_code, max(range_last) as last_code
          from chunks where round = 0 group by job_no) r on r.job_no = j.no
 group by j.canonical_mask;

create table old_chunks as select * from chunks;
create table old_jobs as select * from jobs;
drop table chunks;
drop table jobs;

create table jobs (
    no integer primary key,
    id blob not null unique,
    kind text not null default 'mint' check (kind in ('mint', 'import')),
    mask text,
    canonical_mask text,
    mask_no integer references masks (mask_no),
    count integer not null check (count > 0),
    campaign text,
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
    finished_at text,
    check ((state in ('cancelled', 'completed', 'failed') or kind = 'import') = (key is null)),
    check ((state in ('cancelled', 'completed', 'failed')) = (minted is not null)),
    check (state <> 'completed' or minted + case kind when 'import' then rejected else 0 end = count),
    check ((kind = 'import') = (mask is null) and (kind = 'import') = (source_digest is not null))
) strict;

insert into jobs (no, id, mask, canonical_mask, mask_no, count, campaign, state, key, generator_version, chunk_size,
                  minted, rejected, digest, error_code, error_message, created_at, started_at, finished_at)
select j.no, j.id, j.mask, j.canonical_mask, m.mask_no, j.count, j.campaign, j.state, j.key, j.generator_version,
       j.chunk_size, j.minted, j.rejected, j.digest, j.error_code, j.error_message, j.created_at, j.started_at, j.finished_at
  from old_jobs j
  join masks m on m.mask = j.canonical_mask;

create index jobs_unfinished on jobs (no) where state in ('queued', 'running', 'cancelling');

create table chunks (
    run_no integer primary key,
    job_no integer not null references jobs (no),
    mask_no integer not null references masks (mask_no),
    round integer not null,
    chunk_no integer not null,
    range_first text not null,
    range_last text not null,
    quota integer not null check (quota >= 0),
    state text not null default 'open' check (state in ('open', 'done', 'skipped')),
    minted integer not null default 0 check (minted between 0 and quota),
    screening text,
    rejected integer not null default 0,
    conflicts integer not null default 0,
    reserved integer not null default 0,
    denied integer not null default 0,
    false_positives integer not null default 0,
    digest blob,
    done_at text,
    -- Last, so that whoever does not ask for it does not read it.
    filter blob,
    unique (job_no, round, chunk_no),
    check ((state = 'done') = (digest is not null)),
    check (state = 'done' or minted = 0)
) strict;

insert into chunks (run_no, job_no, mask_no, round, chunk_no, range_first, range_last, quota, state, minted, rejected,
                    digest, done_at)
select c.run_no, c.job_no, j.mask_no, c.round, c.chunk_no, c.range_first, c.range_last, c.quota, c.state, c.minted,
       c.rejected, c.digest, c.done_at
  from old_chunks c
  join jobs j on j.no = c.job_no;

drop table old_chunks;
drop table old_jobs;

create index chunks_open on chunks (job_no, round, chunk_no) where state = 'open';

-- A done run's range is the range of its codes: a run of one code is told by its range, and needs no filter.
create index chunks_runs on chunks (mask_no, range_first, range_last) where minted > 0 and range_first < range_last;
create index chunks_single_codes on chunks (mask_no, range_first) where minted > 0 and range_first = range_last;

create table reserved (
    mask text primary key,
    code_length integer not null,
    note text,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) strict, without rowid;
