-- Who asked for what, when, and what came of it; and the trace of a job. See the PostgreSQL migration of this number.

alter table jobs add column traceparent text;

create table audit (
    no integer primary key autoincrement,
    at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    actor text not null,
    -- Of a server; a file has none.
    role text,
    action text not null,
    job_id blob,
    mask text,
    count integer,
    campaign text,
    result text not null,
    detail text,
    digest blob
) strict;

create index audit_by_time on audit (at);
create index audit_by_job on audit (job_id) where job_id is not null;

create trigger audit_is_not_updated before update on audit
begin select raise(abort, 'the audit log is append-only'); end;

create trigger audit_is_not_deleted before delete on audit
begin select raise(abort, 'the audit log is append-only'); end;

-- `insert or replace` deletes without asking the trigger above.
create trigger audit_is_not_replaced before insert on audit when exists (select 1 from audit where no = new.no)
begin select raise(abort, 'the audit log is append-only'); end;
