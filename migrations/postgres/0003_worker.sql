-- The worker: jobs that come from a broker, and what is told about them.
--
-- An event is written in the transaction that makes it true, and published from here; so a broker that is away loses none.
-- A request that nobody can meet is kept as a failed job: it may ask for 0 codes, and its mask may be none.

alter table jobs
    add column priority smallint not null default 0 check (priority between 0 and 9),
    -- Whether events tell how the job goes.
    add column announced boolean not null default false,
    add column reply_to text,
    add column correlation_id text,
    -- Of the last progress event, by whichever worker.
    add column progress_at timestamptz,
    drop constraint jobs_count_check,
    add constraint jobs_count_check check (count > 0 or count = 0 and state = 'failed');

drop index jobs_unfinished;
create index jobs_unfinished on jobs (priority desc, no) where state in ('queued', 'running', 'cancelling');

-- How often a chunk could not be made for a reason that will not pass.
alter table chunks add column failures integer not null default 0;

create table outbox (
    -- In order per job: it is drawn while the job's row is locked, or not yet visible.
    no bigint generated always as identity primary key,
    job_no bigint not null references jobs (no),
    -- The same event has the same id, however often it is written or published.
    message_id text not null,
    message_type text not null,
    routing_key text not null,
    -- A queue to answer to; without it the event goes to the exchange for events.
    reply_to text,
    correlation_id text,
    payload text not null,
    created_at timestamptz not null default now()
);
