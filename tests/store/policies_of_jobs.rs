//! A job is minted under the check key and the denied words that it began with, whichever process works on it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use codemint_codes::check::CheckKey;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Request, RequestError};
use codemint_codes::job::state::State;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::policy::Policy;
use codemint_store::admission::submit::PutJob;
use uuid::Uuid;

use codemint_test_support::codemint::{Codemint, finish};
use codemint_test_support::engine_steps::{
    assert_sound, checking, codes_in, denying, has_ended, mint_under, put_request, refusal_of, request, run_under,
};
use codemint_test_support::on_both_stores;
use codemint_test_support::small_masks::mask;
use codemint_test_support::stores::TestStore;

const SECRET: &str = "0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210";

fn write_secret(directory: &Path, name: &str, secret: &str) {
    let file = directory.join(name);
    std::fs::write(&file, secret).expect("a file");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("permissions");
}

fn with_key(command: Codemint, file: &str) -> Codemint {
    command.env("CODEMINT__CHECK__KEY_FILE", file)
}

fn keyed(mask_text: &str, secret: &str) -> Keyspace {
    Keyspace::new(&mask(mask_text)).with_check_key(CheckKey::new(secret.as_bytes()).expect("a secret"))
}

/// Returns every code of the mask under this secret, in ascending order.
fn all_codes(mask_text: &str, secret: &str) -> Vec<String> {
    let keyspace = keyed(mask_text, secret);
    (0..keyspace.size()).map(|rank| keyspace.unrank(rank).expect("a code")).collect()
}

on_both_stores!(every_minted_code_has_correct_check_characters_until_the_mask_is_full);
async fn every_minted_code_has_correct_check_characters_until_the_mask_is_full(place: TestStore) {
    let policy = checking(SECRET);
    for (count, chunk_size) in [(4_000, 700), (5_000, 1_000), (999, 50_000), (1, 1)] {
        mint_under(&place, &policy, "A####[:check:]{2}", count, chunk_size).await;
    }
    assert_eq!(codes_in(&place).await, all_codes("A####[:check:]{2}", SECRET));
    let further = request("A####[:check:]{2}", 1, 10).under(policy).expect("a request");
    assert_eq!(refusal_of(&place, &further).await, (0, true));
    assert_sound(&place).await;
}

fn accepting_new_key(request: Request) -> Request {
    request.with_options(JobOptions { new_check_key: true, ..JobOptions::default() })
}

async fn mint_with_new_key(place: &TestStore, secret: &str, mask: &str, count: i128) {
    let request = accepting_new_key(request(mask, count, 30).under(checking(secret)).expect("a request"));
    let job = put_request(&place.store, &request).await;
    assert_eq!(run_under(&place.store, &job, &checking(secret)).await.state, State::Completed);
}

/// The error for a job under the check key of this secret; `None` if it is stored.
async fn other_key(place: &TestStore, request: &Request) -> Option<String> {
    match place.store.put_job(Uuid::now_v7(), request).await.expect("an answer") {
        PutJob::Stored(_) => None,
        PutJob::OtherCheckKey(other) => Some(other.to_string()),
        other => panic!("{other:?}"),
    }
}

on_both_stores!(a_mask_with_codes_under_another_check_key_needs_a_request_that_accepts_the_new_one);
async fn a_mask_with_codes_under_another_check_key_needs_a_request_that_accepts_the_new_one(place: TestStore) {
    let asking = |mask: &str, secret: &str| request(mask, 5, 10).under(checking(secret)).expect("a request");
    let (first, second) = (asking("##[:check:]{2}", SECRET), asking("##[:check:]{2}", OTHER_SECRET));
    mint_under(&place, &checking(SECRET), "##[:check:]{2}", 5, 10).await;
    assert_eq!(other_key(&place, &first).await, None);
    let before = place.number("select count(*) from jobs").await;
    let refused = other_key(&place, &second).await.expect("a refusal");
    assert!(refused.contains(&keyed_fingerprint(SECRET)) && refused.contains(&keyed_fingerprint(OTHER_SECRET)));
    assert_eq!(place.number("select count(*) from jobs").await, before);
    // Neither other masks nor masks without check characters matter.
    assert_eq!(other_key(&place, &asking("#?[:check:]{2}", OTHER_SECRET)).await, None);
    assert_eq!(other_key(&place, &asking("##??", OTHER_SECRET)).await, None);

    assert_eq!(other_key(&place, &accepting_new_key(second.clone())).await, None);
    assert_eq!(other_key(&place, &second).await, None, "the change is accepted once");
    assert!(other_key(&place, &first).await.is_some(), "the earlier key is another one now");
    let details = "select result || ' ' || coalesce(detail, '-') from audit where action = 'request' order by no";
    let details = place.texts(details).await;
    assert_eq!(details[2], "refused other_check_key", "{details:?}");
    assert_eq!(details[5], "accepted new_check_key", "{details:?}");
}

fn keyed_fingerprint(secret: &str) -> String {
    CheckKey::new(secret.as_bytes()).expect("a secret").fingerprint()
}

