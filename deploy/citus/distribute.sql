-- Distributes the codes over the nodes of a Citus cluster; jobs, chunks and everything else stay on the coordinator.
--
--     codemint --store postgres://owner@coordinator/shop migrate
--     psql postgres://owner@coordinator/shop --file deploy/citus/distribute.sql
--
-- NOT RUN: this file and Codemint were never run on Citus. It follows Citus's documentation, and a test of Codemint reads
-- its own statements for what Citus refuses (tests/it/citus.rs). Try it on a copy first. docs/scaling.md says what differs.
--
-- Instead of `codemint migrate --partitions`, not besides it. Workers connect to the coordinator.

\set ON_ERROR_STOP on

create extension if not exists citus;

begin;

-- The unique key of `codes` is its distribution column, so a code stays unique over all nodes. Codes that are there already
-- move to the nodes.
select create_distributed_table('codes', 'code', shard_count => 32, colocate_with => 'none');

-- Looking codes up tells the planner what to do with `set local`; that must reach the nodes, where the indexes are.
do $$
begin
    execute format('alter database %I set citus.propagate_set_commands = %L', current_database(), 'local');
end $$;

commit;
