//! Configuration: its layers, its problems, and passwords, which are never shown.

use serde_json::Value;

use codemint_test_support::cli_steps::{EmptyPlace, assert_names};
use codemint_test_support::codemint::{Codemint, Ran};

const PASSWORD: &str = "t0ps3cret";

/// Runs `config show` with these variables and arguments; text and JSON must agree and show no password.
async fn show(place: &EmptyPlace, environment: &[(&str, &str)], args: &[&str], code: i32) -> Ran {
    let run = async |more: &[&str]| {
        let ran = place.run(environment, &[args, &["config", "show"], more].concat(), code).await;
        let printed = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!printed.contains(PASSWORD), "a password is shown: {printed}");
        ran
    };
    let (text, json) = (run(&[]).await, run(&["--json"]).await);
    assert_eq!(text.stderr, json.stderr);
    for setting in if code == 0 { json.json() } else { Value::Array(Vec::new()) }.as_array().expect("a list") {
        let words = ["key", "value", "origin"].map(|part| setting[part].as_str().unwrap_or("-").to_owned());
        assert!(text.stdout.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?}");
    }
    json
}

async fn refused(place: &EmptyPlace, environment: &[(&str, &str)], args: &[&str], words: &[&str]) -> Ran {
    let ran = show(place, environment, args, 2).await;
    assert_eq!(ran.stdout, "");
    assert_names(&ran.stderr, words);
    ran
}

fn setting(ran: &Ran, key: &str) -> (String, String) {
    let list = ran.json();
    let found = list.as_array().expect("a list").iter().find(|setting| setting["key"] == key).expect("the key");
    let text = |part: &str| found[part].as_str().unwrap_or("-").to_owned();
    (text("value"), text("origin"))
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}

#[tokio::test]
async fn a_later_layer_wins_and_every_value_is_shown_with_its_origin() {
    let place = EmptyPlace::create();
    let defaults = show(&place, &[], &[], 0).await;
    assert_eq!(setting(&defaults, "store.url"), pair("sqlite://codemint.db", "default"));
    assert_eq!(setting(&defaults, "job.chunk_size"), pair("100000", "default"));

    place.write("codemint.toml", "[store]\nurl = \"sqlite://file.db\"\n[job]\nchunk_size = 7\n[log]\nlevel = \"info\"");
    let file = show(&place, &[], &[], 0).await;
    assert_eq!(setting(&file, "store.url"), pair("sqlite://file.db", "codemint.toml"));
    assert_eq!(setting(&file, "job.chunk_size"), pair("7", "codemint.toml"));

    place.write("other.toml", "[job]\nchunk_size = 8");
    let other = show(&place, &[], &["--config", "other.toml"], 0).await;
    assert_eq!(setting(&other, "job.chunk_size"), pair("8", "other.toml"));
    assert_eq!(setting(&other, "store.url"), pair("sqlite://codemint.db", "default"), "the other file is not read");

    let variables = [("CODEMINT__STORE__URL", "sqlite://env.db"), ("CODEMINT__JOB__CHUNK_SIZE", "9")];
    let environment = show(&place, &variables, &[], 0).await;
    assert_eq!(setting(&environment, "store.url"), pair("sqlite://env.db", "environment CODEMINT__STORE__URL"));
    assert_eq!(setting(&environment, "job.chunk_size"), pair("9", "environment CODEMINT__JOB__CHUNK_SIZE"));
    assert_eq!(setting(&environment, "log.level"), pair("info", "codemint.toml"));

    let flags = show(&place, &variables, &["--store", "sqlite://flag.db", "-vv"], 0).await;
    assert_eq!(setting(&flags, "store.url"), pair("sqlite://flag.db", "--store"));
    assert_eq!(setting(&flags, "log.level"), pair("debug", "--verbose"));
    assert_eq!(std::fs::read_dir(place.path()).expect("a directory").count(), 2, "no store is created");
}

#[tokio::test]
async fn the_configured_store_is_the_one_that_is_used() {
    let place = EmptyPlace::create();
    place.write("url", "sqlite://named-in-a-file.db\n");
    place.write("codemint.toml", "[store]\nurl_file = \"url\"\n[limits]\ncount_max = 5");
    let run = async |count: &str| Codemint::new(place.path()).args(["generate", "####", "-n", count]).run().await;
    run("5").await.expect_code(0);
    assert!(place.path().join("named-in-a-file.db").exists());
    assert!(!place.path().join("codemint.db").exists());
    assert_names(&run("6").await.expect_code(4).stderr, &["limits.count_max allows 5 "]);
}

