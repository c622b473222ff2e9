-- A coordinator of Citus, staged on plain PostgreSQL: the tables and functions that our files use, with Citus's names, columns
-- and signatures, in the schema public. They record calls and distribute nothing.

create schema citus;
create type citus.distribution_type as enum ('hash', 'range', 'append');
create type noderole as enum ('primary', 'secondary', 'unavailable');

create table pg_dist_node (
    nodeid serial primary key,
    groupid integer not null,
    nodename text not null,
    nodeport integer not null default 5432,
    noderack text not null default 'default',
    hasmetadata boolean not null default true,
    isactive boolean not null default true,
    noderole noderole not null default 'primary',
    nodecluster name not null default 'default',
    metadatasynced boolean not null default true,
    shouldhaveshards boolean not null default true,
    unique (nodename, nodeport)
);
create table pg_dist_partition (
    logicalrelid regclass primary key,
    partmethod "char" not null,
    partkey text,
    colocationid integer not null default 0,
    repmodel "char" not null default 's',
    autoconverted boolean not null default false
);
create table pg_dist_shard (
    logicalrelid regclass not null,
    shardid bigserial primary key,
    shardstorage "char" not null default 't',
    shardminvalue text,
    shardmaxvalue text
);
create table staged_calls (no serial primary key, call text not null);
grant select on pg_dist_node, pg_dist_partition, pg_dist_shard to public;

create function citus_set_coordinator_host(host text, port integer default current_setting('port')::integer,
                                           node_role noderole default 'primary', node_cluster name default 'default')
returns void language sql strict as $$
    insert into pg_dist_node (groupid, nodename, nodeport, noderole, nodecluster, shouldhaveshards)
    values (0, host, port, node_role, node_cluster, false);
$$;

-- Adding a node again returns the one that is there, as Citus does.
create function citus_add_node(nodename text, nodeport integer, groupid integer default -1,
                               noderole noderole default 'primary', nodecluster name default 'default')
returns integer language sql strict as $$
    insert into pg_dist_node (groupid, nodename, nodeport, noderole, nodecluster)
    select coalesce(max(node.groupid), 0) + 1, $1, $2, $4, $5 from pg_dist_node node
        on conflict do nothing;
    select nodeid from pg_dist_node node where node.nodename = $1 and node.nodeport = $2;
$$;

create function create_distributed_table(table_name regclass, distribution_column text,
                                         distribution_type citus.distribution_type default 'hash',
                                         colocate_with text default 'default', shard_count integer default null)
returns void language plpgsql as $$
begin
    if exists (select from pg_dist_partition where logicalrelid = table_name) then
        raise exception 'table "%" is already distributed', table_name;
    end if;
    insert into staged_calls (call) values (format('%s %s %s %s %s', table_name, distribution_column, distribution_type,
                                                   colocate_with, shard_count));
    insert into pg_dist_partition (logicalrelid, partmethod, partkey) values (table_name, 'h', distribution_column);
    insert into pg_dist_shard (logicalrelid) select table_name from generate_series(1, shard_count);
end $$;

-- Runs the command once for each node, on this server. What a node has otherwise is in a schema with the name of the node.
create function run_command_on_workers(command text, parallel boolean default true, out nodename text, out nodeport integer,
                                       out success boolean, out result text)
returns setof record language plpgsql as $$
declare
    here text := current_setting('search_path');
begin
    for nodename, nodeport in
        select node.nodename, node.nodeport from pg_dist_node node
         where groupid <> 0 and noderole = 'primary' and isactive order by 1, 2 loop
        if to_regclass(format('%I.unreachable', nodename)) is not null then
            success := false;
            result := 'connection refused';
        else
            perform set_config('search_path', format('%I, pg_catalog', nodename), true);
            execute command into result;
            perform set_config('search_path', here, true);
            success := true;
        end if;
        return next;
    end loop;
end $$;
