-- Keys of programs that call the HTTP API. See the PostgreSQL migration of this number.

create table api_keys (
    id blob primary key,
    name text check (length(name) between 1 and 100),
    digest blob not null unique check (length(digest) = 32),
    scopes text not null,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    expires_at text,
    revoked_at text,
    last_used_at text
) strict, without rowid;

insert into schema_compatibility (schema_version, programs_from) values (11, 4);
