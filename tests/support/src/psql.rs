//! Scripts of `deploy` for PostgreSQL, run with psql as their first lines demand: they contain commands of psql.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::codemint::Ran;

/// The script that cuts the table of codes into partitions.
const PARTITIONS: &str = include_str!("../../../deploy/postgres/partitions.sql");

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
