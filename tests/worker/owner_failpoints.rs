//! Failpoints of what binds codes to identities, with an error, a panic, an abort and a stall, on both stores: jobs with
//! lists, jobs for pools, and issuing. Afterwards nobody has lost a code, and nobody has two.

use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use codemint_campaigns::issuing::Issuer;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::campaigns::pool::IssueOutcome;
use codemint_telemetry::failpoint;

use codemint_test_support::codemint::{Codemint, Ran, finish};
use codemint_test_support::on_both_stores;
use codemint_test_support::oracle::{Asked, Known, judge};
use codemint_test_support::owners_oracle::{IssueAsked, KnownOwners, ListAsked};
use codemint_test_support::rabbitmq;
use codemint_test_support::site::{Site, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well_knowing;

const ACTIONS: [&str; 4] = ["error", "panic", "abort", "stall"];
const MASK: &str = "OWN-?????##";
/// The exit code of `abort`: the negative number of its signal.
const ABORTED: i32 = -6;
/// More than any test issues.
const LIMIT: u64 = 30_000;
const IN_POOL: u64 = 300;

/// A store with a campaign whose pool has some codes, and all that is requested of it.
struct Owned<'a> {
    place: &'a TestStore,
    asked: Vec<Asked>,
    lists: Vec<ListAsked>,
    issues: Vec<IssueAsked>,
}

impl<'a> Owned<'a> {
    async fn new(place: &'a TestStore) -> Self {
        let document = json!({
            "name": "owners", "title": "Owners", "kind": "restricted", "active": true, "mask": MASK,
            "limits": { "issued": LIMIT },
            "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
        });
        let definition = read_definition(&document, NameFrom::Document).expect("a definition");
        place.store.create_campaign(&definition).await.expect("a campaign");
        let id = Uuid::now_v7();
        let fill = ["campaign", "codes", "owners", "--job-id", &id.to_string(), "--count", &IN_POOL.to_string()];
        place.codemint(fill).run().await.expect_code(0);
        let asked = vec![Asked { id, mask: MASK.to_owned(), count: IN_POOL }];
        Self { place, asked, lists: Vec::new(), issues: Vec::new() }
    }

    /// Returns the order of codes for a list of this many identities, which any worker may mint.
    fn order(&self, count: usize) -> Codemint {
        let list = people(count).join("\n");
        std::fs::write(self.place.path().join("list.txt"), list).expect("a file");
        let args = ["campaign", "codes", "owners", "--identities", "list.txt", "--no-wait", "--json"];
        self.place.codemint(args).env("CODEMINT__JOB__CHUNK_SIZE", "1000")
    }

    /// Records that the order was accepted.
    fn ordered(&mut self, ran: &Ran, count: usize) {
        let job = codemint_test_support::cli_steps::job_id(ran);
        let requested = ran.json()["requested"].as_u64().expect("a number");
        self.asked.push(Asked { id: job, mask: MASK.to_owned(), count: requested });
        self.lists.push(ListAsked { job, identities: people(count) });
    }

    fn answered(&mut self, identity: &str, code: &str) {
        let (campaign, identity) = ("owners".to_owned(), identity.to_owned());
        self.issues.push(IssueAsked { campaign, identity, code: Some(code.to_owned()) });
    }

    async fn drain_and_judge(&self, what: &str) {
        let drain = self.place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off");
        drain.run().await.expect_code(0);
        let owners = KnownOwners { lists: &self.lists, issues: &self.issues };
        let found = judge(self.place, &Known { asked: &self.asked, owners, ..Known::default() }).await.owners;
        let pooled = self.asked.iter().map(|asked| asked.count).sum::<u64>() - found.assigned;
        assert_eq!(found.pooled, pooled, "{what}");
    }
}

fn people(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("customer-{number}")).collect()
}

/// Runs a job with a list and a job for the pool past the failpoint, which acts the second time that it is reached if it is
/// reached more than once. Some identities of the list get codes of the pool before their chunks are written.
async fn survive(place: TestStore, point: &'static str, action: &str) {
    let what = format!("{point} {action} {:?}", place.kind);
    let site = Site::new(place).await;
    let peer = site.keep_events().await;
    let mut owned = Owned::new(&site.store).await;
    let ran = owned.order(2500).run().await.expect_code(0);
    owned.ordered(&ran, 2500);
    let issuer = Issuer::start(&owned.place.store);
    for identity in ["customer-1", "customer-1200", "customer-2499", "nobody"] {
        let IssueOutcome::Issued { code } = issuer.issue("owners", identity).await.expect("an answer") else {
            panic!("{what}: no code for {identity}")
        };
        owned.answered(identity, &code);
    }
    let Owned { mut asked, lists, issues, .. } = owned;
    let chunks = ("CODEMINT__JOB__CHUNK_SIZE", "1000");
    let skipped = if [failpoint::JOB_COMMITTED, failpoint::BEFORE_CLOSE].contains(&point) { "" } else { "1*off->" };
    let actions = format!("{point}={skipped}1*return({action})->off");
    let mut worker = site.start(&[("FAILPOINTS", &actions), chunks], &[]);
    let id = Uuid::now_v7();
    let mut message = request(id, MASK, 2500);
    message["campaign"] = json!("owners");
    publish(&peer, &message).await;
    asked.push(Asked { id, mask: MASK.to_owned(), count: 2500 });
    wait_until(&what, async || {
        let said = worker.said();
        said.contains("a failpoint was reached") && said.contains(point)
    })
    .await;
    if action == "abort" {
        worker.finish().await.expect_code(ABORTED);
        worker = site.start(&[chunks], &[]);
    }
    let owners = KnownOwners { lists: &lists, issues: &issues };
    let known = Known { asked: &asked, owners, ..Known::default() };
    end_well_knowing(rabbitmq::shared(), &what, site, worker, known).await;
}

