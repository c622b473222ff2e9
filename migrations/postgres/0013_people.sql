-- People who use the console: users with their roles, their sessions, and the invitations by which they choose a password. Of tokens,
-- which are 256 random bits, only the SHA-256 is stored, from which nobody can compute them.
--
-- On a cluster of Citus, the tables stay on the coordinator: docs/citus.md.

create table users (
    id uuid primary key,
    -- In lower case and composed (NFC), so that it exists once.
    login text collate "C" not null unique check (char_length(login) between 1 and 100),
    -- A PHC string of argon2id. Null until the person has chosen a password.
    password_hash text,
    role text not null check (role in ('viewer', 'marketer', 'affiliates', 'support', 'admin')),
    -- One more ends all sessions that began before.
    generation bigint not null default 1,
    created_at timestamptz not null default now(),
    -- Null before the first time.
    signed_in_at timestamptz
);

create table sessions (
    digest bytea primary key check (octet_length(digest) = 32),
    user_id uuid not null references users (id) on delete cascade,
    -- The generation of the user when the session began. It is over if they differ.
    generation bigint not null,
    created_at timestamptz not null default now(),
    -- Written at most once a minute.
    seen_at timestamptz not null default now(),
    -- The absolute end, however the session is used.
    expires_at timestamptz not null
);

create index sessions_by_user on sessions (user_id);
create index sessions_by_use on sessions (seen_at);

create table invitations (
    digest bytea primary key check (octet_length(digest) = 32),
    -- Null for the first user, who chooses a login and becomes an administrator.
    user_id uuid references users (id) on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    -- Null unless it was accepted.
    used_at timestamptz
);

create index invitations_by_user on invitations (user_id);
create index invitations_by_end on invitations (expires_at);

insert into schema_compatibility (schema_version, programs_from) values (13, 4);
