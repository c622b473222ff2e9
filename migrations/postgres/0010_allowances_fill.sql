-- Most allowances are those of private codes: they are written once, when the code is used, and change at a roll-back only. Half of each
-- page was kept free for changes.

alter table allowances set (fillfactor = 70);

insert into schema_compatibility (schema_version, programs_from) values (10, 4);
