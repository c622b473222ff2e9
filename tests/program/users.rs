//! `users`: people are added with a password or a link, listed, changed and removed, and no password is shown.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use codemint_campaigns::people::{Accepted, People};
use codemint_offers::access::invitation::InvitationToken;
use codemint_test_support::cli_steps::{EmptyPlace, assert_names, proposed};
use codemint_test_support::codemint::{AS_PROGRAM, Ran, finish, program};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::redemptions::run;

const LAMPS: &str = "seven green lamps";
const DOORS: &str = "eleven blue doors";

/// Runs a command that reads this password, as a line of its own.
async fn with_password(place: &TestStore, args: &[&str], input: &str, code: i32) -> Ran {
    let command = place.codemint(args).args(["--password-stdin"]).stdin(Stdio::piped());
    let mut child = command.start();
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that refuses its arguments reads nothing.
    let _unread = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    finish(child).await.expect_code(code)
}

async fn add(place: &TestStore, name: &str, role: &str) -> Ran {
    with_password(place, &["users", "add", name, "--role", role], &format!("{LAMPS}\n"), 0).await
}

async fn list(place: &TestStore) -> Value {
    run(place, &["users", "list", "--json"], 0).await.json()
}

async fn signs_in(place: &TestStore, name: &str, text: &str) -> bool {
    let password = text.parse().expect("a password");
    People::new(place.store.clone()).sign_in(name, &password).await.expect("an answer").is_some()
}

on_both_stores!(a_person_is_added_with_the_password_of_the_first_line);
async fn a_person_is_added_with_the_password_of_the_first_line(place: TestStore) {
    let none = run(&place, &["users", "list"], 0).await;
    assert_eq!((&*none.stdout, &*none.stderr), ("", "no users\n"));
    let added = add(&place, " Ann@Example.ORG ", "admin").await;
    assert_eq!((&*added.stdout, &*added.stderr), ("user ann@example.org was added with the role admin\n", ""));
    assert!(signs_in(&place, "ann@example.org", LAMPS).await);
    for (name, input) in [("ben", format!("{LAMPS}\r\n")), ("carla", LAMPS.to_owned())] {
        let args = ["users", "add", name, "--role", "support", "--json"];
        let added = with_password(&place, &args, &input, 0).await.json();
        let fields: Vec<&String> = added.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["created_at", "has_password", "id", "login", "role", "signed_in_at"]);
        assert_eq!(
            (&added["login"], &added["role"], &added["has_password"]),
            (&json!(name), &json!("support"), &json!(true))
        );
        assert!(signs_in(&place, name, LAMPS).await, "{name}");
    }
    let again = with_password(&place, &["users", "add", "ANN@example.org", "--role", "viewer"], DOORS, 4).await;
    assert_names(
        &again.stderr,
        &["error: there is already a user ann@example.org in this store; `codemint ", "users list` shows"],
    );
    assert!(signs_in(&place, "ann@example.org", LAMPS).await);
}

on_both_stores!(a_link_is_printed_alone_and_accepted_once);
async fn a_link_is_printed_alone_and_accepted_once(place: TestStore) {
    let people = People::new(place.store.clone());
    let invited = run(&place, &["users", "add", "ben", "--role", "marketer", "--invite"], 0).await;
    assert_eq!(invited.stderr, "", "no hint without a terminal");
    let token = |path: &str| -> InvitationToken {
        path.trim_end().strip_prefix("/invitation/").expect("a path").parse().expect("a token")
    };
    let first = token(&invited.stdout);
    assert!(people.invitation(&first).await.expect("an answer").is_some());
    let again = run(&place, &["users", "password", "ben", "--invite", "--json"], 0).await.json();
    assert_eq!((&again["login"], &again["role"]), (&json!("ben"), &json!("marketer")));
    let second = token(again["invitation"].as_str().expect("a path"));
    assert!(people.invitation(&first).await.expect("an answer").is_none(), "the later link replaces it");
    let (ben, lamps) = ("ben".parse().expect("a login"), LAMPS.parse().expect("a password"));
    let accepted = people.accept(&second, &ben, &lamps).await.expect("an answer");
    assert!(matches!(accepted, Accepted::SignedIn(_)));
    assert!(signs_in(&place, "ben", LAMPS).await);
    assert_eq!(
        place.texts("select action from audit order by no").await,
        ["user_add", "user_invite", "user_invite", "user_password"]
    );
}

