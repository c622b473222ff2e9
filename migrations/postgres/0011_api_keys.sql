-- Keys of programs that call the HTTP API. A key is 256 random bits and is shown once, when it is created. Only its SHA-256 is
-- stored, from which nobody can compute it.
--
-- On a cluster of Citus, the table stays on the coordinator: docs/citus.md.

create table api_keys (
    id uuid primary key,
    name text check (char_length(name) between 1 and 100),
    digest bytea not null unique check (octet_length(digest) = 32),
    -- What the key permits: names between commas. A newer program may know more of them.
    scopes text not null,
    created_at timestamptz not null default now(),
    -- Null if it does not expire.
    expires_at timestamptz,
    -- Null unless it was revoked.
    revoked_at timestamptz,
    -- Written at most once an hour; null before the first use.
    last_used_at timestamptz
);

insert into schema_compatibility (schema_version, programs_from) values (11, 4);
