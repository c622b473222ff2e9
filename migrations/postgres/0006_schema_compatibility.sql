-- Which programs work with a schema, so that `codemint migrate` comes first and workers are replaced after it, one by one. A
-- program that starts at a schema newer than its own asks here whether it may.
--
-- A migration adds a row for itself. One that adds none is for its own program alone.

create table schema_compatibility (
    schema_version bigint primary key,
    -- Programs whose own schema is this one or a later one work with it.
    programs_from bigint not null check (programs_from between 1 and schema_version)
);

-- Nothing that the program of version 4 reads or writes has changed since.
insert into schema_compatibility (schema_version, programs_from) values (6, 4);
