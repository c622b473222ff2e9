//! How a PostgreSQL server is reached: TLS with a checked certificate, and a role with no more rights than it needs.

use codemint::store::Store;
use codemint::store::location::Location;
use codemint::store::schema::SchemaStatus;
use uuid::Uuid;

use crate::support::authority::Authority;
use crate::support::codemint::Codemint;
use crate::support::postgres::{Durability, Server, Setup};
use crate::support::stores::TestStore;
use crate::support::wait_until;
use crate::worker_steps::{EVENTS, Site, publish, request, wait_for_end};

#[tokio::test]
async fn a_server_is_believed_only_with_a_certificate_of_the_given_authority_for_its_name() {
    let authority = Authority::new();
    let (certificate, key) = authority.server_certificate("127.0.0.1");
    let server = Server::start_with(&Setup {
        durability: Durability::None,
        settings: "ssl = on\nssl_cert_file = '{directory}/server.crt'\nssl_key_file = '{directory}/server.key'"
            .to_owned(),
        access_rules: Some("local all all trust\nhostssl all all 127.0.0.1/32 trust\n".to_owned()),
        files: vec![("server.crt".to_owned(), certificate), ("server.key".to_owned(), key)],
    });
    let directory = tempfile::tempdir().expect("a directory");
    let (right, wrong) = (directory.path().join("right.pem"), directory.path().join("wrong.pem"));
    std::fs::write(&right, authority.certificate_pem()).expect("a file");
    std::fs::write(&wrong, Authority::new().certificate_pem()).expect("a file");
    let url = |parameters: &str| format!("{}?{parameters}", server.url("postgres"));

    let verified = url(&format!("sslmode=verify-full&sslrootcert={}", right.display()));
    let location: Location = verified.parse().expect("a location");
    assert_eq!(Store::migrate(&location).await.expect("a schema"), SchemaStatus::Current { version: 3 });
    let generate =
        |url: &str| Codemint::new(directory.path()).args(["--store", url, "generate", "A####", "--count", "10"]);
    generate(&verified).run().await.expect_code(0);

    let stranger = url(&format!("sslmode=verify-full&sslrootcert={}", wrong.display()));
    let refused = generate(&stranger).run().await.expect_code(2);
    assert!(refused.stderr.contains("invalid peer certificate"), "{}", refused.stderr);

    let other_name = verified.replace("127.0.0.1", "localhost");
    let refused = generate(&other_name).run().await.expect_code(2);
    assert!(refused.stderr.contains("not valid for name"), "{}", refused.stderr);

    let plain = generate(&url("sslmode=disable")).run().await.expect_code(2);
    assert!(plain.stderr.contains("no encryption"), "{}", plain.stderr);

    let missing = url("sslmode=verify-full&sslrootcert=/no/such/file.pem");
    let refused = generate(&missing).run().await.expect_code(2);
    assert!(refused.stderr.contains("/no/such/file.pem"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_role_with_the_documented_rights_can_mint_cancel_and_verify() {
    let place = TestStore::postgres().await;
    let (role, url) = role_with_rights(&place, |grant| !grant.contains("of workers")).await;
    place.execute("insert into codes (code, run_no) select to_char(n, 'FM00'), 0 from generate_series(0, 49) n").await;
    let codemint = |args: &[&str]| Codemint::new(place.path()).args(["--store", &url]).args(args);

    let minted =
        codemint(&["generate", "##", "--count", "50", "--chunk-size", "5", "--json"]).run().await.expect_code(0);
    let job = minted.json();
    assert_eq!(job["minted"], 50, "codes in the way are looked up and a further round is planned");
    let id = job["job_id"].as_str().expect("an id");
    codemint(&["verify", id]).run().await.expect_code(0);
    codemint(&["jobs", "cancel", id]).run().await.expect_code(3);
    let refused = codemint(&["migrate"]).run().await;
    assert_eq!(refused.code, 0, "a current schema needs no rights to stay as it is: {}", refused.stderr);
    place.execute(&format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test]
async fn a_role_with_the_documented_rights_can_do_a_workers_work() {
    let mut place = TestStore::postgres().await;
    let (role, url) = role_with_rights(&place, |_| true).await;
    place.url = url;
    let site = Site::new(place).await;
    site.drain().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let (minted, refused) = (Uuid::now_v7(), Uuid::now_v7());
    for (id, count) in [(minted, 120_000), (refused, 0), (minted, 120_000)] {
        publish(&peer, &request(id, "A????##", count)).await;
    }
    site.drain().await;
    assert_eq!(wait_for_end(&mut inbox, minted).await.last().map(String::as_str), Some("job.completed"));
    assert_eq!(wait_for_end(&mut inbox, refused).await, ["job.failed"]);
    assert_eq!(site.count("select count(*) from outbox").await, 0);
    assert_eq!(site.count("select count(*) from codes").await, 120_000);

    let cancelled = Uuid::now_v7().to_string();
    publish(&peer, &request(cancelled.parse().expect("an id"), "B????##", 120_000)).await;
    let worker = site.start_ready().await;
    wait_until("the job is there", async || site.count("select count(*) from jobs").await == 3).await;
    site.codemint(&["jobs", "cancel", &cancelled]).run().await;
    worker.terminate().await.expect_code(0);
    site.store.execute(&format!("drop owned by {role}; drop role {role}")).await;
}

/// A role with those rights that the README lists for minting and that are wanted here, and the store's URL for it.
async fn role_with_rights(place: &TestStore, is_wanted: impl Fn(&str) -> bool) -> (String, String) {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let mut url = url::Url::parse(&place.url).expect("a URL");
    let role = format!("minter_of_{}", url.path().trim_start_matches('/'));
    let grants: Vec<String> = readme
        .lines()
        .filter(|line| line.starts_with("grant ") && line.contains(" to mint;") && is_wanted(line))
        .map(|line| line.replace(" to mint;", &format!(" to {role};")))
        .collect();
    assert!(grants.len() >= 3, "{grants:?}");
    place.execute(&format!("create role {role} login password 'minter';\n{}", grants.join("\n"))).await;
    url.set_username(&role).expect("a user");
    url.set_password(Some("minter")).expect("a password");
    (role, url.to_string())
}