/// Every action at once, each on a store like this one.
async fn survive_all(place: &TestStore, point: &'static str) {
    join_all(ACTIONS.map(async |action| survive(place.another().await, point, action).await)).await;
}

on_both_stores!(a_failure_before_a_job_for_a_pool_is_acknowledged_is_survived);
async fn a_failure_before_a_job_for_a_pool_is_acknowledged_is_survived(place: TestStore) {
    survive_all(&place, failpoint::JOB_COMMITTED).await;
}

on_both_stores!(a_failure_after_a_chunk_with_owners_is_claimed_is_survived);
async fn a_failure_after_a_chunk_with_owners_is_claimed_is_survived(place: TestStore) {
    survive_all(&place, failpoint::CHUNK_CLAIMED).await;
}

on_both_stores!(a_failure_while_codes_with_owners_are_written_is_survived);
async fn a_failure_while_codes_with_owners_are_written_is_survived(place: TestStore) {
    survive_all(&place, failpoint::CODES_HALF_WRITTEN).await;
}

on_both_stores!(a_failure_while_owners_are_written_is_survived);
async fn a_failure_while_owners_are_written_is_survived(place: TestStore) {
    survive_all(&place, failpoint::OWNERS_HALF_WRITTEN).await;
}

on_both_stores!(a_failure_between_owners_and_their_checkpoint_is_survived);
async fn a_failure_between_owners_and_their_checkpoint_is_survived(place: TestStore) {
    survive_all(&place, failpoint::BEFORE_CHECKPOINT).await;
}

on_both_stores!(a_failure_before_the_commit_of_owners_is_survived);
async fn a_failure_before_the_commit_of_owners_is_survived(place: TestStore) {
    survive_all(&place, failpoint::BEFORE_COMMIT).await;
}

on_both_stores!(a_failure_after_the_commit_of_owners_is_survived);
async fn a_failure_after_the_commit_of_owners_is_survived(place: TestStore) {
    survive_all(&place, failpoint::AFTER_COMMIT).await;
}

on_both_stores!(a_failure_before_a_job_with_a_list_is_closed_is_survived);
async fn a_failure_before_a_job_with_a_list_is_closed_is_survived(place: TestStore) {
    survive_all(&place, failpoint::BEFORE_CLOSE).await;
}

/// Runs a command past a failpoint with this action, and checks its exit code.
async fn fail_at(point: &'static str, action: &str, command: Codemint, panicked: i32) {
    let actions = format!("{point}=1*return({action})->off");
    let ran = command.env("FAILPOINTS", &actions).run().await;
    assert!(ran.stderr.contains("a failpoint was reached"), "{point} {action}: {}", ran.stderr);
    let code = match action {
        "panic" => panicked,
        "abort" => ABORTED,
        // It tries again.
        _ => 0,
    };
    assert_eq!(ran.code, code, "{point} {action}: {}", ran.stderr);
}

on_both_stores!(a_failure_while_a_list_is_ordered_is_survived_by_ordering_it_again);
async fn a_failure_while_a_list_is_ordered_is_survived_by_ordering_it_again(place: TestStore) {
    // More than one page.
    let count = 10_500;
    for point in [failpoint::LIST_HALF_LOADED, failpoint::LIST_LOADED, failpoint::LIST_JOB_COMMITTED] {
        let survive = async |action: &str| {
            let what = format!("{point} {action}");
            let place = place.another().await;
            let mut owned = Owned::new(&place).await;
            fail_at(point, action, owned.order(count), 101).await;
            let again = owned.order(count).run().await.expect_code(0);
            owned.ordered(&again, count);
            owned.drain_and_judge(&what).await;
        };
        join_all(ACTIONS.map(survive)).await;
    }
}

