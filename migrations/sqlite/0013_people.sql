-- People who use the console: users with their roles, their sessions, and the invitations by which they choose a password. See the
-- PostgreSQL migration of this number.

create table users (
    id blob primary key,
    login text not null unique check (length(login) between 1 and 100),
    password_hash text,
    role text not null check (role in ('viewer', 'marketer', 'affiliates', 'support', 'admin')),
    generation integer not null default 1,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    signed_in_at text
) strict, without rowid;

create table sessions (
    digest blob primary key check (length(digest) = 32),
    user_id blob not null references users (id) on delete cascade,
    generation integer not null,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    seen_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    expires_at text not null
) strict, without rowid;

create index sessions_by_user on sessions (user_id);
create index sessions_by_use on sessions (seen_at);

create table invitations (
    digest blob primary key check (length(digest) = 32),
    user_id blob references users (id) on delete cascade,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    expires_at text not null,
    used_at text
) strict, without rowid;

create index invitations_by_user on invitations (user_id);
create index invitations_by_end on invitations (expires_at);

insert into schema_compatibility (schema_version, programs_from) values (13, 4);
