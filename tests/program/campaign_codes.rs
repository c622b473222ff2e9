//! Codes of campaigns: `codemint campaign codes`, and the one code of a public campaign.

use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::cli_steps::{assert_names, exported, job_id, proposed};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

use crate::campaigns::{campaign, definition, with};

/// A definition of a public campaign named `spring` with the code `SPRING10`.
fn public() -> Value {
    with(with(definition(), "kind", json!("public")), "mask", json!("SPRING10"))
}

async fn codes_of(place: &TestStore) -> u64 {
    let shown = place.codemint(["campaign", "show", "spring", "--json"]).run().await.expect_code(0).json();
    shown["counts"]["codes"].as_u64().expect("a number")
}

/// Creates the public campaign, which is refused, and returns the reason; nothing is created and the code is not named.
async fn refused(place: &TestStore, code: i32) -> String {
    let refused = campaign(place, &["create"], &public()).await.expect_code(code);
    assert_eq!(place.number("select count(*) from campaigns").await, 0);
    assert!(!refused.stderr.contains("SPRING10"), "{}", refused.stderr);
    refused.stderr
}

on_both_stores!(codes_are_minted_with_the_mask_and_the_name_of_the_campaign);
async fn codes_are_minted_with_the_mask_and_the_name_of_the_campaign(place: TestStore) {
    campaign(&place, &["create"], &definition()).await.expect_code(0);
    let codes = |args: &[&str]| place.codemint(["campaign", "codes", "spring", "--json", "-n"]).args(args).run();
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let minted = codes(&["30", "--job-id", id]).await.expect_code(0);
    assert_eq!((job_id(&minted).to_string().as_str(), &minted.json()["campaign"]), (id, &json!("spring")));
    assert!(exported(&place, job_id(&minted)).await.iter().all(|code| code.starts_with("SPRING-")));
    assert_eq!(codes(&["30", "--job-id", id]).await.expect_code(0).json()["minted_here"], 0);
    assert_names(
        &codes(&["31", "--job-id", id]).await.expect_code(4).stderr,
        &["belongs to another request: 30 codes"],
    );
    assert_names(&codes(&["0"]).await.expect_code(4).stderr, &["count is 0"]);
    assert_eq!(codes_of(&place).await, 30);

    place.codemint(["campaign", "deactivate", "spring"]).run().await.expect_code(0);
    codes(&["5"]).await.expect_code(0);
    let ended = with(with(definition(), "active", json!(false)), "ends_at", json!("2020-01-01T00:00:00Z"));
    campaign(&place, &["change", "--version", "2"], &ended).await.expect_code(0);
    codes(&["5"]).await.expect_code(0);
    assert_eq!(codes_of(&place).await, 40);
    let all = place.codemint(["export", "--campaign", "spring", "--format", "txt"]).run().await.expect_code(0);
    assert_eq!(all.stdout.lines().count(), 40);
}

on_both_stores!(codes_that_are_only_ordered_are_minted_by_a_worker);
async fn codes_that_are_only_ordered_are_minted_by_a_worker(place: TestStore) {
    campaign(&place, &["create"], &definition()).await.expect_code(0);
    let order = place.codemint(["campaign", "codes", "spring", "-n", "20", "--no-wait"]);
    let id: Uuid = order.run().await.expect_code(0).stdout.trim().parse().expect("an id");
    let job = async || place.codemint(["jobs", "show", &id.to_string(), "--json"]).run().await.expect_code(0).json();
    let queued = job().await;
    assert_eq!(
        (&queued["state"], &queued["campaign"], &queued["minted"]),
        (&json!("queued"), &json!("spring"), &json!(0))
    );
    let worker = place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off");
    worker.run().await.expect_code(0);
    assert_eq!(job().await["state"], "completed");
    assert_eq!(codes_of(&place).await, 20);
    let named = "01890a5d-ac96-774b-bcce-b302099a8057";
    let order = ["campaign", "codes", "spring", "-n", "1", "--no-wait", "--job-id", named, "--json"];
    assert_eq!(place.codemint(order).run().await.expect_code(0).json(), json!({ "job_id": named }));
}

on_both_stores!(a_public_campaign_has_one_code_which_no_log_shows);
async fn a_public_campaign_has_one_code_which_no_log_shows(place: TestStore) {
    std::fs::write(place.path().join("c.json"), public().to_string()).expect("a file");
    let created =
        place.codemint(["-vv", "--log-format", "json", "campaign", "create", "c.json"]).run().await.expect_code(0);
    assert_eq!(created.stdout, "campaign spring was created; version 1, status active\n");
    assert_names(&created.stderr, &["a job was accepted"]);
    let audit = place.codemint(["audit"]).run().await.expect_code(0).stdout;
    assert_eq!(audit.lines().count(), 3, "request, end, campaign_create: {audit}");
    assert!(!created.stderr.contains("SPRING10") && !audit.contains("SPRING10"), "{}{audit}", created.stderr);
    assert_eq!(place.texts("select code from codes").await, ["SPRING10"]);
    assert_eq!(codes_of(&place).await, 1);

    let more = place.codemint(["campaign", "codes", "spring", "-n", "1"]).run().await.expect_code(4);
    assert_eq!(more.stderr, "error: campaign spring is public and has its one code already; nothing was minted\n");
    campaign(&place, &["create"], &public()).await.expect_code(0);
    let another = with(public(), "mask", json!("SPRING20"));
    campaign(&place, &["create"], &another).await.expect_code(3);
    let refused = campaign(&place, &["change", "--version", "1"], &another).await.expect_code(4);
    assert_names(&refused.stderr, &["  /mask: the code of a public campaign does not change; create another campaign"]);
    assert_eq!(place.number("select count(*) from codes").await, 1);
}

