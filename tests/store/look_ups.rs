//! Looking up codes in PostgreSQL.

use codemint_codes::batch::CodeBatch;

use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

on_stores!([postgres, partitioned] regression_a_few_codes_are_looked_up_by_index_even_in_a_small_table);
/// A connection keeps its plans: one that scans a small table from end to end would still do so once it is large.
async fn regression_a_few_codes_are_looked_up_by_index_even_in_a_small_table(place: TestStore) {
    place.execute("insert into codes (code, run_no) select c::text, 0 from generate_series(5000, 5499) c").await;
    place.execute("analyze codes").await;
    let codes = CodeBatch::from_lines((0..10).map(|code| format!("{code:04}\n")).collect());
    let mut snapshot = place.store.begin_reading().await.expect("a snapshot");
    assert_eq!(snapshot.find_present(&codes).await.expect("codes"), [] as [&str; 0]);
    let sql = "select cast(sum(seq_scan) as bigint), cast(sum(idx_scan) as bigint)
                 from pg_stat_xact_user_tables where relname like 'codes%'";
    let scans: (i64, i64) = snapshot.query(sql).fetch_one().await.expect("figures");
    assert!(scans.0 == 0 && scans.1 > 0, "{scans:?}");
}
