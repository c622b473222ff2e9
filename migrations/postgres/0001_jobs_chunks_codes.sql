-- The foundation: jobs, the chunks that they are minted in, and the codes.
--
-- `codes` is narrow and insert-only, unique by `code` alone and without a foreign key, so that it can be partitioned or
-- distributed by `code`. Byte order (collate "C") is the order in which codes are drawn and written; any other order
-- would scatter the writes over the index.

create table jobs (
    no bigint generated always as identity primary key,
    id uuid not null unique,
    mask text not null,
    canonical_mask text not null,
    count bigint not null check (count > 0),
    campaign text,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'cancelling', 'cancelled', 'completed', 'failed')),
    key bytea,
    generator_version integer not null,
    chunk_size integer not null check (chunk_size > 0),
    minted bigint,
    rejected bigint,
    digest bytea,
    error_code text,
    error_message text,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    -- The key is erased, and the count is final, exactly when the job has ended.
    check ((state in ('cancelled', 'completed', 'failed')) = (key is null)),
    check ((state in ('cancelled', 'completed', 'failed')) = (minted is not null)),
    check (state <> 'completed' or minted = count)
);

create index jobs_unfinished on jobs (no) where state in ('queued', 'running', 'cancelling');

create table chunks (
    run_no bigint generated always as identity primary key,
    job_no bigint not null references jobs (no),
    round integer not null,
    chunk_no integer not null,
    range_first text collate "C" not null,
    range_last text collate "C" not null,
    quota integer not null check (quota >= 0),
    state text not null default 'open' check (state in ('open', 'done', 'skipped')),
    minted integer not null default 0 check (minted between 0 and quota),
    rejected integer not null default 0,
    digest bytea,
    done_at timestamptz,
    unique (job_no, round, chunk_no),
    check ((state = 'done') = (digest is not null)),
    check (state = 'done' or minted = 0)
);

create index chunks_open on chunks (job_no, round, chunk_no) where state = 'open';

create table codes (
    code text collate "C" primary key,
    run_no bigint not null
);

-- Finds the codes of a run at no cost to inserts. Without autosummarize every page since the last vacuum would be read.
create index codes_run_no on codes using brin (run_no) with (autosummarize = on);