#[tokio::test]
async fn all_problems_of_all_layers_are_reported_at_once() {
    let place = EmptyPlace::create();
    let text = format!(
        "chunk_size = 5\n[store]\nulr = \"postgres://u:{PASSWORD}@h/db\"\n[job]\nchunk_size = 0\n[limits]\ncount_max = \"many\"\n[log]\nlevel = [\"info\"]"
    );
    place.write("codemint.toml", &text);
    let url = format!("mysql://u:{PASSWORD}@h/db");
    let words = [
        "configuration: 9 problems",
        "deny.builtin (environment CODEMINT__DENY__BUILTIN): found \"yes\"; write true or false",
        "chunk_size (codemint.toml) is not a known key; did you mean job.chunk_size?",
        "store.ulr (codemint.toml) is not a known key; the known keys are store.url, store.url_file, store.pgbouncer, store.require_least_privilege, job.chunk_size",
        "job.chunk_size (codemint.toml): found \"0\"; write a whole number from 1 to 1048576",
        "limits.count_max (codemint.toml): found \"many\"; write a whole number from 1 to 1000000000",
        "log.level (codemint.toml) takes one value, not a list",
        "log.format (environment CODEMINT__LOG__FORMAT): found \"xml\"; write auto, text or json",
        "store.url (--store): found the scheme \"mysql\"; a store is sqlite://FILE or postgres://",
        "server.trusted_proxies (environment CODEMINT__SERVER__TRUSTED_PROXIES): found \"10.0.0.0/33\"; write addresses or networks such as 10.0.0.0/8, with commas between",
    ];
    let variables = [
        ("CODEMINT__LOG__FORMAT", "xml"),
        ("CODEMINT__DENY__BUILTIN", "yes"),
        ("CODEMINT__SERVER__TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/33"),
    ];
    refused(&place, &variables, &["--store", &url], &words).await;
}

#[tokio::test]
async fn an_unreadable_file_is_reported_with_the_place_but_without_its_text() {
    let place = EmptyPlace::create();
    std::fs::create_dir(place.path().join("directory")).expect("a directory");
    let named = async |file: &str, words: &[&str]| refused(&place, &[], &["--config", file], words).await;
    named("missing.toml", &["missing.toml: cannot be read: No such file"]).await;
    named("directory", &["directory: cannot be read: Is a directory"]).await;

    place.write("open.toml", &format!("[store]\nurl = \"postgres://u:{PASSWORD}@h/db\n"));
    named("open.toml", &["open.toml is not valid TOML", "line 2"]).await;
    place.write("twice.toml", &format!("[store]\nurl = \"{PASSWORD}\"\nurl = \"{PASSWORD}\""));
    named("twice.toml", &["twice.toml is not valid TOML", "line 3", "duplicate key"]).await;
    place.write("bare.toml", &format!("[store]\nurl = {PASSWORD}"));
    named("bare.toml", &["bare.toml is not valid TOML", "line 2"]).await;
    place.write("list.toml", &format!("[store]\nurl = [\"{PASSWORD}\"]"));
    named("list.toml", &["store.url (list.toml) takes one value"]).await;
    place.write("flat.toml", &format!("store = \"{PASSWORD}\""));
    named("flat.toml", &["store (flat.toml) is not a known key"]).await;
}

