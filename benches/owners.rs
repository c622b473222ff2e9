//! How fast do codes find their owners? A million identities of a list get a code each in at most 1.25 times the time of
//! `psql \copy` of the same finished rows; and 64 callers get codes of a pool at least 8 times as fast as a transaction for each.
//! A list that is sent over HTTP takes at most 1.15 times as long as one of the command line, and at least a million codes of a job
//! are read over HTTP in a second.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use codemint_campaigns::issuing::Issuer;
use codemint_store::campaigns::pool::IssueOutcome;
use serde_json::{Value, json};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tempfile::TempDir;
use tokio::process::Command;

use crate::measure::{Pairs, SECONDS_HEADER, Turn, exit_code, median, turns, verdict};
use crate::process::measure as measure_process;
use crate::process::peak::peak_mib_of;
use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::api_lists::job_id;
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::stores::TestStore;

#[expect(dead_code, reason = "shared with the other benchmarks")]
mod measure;
#[expect(dead_code, reason = "shared with the other benchmarks")]
#[path = "measure/process.rs"]
mod process;

const IDENTITIES: u64 = 1_000_000;
const PAIRS: usize = 3;
const LIST_RATIO_MAX: f64 = 1.25;
const PEAK_MIB_MAX: f64 = 64.0;
const CALLERS: u64 = 64;
const CODES_A_CALLER: u64 = 50;
const ISSUE_RATIO_MIN: f64 = 8.0;
const HTTP_RATIO_MAX: f64 = 1.15;
const CODES_READ: u64 = 2_000_000;
const CODES_READ_PER_SECOND_MIN: f64 = 1_000_000.0;

#[tokio::main]
async fn main() -> ExitCode {
    let server = Server::start(Durability::Full);
    let list_holds = measure_lists(&server).await;
    let issue_holds = measure_issuing(&server).await;
    let http_holds = measure_http(&server).await;
    exit_code(list_holds && issue_holds && http_holds)
}

