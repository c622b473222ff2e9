//! deploy/compose: the file, and what it passes to the servers, with real servers in place of the containers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::deployment::{assert_arguments, assert_settings, default_of};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{self, Durability, Server};
use codemint_test_support::rabbitmq::{self, Broker};
use codemint_test_support::tools::{expect_content, python_tool, read, root};

const DIRECTORY: &str = "deploy/compose";
const FILE: &str = "deploy/compose/compose.yaml";
const SECRETS: &str = "/run/secrets";

/// The compose file, with every `<<` merged.
fn compose() -> Value {
    let mut document: yaml_serde::Value = yaml_serde::from_str(&read(FILE)).expect("YAML");
    // Once for each level of merges inside merges.
    for _ in 0..2 {
        document.apply_merge().expect("what << refers to");
    }
    serde_json::to_value(document).expect("a document")
}

fn services(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    compose["services"].as_object().expect("services").iter().map(|(name, service)| (name.as_str(), service))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// The location of a path in the compose file.
fn resolved(path: &str) -> PathBuf {
    root().join(DIRECTORY).join(path)
}

/// Creates the secrets in a new directory, as an operator does.
fn make_secrets(into: &Path) {
    expect_content(Command::new(root().join(DIRECTORY).join("make-secrets")).arg(into));
}

#[test]
fn the_file_fits_the_schema_of_compose() {
    expect_content(python_tool("check-jsonschema").args(["--builtin-schema", "vendor.compose-spec", FILE]));
}

#[test]
fn every_service_has_minimal_rights_and_a_health_check_if_it_keeps_running() {
    let compose = compose();
    for (name, service) in services(&compose) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert!(service.get("cap_add").is_none() && service.get("privileged").is_none(), "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        let image = service["image"].as_str().expect("an image");
        // The image of Codemint sets its own user.
        let user = service["user"].as_str().unwrap_or("root");
        assert!(image.starts_with("codemint:") || !matches!(user, "root" | "0"), "{name} is root");
        let version = image.split_once(':').expect("a version").1.trim_start_matches('v');
        assert!(version.split('.').count() >= 2 && version.starts_with(|c: char| c.is_ascii_digit()), "{image}");
        let ends = service["restart"] == "on-failure";
        assert!(ends || service["healthcheck"]["test"].is_array(), "{name} has no health check");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} is open to other machines: {port}");
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(compose["services"]["worker"]["image"], format!("codemint:{version}"));
}

#[test]
fn every_file_that_a_service_is_given_exists() {
    let compose = compose();
    let made = tempfile::tempdir().expect("a directory");
    make_secrets(made.path());
    let volumes = compose["volumes"].as_object().expect("volumes");
    let secrets = compose["secrets"].as_object().expect("secrets");
    for (name, service) in services(&compose) {
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().expect("a source");
            let is_there = if source.starts_with('.') {
                assert!(volume.ends_with(":ro"), "{name} may write {source}");
                resolved(source).exists()
            } else {
                volumes.contains_key(source)
            };
            assert!(is_there, "{name} is given {source}, which does not exist");
        }
        for secret in service["secrets"].as_array().into_iter().flatten() {
            let source = secret.as_str().or_else(|| secret["source"].as_str()).expect("a name");
            assert!(secrets.contains_key(source), "{name}: no secret {source}");
        }
        let build = &service["build"];
        if let Some(context) = build["context"].as_str() {
            assert!(resolved(context).join(build["dockerfile"].as_str().expect("a file")).exists());
        }
    }
    for (name, secret) in secrets {
        let file = secret["file"].as_str().and_then(|file| file.strip_prefix("./secrets/")).expect("a file");
        assert!(made.path().join(file).exists(), "{name}: make-secrets does not make {file}");
    }
}

#[tokio::test]
async fn services_of_codemint_run_valid_commands_and_have_the_time_to_shut_down() {
    let compose = compose();
    for name in ["migrate", "worker"] {
        let service = &compose["services"][name];
        let command: Vec<&str> = texts(&service["command"]).into_iter().skip_while(|word| *word != name).collect();
        assert_arguments(&command).await;
        assert_settings(name, service["environment"].as_object().expect("variables").keys().map(String::as_str));
    }
    let worker = &compose["services"]["worker"];
    assert_arguments(&texts(&worker["healthcheck"]["test"])[2..]).await;
    let grace = worker["stop_grace_period"].as_str().and_then(|time| time.strip_suffix('s')).expect("seconds");
    let shutdown: u32 = default_of("worker.shutdown_seconds").parse().expect("seconds");
    assert!(grace.parse::<u32>().expect("seconds") > shutdown, "killed during its shutdown");
}

#[test]
fn secrets_are_random_created_once_and_in_no_file_of_the_repository() {
    let contents = |directory: &Path| -> BTreeSet<(String, String)> {
        let files = fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file").path());
        files.map(|file| (file.display().to_string(), fs::read_to_string(&file).expect("a text"))).collect()
    };
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    make_secrets(first.path());
    let made = contents(first.path());
    make_secrets(first.path());
    assert_eq!(contents(first.path()), made, "servers already use the first secrets");
    make_secrets(second.path());
    let texts: BTreeSet<String> = made.into_iter().chain(contents(second.path())).map(|(_, text)| text).collect();
    assert_eq!(texts.len(), 22, "all secrets differ");

    let compose = compose();
    for (name, service) in services(&compose) {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let value = value.as_str().expect("a text");
            let is_secret = ["PASSWORD", "URL", "SECRET", "KEY"].iter().any(|word| variable.contains(word));
            assert!(!is_secret || value.starts_with(SECRETS), "{name}: {variable} is {value}");
        }
    }
    let definitions = read("deploy/rabbitmq/definitions.json");
    assert!(!definitions.contains("\"password_hash\": \"M"), "password hashes belong in the copy");
    assert!(read(".gitignore").lines().any(|line| line == "/deploy/compose/secrets/"));
}

