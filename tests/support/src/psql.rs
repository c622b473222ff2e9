//! Scripts of `deploy` for PostgreSQL, run with psql as their first lines demand: they contain commands of psql.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::codemint::Ran;

/// The script that cuts the table of codes into partitions.
const PARTITIONS: &str = include_str!("../../../deploy/postgres/partitions.sql");
/// The script that distributes the table of codes over the nodes of Citus.
const DISTRIBUTE: &str = include_str!("../../../deploy/citus/distribute.sql");
/// The tables and functions of a coordinator of Citus, for a server without Citus.
const STAGED_CITUS: &str = include_str!("staged_citus.sql");

/// Runs a script.
pub async fn run_script(database_url: &str, arguments: &[&str], script: &str) -> Ran {
    let mut psql = Command::new("psql")
        .args(["--quiet", "--no-psqlrc", "-f", "-"])
        .args(arguments)
        .arg(database_url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql");
    psql.stdin.take().expect("its input").write_all(script.as_bytes()).await.expect("a script");
    psql.wait_with_output().await.expect("psql").into()
}

/// Cuts the table of codes into this many partitions.
pub async fn partition(database_url: &str, partitions: &str) -> Ran {
    run_script(database_url, &["-v", &format!("partitions={partitions}")], PARTITIONS).await
}

/// Gives a database the tables and functions of Citus that the scripts use.
pub async fn stage_citus(database_url: &str) {
    run_script(database_url, &["--set=ON_ERROR_STOP=1"], STAGED_CITUS).await.expect_code(0);
}

/// Gives a database what the scripts use of Citus, and active nodes: `node-1`, `node-2` and so on.
pub async fn stage_cluster(database_url: &str, nodes: u32) {
    stage_citus(database_url).await;
    let nodes = format!(
        "select citus_set_coordinator_host('coordinator');
         select citus_add_node('node-' || n, 5432) from generate_series(1, {nodes}) n;"
    );
    run_script(database_url, &["--set=ON_ERROR_STOP=1"], &nodes).await.expect_code(0);
}

/// Distributes the table of codes. The roles of codemint have names that begin with that of the database instead.
pub async fn distribute(database_url: &str, arguments: &[&str]) -> Ran {
    let database = database_url.rsplit('/').next().expect("a name");
    run_script(database_url, arguments, &DISTRIBUTE.replace("'codemint_", &format!("'{database}_"))).await
}