on_both_stores!(people_are_listed_by_login_and_page_by_page);
async fn people_are_listed_by_login_and_page_by_page(place: TestStore) {
    add(&place, "ben", "affiliates").await;
    run(&place, &["users", "add", "carla", "--role", "viewer", "--invite"], 0).await;
    add(&place, "ann", "admin").await;
    assert!(signs_in(&place, "ann", LAMPS).await);
    place.execute("update users set created_at = '2027-03-01T12:00:00.000Z'").await;
    place.execute("update users set signed_in_at = '2027-03-02T12:00:00.000Z' where login = 'ann'").await;
    let lines = run(&place, &["users", "list"], 0).await.stdout;
    let expected = "\
ROLE        PASSWORD  CREATED               LAST SIGN-IN          LOGIN
admin       yes       2027-03-01T12:00:00Z  2027-03-02T12:00:00Z  ann
affiliates  yes       2027-03-01T12:00:00Z  never                 ben
viewer      no        2027-03-01T12:00:00Z  never                 carla
";
    assert_eq!(lines, expected);
    let listed = list(&place).await;
    assert_eq!((&listed[2]["login"], &listed[2]["has_password"]), (&json!("carla"), &json!(false)));
    let page = run(&place, &["users", "list", "--limit", "2"], 0).await;
    assert_eq!(page.stdout.lines().count(), 3);
    assert_names(&page.stderr, &["there are more users; `codemint ", " lists the next ones\n"]);
    let next = proposed(&place, &page.stderr).run().await.expect_code(0);
    assert_eq!((next.stdout.lines().count(), &*next.stderr), (2, ""), "{}", next.stdout);
    assert_names(&next.stdout, &["carla"]);
}

on_both_stores!(a_password_is_replaced_and_a_role_changed);
async fn a_password_is_replaced_and_a_role_changed(place: TestStore) {
    add(&place, "ann", "admin").await;
    add(&place, "ben", "viewer").await;
    let set = with_password(&place, &["users", "password", "ben"], DOORS, 0).await;
    assert_eq!(set.stdout, "user ben has a new password; all sessions have ended\n");
    assert!(signs_in(&place, "ben", DOORS).await && !signs_in(&place, "ben", LAMPS).await);
    let changed = run(&place, &["users", "role", "ben", "support"], 0).await;
    assert_eq!(changed.stdout, "user ben now has the role support\n");
    let again = run(&place, &["users", "role", "ben", "support"], 0).await;
    assert_eq!(again.stdout, "user ben already has the role support\n");
    let document = run(&place, &["users", "role", "ben", "marketer", "--json"], 0).await.json();
    assert_eq!((&document["login"], &document["role"]), (&json!("ben"), &json!("marketer")));
    assert_eq!(list(&place).await[1], document);
    for args in [
        &["users", "role", "eve", "viewer"][..],
        &["users", "remove", "eve"],
        &["users", "password", "eve", "--invite"],
    ] {
        let unknown = run(&place, args, 3).await;
        assert_names(&unknown.stderr, &["error: there is no user eve in this store; `codemint ", "users list` shows"]);
    }
    let unknown = with_password(&place, &["users", "password", "eve"], DOORS, 3).await;
    assert_names(&unknown.stderr, &["error: there is no user eve in this store; "]);
}

on_both_stores!(the_last_administrator_is_removed_only_by_force);
async fn the_last_administrator_is_removed_only_by_force(place: TestStore) {
    add(&place, "ann", "admin").await;
    add(&place, "ben", "viewer").await;
    let kept = run(&place, &["users", "remove", "ann"], 4).await;
    assert_eq!(
        kept.stderr,
        "error: user ann is the last administrator and was not removed; make somebody else an administrator first, or give --force\n"
    );
    let kept = run(&place, &["users", "role", "ann", "viewer"], 4).await;
    assert_names(&kept.stderr, &["error: user ann is the last administrator and was not given another role; "]);
    run(&place, &["users", "role", "ben", "admin"], 0).await;
    assert_eq!(run(&place, &["users", "remove", "ann"], 0).await.stdout, "user ann was removed\n");
    run(&place, &["users", "role", "ben", "viewer", "--force"], 0).await;
    let removed = run(&place, &["users", "remove", "ben", "--force", "--json"], 0).await.json();
    assert_eq!((&removed["login"], list(&place).await), (&json!("ben"), json!([])));
}