/// A new store with a restricted campaign.
async fn store_with_campaign(server: &Server, name: &str) -> (TestStore, String) {
    let url = server.url(name);
    create_database(&server.url("postgres"), name).await;
    let place = TestStore::postgres_at(&url).await;
    let definition = json!({
        "name": "owners", "title": "Owners", "kind": "restricted", "active": true, "mask": "OWN-[:safe:]{10}",
        "limits": { "issued": 10_000_000 },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    std::fs::write(place.path().join("owners.json"), definition.to_string()).expect("a file");
    codemint(place.path(), &url, &["campaign", "create", "owners.json"]).run().await.expect_code(0);
    (place, url)
}

fn codemint(directory: &Path, url: &str, args: &[&str]) -> Codemint {
    Codemint::new(directory).args(["--store", url]).args(args)
}

fn identities() -> String {
    let mut list = "identity\n".to_owned();
    (0..IDENTITIES).for_each(|number| list.push_str(&format!("customer-{number:07}\n")));
    list
}

async fn measure_lists(server: &Server) -> bool {
    let files = tempfile::tempdir().expect("a directory");
    std::fs::write(files.path().join("list.csv"), identities()).expect("a file");
    let (mut pairs, mut peak_mib) = (Pairs::default(), 0.0_f64);
    for pair in 0..PAIRS {
        // The rows of our run are those of the reference in the same pair.
        for turn in if pair == 0 { [Turn::Ours, Turn::Reference] } else { turns(pair) } {
            let name = format!("list_{pair}_{}", if turn == Turn::Ours { "ours" } else { "reference" });
            let (place, url) = store_with_campaign(server, &name).await;
            let seconds = match turn {
                Turn::Ours => {
                    let list = files.path().join("list.csv");
                    let args = ["campaign", "codes", "owners", "--identities", list.to_str().expect("a path")];
                    let took = measure_process(codemint(place.path(), &url, &args).into_command(), server).await;
                    peak_mib = peak_mib.max(took.peak_mib);
                    if pair == 0 {
                        write_rows(&url, &files).await;
                    }
                    took.seconds
                }
                Turn::Reference => copy_rows(&url, &files).await,
            };
            pairs.add(turn, seconds);
            place.store.close().await.expect("a close");
        }
    }
    let ratio = pairs.ratio_of_medians();
    let (fast, small) = (ratio <= LIST_RATIO_MAX, peak_mib <= PEAK_MIB_MAX);
    println!("1 M identities of a list: {ratio:.2} times psql \\copy   at most {LIST_RATIO_MAX}: {}", verdict(fast));
    println!("peak memory: {peak_mib:.0} MiB   at most {PEAK_MIB_MAX:.0}: {}", verdict(small));
    fast && small
}

/// Writes the rows of codes and assignments to files, in the order of the codes.
async fn write_rows(url: &str, files: &TempDir) {
    for table in ["codes (code, run_no)", "assignments (campaign_no, identity, code, identity_text, cause)"] {
        let (name, columns) = table.split_once(" (").expect("columns");
        let columns = columns.trim_end_matches(')');
        psql(url, &format!("\\copy (select {columns} from {name} order by code) to '{}'", file_of(files, name))).await;
    }
}

/// Copies the rows into a store with the same tables and indexes, in one transaction, and returns the seconds.
async fn copy_rows(url: &str, files: &TempDir) -> f64 {
    let started = Instant::now();
    let copies =
        ["codes (code, run_no)", "assignments (campaign_no, identity, code, identity_text, cause)"].map(|table| {
            let name = table.split(' ').next().expect("a name");
            format!("\\copy {table} from '{}'\n", file_of(files, name))
        });
    psql(url, &format!("begin;\n{}commit;", copies.concat())).await;
    started.elapsed().as_secs_f64()
}

fn file_of(files: &TempDir, table: &str) -> String {
    files.path().join(table).display().to_string()
}

async fn psql(url: &str, script: &str) {
    let path = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(path.path(), script).expect("a script");
    let ran = Command::new("psql")
        .args(["--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(path.path())
        .arg(url)
        .stdout(Stdio::null())
        .status()
        .await;
    assert!(ran.expect("psql").success());
}

async fn measure_issuing(server: &Server) -> bool {
    let (place, url) = store_with_campaign(server, "issuing").await;
    let count = (2 * CALLERS * CODES_A_CALLER).to_string();
    codemint(place.path(), &url, &["campaign", "codes", "owners", "--count", &count]).run().await.expect_code(0);
    let issuer = Issuer::start(&place.store);
    let ours = seconds_of(move |identity| {
        let issuer = issuer.clone();
        async move {
            let outcome = issuer.issue("owners", &format!("ours-{identity}")).await.expect("an answer");
            assert!(matches!(outcome, IssueOutcome::Issued { .. }), "{outcome:?}");
        }
    })
    .await;
    let pool = PgPoolOptions::new().max_connections(CALLERS as u32).connect(&url).await.expect("the server");
    let rows = seconds_of(move |identity| {
        let pool = pool.clone();
        async move { issue_alone(&pool, &format!("alone-{identity}")).await }
    })
    .await;
    let issued = place.number("select count(*) from assignments").await;
    assert_eq!(issued, (2 * CALLERS * CODES_A_CALLER) as i64);
    let (ratio, codes) = (rows / ours, (CALLERS * CODES_A_CALLER) as f64);
    let holds = ratio >= ISSUE_RATIO_MIN;
    println!("issuing, {CALLERS} callers: {:.0} codes/s, a transaction for each {:.0}", codes / ours, codes / rows);
    println!("ratio {ratio:.1}   at least {ISSUE_RATIO_MIN}: {}", verdict(holds));
    holds
}

/// Lets all callers ask for their codes, one after the other, and returns the seconds.
async fn seconds_of<F: Future<Output = ()> + Send + 'static>(issue: impl Fn(u64) -> F + Clone + Send + 'static) -> f64 {
    let started = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let issue = issue.clone();
            tokio::spawn(async move {
                for number in 0..CODES_A_CALLER {
                    issue(caller * CODES_A_CALLER + number).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
    started.elapsed().as_secs_f64()
}

/// The same guarantees for one identity: active, within the limit, one code for each, each code once.
async fn issue_alone(pool: &PgPool, identity: &str) {
    let mut transaction = pool.begin().await.expect("a transaction");
    let campaign: (i64,) = sqlx::query_as("select no from campaigns where name = 'owners' and active for share")
        .fetch_one(&mut *transaction)
        .await
        .expect("a campaign");
    let taken = "update allowances set taken = taken + 1
                  where campaign_no = $1 and scope = 'issued' and taken < quota";
    sqlx::query(taken).bind(campaign.0).execute(&mut *transaction).await.expect("a limit");
    let code: (String,) = sqlx::query_as(
        "delete from pool where campaign_no = $1 and code =
                (select code from pool where campaign_no = $1 limit 1 for update skip locked) returning code",
    )
    .bind(campaign.0)
    .fetch_one(&mut *transaction)
    .await
    .expect("a code");
    let insert = "insert into assignments (campaign_no, identity, code, identity_text, cause)
                  values ($1, $2, $3, $2, 'issue') on conflict (campaign_no, identity) do nothing";
    let inserted = sqlx::query(insert).bind(campaign.0).bind(identity).bind(code.0).execute(&mut *transaction).await;
    assert_eq!(inserted.expect("an assignment").rows_affected(), 1);
    transaction.commit().await.expect("a commit");
}

/// Sends the list over HTTP and by command, in pairs, and reads the codes of a job over HTTP.
async fn measure_http(server: &Server) -> bool {
    let list = identities();
    let mut pairs = Pairs::default();
    for pair in 0..PAIRS {
        for turn in turns(pair) {
            let name = format!("http_{pair}_{}", if turn == Turn::Ours { "ours" } else { "reference" });
            let (place, url) = store_with_campaign(server, &name).await;
            let seconds = match turn {
                Turn::Ours => {
                    let (key, api) = (create_key(&place, "manage").await, ApiServer::start(&place).await);
                    let started = Instant::now();
                    let ordered = api.send_list("POST", "/v1/campaigns/owners/codes", &key, &list).await.expect(202);
                    // As a worker does at once.
                    codemint(place.path(), &url, &["jobs", "resume", &job_id(&ordered), "--quiet"])
                        .run()
                        .await
                        .expect_code(0);
                    let seconds = started.elapsed().as_secs_f64();
                    api.stop().await;
                    seconds
                }
                Turn::Reference => {
                    std::fs::write(place.path().join("list.csv"), &list).expect("a file");
                    let started = Instant::now();
                    codemint(place.path(), &url, &["campaign", "codes", "owners", "--identities", "list.csv"])
                        .run()
                        .await
                        .expect_code(0);
                    started.elapsed().as_secs_f64()
                }
            };
            assert_eq!(place.number("select count(*) from assignments").await, IDENTITIES as i64);
            pairs.add(turn, seconds);
            place.store.close().await.expect("a close");
        }
    }
    println!("1 M identities of a list to bound codes\n{SECONDS_HEADER}");
    let list_holds = pairs.print(["over HTTP", "command line"], HTTP_RATIO_MAX);
    measure_reading(server).await && list_holds
}

async fn measure_reading(server: &Server) -> bool {
    let (place, url) = store_with_campaign(server, "reading").await;
    let args = ["generate", "READ-[:safe:]{10}", "--count", &CODES_READ.to_string(), "--json"];
    let job = codemint(place.path(), &url, &args).run().await.expect_code(0);
    let job: Value = serde_json::from_str(&job.stdout).expect("a document");
    let (key, api) = (create_key(&place, "manage").await, ApiServer::start(&place).await);
    let mut holds = true;
    for accept in ["text/csv", "application/x-ndjson"] {
        let mut rates = Vec::new();
        for _ in 0..PAIRS {
            let started = Instant::now();
            let answer = api.codes(&key, job["job_id"].as_str().expect("an id"), "", accept).await;
            rates.push(CODES_READ as f64 / started.elapsed().as_secs_f64());
            assert_eq!((answer.status, answer.body.matches("READ-").count() as u64), (200, CODES_READ));
        }
        let rate = median(&rates);
        println!(
            "{CODES_READ} codes read as {accept}: {rate:.0}/s   at least {CODES_READ_PER_SECOND_MIN}: {}",
            verdict(rate >= CODES_READ_PER_SECOND_MIN)
        );
        holds &= rate >= CODES_READ_PER_SECOND_MIN;
    }
    let peak = peak_mib_of(api.process.child.id().expect("a running server")).expect("its memory");
    println!("peak memory of the server that was read from: {peak:.0} MiB");
    api.stop().await;
    holds
}
