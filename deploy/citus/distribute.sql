-- Distributes the codes over the nodes of a Citus cluster; jobs, chunks and all other tables stay on the coordinator, to which
-- all workers connect. Stop the workers, then run this file on the coordinator as a superuser, after `codemint migrate` and
-- roles.sql; docs/citus.md leads there, from empty machines on:
--
--     psql --file deploy/citus/distribute.sql postgres://postgres@coordinator/shop
--     psql -v shards=64 --file deploy/citus/distribute.sql postgres://postgres@coordinator/shop
--
-- Without `shards`, each node gets 8 shards, and a single one 16. Repeating it changes nothing. For a store in partitions, run
-- deploy/postgres/partitions.sql first: each partition is then distributed.

\set ON_ERROR_STOP on
\if :{?shards}
\else
\set shards ''
\endif

select set_config('codemint.shards', :'shards', false) as given \gset

do $$
declare
    given text := current_setting('codemint.shards');
    shards bigint;
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        raise exception 'role "%" is not a superuser, and only superusers can distribute tables; run this file with the URL of a superuser of database "%"', current_user, current_database();
    end if;
    -- More shards need more connections and more time for each statement that reads all of them.
    if given <> '' and (given !~ '^[0-9]{1,4}$' or given::integer not between 1 and 1024) then
        raise exception 'shards is "%"; set it to a number from 1 to 1024 with -v shards=N, or leave it out', given;
    end if;
    -- Not to_regproc, which finds no function that has two signatures.
    if not exists (select from pg_proc where proname = 'create_distributed_table' and pg_function_is_visible(oid)) then
        raise exception 'Citus is missing in database "%"; on EVERY machine, set shared_preload_libraries = ''citus'', restart PostgreSQL, and run "create extension citus" in database "%"', current_database(), current_database();
    end if;
    if to_regclass('codes') is null then
        raise exception 'table "codes" is missing in database "%"; run "codemint migrate" first', current_database();
    end if;

    if exists (select from pg_dist_partition where logicalrelid = 'codes'::regclass and partmethod = 'h') then
        select count(*) into shards from pg_dist_shard where logicalrelid = 'codes'::regclass;
        if given <> '' and given::integer <> shards then
            raise exception 'table "codes" is distributed over % shards already; to have % shards, stop all workers and run "select alter_distributed_table(''codes'', shard_count => %)"', shards, given, given;
        end if;
        return;
    end if;
    -- Nodes cannot finish what a crash of the coordinator left open unless they can reach it.
    if not exists (select from pg_dist_node where groupid = 0) then
        raise exception 'the nodes do not know the host of the coordinator; run "select citus_set_coordinator_host(''HOST'', PORT)", with an address that all nodes can reach';
    end if;
    -- Citus would place all shards on the coordinator.
    if not exists (select from pg_dist_node
                    where groupid <> 0 and noderole = 'primary' and isactive and shouldhaveshards) then
        raise exception 'no active node may hold shards; run "select citus_add_node(''HOST'', PORT)" for each node, and see isactive and shouldhaveshards in pg_dist_node';
    end if;
end $$;

-- An earlier version of this file set this for the database. It makes Citus repeat each statement that contains a `set local`.
select count(*) > 0 as was_set, format('alter database %I reset citus.propagate_set_commands', current_database()) as reset
  from pg_db_role_setting
 where setdatabase = (select oid from pg_database where datname = current_database()) and setrole = 0
   and 'citus.propagate_set_commands=local' = any (setconfig) \gset
\if :was_set
:reset;
\echo 'Reset citus.propagate_set_commands of the database, which an earlier version of this file had set.'
\endif

-- Citus connects to nodes as the role of the session, so the role must be able to log in there.
do $$
declare
    users name[] := array(
        select rolname from pg_roles member
         where rolcanlogin and not rolsuper
           and exists (select from pg_roles granted
                        where rolname in ('codemint_generator', 'codemint_reader', 'codemint_producer', 'codemint_marketer',
                                          'codemint_redeemer', 'codemint_server')
                          and pg_has_role(member.oid, granted.oid, 'member'))
         order by rolname);
    command text := format(
        'select coalesce(json_agg(rolname), ''[]'') from pg_roles where rolcanlogin and rolname = any (%L)', users::text);
    node record;
    missing text;
begin
    for node in select * from run_command_on_workers(command) order by nodename, nodeport loop
        if not node.success then
            raise warning 'node %:% did not answer which roles can log in there: %', node.nodename, node.nodeport, node.result;
            continue;
        end if;
        select string_agg(format('"%s"', name), ', ') into missing
          from unnest(users) name where not node.result::jsonb ? name::text;
        if missing is not null then
            raise warning 'at node %:%, these roles cannot log in, so their statements on codes will fail: %', node.nodename, node.nodeport, missing
                using hint = 'As a superuser of that node: set citus.enable_ddl_propagation = off; create role ROLE login password ''...''; or alter role ROLE login';
        end if;
    end loop;
end $$;

select count(*) as nodes,
       greatest(least(greatest(8 * count(*), 16), 1024 / nullif(count(*), 0) * count(*)), count(*)) as shards_by_nodes
  from pg_dist_node where groupid <> 0 and noderole = 'primary' and isactive and shouldhaveshards \gset
select count(*) > 0 as is_distributed from pg_dist_partition where logicalrelid = 'codes'::regclass and partmethod = 'h' \gset

\if :is_distributed
select count(*) as shards from pg_dist_shard where logicalrelid = 'codes'::regclass \gset
\echo 'Table "codes" is distributed already, over' :shards 'shards; nothing was changed. Active nodes for shards:' :nodes
\else
select coalesce(nullif(:'given', '')::integer, :shards_by_nodes) as shards, exists (select from codes) as had_codes \gset
-- The unique key of `codes` is its distribution column, so a code stays unique over all nodes. Codes move to the nodes.
select create_distributed_table('codes', 'code', shard_count => :shards, colocate_with => 'none') as done \gset
\echo 'Table "codes" is now distributed over' :shards 'shards. Active nodes for shards:' :nodes
\if :had_codes
\echo 'Next: run "select truncate_local_data_after_distributing_table(''codes'')", which frees the space of the codes on the coordinator.'
\endif
\echo 'Next: start the workers again; a process that was running does not know that the table is distributed.'
\endif
