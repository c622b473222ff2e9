-- Which programs work with a schema: a file is upgraded by the first new program that opens it, while others are at work. See
-- the PostgreSQL migration of this number.

create table schema_compatibility (
    schema_version integer primary key,
    programs_from integer not null check (programs_from between 1 and schema_version)
) strict;

insert into schema_compatibility (schema_version, programs_from) values (6, 4);