#[tokio::test]
async fn a_url_in_a_separate_file_is_used_and_redacted() {
    let place = EmptyPlace::create();
    place.write("url", &format!("postgres://u:{PASSWORD}@h/db?sslmode=require&password={PASSWORD}\n"));
    let variable = [("CODEMINT__STORE__URL_FILE", "url")];
    let shown = show(&place, &variable, &[], 0).await;
    let origin = "store.url_file, environment CODEMINT__STORE__URL_FILE";
    assert_eq!(setting(&shown, "store.url"), pair("postgres://u:***@h/db?sslmode=require&password=***", origin));
    assert_eq!(setting(&shown, "store.url_file"), pair("url", "environment CODEMINT__STORE__URL_FILE"));
    let flag = show(&place, &variable, &["--store", "sqlite://flag.db"], 0).await;
    assert_eq!(setting(&flag, "store.url"), pair("sqlite://flag.db", "--store"));

    let both = [("CODEMINT__STORE__URL_FILE", "url"), ("CODEMINT__STORE__URL", "sqlite://a.db")];
    refused(&place, &both, &[], &["store.url and store.url_file are both set", "set one of them"]).await;
    refused(&place, &[("CODEMINT__STORE__URL_FILE", "missing")], &[], &["missing: cannot be read: No such file"]).await;
    place.write("url", &format!("mysql://u:{PASSWORD}@h/db"));
    refused(&place, &variable, &[], &["store.url_file", "url: found the scheme \"mysql\""]).await;
}

#[tokio::test]
async fn regression_an_endless_file_is_refused() {
    let place = EmptyPlace::create();
    let endless = [("CODEMINT__STORE__URL_FILE", "/dev/zero")];
    refused(&place, &endless, &[], &["/dev/zero: has more than 65536 bytes"]).await;
    refused(&place, &[], &["--config", "/dev/zero"], &["/dev/zero: has more than 1048576 bytes"]).await;
}

#[tokio::test]
async fn regression_a_url_file_of_two_lines_is_refused() {
    let place = EmptyPlace::create();
    place.write("url", &format!("postgres://u:{PASSWORD}@h/db\npostgres://u:{PASSWORD}@h/db\n"));
    refused(&place, &[("CODEMINT__STORE__URL_FILE", "url")], &[], &["line break", "on one line"]).await;
}

#[tokio::test]
async fn an_invalid_store_url_is_refused_without_its_password() {
    let place = EmptyPlace::create();
    let cases = [
        ("", "there is no scheme"),
        ("shop.db", "there is no scheme; a store is sqlite://FILE or postgres://"),
        ("sqlite://", "names no file"),
        ("sqlite::memory:", "would lose its codes"),
        ("sqlite://shop.db?mode=ro", "takes no parameters"),
        ("mysql://u:t0ps3cret@h/db", "found the scheme \"mysql\""),
        ("u:t0ps3cret@h/db", "found the scheme \"u\""),
        ("postgres://u:t0ps3cret@h:99999/db", "invalid port number"),
        ("postgres://u:t0ps3cret@h/db?sslmod=disable", "unknown parameter \"sslmod\"; the known ones are sslmode"),
        ("postgres://u:t0ps3cret@h/db?sslmode=no", "the parameter sslmode takes disable, allow, prefer, require"),
        ("postgres://u:t0ps3cret@h/db?port=x", "the parameter port takes a number from 1 to 65535"),
    ];
    for (url, message) in cases {
        refused(&place, &[], &["--store", url], &["store.url (--store)", message]).await;
        refused(&place, &[("CODEMINT__STORE__URL", url)], &[], &["environment CODEMINT__STORE__URL", message]).await;
    }
}

#[tokio::test]
async fn regression_a_password_in_a_malformed_url_is_not_shown() {
    let place = EmptyPlace::create();
    let cases = [
        ("postgres:u:t0ps3cret@h/db", "names no host; write postgres://USER@HOST/DATABASE"),
        ("postgres:/u:t0ps3cret@h/db", "names no host"),
        ("postgres://u:12/t0ps3cret@h/db", "write %40 for @, %23 for #, %2F for / and %3F for ?"),
        ("postgres://u:12#t0ps3cret@h/db", "%23 for #"),
        ("postgres://u:12?t0ps3cret@h/db", "%3F for ?"),
    ];
    for (url, message) in cases {
        refused(&place, &[], &["--store", url], &[message]).await;
    }
    let at = show(&place, &[], &["--store", "postgres://u:12@t0ps3cret@h/db"], 0).await;
    assert_eq!(setting(&at, "store.url").0, "postgres://u:***@h/db");
    let encoded = show(&place, &[], &["--store", "postgres://h/db?pass%77ord=t0ps3cret&user=u"], 0).await;
    assert_eq!(setting(&encoded, "store.url").0, "postgres://h/db?password=***&user=u");
}