#[test]
fn scripts_stop_at_errors_and_pass_shellcheck() {
    let scripts = ["make-secrets", "create-roles", "grant-rights"].map(|name| root().join(DIRECTORY).join(name));
    for script in &scripts {
        assert!(read(script).contains("\nset -euo pipefail\n"), "{} continues after an error", script.display());
    }
    expect_content(Command::new("shellcheck").args(&scripts));
}

/// The servers that stand in for the containers.
struct Servers {
    postgres: Server,
    broker: Broker,
}

/// Starts both servers as compose does, with the output of `make-secrets`, and points the URLs to them.
fn start_servers(secrets: &Path) -> Servers {
    let definitions = "rabbitmq-definitions.json";
    let settings = read("deploy/rabbitmq/rabbitmq.conf");
    assert!(settings.contains(&format!("{SECRETS}/{definitions}")), "{settings}");
    let setup = rabbitmq::Setup {
        // This machine may have less free disk space.
        settings: settings.replace(SECRETS, "{directory}").replace("1GB", "50MB"),
        files: vec![(definitions.to_owned(), fs::read_to_string(secrets.join(definitions)).expect("definitions"))],
    };
    let servers = Servers { postgres: Server::start(Durability::None), broker: Broker::start_with(&setup) };
    let move_url = |file: &str, from: &str, port: u16| {
        let url = fs::read_to_string(secrets.join(file)).expect("a URL");
        assert!(url.contains(from), "{file}");
        fs::write(secrets.join(file), url.replace(from, &format!("@127.0.0.1:{port}/"))).expect("a URL");
    };
    move_url("store-url", "@postgres/", servers.postgres.port());
    move_url("store-url-migrate", "@postgres/", servers.postgres.port());
    move_url("amqp-url", "@rabbitmq/", servers.broker.port());
    servers
}

/// Runs a script of deploy/compose as a container of PostgreSQL does.
fn run_script(name: &str, secrets: &Path, server: &Server) {
    let mut script = Command::new(root().join(DIRECTORY).join(name));
    let port = server.port().to_string();
    let place =
        [("PGHOST", "127.0.0.1"), ("PGPORT", port.as_str()), ("PGUSER", "postgres"), ("PGDATABASE", "codemint")];
    script.envs(place).env("POSTGRES_DB", "codemint").env("SECRETS_DIRECTORY", secrets);
    expect_content(script.env("ROLES_FILE", root().join("deploy/postgres/roles.sql")));
}

/// The program with the variables that compose gives to a service.
fn service(compose: &Value, name: &str, secrets: &Path) -> Codemint {
    let environment = compose["services"][name]["environment"].as_object().expect("variables");
    let program = environment.iter().fold(Codemint::new(secrets), |program, (name, value)| {
        program.env(name, &value.as_str().expect("a text").replace(SECRETS, &secrets.display().to_string()))
    });
    // Another test may be using the address.
    program.env("CODEMINT__ADMIN__LISTEN", "off")
}

#[tokio::test]
async fn a_worker_mints_with_the_users_the_secrets_and_the_definitions_of_compose() {
    let place = tempfile::tempdir().expect("a directory");
    let secrets = place.path();
    make_secrets(secrets);
    let Servers { postgres, broker: _broker } = start_servers(secrets);
    postgres::create_database(&postgres.url("postgres"), "codemint").await;
    run_script("create-roles", secrets, &postgres);
    postgres.demand_password_of("migrate,mint");

    let compose = compose();
    service(&compose, "migrate", secrets).args(["migrate"]).run().await.expect_code(0);
    run_script("grant-rights", secrets, &postgres);
    // A second migration changes nothing.
    service(&compose, "migrate", secrets).args(["migrate"]).run().await.expect_code(0);
    run_script("grant-rights", secrets, &postgres);

    service(&compose, "worker", secrets).args(["enqueue", "SPRING-[:safe:]{8}", "-n", "50"]).run().await.expect_code(0);
    service(&compose, "worker", secrets).args(["worker", "--drain", "--no-wait"]).run().await.expect_code(0);
    let jobs = service(&compose, "worker", secrets).args(["jobs", "list", "--json"]).run().await.expect_code(0).json();
    assert_eq!((jobs[0]["state"].as_str(), jobs[0]["minted"].as_u64()), (Some("completed"), Some(50)), "{jobs}");

    // A wrong password is refused.
    let url = fs::read_to_string(secrets.join("store-url")).expect("a URL");
    let (before, after) = url.split_once("mint:").expect("a user");
    let wrong = format!("{before}mint:wrong{}", &after[after.find('@').expect("an address")..]);
    fs::write(secrets.join("store-url"), wrong).expect("a URL");
    let ran = service(&compose, "worker", secrets).args(["jobs", "list"]).run().await;
    assert!(ran.code != 0 && ran.stderr.contains("password"), "{ran:?}");
}
