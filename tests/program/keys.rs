//! `keys`: a key is printed once and found nowhere else, listed without itself, and revoked by its id.

use std::process::{Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use codemint_offers::access::key::ApiKey;
use codemint_test_support::cli_steps::{EmptyPlace, assert_names, proposed};
use codemint_test_support::codemint::{AS_PROGRAM, program};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::tools::expect_content;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::redemptions::run;

async fn create(place: &TestStore, args: &[&str]) -> Value {
    run(place, &[&["keys", "create", "--json"][..], args].concat(), 0).await.json()
}

async fn list(place: &TestStore) -> Value {
    run(place, &["keys", "list", "--json"], 0).await.json()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect(field)
}

on_both_stores!(a_new_key_is_printed_alone_and_recognized_by_the_store);
async fn a_new_key_is_printed_alone_and_recognized_by_the_store(place: TestStore) {
    let ran = run(&place, &["keys", "create", "--scope", "redeem,issue"], 0).await;
    assert_eq!(ran.stderr, "", "no hint without a terminal");
    let key: ApiKey = ran.stdout.strip_suffix('\n').expect("one line").parse().expect("a key and nothing else");
    let found = place.store.find_key_by_digest(&key.digest()).await.expect("an answer").expect("the key");
    assert_eq!((found.scopes.to_string().as_str(), found.name, found.expires_at), ("redeem,issue", None, None));

    let created = create(&place, &["--scope", " admin , redeem", "--name", "Till 7"]).await;
    let fields: Vec<&String> = created.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["expires_at", "id", "key", "scopes"]);
    assert_eq!((&created["scopes"], &created["expires_at"]), (&json!(["redeem", "admin"]), &Value::Null));
    let key: ApiKey = text(&created, "key").parse().expect("a key");
    let found = place.store.find_key_by_digest(&key.digest()).await.expect("an answer").expect("the key");
    assert_eq!(found.id.to_string(), text(&created, "id"));
    assert_eq!(found.name.as_deref(), Some("Till 7"));
    assert_eq!(created.to_string().matches("\"cm_").count(), 1, "only the key begins like one");
    let created = create(&place, &["--scope", "redeem", "--expires-at", "2099-01-01T01:00:00.1239+01:00"]).await;
    assert_eq!(created["expires_at"], "2099-01-01T00:00:00.123Z");
    assert_eq!(place.number("select count(*) from api_keys").await, 3);
}

/// Returns everything that the store holds, as a backup would have it.
async fn dump(place: &TestStore) -> String {
    place.store.close().await.expect("a close");
    match place.kind {
        Kind::Postgres => expect_content(Command::new("pg_dump").args(["--inserts", &place.url])),
        Kind::Sqlite => {
            String::from_utf8_lossy(&std::fs::read(place.path().join("store.db")).expect("the file")).into()
        }
    }
}

on_both_stores!(a_key_is_nowhere_but_in_the_output_of_its_creation);
async fn a_key_is_nowhere_but_in_the_output_of_its_creation(place: TestStore) {
    let args = ["-vvv", "keys", "create", "--scope", "redeem", "--name", "Visible name", "--json"];
    let ran = run(&place, &args, 0).await;
    let created = ran.json();
    let (key, id) = (text(&created, "key"), text(&created, "id"));
    let digest = key.parse::<ApiKey>().expect("a key").digest();
    let digest: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut seen = vec![("the log of the creation", ran.stderr)];
    for args in [
        &["keys", "list"][..],
        &["keys", "list", "--json"],
        &["keys", "revoke", id],
        &["keys", "revoke", id, "--json"],
        &["audit"],
        &["audit", "--json"],
    ] {
        let ran = place.codemint(["-vvv"]).args(args).run().await.expect_code(0);
        assert!(ran.stdout.contains(id), "{args:?}: {}", ran.stdout);
        seen.push((args[0], ran.stdout + &ran.stderr));
    }
    for (name, text) in &seen {
        assert!(!text.contains(&digest), "{name}: {text}");
    }
    let dump = dump(&place).await;
    assert!(dump.contains("Visible name") && dump.contains("key_create"), "the dump has the store");
    assert_eq!(dump.contains(&digest), place.kind == Kind::Postgres, "the digest is what is stored");
    seen.push(("dump", dump));
    for (name, text) in seen {
        assert!(!text.contains(&key[ApiKey::PREFIX.len()..]), "{name} shows the key");
    }
}

