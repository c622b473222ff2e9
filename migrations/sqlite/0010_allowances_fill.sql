-- Nothing changes in SQLite, which keeps no space free for changes. The versions of both stores are the same.

insert into schema_compatibility (schema_version, programs_from) values (10, 4);
