-- The foundation: jobs, the chunks that they are minted in, and the codes. See the PostgreSQL migration of this number.
--
-- Text compares by byte in SQLite, as collate "C" does there. `codes` has no row id: the primary key is the table, so
-- a code is written once.

-- "CMNT": tells a file of ours from any other.
pragma application_id = 0x434d4e54;

create table jobs (
    no integer primary key,
    id blob not null unique,
    mask text not null,
    canonical_mask text not null,
    count integer not null check (count > 0),
    campaign text,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'cancelling', 'cancelled', 'completed', 'failed')),
    key blob,
    generator_version integer not null,
    chunk_size integer not null check (chunk_size > 0),
    minted integer,
    rejected integer,
    digest blob,
    error_code text,
    error_message text,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    started_at text,
    finished_at text,
    check ((state in ('cancelled', 'completed', 'failed')) = (key is null)),
    check ((state in ('cancelled', 'completed', 'failed')) = (minted is not null)),
    check (state <> 'completed' or minted = count)
) strict;

create index jobs_unfinished on jobs (no) where state in ('queued', 'running', 'cancelling');

create table chunks (
    run_no integer primary key,
    job_no integer not null references jobs (no),
    round integer not null,
    chunk_no integer not null,
    range_first text not null,
    range_last text not null,
    quota integer not null check (quota >= 0),
    state text not null default 'open' check (state in ('open', 'done', 'skipped')),
    minted integer not null default 0 check (minted between 0 and quota),
    rejected integer not null default 0,
    digest blob,
    done_at text,
    unique (job_no, round, chunk_no),
    check ((state = 'done') = (digest is not null)),
    check (state = 'done' or minted = 0)
) strict;

create index chunks_open on chunks (job_no, round, chunk_no) where state = 'open';

create table codes (
    code text primary key,
    run_no integer not null
) strict, without rowid;