on_both_stores!(keys_are_listed_with_their_state_and_page_by_page);
async fn keys_are_listed_with_their_state_and_page_by_page(place: TestStore) {
    let none = run(&place, &["keys", "list"], 0).await;
    assert_eq!((&*none.stdout, &*none.stderr), ("", "no keys\n"));
    assert_eq!(list(&place).await, json!([]));
    let revoked = create(&place, &["--scope", "issue"]).await;
    run(&place, &["keys", "revoke", text(&revoked, "id")], 0).await;
    let expired = create(&place, &["--scope", "report", "--expires-in", "1h", "--name", "old"]).await;
    let of_expired =
        "update api_keys set created_at = '2020-01-01T00:00:00.000Z', expires_at = '2020-02-01T00:00:00.000Z'
                       where name = 'old'";
    place.execute(of_expired).await;
    let usable = create(&place, &["--scope", "redeem,explain", "--name", "Shop\u{202e}", "--expires-in", "4w"]).await;
    let id: Uuid = text(&usable, "id").parse().expect("an id");
    let used: DateTime<Utc> = "2027-03-01T12:00:00Z".parse().expect("a time");
    assert!(place.store.note_use_of_key(id, used).await.expect("an answer"));

    let listed = list(&place).await;
    let states: Vec<&str> = listed.as_array().expect("keys").iter().map(|key| text(key, "state")).collect();
    assert_eq!(states, ["usable", "revoked", "expired"]);
    let first = &listed[0];
    let expected = json!({
        "id": usable["id"], "name": "Shop\u{202e}", "state": "usable", "scopes": ["redeem", "explain"],
        "created_at": first["created_at"], "expires_at": usable["expires_at"], "revoked_at": null,
        "last_used_at": "2027-03-01T12:00:00Z",
    });
    assert_eq!(*first, expected);
    let time = |field: &str| text(first, field).parse::<DateTime<Utc>>().expect("a time");
    assert!((time("expires_at") - time("created_at") - TimeDelta::weeks(4)).abs() < TimeDelta::minutes(1));

    let lines = run(&place, &["keys", "list"], 0).await.stdout;
    let seconds = |field: &str| time(field).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let [created, expires] = ["created_at", "expires_at"].map(seconds);
    let revoked_at = text(&listed[1], "created_at").parse::<DateTime<Utc>>().expect("a time");
    let expected = format!(
        "KEY                                   STATE    CREATED               EXPIRES               LAST USED             SCOPES  NAME
{}  usable   {created}  {expires}  2027-03-01T12:00:00Z  redeem,explain  Shop\\u{{202e}}
{}  revoked  {}  never                 never                 issue
{}  expired  2020-01-01T00:00:00Z  2020-02-01T00:00:00Z  never                 report  old
",
        text(&usable, "id"),
        text(&revoked, "id"),
        revoked_at.format("%Y-%m-%dT%H:%M:%SZ"),
        text(&expired, "id"),
    );
    assert_eq!(lines, expected);

    let page = run(&place, &["keys", "list", "--limit", "2"], 0).await;
    assert_eq!(page.stdout, lines.lines().take(3).map(|line| format!("{line}\n")).collect::<String>());
    assert_names(&page.stderr, &["there are more keys; `codemint ", " lists the next ones\n"]);
    let next = proposed(&place, &page.stderr).run().await.expect_code(0);
    assert_eq!((next.stdout.lines().count(), &*next.stderr), (2, ""), "{}", next.stdout);
    assert_names(&next.stdout, &[text(&expired, "id")]);
    let all = run(&place, &["keys", "list", "--limit", "3"], 0).await;
    assert_eq!((all.stdout.lines().count(), &*all.stderr), (4, ""));
}

