-- Cuts the table of codes into partitions by the hash of the code: many small indexes instead of a large one. docs/scaling.md
-- says when that helps. Run it once, after `codemint migrate`, while the store is empty, as the owner of the tables:
--
--     codemint --store postgres://owner@db/shop migrate
--     psql -v partitions=8 --file deploy/postgres/partitions.sql postgres://owner@db/shop
--
-- A table cannot be turned into a partitioned one, so the empty table is replaced; owner and rights stay, and rights on the
-- whole suffice for its partitions. It waits for current writers. Repeating it with the same number changes nothing. No
-- statement of Codemint depends on partitions. On Citus, run it before deploy/citus/distribute.sql.

\set ON_ERROR_STOP on
\if :{?partitions}
\else
\set partitions ''
\endif

select set_config('codemint.partitions', :'partitions', false) as partitions \gset

do $$
declare
    given text := current_setting('codemint.partitions');
    wanted integer;
    found integer;
    stored bigint;
    owner text := (select relowner::regrole::text from pg_class where oid = 'codes'::regclass);
    rights text[] := array(
        select format('grant %s on codes to %s%s', privilege_type,
                      case grantee when 0 then 'public' else grantee::regrole::text end,
                      case when is_grantable then ' with grant option' else '' end)
          from pg_class, aclexplode(relacl)
         where oid = 'codes'::regclass and grantee <> relowner);
    statement text;
begin
    -- A foreign key, a lock or a plan touches all partitions: more cost more than they help.
    if given !~ '^[0-9]{1,4}$' or given::integer not between 2 and 1024 then
        raise exception 'partitions is "%"; set it to a number from 2 to 1024 with -v partitions=N', given;
    end if;
    wanted := given::integer;

    -- Dropping a distributed table would take its shards from the nodes, and the new one would be on the coordinator alone.
    if to_regclass('pg_dist_partition') is not null then
        if exists (select from pg_dist_partition where logicalrelid = 'codes'::regclass) then
            select count(*) into found from pg_inherits where inhparent = 'codes'::regclass;
            if found = wanted then
                return;
            end if;
            raise exception 'table "codes" is distributed over the nodes of Citus, and must be partitioned before it is distributed; create a new store, partition it, run deploy/citus/distribute.sql there, and move the contents of this one there, as described in docs/scaling.md';
        end if;
    end if;

    lock table codes in access exclusive mode;
    select count(*) into found from pg_inherits where inhparent = 'codes'::regclass
       and exists (select 1 from pg_class where oid = 'codes'::regclass and relkind = 'p');
    if found = wanted then
        return;
    elsif found > 0 then
        raise exception 'the store has % partitions already, and their number cannot be changed; for %, create a new store and move the contents of this one there, as described in docs/scaling.md', found, wanted;
    end if;
    select count(*) into stored from codes;
    if stored > 0 then
        raise exception 'only an empty store can be partitioned, and this one holds % codes; partition a new store and move the contents of this one there, as described in docs/scaling.md', stored;
    end if;

    drop table codes;
    create table codes (
        code text collate "C" primary key,
        run_no bigint not null
    ) partition by hash (code);
    for remainder in 0 .. wanted - 1 loop
        execute format('create table codes_%s partition of codes for values with (modulus %s, remainder %s)',
                       remainder, wanted, remainder);
        execute format('alter table codes_%s owner to %s', remainder, owner);
    end loop;
    execute format('alter table codes owner to %s', owner);
    foreach statement in array rights loop
        execute statement;
    end loop;
end $$;
