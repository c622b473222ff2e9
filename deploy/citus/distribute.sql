-- Distributes the codes over the nodes of a Citus cluster; jobs, chunks and all other tables stay on the coordinator.
--
--     codemint --store postgres://owner@coordinator/shop migrate
--     psql postgres://owner@coordinator/shop --file deploy/citus/distribute.sql
--
-- NOT RUN: this file and Codemint were never run on Citus. It follows Citus's documentation, and a test of Codemint checks
-- its own statements for what Citus refuses (tests/store/citus.rs). Try it on a copy first. docs/scaling.md lists the differences.
--
-- Use this instead of deploy/postgres/partitions.sql, not together with it. Workers connect to the coordinator.

\set ON_ERROR_STOP on

create extension if not exists citus;

begin;

-- The unique key of `codes` is its distribution column, so a code stays unique over all nodes. Existing codes
-- move to the nodes.
select create_distributed_table('codes', 'code', shard_count => 32, colocate_with => 'none');

-- Code look-ups direct the planner with `set local`; these settings must reach the nodes, where the indexes are.
do $$
begin
    execute format('alter database %I set citus.propagate_set_commands = %L', current_database(), 'local');
end $$;

commit;