on_both_stores!(a_key_is_revoked_by_its_id_however_often);
async fn a_key_is_revoked_by_its_id_however_often(place: TestStore) {
    let created = create(&place, &["--scope", "redeem"]).await;
    let (id, key) = (text(&created, "id"), text(&created, "key"));
    let revoke = async |id: &str, code: i32| run(&place, &["keys", "revoke", id], code).await;
    let other = Uuid::now_v7().to_string();
    let unknown = revoke(&other, 3).await;
    assert_names(
        &unknown.stderr,
        &[&format!("error: there is no key {other} in this store; `codemint "), "keys list` shows"],
    );
    for wrong in [key, "", "everything", &id[1..]] {
        let refused = revoke(wrong, 2).await;
        assert_names(
            &refused.stderr,
            &[" id ", "01890a5d-ac96-774b-bcce-b302099a8057; `codemint keys list` shows the ids"],
        );
        assert!(!refused.stderr.contains(&key[3..]), "{}", refused.stderr);
        run(&place, &["keys", "list", "--after", wrong], 2).await;
    }
    assert_names(&revoke(key, 2).await.stderr, &["error: this looks like a key; write its id instead"]);
    assert_eq!(list(&place).await[0]["state"], "usable");

    assert_eq!(revoke(id, 0).await.stdout, format!("key {id} was revoked\n"));
    let listed = list(&place).await;
    assert_eq!(revoke(id, 0).await.stdout, format!("key {id} was revoked before\n"));
    let document = run(&place, &["keys", "revoke", id, "--json"], 0).await.json();
    assert_eq!((&document, &document["state"]), (&listed[0], &json!("revoked")), "nothing changes any more");
    let audit = run(&place, &["audit", "--action", "key_revoke", "--json"], 0).await.stdout;
    let rows: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let results: Vec<&Value> = rows.iter().map(|row| &row["result"]).collect();
    assert_eq!(results, ["done", "unchanged", "unchanged"]);
    assert_eq!((&rows[0]["detail"], &rows[0]["digest"]), (&json!(format!("{id}: redeem")), &Value::Null));
}

#[tokio::test]
async fn what_a_key_cannot_be_is_named_with_what_it_can_be() {
    let place = TestStore::sqlite().await;
    let (long, all) =
        ("x".repeat(101), "write one or more of redeem, issue, manage, report, explain, admin, separated by commas");
    let key = ApiKey::new([0xfb; 32]).text();
    for (args, code, message) in [
        (&[][..], 2, "--scope <LIST>"),
        (&["--scope", ""], 2, &*format!("a scope is missing; {all}")),
        (&["--scope", "redeem,"], 2, &format!("a scope is missing; {all}")),
        (&["--scope", "redeem,everything"], 2, &format!("unknown scope everything; {all}")),
        (&["--scope", "redeem", "--name", ""], 4, "error: the name of a key has 1 to 100 characters, got 0\n"),
        (&["--scope", "redeem", "--name", &long], 4, "error: the name of a key has 1 to 100 characters, got 101\n"),
        (
            &["--scope", "redeem", "--name", "a\u{7}"],
            4,
            "error: the name of a key has no control characters; write plain",
        ),
        (&["--scope", "redeem", "--name", &key], 4, "error: the name contains a key, and names are not secret; write"),
        (&["--scope", "redeem", "--expires-in", "1y"], 2, "write a whole number from 1 and h, d or w"),
        (&["--scope", "redeem", "--expires-in", "0d"], 2, "write a whole number from 1 and h, d or w"),
        (
            &["--scope", "redeem", "--expires-in", "4000000000w"],
            4,
            "error: a key expires before the year 10000; choose an",
        ),
        (
            &["--scope", "redeem", "--expires-at", "2027-12-31"],
            2,
            "write a time with its offset, such as 2027-12-31T23:59:59Z",
        ),
        (
            &["--scope", "redeem", "--expires-at", "2020-02-01T01:00:00+01:00"],
            4,
            "error: the key would have expired at 2020-02-01T00:00:00Z; choose a time in the future\n",
        ),
        (
            &["--scope", "redeem", "--expires-at", "2099-01-01T00:00:00Z", "--expires-in", "1d"],
            2,
            "cannot be used with",
        ),
    ] {
        let refused = run(&place, &[&["keys", "create"][..], args].concat(), code).await;
        assert_names(&refused.stderr, &[message]);
        assert_eq!(refused.stdout, "", "{args:?}");
        assert!(!refused.stderr.contains(&key[3..]), "{}", refused.stderr);
    }
    assert_eq!(list(&place).await, json!([]));
}

