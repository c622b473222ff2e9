//! Commands that wait for a store: what they report, how they are stopped, and the option not to wait.

#[cfg(feature = "failpoints")]
use std::fs::File;

use codemint_test_support::cli_steps::assert_names;
#[cfg(feature = "failpoints")]
use codemint_test_support::cli_steps::catches_signals;
#[cfg(feature = "failpoints")]
use codemint_test_support::codemint::{finish, send_signal};
use codemint_test_support::stores::TestStore;
#[cfg(feature = "failpoints")]
use codemint_test_support::waiting::wait_until;

/// Makes the database read-only for all later sessions.
async fn make_read_only(place: &TestStore) {
    let sql = "do $$ begin
                   execute format('alter database %I set default_transaction_read_only = on', current_database());
               end $$";
    place.execute(sql).await;
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_command_reports_once_what_it_waits_for_and_how_to_stop_it() {
    let place = TestStore::postgres().await;
    make_read_only(&place).await;
    let said = place.path().join("said");
    let generate = place.codemint(["generate", "A####", "--count", "10"]).env("FAILPOINTS", "wait-noted=return(100)");
    let child = generate.stderr(File::create(&said).expect("a file").into()).start();
    let read = || std::fs::read_to_string(&said).expect("a log");
    wait_until("it reports that it waits", async || read().contains("note: waiting for")).await;
    assert_names(&read(), &["s: the database is read-only (", "Ctrl-C stops it"]);
    // The next tries follow within three seconds each.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    send_signal("INT", &child);
    finish(child).await.expect_code(130);
    assert_eq!(read().matches("note: waiting for").count(), 1, "{}", read());

    let quiet =
        place.codemint(["-q", "generate", "A####", "--count", "10"]).env("FAILPOINTS", "wait-noted=return(100)");
    let child = quiet.start();
    catches_signals(child.id().expect("a running program")).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    send_signal("INT", &child);
    assert_eq!(finish(child).await.expect_code(130).stderr, "");
}

#[tokio::test]
async fn a_command_that_may_not_wait_ends_with_the_reason() {
    let place = TestStore::postgres().await;
    make_read_only(&place).await;
    let refused = place.codemint(["generate", "A####", "--count", "10", "--no-wait"]).run().await.expect_code(5);
    assert_names(&refused.stderr, &["error: ", "read-only transaction"]);
    assert_eq!(place.number("select count(*) from jobs").await, 0);
}
