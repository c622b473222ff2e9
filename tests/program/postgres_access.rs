//! Access to a PostgreSQL server: TLS with a verified certificate, and roles with only the rights that they need.

use codemint_campaigns::people::{Accepted, People, SignedIn};
use codemint_store::connection::location::Location;
use codemint_store::connection::schema::SchemaStatus;
use codemint_store::connection::store::Store;
use uuid::Uuid;

use codemint_test_support::authority::Authority;
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{Database, Durability, Server, Setup};
use codemint_test_support::psql::partition;
use codemint_test_support::roles::{url_of_member, url_of_owner};
use codemint_test_support::stores::TestStore;

#[tokio::test]
async fn a_server_is_trusted_only_with_a_certificate_of_the_given_authority_and_its_name() {
    let authority = Authority::create();
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
    std::fs::write(&wrong, Authority::create().certificate_pem()).expect("a file");
    let url = |parameters: &str| format!("{}?{parameters}", server.url("postgres"));

    let verified = url(&format!("sslmode=verify-full&sslrootcert={}", right.display()));
    let location: Location = verified.parse().expect("a location");
    assert_eq!(Store::migrate(&location).await.expect("a schema"), SchemaStatus::Current { version: 13 });
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
    let url = url_of_member(&place.url, "generator").await;
    place.execute("insert into codes (code, run_no) select to_char(n, 'FM00'), 0 from generate_series(0, 49) n").await;
    let codemint = |args: &[&str]| Codemint::new(place.path()).args(["--store", &url]).args(args);

    let minted =
        codemint(&["generate", "##", "--count", "50", "--chunk-size", "5", "--json"]).run().await.expect_code(0);
    let job = minted.json();
    assert_eq!(job["minted"], 50, "existing codes are looked up and a further round is planned");
    let id = job["job_id"].as_str().expect("an id");
    codemint(&["verify", id]).run().await.expect_code(0);
    codemint(&["jobs", "cancel", id]).run().await.expect_code(3);
    let refused = codemint(&["migrate"]).run().await;
    assert_eq!(refused.code, 0, "`migrate` needs no rights while the schema is current: {}", refused.stderr);
}

#[tokio::test]
async fn a_member_of_the_owner_creates_all_tables_that_minting_needs() {
    let database = Database::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let owner = url_of_owner(&database.url).await;
    let codemint = |url: &str, args: &[&str]| Codemint::new(directory.path()).args(["--store", url]).args(args);
    codemint(&owner, &["migrate"]).run().await.expect_code(0);
    partition(&owner, "3").await.expect_code(0);
    let generator = url_of_member(&database.url, "generator").await;
    codemint(&generator, &["generate", "A####", "--count", "10"]).run().await.expect_code(0);
    let place = TestStore::postgres_in(database).await;
    let foreign = "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner
                    where relnamespace = 'public'::regnamespace and right(rolname, 6) <> '_owner'";
    assert_eq!(place.number(foreign).await, 0, "everything belongs to the role, so that any member can continue");
    assert_eq!(place.number("select count(*) from codes").await, 10);
}

async fn is_refused(url: &str, sql: &str) {
    use sqlx::{Connection, Executor, PgConnection};
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    let error = connection.execute(sql).await.expect_err(sql);
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    assert_eq!(code, "42501", "{sql}: {error}");
}

#[tokio::test]
async fn a_generator_cannot_read_other_schemas_and_cannot_drop_or_change_codes() {
    let place = TestStore::postgres().await;
    let url = url_of_member(&place.url, "generator").await;
    place.execute("create schema elsewhere; create table elsewhere.secrets (secret text)").await;
    place.codemint(["generate", "A####", "--count", "10"]).run().await.expect_code(0);
    for sql in [
        "select * from elsewhere.secrets",
        "drop table codes",
        "truncate codes",
        "update codes set run_no = 1",
        "delete from codes",
        "delete from jobs",
        "insert into reserved default values",
        "create table own (n integer)",
        "alter table jobs add column own integer",
    ] {
        is_refused(&url, sql).await;
    }
}

