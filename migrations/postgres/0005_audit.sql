-- Who asked for what, when, and what came of it. A row is written in the transaction of what it tells of, so that none is missing
-- and none is invented. Rows are added, never changed or removed. No row holds a code: where a mask has one code only, its
-- SHA-256 stands here.
--
-- A job keeps the trace that asked for it, so that whoever works on it later goes on with that.

alter table jobs add column traceparent text;

create table audit (
    no bigint generated always as identity primary key,
    at timestamptz not null default now(),
    -- As the program tells it: a user of an operating system, or what a message says of its sender.
    actor text not null,
    -- As the database tells it.
    role text not null default session_user,
    action text not null,
    -- No reference: what was asked for is told also where there is no job.
    job_id uuid,
    mask text,
    count bigint,
    campaign text,
    result text not null,
    detail text,
    digest bytea
);

create index audit_by_time on audit (at);
create index audit_by_job on audit (job_id) where job_id is not null;

create function audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_append_only before update or delete or truncate on audit
    for each statement execute function audit_is_append_only();

-- Also in sessions that set session_replication_role.
alter table audit enable always trigger audit_append_only;
