-- A job waits for room if other unfinished jobs may take the codes that it needs: it is accepted, but has no chunks and
-- may not start before enough codes are certain to be free. It has a kind of its own, so that programs that know
-- nothing of waiting leave it alone; once it is decided, it is a job like any other.

alter table jobs
    -- The reason, for people.
    add column waits_for text,
    drop constraint jobs_kind_check,
    add constraint jobs_kind_check check (kind in ('mint', 'import', 'waiting')),
    add constraint jobs_waiting_not_started check (kind <> 'waiting' or state <> 'running' and started_at is null),
    add constraint jobs_waiting_with_reason check (kind <> 'waiting' or waits_for is not null);

create index jobs_waiting on jobs (no) where kind = 'waiting' and state = 'queued';

insert into schema_compatibility (schema_version, programs_from) values (7, 4);