#[tokio::test]
async fn what_a_person_cannot_be_is_named_with_what_is_possible() {
    let place = TestStore::sqlite().await;
    let (long, roles) = ("x".repeat(101), "write one of viewer, marketer, affiliates, support, admin");
    for (name, role, input, code, message) in [
        ("", "admin", LAMPS, 2, "a login has 1 to 100 characters, got 0"),
        (&*long, "admin", LAMPS, 2, "a login has 1 to 100 characters, got 101"),
        (
            "ann lee",
            "admin",
            LAMPS,
            2,
            "a login has no blanks, control characters or invisible characters; write a name",
        ),
        ("ann", "root", LAMPS, 2, &*format!("unknown role root; {roles}")),
        ("ann", "admin", "", 4, "error: a password has at least 12 characters, got 0; several words"),
        (
            "ann",
            "admin",
            "short\nseven green lamps\n",
            4,
            "error: a password has at least 12 characters, got 5; several words",
        ),
        ("ann", "admin", "password1234", 4, "error: this password is one of the most common ones"),
        (
            "ann@example.org",
            "admin",
            "Ann@example.org",
            4,
            "error: the password is the login, once or repeated; choose",
        ),
        ("ann", "admin", &"y".repeat(100_000), 4, "error: a password has at most 256 characters"),
    ] {
        let refused = with_password(&place, &["users", "add", name, "--role", role], input, code).await;
        assert_names(&refused.stderr, &[message]);
        assert_eq!(refused.stdout, "", "{message}");
        assert!(input.is_empty() || !refused.stderr.contains(input.trim_end()), "{}", refused.stderr);
    }
    let both = with_password(&place, &["users", "add", "ann", "--role", "admin", "--invite"], LAMPS, 2).await;
    assert_names(&both.stderr, &["cannot be used with"]);
    assert_eq!(list(&place).await, json!([]));
}

on_both_stores!(no_password_is_in_logs_outputs_or_the_audit_log);
async fn no_password_is_in_logs_outputs_or_the_audit_log(place: TestStore) {
    let mut seen =
        with_password(&place, &["-vvv", "users", "add", "ann@example.org", "--role", "admin"], LAMPS, 0).await.stderr;
    assert!(!seen.contains("ann@example.org"), "no address is in the log: {seen}");
    seen += &with_password(&place, &["-vvv", "users", "password", "ann@example.org"], DOORS, 0).await.stderr;
    for args in [&["-vvv", "users", "list", "--json"][..], &["-vvv", "audit", "--json"]] {
        let ran = run(&place, args, 0).await;
        assert!(ran.stdout.contains("ann@example.org"), "{}", ran.stdout);
        seen += &(ran.stdout + &ran.stderr);
    }
    for secret in [LAMPS, DOORS, "argon2"] {
        assert!(!seen.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_first_person_creates_an_sqlite_store_and_without_a_terminal_a_password_has_to_be_given() {
    let place = EmptyPlace::create();
    let missing = place.run(&[], &["users", "list"], 2).await;
    assert_names(&missing.stderr, &["there is no store at "]);
    place.run(&[], &["users", "add", "ann", "--role", "admin", "--invite"], 0).await;
    let listed = place.run(&[], &["users", "list", "--json"], 0).await.json();
    assert_eq!((listed.as_array().expect("users").len(), &listed[0]["role"]), (1, &json!("admin")));
}

/// `script` gives the program a terminal; what it shows is what a person sees.
fn on_terminal(place: &EmptyPlace, command: &str, typed: &str) -> String {
    let command = format!("{} {command}", program().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--echo", "always", "--command", &command, "/dev/null"]);
    script.env(AS_PROGRAM, "1").current_dir(place.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().expect("script");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut shown = Vec::new();
    let mut stdout = child.stdout.take().expect("a pipe");
    for line in typed.lines() {
        wait_for_prompt(&mut stdout, &mut shown);
        writeln!(stdin, "{line}").expect("a terminal");
    }
    stdout.read_to_end(&mut shown).expect("an end");
    drop(stdin);
    child.wait().expect("an end");
    String::from_utf8(shown).expect("text").replace("\r\n", "\n")
}

/// Reads until the last thing shown is a prompt.
fn wait_for_prompt(from: &mut impl Read, shown: &mut Vec<u8>) {
    let mut byte = [0];
    while !shown.ends_with(b": ") {
        from.read_exact(&mut byte).expect("a prompt");
        shown.extend(byte);
    }
    // The next prompt is another one.
    shown.push(b'|');
}

#[tokio::test]
async fn a_password_is_typed_twice_and_not_shown() {
    let place = EmptyPlace::create();
    let differing = on_terminal(&place, "users add ann --role admin", &format!("{LAMPS}\n{DOORS}\n"));
    assert_names(
        &differing,
        &["Password: |", "The same again: |", "error: the two passwords differ; nothing was changed"],
    );
    let shown = on_terminal(&place, "users add ann --role admin", &format!("{LAMPS}\n{LAMPS}\n"));
    assert_names(&shown, &["Password: |", "The same again: |", "user ann was added with the role admin\n"]);
    for text in [differing, shown] {
        assert!(!text.contains("lamps") && !text.contains("doors"), "{text}");
    }
    let listed = place.run(&[], &["users", "list", "--json"], 0).await.json();
    assert_eq!(listed.as_array().expect("users").len(), 1);
}