#[tokio::test]
async fn a_reader_reads_everything_but_keys_and_a_producer_only_enqueues() {
    let place = TestStore::postgres().await;
    let (reader, producer) = (url_of_member(&place.url, "reader").await, url_of_member(&place.url, "producer").await);
    let codemint = |url: &str, args: &[&str]| Codemint::new(place.path()).args(["--store", url]).args(args);
    let id = Uuid::now_v7().to_string();
    codemint(&producer, &["enqueue", "A####", "--count", "10", "--campaign", "spring", "--job-id", &id])
        .run()
        .await
        .expect_code(0);
    is_refused(&producer, "insert into codes values ('A0000', 1)").await;
    is_refused(&reader, "select key from jobs").await;
    is_refused(&reader, "insert into codes values ('A0000', 1)").await;
    place.codemint(["jobs", "resume", &id]).run().await.expect_code(0);
    codemint(&reader, &["jobs", "list"]).run().await.expect_code(0);
    codemint(&reader, &["jobs", "show", &id]).run().await.expect_code(0);
    codemint(&reader, &["verify", &id]).run().await.expect_code(0);
    let exported = codemint(&reader, &["export", &id, "--format", "txt"]).run().await.expect_code(0);
    assert_eq!(exported.stdout.lines().count(), 10);
}

