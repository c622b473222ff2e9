//! `codemint reserve`: masks whose codes belong to others.

use codemint_test_support::cli_steps::{assert_names, generate};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

on_both_stores!(masks_are_reserved_listed_and_released);
async fn masks_are_reserved_listed_and_released(place: TestStore) {
    let reserve = |args: &[&str]| place.codemint(["reserve"]).args(args).run();
    let added = reserve(&["add", "0#{9}", "--note", "references of affiliates"]).await.expect_code(0);
    assert_names(&added.stdout, &["0#{9} is reserved", "1,000,000,000 codes"]);
    assert_names(&reserve(&["add", "0#########"]).await.expect_code(3).stderr, &["0#{9} is reserved already"]);
    reserve(&["add", "admin"]).await.expect_code(0);

    let list = reserve(&["list", "--json"]).await.expect_code(0).json();
    assert_eq!((&list[0]["mask"], &list[0]["note"]), (&"0#{9}".into(), &"references of affiliates".into()));
    assert_eq!(list[1]["mask"], "ADMIN");
    assert_names(&reserve(&["list"]).await.expect_code(0).stdout, &["ADMIN", "(references of affiliates)"]);

    let refused = place.codemint(["generate", "00########", "--count", "5"]).run().await.expect_code(4);
    assert_names(&refused.stderr, &["0 codes of 00######## are free", "nothing was stored"]);
    assert_names(&reserve(&["remove", "0#{9}"]).await.expect_code(0).stdout, &["is no longer reserved"]);
    assert_names(&reserve(&["remove", "0#{9}"]).await.expect_code(3).stderr, &["is not reserved", "reserve list"]);
    generate(&place, &["00########", "--count", "5"]).await;
}

#[tokio::test]
async fn an_invalid_mask_or_note_is_refused() {
    let place = TestStore::sqlite().await;
    let ran = place.codemint(["reserve", "add", "AB[C"]).run().await.expect_code(4);
    assert_names(&ran.stderr, &["mask, byte 3", "not closed"]);
    let ran = place.codemint(["reserve", "add", "ABC", "--note", " "]).run().await.expect_code(4);
    assert_names(&ran.stderr, &["a note has 1 to 200 characters"]);
    assert_eq!(place.number("select count(*) from reserved").await, 0);
}