#[tokio::test]
async fn no_more_keys_are_created_than_are_allowed() {
    let place = TestStore::sqlite().await;
    let full = "insert into api_keys (id, digest, scopes)
                with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000)
                select randomblob(16), randomblob(32), 'redeem' from n";
    place.execute(full).await;
    let refused = run(&place, &["keys", "create", "--scope", "redeem"], 4).await;
    assert_names(
        &refused.stderr,
        &["this store has 10,000 usable keys, and no more are allowed; ", "keys list` lists them"],
    );
    assert_eq!(refused.stdout, "");
    let listed = run(&place, &["keys", "list", "--limit", "10000", "--json"], 0).await;
    assert_eq!((listed.json().as_array().expect("keys").len(), &*listed.stderr), (10_000, ""));
}

#[tokio::test]
async fn the_first_key_creates_an_sqlite_store_and_a_list_creates_none() {
    let place = EmptyPlace::create();
    let missing = place.run(&[], &["keys", "list"], 2).await;
    assert_names(&missing.stderr, &["there is no store at "]);
    assert!(!place.path().join("codemint.db").exists());
    place.run(&[], &["keys", "create", "--scope", "admin"], 0).await;
    let listed = place.run(&[], &["keys", "list", "--json"], 0).await.json();
    assert_eq!((listed.as_array().expect("keys").len(), &listed[0]["scopes"]), (1, &json!(["admin"])));
}

/// `script` gives the program a terminal.
#[test]
fn on_a_terminal_a_hint_follows_the_key() {
    let place = EmptyPlace::create();
    let on_terminal = |options: &str| {
        let command = format!("{} {options} keys create --scope redeem", program().display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env(AS_PROGRAM, "1");
        expect_content(script.current_dir(place.path()).stdin(Stdio::null())).replace("\r\n", "\n")
    };
    assert!(on_terminal("").starts_with("note: created the store /"));
    let shown = on_terminal("");
    let (key, hint) = shown.split_once('\n').expect("two lines");
    assert!(key.parse::<ApiKey>().is_ok(), "{shown}");
    assert!(hint.starts_with("note: this key cannot be shown again; its id is "), "{shown}");
    assert!(on_terminal("--quiet").trim_end().parse::<ApiKey>().is_ok());
}

#[tokio::test]
async fn a_key_that_cannot_be_printed_is_named_by_its_id() {
    let place = TestStore::sqlite().await;
    for args in [&["--scope", "redeem"][..], &["--scope", "redeem", "--json"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a full disk");
        let ran = place.codemint(["keys", "create"]).args(args).stdout(full.into()).run().await.expect_code(1);
        assert_names(&ran.stderr, &["error: failed to write to standard output", "cannot be shown again; `codemint "]);
        proposed(&place, &ran.stderr).run().await.expect_code(0);
    }
    let states = list(&place).await;
    assert_eq!([&states[0]["state"], &states[1]["state"]], ["revoked", "revoked"]);
}
