//! A plain PostgreSQL database that behaves like the coordinator of a Citus cluster where that matters: Citus itself is not
//! needed. `codes` becomes a view over the table `codes_at_nodes`, and functions of the database stand for those of Citus.
//! What a coordinator does with statements on a distributed table:
//!
//! - It refuses plans for unknown values.
//! - It reports errors of rows that are written at a node as XX000, in the language of the node.
//! - It loses the order of rows inside an aggregate.
//! - It shows a session that waits for nodes as if it waited for its client.

use crate::codemint::Codemint;
use crate::stores::TestStore;

/// The number of shards of `codes`.
pub const SHARDS: i64 = 32;

const STAGE: &str = r#"
    create table pg_dist_partition (logicalrelid regclass primary key, partmethod "char");
    grant select on pg_dist_partition to public;
    alter table codes rename to codes_at_nodes;

    create function refuse_generic_plans() returns boolean stable language plpgsql as $$
    begin
        if current_setting('plan_cache_mode') = 'force_generic_plan' then
            raise exception 'could not create distributed plan';
        end if;
        return true;
    end $$;
    create view codes as select code, run_no from codes_at_nodes where refuse_generic_plans();
    insert into pg_dist_partition values ('codes', 'h');

    create table faults (code text, message text, times int, seconds float);
    create sequence faults_met;
    create function write_at_node() returns trigger language plpgsql as $$
    declare
        fault record;
    begin
        if current_setting('citus.multi_shard_modify_mode', true) is distinct from 'sequential' then
            raise exception 'a connection is opened to each shard';
        end if;
        select * into fault from faults;
        if found and nextval('faults_met') <= fault.times then
            if fault.code is not null then
                raise exception using errcode = fault.code, message = fault.message;
            end if;
            perform pg_sleep(fault.seconds);
        end if;
        insert into codes_at_nodes values (new.code, new.run_no);
        return new;
    exception when unique_violation then
        raise exception using errcode = 'XX000',
            message = 'doppelter Schlüsselwert verletzt Unique-Constraint »codes_pkey_102029«';
    end $$;
    create trigger write_at_node instead of insert on codes for each row execute function write_at_node();

    create function get_shard_id_for_distribution_column(regclass, text) returns bigint immutable language sql as
        $$ select 102008 + abs(hashtext($2) % 32) $$;
    create function run_command_on_workers(command text, out nodename text, out nodeport int, out success bool, out result text)
        returns setof record language plpgsql as $$
    begin
        nodename := 'node'; nodeport := 5432; success := true;
        execute command into result;
        return next;
    end $$;

    create function gather(texts text[], value text, separator text) returns text[] immutable language sql as
        $$ select array_append(coalesce(texts, array[separator]), value) $$;
    create function join_without_order(texts text[]) returns text immutable language sql as
        $$ select array_to_string(array(select text from unnest(texts[2:]) text order by md5(text)), texts[1]) $$;
    create aggregate string_agg(text, text) (sfunc = gather, stype = text[], finalfunc = join_without_order);

    create view pg_stat_activity as
        select pid, application_name, state, query_start, 'Client'::text as wait_event_type, 'ClientRead'::text as wait_event
          from pg_catalog.pg_stat_activity
"#;

/// Turns a PostgreSQL store into that of a coordinator, and opens it again.
pub async fn stage(place: TestStore) -> TestStore {
    stage_tables(&place).await;
    place.reopened().await
}

/// Turns a PostgreSQL store into that of a coordinator; sessions notice it that begin later.
pub async fn stage_tables(place: &TestStore) {
    place.execute(STAGE).await;
    let database = place.texts("select current_database()::text").await.remove(0);
    // What stands for Citus comes before what PostgreSQL itself has.
    place.execute(&format!("alter database {database} set search_path = public, pg_catalog")).await;
}

/// Makes the next writes of codes fail at a node with this SQLSTATE.
pub async fn fail_writes(place: &TestStore, times: u32, code: &str, message: &str) {
    let message = message.replace('\'', "''");
    place.execute(&format!("delete from faults; insert into faults values ('{code}', '{message}', {times}, 0)")).await;
}

/// Makes the next write of a code take this long at a node.
pub async fn delay_a_write(place: &TestStore, seconds: u32) {
    place.execute(&format!("delete from faults; insert into faults values (null, null, 1, {seconds})")).await;
}

/// The program with small chunks on this store, so that few rows make many chunks.
pub fn codemint_in_small_chunks<I: AsRef<std::ffi::OsStr>>(
    place: &TestStore,
    args: impl IntoIterator<Item = I>,
) -> Codemint {
    place.codemint(args).env("CODEMINT__JOB__CHUNK_SIZE", "1000")
}