on_both_stores!(a_public_code_that_exists_elsewhere_is_refused);
async fn a_public_code_that_exists_elsewhere_is_refused(place: TestStore) {
    let job = place.codemint(["generate", "SPRING1[0-4]", "-n", "5", "--json"]).run().await.expect_code(0);
    let id = job_id(&job);
    let said = refused(&place, 4).await;
    assert_eq!(
        said,
        format!(
            "error: the code of campaign spring exists already in job {id}, which has no campaign; write another mask; nothing was changed\n"
        )
    );
    place.execute("update jobs set campaign = 'summer'").await;
    assert_names(&refused(&place, 4).await, &[&format!("in job {id}, which has campaign summer; ")]);
    assert_eq!(place.number("select count(*) from jobs").await, 1);
    // Codes that were minted under its name before it existed are its own.
    place.execute("update jobs set campaign = 'spring'").await;
    campaign(&place, &["create"], &public()).await.expect_code(0);
    assert_eq!(codes_of(&place).await, 5);
}

on_both_stores!(an_imported_code_belongs_to_the_public_campaign_of_its_name);
async fn an_imported_code_belongs_to_the_public_campaign_of_its_name(place: TestStore) {
    std::fs::write(place.path().join("old.txt"), "spring10\n").expect("a file");
    place.codemint(["import", "old.txt", "--campaign", "spring"]).run().await.expect_code(0);
    campaign(&place, &["create"], &public()).await.expect_code(0);
    assert_eq!((codes_of(&place).await, place.number("select count(*) from jobs").await), (1, 1));
}

on_both_stores!(a_reserved_or_promised_public_code_is_refused);
async fn a_reserved_or_promised_public_code_is_refused(place: TestStore) {
    place.codemint(["reserve", "add", "SPRING##"]).run().await.expect_code(0);
    let said = refused(&place, 4).await;
    let wanted = "error: the code of campaign spring is reserved or denied; write another mask; nothing was changed\n";
    assert_eq!(said, wanted);
    place.codemint(["reserve", "remove", "SPRING##"]).run().await.expect_code(0);
    place.codemint(["enqueue", "SPRING10", "-n", "1"]).run().await.expect_code(0);
    let said = refused(&place, 4).await;
    assert_names(&said, &["error: the code of campaign spring is promised to an unfinished job; write another mask"]);
}

on_both_stores!(a_campaign_whose_creation_was_killed_is_completed_by_repeating_it);
async fn a_campaign_whose_creation_was_killed_is_completed_by_repeating_it(place: TestStore) {
    // Before the code is committed, before its job is closed, and after the job, before the campaign.
    for (no, point) in ["before-commit", "after-commit", "before-close"].into_iter().enumerate() {
        let code = format!("SPRING1{no}");
        let definition = with(with(public(), "name", json!(point)), "mask", json!(code));
        std::fs::write(place.path().join("c.json"), definition.to_string()).expect("a file");
        let create = || place.codemint(["campaign", "create", "c.json"]);
        create().env("FAILPOINTS", &format!("{point}=return(abort)")).run().await.expect_code(-6);
        assert_eq!(place.number("select count(*) from campaigns").await, no as i64);
        let created = create().run().await.expect_code(0);
        assert_eq!(created.stdout, format!("campaign {point} was created; version 1, status active\n"));
        assert_eq!(place.number("select count(*) from codes").await, no as i64 + 1);
        let unfinished = "select count(*) from jobs where state <> 'completed'";
        assert_eq!(place.number(unfinished).await, 0, "{point}");
    }
    assert_eq!(place.number("select count(*) from jobs").await, 3);
}

on_both_stores!(a_job_that_ended_without_the_public_code_does_not_block_the_name);
async fn a_job_that_ended_without_the_public_code_does_not_block_the_name(place: TestStore) {
    std::fs::write(place.path().join("c.json"), public().to_string()).expect("a file");
    let create = || place.codemint(["campaign", "create", "c.json"]);
    create().env("FAILPOINTS", "chunk-claimed=return(abort)").run().await.expect_code(-6);
    let id = place.codemint(["jobs", "list", "--json"]).run().await.expect_code(0).json()[0]["job_id"].clone();
    let id = id.as_str().expect("an id");

    std::fs::write(place.path().join("d.json"), with(public(), "mask", json!("SPRING20")).to_string()).expect("a file");
    let other = place.codemint(["campaign", "create", "d.json"]).run().await.expect_code(4);
    assert_names(
        &other.stderr,
        &[&format!("error: another code was made for campaign spring already, in job {id}; write the mask")],
    );
    let shown = proposed(&place, &other.stderr).run().await.expect_code(0).stdout;
    assert_names(&shown, &["mask      SPRING10\n"]);

    place.codemint(["jobs", "cancel", id]).run().await.expect_code(0);
    create().run().await.expect_code(0);
    assert_eq!((codes_of(&place).await, place.number("select count(*) from jobs").await), (1, 2));
}