on_both_stores!(a_failure_while_a_code_is_issued_is_survived_by_asking_again);
async fn a_failure_while_a_code_is_issued_is_survived_by_asking_again(place: TestStore) {
    for point in [failpoint::POOL_TAKEN, failpoint::BEFORE_ISSUE_COMMIT, failpoint::AFTER_ISSUE_COMMIT] {
        let survive = async |action: &str| {
            let what = format!("{point} {action}");
            let place = place.another().await;
            let mut owned = Owned::new(&place).await;
            let issue = |identity: &str| owned.place.codemint(["issue", "owners", identity]);
            // The command that asks survives the task that panics.
            fail_at(point, action, issue("ann"), 1).await;
            let again = issue("ann").run().await.expect_code(0).stdout;
            let other = issue("bob").run().await.expect_code(0).stdout;
            owned.answered("ann", again.trim());
            owned.answered("bob", other.trim());
            owned.drain_and_judge(&what).await;
        };
        join_all(ACTIONS.map(survive)).await;
    }
}

on_both_stores!(two_processes_that_issue_to_one_identity_at_once_give_it_one_code);
async fn two_processes_that_issue_to_one_identity_at_once_give_it_one_code(place: TestStore) {
    let mut owned = Owned::new(&place).await;
    // The first process has taken a code, and stalls before anybody has it.
    let stall = format!("{}=1*return(stall)->off", failpoint::POOL_TAKEN);
    let issue = || owned.place.codemint(["-v", "issue", "owners", "ann"]);
    let first = issue().env("FAILPOINTS", &stall).start();
    let second = issue().run();
    let (first, second) = tokio::join!(finish(first), second);
    let (first, second) = (first.expect_code(0).stdout, second.expect_code(0).stdout);
    assert_eq!(first, second);
    owned.answered("ann", first.trim());
    owned.drain_and_judge("two processes").await;
}

/// Starts to issue a code, and returns the command when it holds the campaign and has committed nothing; it stalls there.
async fn start_issuing(place: &TestStore) -> tokio::process::Child {
    let stall = format!("{}=1*return(stall)->off", failpoint::BEFORE_ISSUE_COMMIT);
    let log = std::fs::File::create(place.path().join("issue.log")).expect("a file");
    let child = place.codemint(["-v", "issue", "owners", "ann"]).env("FAILPOINTS", &stall).stderr(log.into()).start();
    wait_until("a code is being issued", async || {
        let said = std::fs::read_to_string(place.path().join("issue.log")).expect("a log");
        said.contains("a failpoint was reached")
    })
    .await;
    child
}

const ISSUED: &str = "select count(*) from assignments";

async fn set_limit(place: &TestStore, issued: u64) {
    let campaign = place.store.find_campaign("owners").await.expect("an answer").expect("the campaign");
    let mut definition = campaign.definition;
    definition.limits.issued = issued;
    place.store.change_campaign(&definition, campaign.version).await.expect("a change");
}

#[tokio::test]
async fn a_process_that_is_slow_to_issue_a_code_does_not_delay_another() {
    let place = TestStore::postgres().await;
    let _owned = Owned::new(&place).await;
    // Under a limit, all take turns.
    set_limit(&place, 0).await;
    let issuing = start_issuing(&place).await;
    place.codemint(["issue", "owners", "bob"]).run().await.expect_code(0);
    assert_eq!(place.number(ISSUED).await, 1, "the second process waited for the first");
    finish(issuing).await.expect_code(0);
    assert_eq!(place.number(ISSUED).await, 2);
}

on_both_stores!(the_last_code_that_a_limit_allows_is_issued_once);
async fn the_last_code_that_a_limit_allows_is_issued_once(place: TestStore) {
    let _owned = Owned::new(&place).await;
    set_limit(&place, 1).await;
    let issuing = start_issuing(&place).await;
    let refused = place.codemint(["issue", "owners", "bob"]).run().await.expect_code(3);
    assert!(refused.stderr.contains("has issued as many codes as limits.issued allows"), "{}", refused.stderr);
    finish(issuing).await.expect_code(0);
    assert_eq!(place.number(ISSUED).await, 1);
    assert_eq!(place.number("select count(*) from pool").await, IN_POOL as i64 - 1);
}

on_both_stores!(a_campaign_is_off_when_no_code_is_being_issued_any_more);
async fn a_campaign_is_off_when_no_code_is_being_issued_any_more(place: TestStore) {
    let _owned = Owned::new(&place).await;
    let issuing = start_issuing(&place).await;
    assert_eq!(place.number(ISSUED).await, 0);
    place.codemint(["campaign", "deactivate", "owners"]).run().await.expect_code(0);
    assert_eq!(place.number(ISSUED).await, 1, "a code was issued after the campaign was off");
    finish(issuing).await.expect_code(0);
}

on_both_stores!(a_new_limit_counts_a_code_that_was_being_issued);
async fn a_new_limit_counts_a_code_that_was_being_issued(place: TestStore) {
    let _owned = Owned::new(&place).await;
    set_limit(&place, 0).await;
    let issuing = start_issuing(&place).await;
    set_limit(&place, 50).await;
    finish(issuing).await.expect_code(0);
    assert_eq!(place.number(ISSUED).await, 1);
    assert_eq!(place.number("select taken from allowances where scope = 'issued'").await, 1);
}