on_both_stores!(requests_of_one_batch_are_refused_or_accepted_by_their_own_check_keys);
async fn requests_of_one_batch_are_refused_or_accepted_by_their_own_check_keys(place: TestStore) {
    mint_under(&place, &checking(SECRET), "##[:check:]", 5, 10).await;
    let asking = |secret| request("##[:check:]", 5, 10).under(checking(secret)).expect("a request");
    let requests = [asking(SECRET), asking(OTHER_SECRET), accepting_new_key(asking(OTHER_SECRET))];
    let batch: Vec<(Uuid, &Request)> = requests.iter().map(|request| (Uuid::now_v7(), request)).collect();
    let put = place.store.put_jobs(&batch).await.expect("an answer");
    assert!(matches!(put[..], [PutJob::Stored(_), PutJob::OtherCheckKey(_), PutJob::Stored(_)]), "{put:?}");
}

on_both_stores!(a_job_that_ended_without_codes_does_not_decide_about_the_check_key);
async fn a_job_that_ended_without_codes_does_not_decide_about_the_check_key(place: TestStore) {
    let asking = |secret| request("##[:check:]", 5, 10).under(checking(secret)).expect("a request");
    let by_mistake = put_request(&place.store, &asking(OTHER_SECRET)).await;
    assert!(other_key(&place, &asking(SECRET)).await.is_some(), "it may still get codes");
    place.store.mark_job_cancelling(by_mistake.no).await.expect("a mark");
    assert!(has_ended(&place.store.close_job(by_mistake.no).await.expect("closing")));
    assert_eq!(other_key(&place, &asking(SECRET)).await, None);
}

on_both_stores!(a_change_of_the_check_key_is_confirmed_on_the_command_line);
async fn a_change_of_the_check_key_is_confirmed_on_the_command_line(place: TestStore) {
    write_secret(place.path(), "first", SECRET);
    write_secret(place.path(), "second", OTHER_SECRET);
    let generate = |file: &str| with_key(place.codemint(["generate", "####[:check:]", "-n", "5"]), file);
    generate("first").run().await.expect_code(0);
    let refused = generate("second").run().await.expect_code(4);
    for part in ["fe5147bdb7c4d31b", "set check.key_file", "--new-check-key"] {
        assert!(refused.stderr.contains(part), "{part} in {}", refused.stderr);
    }
    assert_eq!(place.number("select count(*) from jobs").await, 1);
    generate("second").args(["--new-check-key"]).run().await.expect_code(0);
    let enqueue = with_key(place.codemint(["enqueue", "####[:check:]", "-n", "5"]), "first");
    enqueue.run().await.expect_code(4);
    let enqueue = with_key(place.codemint(["enqueue", "####[:check:]", "-n", "5", "--new-check-key"]), "first");
    enqueue.run().await.expect_code(0);
}

on_both_stores!(regression_codes_made_under_another_check_key_leave_capacity);
async fn regression_codes_made_under_another_check_key_leave_capacity(place: TestStore) {
    mint_under(&place, &checking(OTHER_SECRET), "##[:check:]{2}", 100, 30).await;
    let before = codes_in(&place).await;
    let ours = all_codes("##[:check:]{2}", SECRET);
    let free = ours.iter().filter(|code| !before.contains(code)).count() as i128;
    mint_with_new_key(&place, SECRET, "##[:check:]{2}", free).await;
    let further = request("##[:check:]{2}", 1, 10).under(checking(SECRET)).expect("a request");
    assert_eq!(refusal_of(&place, &further).await, (0, true));
    let all: std::collections::BTreeSet<String> = before.into_iter().chain(ours).collect();
    assert_eq!(codes_in(&place).await, all.into_iter().collect::<Vec<_>>());
    assert_sound(&place).await;
}

on_both_stores!(check_characters_and_denied_words_hold_together);
async fn check_characters_and_denied_words_hold_together(place: TestStore) {
    let policy = Policy { check_key: checking(SECRET).check_key, ..denying(&["bad", "cab"]) };
    let job = mint_under(&place, &policy, "[A-D]{5}[:check:]{3}", 700, 200).await;
    assert!(job.rejections.denied > 0);
    let keyspace = keyed("[A-D]{5}[:check:]{3}", SECRET);
    let denied = policy.denied_in(&mask("[A-D]{5}[:check:]{3}")).expect("words");
    let codes = codes_in(&place).await;
    assert!(codes.iter().all(|code| keyspace.contains(code) && !denied.is_denied(code.as_bytes())));
    assert_sound(&place).await;
}