#[tokio::test]
async fn the_role_for_the_api_manages_keys_redeems_and_manages_campaigns_and_nothing_else() {
    let place = TestStore::postgres().await;
    let server = url_of_member(&place.url, "server").await;
    let codemint = |args: &[&str]| Codemint::new(place.path()).args(["--store", &server]).args(args);
    let key = codemint(&["keys", "create", "--scope", "redeem", "--json"]).run().await.expect_code(0).json();
    let id = key["id"].as_str().expect("an id").to_owned();
    place.execute("update api_keys set name = 'till'").await;
    let store = place.open_at(&server).await;
    assert!(store.has_api_keys().await.expect("an answer"));
    let noted = store.note_use_of_key(id.parse().expect("an id"), chrono::Utc::now()).await;
    assert!(noted.expect("the right to note uses"));
    let definition = serde_json::json!({
        "name": "spring", "title": "Spring sale", "kind": "private", "active": true, "mask": "SPRING-####",
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    std::fs::write(place.path().join("campaign.json"), definition.to_string()).expect("a file");
    codemint(&["campaign", "create", "campaign.json"]).run().await.expect_code(0);
    codemint(&["campaign", "codes", "spring", "--count", "10", "--no-wait"]).run().await.expect_code(0);
    place.execute("insert into codes (code, run_no) select 'SPRING-1234', run_no from chunks").await;
    codemint(&["redeem", "SPRING-1234"]).run().await.expect_code(0);
    for args in [&["keys", "list"][..], &["keys", "revoke", &id], &["audit"]] {
        codemint(args).run().await.expect_code(0);
    }
    for sql in [
        "update api_keys set scopes = 'admin'",
        "update api_keys set expires_at = null",
        "update api_keys set digest = sha256('')",
        "update api_keys set created_at = now()",
        "insert into api_keys (id, digest, scopes, created_at) values (gen_random_uuid(), sha256(''), 'admin', now())",
        "delete from api_keys",
        "truncate api_keys",
        "insert into codes values ('A0000', 1)",
        "update codes set run_no = 1",
        "delete from campaigns",
    ] {
        is_refused(&server, sql).await;
    }
}

#[tokio::test]
async fn the_role_for_the_api_manages_people_and_no_other_role_sees_them() {
    let place = TestStore::postgres().await;
    let server = url_of_member(&place.url, "server").await;
    let people = People::new(place.open_at(&server).await);
    let (ann, lamps) = ("ann".parse().expect("a login"), "seven green lamps".parse().expect("a password"));
    let link = people.first_invitation().await.expect("an answer").expect("nobody is there");
    let accepted = people.accept(&link, &ann, &lamps).await.expect("an answer");
    let Accepted::SignedIn(SignedIn { token, .. }) = accepted else { panic!("{accepted:?}") };
    assert!(people.find_session(&token).await.expect("an answer").is_some());
    place.execute("update sessions set seen_at = now() - interval '1 hour'").await;
    let noted = place.open_at(&server).await.note_use_of_session(&token.digest(), chrono::Utc::now()).await;
    assert!(noted.expect("the right to note uses"));
    assert!(people.sign_in("ann", &lamps).await.expect("an answer").is_some());
    people.sign_out(&token).await.expect("the right to end sessions");
    let codemint = |args: &[&str]| Codemint::new(place.path()).args(["--store", &server]).args(args);
    for args in [
        &["users", "add", "ben", "--role", "viewer", "--invite"][..],
        &["users", "password", "ben", "--invite"],
        &["users", "role", "ben", "support"],
        &["users", "list"],
        &["users", "remove", "ben"],
    ] {
        codemint(args).run().await.expect_code(0);
    }
    for sql in [
        "update users set login = 'eve'",
        "update users set id = gen_random_uuid()",
        "update sessions set user_id = gen_random_uuid()",
        "update sessions set expires_at = now()",
        "update sessions set generation = 1",
        "update invitations set user_id = null",
        "update invitations set expires_at = now()",
        "truncate users cascade",
    ] {
        is_refused(&server, sql).await;
    }
    for role in ["generator", "reader", "producer", "marketer", "redeemer"] {
        let url = url_of_member(&place.url, role).await;
        for table in ["users", "sessions", "invitations"] {
            is_refused(&url, &format!("select from {table}")).await;
            is_refused(&url, &format!("delete from {table}")).await;
        }
    }
}

#[tokio::test]
async fn no_other_role_sees_or_makes_keys_and_an_owner_manages_them() {
    let database = Database::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let owner = url_of_owner(&database.url).await;
    let codemint = |url: &str, args: &[&str]| Codemint::new(directory.path()).args(["--store", url]).args(args);
    codemint(&owner, &["migrate"]).run().await.expect_code(0);
    for role in ["generator", "reader", "producer", "marketer", "redeemer"] {
        let url = url_of_member(&database.url, role).await;
        for sql in ["select id from api_keys", "update api_keys set last_used_at = now()", "delete from api_keys"] {
            is_refused(&url, sql).await;
        }
        let refused = codemint(&url, &["keys", "create", "--scope", "redeem"]).run().await.expect_code(1);
        let expected = "error: the store reports: permission denied for table api_keys; deploy/postgres/roles.sql says";
        assert!(refused.stderr.starts_with(expected), "{role}: {}", refused.stderr);
    }
    let key = codemint(&owner, &["keys", "create", "--scope", "admin", "--json"]).run().await.expect_code(0).json();
    codemint(&owner, &["keys", "revoke", key["id"].as_str().expect("an id")]).run().await.expect_code(0);
    codemint(&owner, &["keys", "list"]).run().await.expect_code(0);
    codemint(&owner, &["users", "add", "ann", "--role", "admin", "--invite"]).run().await.expect_code(0);
    codemint(&owner, &["users", "remove", "ann", "--force"]).run().await.expect_code(0);
}

#[tokio::test]
async fn a_worker_with_all_rights_warns_once_or_refuses_to_start_where_configured() {
    let place = TestStore::postgres().await;
    let generator = url_of_member(&place.url, "generator").await;
    let worker = |url: &str, require: &str| {
        Codemint::new(place.path())
            .args(["worker", "--drain"])
            .env("CODEMINT__ADMIN__LISTEN", "off")
            .env("CODEMINT__STORE__REQUIRE_LEAST_PRIVILEGE", require)
            .args(["--store", url])
    };
    let warned = worker(&place.url, "false").run().await.expect_code(0);
    assert_eq!(warned.stderr.matches("superuser").count(), 1, "{}", warned.stderr);
    let refused = worker(&place.url, "true").run().await.expect_code(2);
    assert!(refused.stderr.contains("codemint_generator"), "{}", refused.stderr);
    let fine = worker(&generator, "true").run().await.expect_code(0);
    assert!(!fine.stderr.contains("superuser"), "{}", fine.stderr);
}