on_both_stores!(denied_words_hold_for_sets_of_a_mask_and_not_for_its_own_literals);
async fn denied_words_hold_for_sets_of_a_mask_and_not_for_its_own_literals(place: TestStore) {
    let policy = denying(&["cat"]);
    let asking = |mask: &str, count| request(mask, count, 10).under(policy.clone()).expect("a request");
    assert_eq!(refusal_of(&place, &asking("CA[BTXY]", 4)).await, (3, true));
    mint_under(&place, &policy, "CA[BTXY]", 1, 10).await;
    mint_under(&place, &policy, "CA[BTXY]", 2, 10).await;
    assert_eq!(codes_in(&place).await, ["CAB", "CAX", "CAY"]);
    // Every choice spells the word.
    assert_eq!(refusal_of(&place, &asking("C[A4]T", 1)).await, (0, true));
    // Without a choice, the word is the requester's own.
    mint_under(&place, &policy, "CA[T]", 1, 10).await;
    assert_eq!(codes_in(&place).await, ["CAB", "CAT", "CAX", "CAY"]);
}

#[tokio::test]
async fn without_a_check_key_not_even_a_store_is_created() {
    assert_eq!(request("##[:check:]", 1, 1).under(Policy::default()).map(|_| ()), Err(RequestError::NoCheckKey));
    let directory = tempfile::tempdir().expect("a directory");
    let generate =
        || Codemint::new(directory.path()).args(["generate", "####[:check:]", "-n", "5", "--store", "sqlite://new.db"]);
    let refused = generate().run().await.expect_code(4);
    assert!(refused.stderr.contains("set check.key_file"), "{}", refused.stderr);
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
    write_secret(directory.path(), "key", SECRET);
    with_key(generate(), "key").run().await.expect_code(0);
}

/// Runs a process with the job's own policy and one with another at once, and asserts that only the first one works.
async fn assert_only_the_right_one_works(
    place: &TestStore,
    job: &Job,
    right: Codemint,
    wrong: Codemint,
    says: &[&str],
) {
    let (wrong, right) = (wrong.start(), right.start());
    let (wrong, right) = tokio::join!(finish(wrong), finish(right));
    let (wrong, right) = (wrong.expect_code(2), right.expect_code(0).json());
    says.iter().for_each(|part| assert!(wrong.stderr.contains(part), "{part} in {}", wrong.stderr));
    assert_eq!((&right["minted_here"], &right["state"]), (&job.count.into(), &"completed".into()));
    assert_sound(place).await;
}

on_both_stores!(a_process_with_another_check_key_leaves_the_job_alone_and_reports_why);
async fn a_process_with_another_check_key_leaves_the_job_alone_and_reports_why(place: TestStore) {
    write_secret(place.path(), "right", SECRET);
    write_secret(place.path(), "wrong", OTHER_SECRET);
    let asked = request("####[:check:]{2}", 5_000, 250).under(checking(SECRET)).expect("a request");
    let job = put_request(&place.store, &asked).await;
    let id = job.id.to_string();
    let resume = || place.codemint(["jobs", "resume", &id, "--json"]);
    let says = ["fe5147bdb7c4d31b", "check.key_file"];
    resume().run().await.expect_code(2);
    assert_eq!(codes_in(&place).await.len(), 0);
    assert_only_the_right_one_works(&place, &job, with_key(resume(), "right"), with_key(resume(), "wrong"), &says)
        .await;
    let right = keyed("####[:check:]{2}", SECRET);
    assert!(codes_in(&place).await.iter().all(|code| right.contains(code)));
}

on_both_stores!(a_process_with_other_denied_words_leaves_the_job_alone_and_reports_why);
async fn a_process_with_other_denied_words_leaves_the_job_alone_and_reports_why(place: TestStore) {
    std::fs::write(place.path().join("right"), "cab\n").expect("a file");
    std::fs::write(place.path().join("wrong"), "cab\nabc\n").expect("a file");
    let policy = denying(&["cab"]);
    let asked = request("[A-C]{8}", 4_000, 200).under(policy.clone()).expect("a request");
    let job = put_request(&place.store, &asked).await;
    let id = job.id.to_string();
    let resume = || place.codemint(["jobs", "resume", &id, "--json"]);
    let with = |file: &str| resume().env("CODEMINT__DENY__FILE", file);
    let says = ["denied words with the digest", "deny.file"];
    let none = resume().run().await.expect_code(2);
    assert!(none.stderr.contains("this process has none"), "{}", none.stderr);
    assert_only_the_right_one_works(&place, &job, with("right"), with("wrong"), &says).await;
    let denied = policy.denied_in(&mask("[A-C]{8}")).expect("words");
    assert!(codes_in(&place).await.iter().all(|code| !denied.is_denied(code.as_bytes())));
}

on_both_stores!(a_check_key_does_not_matter_to_a_mask_without_check_characters);
async fn a_check_key_does_not_matter_to_a_mask_without_check_characters(place: TestStore) {
    let job = put_request(&place.store, &request("####", 50, 10)).await;
    assert_eq!(run_under(&place.store, &job, &checking(SECRET)).await.state, State::Completed);
    let job = put_request(&place.store, &request("####", 50, 10).under(checking(SECRET)).expect("a request")).await;
    assert_eq!(run_under(&place.store, &job, &checking(OTHER_SECRET)).await.state, State::Completed);
}
