//! deploy/compose: the file, and what it passes to the servers, with real servers in place of the containers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::deployment::{assert_arguments, assert_settings, default_of};
use codemint_test_support::api::ApiServer;
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{self, Durability, Server};
use codemint_test_support::psql::stage_citus;
use codemint_test_support::rabbitmq::{self, Broker};
use codemint_test_support::tools::{expect_content, python_tool, read, root};

const DIRECTORY: &str = "deploy/compose";
const FILE: &str = "deploy/compose/compose.yaml";
const SECRETS: &str = "/run/secrets";

/// The compose file, with every `<<` merged.
fn compose() -> Value {
    let mut document: yaml_serde::Value = yaml_serde::from_str(&read(FILE)).expect("YAML");
    // Once for each level of merges inside merges.
    for _ in 0..3 {
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
    for (name, subcommand) in [
        ("migrate", "migrate"),
        ("worker", "worker"),
        ("server", "serve"),
        ("citus-migrate", "migrate"),
        ("citus-worker", "worker"),
    ] {
        let service = &compose["services"][name];
        let command: Vec<&str> =
            texts(&service["command"]).into_iter().skip_while(|word| *word != subcommand).collect();
        assert!(!command.is_empty(), "{name} does not run {subcommand}");
        assert_arguments(&command).await;
        assert_settings(name, service["environment"].as_object().expect("variables").keys().map(String::as_str));
    }
    for name in ["worker", "server"] {
        let service = &compose["services"][name];
        assert_arguments(&texts(&service["healthcheck"]["test"])[2..]).await;
        let grace = service["stop_grace_period"].as_str().and_then(|time| time.strip_suffix('s')).expect("seconds");
        let shutdown: u32 = default_of("worker.shutdown_seconds").parse().expect("seconds");
        assert!(grace.parse::<u32>().expect("seconds") > shutdown, "{name} is killed during its shutdown");
    }
    let server = &compose["services"]["server"];
    let listens = server["environment"]["CODEMINT__SERVER__LISTEN"].as_str().expect("an address");
    let port = listens.strip_prefix("0.0.0.0:").expect("an address that other containers and the port reach");
    assert_eq!(texts(&server["ports"]), [format!("127.0.0.1:{port}:{port}")]);
}

#[test]
fn prometheus_scrapes_every_service_of_codemint_where_it_listens() {
    let compose = compose();
    let config: yaml_serde::Value = yaml_serde::from_str(&read("deploy/prometheus/prometheus.yml")).expect("YAML");
    let config = serde_json::to_value(config).expect("a document");
    let job = &config["scrape_configs"][0];
    let names = texts(&job["dns_sd_configs"][0]["names"]);
    let exposing = services(&compose).filter(|(name, service)| {
        service["environment"].get("CODEMINT__ADMIN__LISTEN").is_some() && !name.starts_with("citus-")
    });
    for (name, service) in exposing {
        let listens = service["environment"]["CODEMINT__ADMIN__LISTEN"].as_str().expect("an address");
        assert_eq!(listens, format!("0.0.0.0:{}", job["dns_sd_configs"][0]["port"]), "{name}");
        assert!(names.contains(&name), "{name} is not scraped");
    }
    assert_eq!(names, ["worker", "server"], "alerts.yml knows servers by their name");
    let label = json!({ "source_labels": ["__meta_dns_name"], "target_label": "component" });
    assert_eq!(job["relabel_configs"], json!([label]));
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
    assert_eq!(texts.len(), 32, "all secrets differ");

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
    let names = ["make-secrets", "create-roles", "grant-rights", "start-citus", "set-up-citus", "distribute-codes"];
    let scripts = names.map(|name| root().join(DIRECTORY).join(name));
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
    move_url("store-url-serve", "@postgres/", servers.postgres.port());
    move_url("store-url-migrate", "@postgres/", servers.postgres.port());
    move_url("store-url-citus", "@citus-coordinator/", servers.postgres.port());
    move_url("store-url-citus-migrate", "@citus-coordinator/", servers.postgres.port());
    move_url("amqp-url", "@rabbitmq/", servers.broker.port());
    servers
}

/// A script of deploy/compose, with the variables that a container of PostgreSQL gives it.
fn script(name: &str, secrets: &Path, server: &Server) -> Command {
    let mut script = Command::new(root().join(DIRECTORY).join(name));
    let port = server.port().to_string();
    let place =
        [("PGHOST", "127.0.0.1"), ("PGPORT", port.as_str()), ("PGUSER", "postgres"), ("PGDATABASE", "codemint")];
    script.envs(place).env("POSTGRES_DB", "codemint").env("SECRETS_DIRECTORY", secrets);
    script.env("ROLES_FILE", root().join("deploy/postgres/roles.sql"));
    script.env("DISTRIBUTE_FILE", root().join("deploy/citus/distribute.sql"));
    script
}

fn run_script(name: &str, secrets: &Path, server: &Server) {
    expect_content(&mut script(name, secrets, server));
}

/// The program with the variables and secrets that compose gives to a service.
fn service(compose: &Value, name: &str, secrets: &Path) -> Codemint {
    let service = &compose["services"][name];
    // A secret may be mounted under another name than its own.
    let mounted = |value: &str| {
        let mut given = service["secrets"].as_array().into_iter().flatten();
        let renamed = given.find(|secret| secret["target"].as_str().is_some_and(|target| value.ends_with(target)));
        let source = renamed.and_then(|secret| secret["source"].as_str()).map(|source| format!("{SECRETS}/{source}"));
        source.unwrap_or_else(|| value.to_owned()).replace(SECRETS, &secrets.display().to_string())
    };
    let environment = service["environment"].as_object().expect("variables");
    let program = environment.iter().fold(Codemint::new(secrets), |program, (name, value)| {
        program.env(name, &mounted(value.as_str().expect("a text")))
    });
    // Another test may be using the address.
    program.env("CODEMINT__ADMIN__LISTEN", "off")
}

#[tokio::test]
async fn a_worker_mints_and_a_server_answers_with_the_users_the_secrets_and_the_definitions_of_compose() {
    let place = tempfile::tempdir().expect("a directory");
    let secrets = place.path();
    make_secrets(secrets);
    let Servers { postgres, broker: _broker } = start_servers(secrets);
    postgres::create_database(&postgres.url("postgres"), "codemint").await;
    // After an upgrade that brings a new user, it is run again.
    run_script("create-roles", secrets, &postgres);
    run_script("create-roles", secrets, &postgres);
    postgres.demand_password_of("migrate,mint,serve");

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

    let create = ["keys", "create", "--scope", "manage"];
    let key = service(&compose, "server", secrets).args(create).run().await.expect_code(0).stdout;
    let server = ApiServer::start_program(service(&compose, "server", secrets).args(["serve"]), secrets, &[]).await;
    assert_eq!(server.get("/v1/campaigns", key.trim()).await.expect(200)["items"], json!([]));
    server.stop().await;

    // A wrong password is refused.
    let url = fs::read_to_string(secrets.join("store-url")).expect("a URL");
    let (before, after) = url.split_once("mint:").expect("a user");
    let wrong = format!("{before}mint:wrong{}", &after[after.find('@').expect("an address")..]);
    fs::write(secrets.join("store-url"), wrong).expect("a URL");
    let ran = service(&compose, "worker", secrets).args(["jobs", "list"]).run().await;
    assert!(ran.code != 0 && ran.stderr.contains("password"), "{ran:?}");
}

#[test]
fn the_profile_citus_is_a_cluster_of_two_nodes_beside_the_other_services() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let profiles: &[&str] = if name.starts_with("citus-") { &["citus"] } else { &[] };
        assert_eq!(texts(&service["profiles"]), profiles, "{name}");
        for needed in service["depends_on"].as_object().into_iter().flat_map(|needed| needed.keys()) {
            let is_citus = needed.starts_with("citus-");
            assert!(is_citus == name.starts_with("citus-") || needed == "rabbitmq", "{name} needs {needed}");
        }
    }
    let of = |name: &str| &compose["services"][name];
    let servers = ["citus-coordinator", "citus-node-1", "citus-node-2"];
    let mut data = BTreeSet::new();
    for name in servers {
        assert_eq!(of(name)["image"], "citusdata/citus:13.2.0-pg15", "{name}: the version that Codemint ran on");
        assert!(texts(&of(name)["command"]).contains(&"wal_level=logical"), "{name}: shards cannot move");
        assert!(of(name)["environment"].get("POSTGRES_HOST_AUTH_METHOD").is_none(), "{name} trusts its network");
        data.extend(texts(&of(name)["volumes"]).into_iter().filter(|volume| volume.ends_with("/data")));
        assert_eq!(of("citus-setup")["depends_on"][name]["condition"], "service_healthy");
    }
    assert_eq!(data.len(), servers.len(), "servers share data");
    let nodes = of("citus-setup")["environment"]["CITUS_NODES"].as_str().expect("names");
    assert_eq!(nodes.split(' ').collect::<Vec<_>>(), servers[1..]);
    assert_eq!(of("citus-setup")["environment"]["CITUS_COORDINATOR"], servers[0]);
    for (earlier, later) in
        [("citus-setup", "citus-migrate"), ("citus-migrate", "citus-distribute"), ("citus-distribute", "citus-worker")]
    {
        assert_eq!(of(later)["depends_on"][earlier]["condition"], "service_completed_successfully", "{later}");
    }
}

/// Runs `start-citus` with programs of the image that call psql as `mint` instead; returns what they printed.
fn start_citus(secrets: &Path, server: &Server) -> String {
    let image = tempfile::tempdir().expect("a directory");
    let look_up = "psql --no-psqlrc --tuples-only --no-align --username mint --command 'select current_user'";
    for (name, content) in [
        ("docker-ensure-initdb.sh", "export PGPASSWORD=of-postgres; echo \"created for $*\"".to_owned()),
        ("docker-entrypoint.sh", format!("echo \"started as $*\"; {look_up}; stat --format %a \"$PGPASSFILE\"")),
    ] {
        let path = image.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{content}\n")).expect("a script");
        expect_content(Command::new("chmod").args(["755"]).arg(path));
    }
    let path = format!("{}:{}", image.path().display(), std::env::var("PATH").expect("a path"));
    let mut start = script("start-citus", secrets, server);
    start.args(["postgres", "-c", "wal_level=logical"]).env("PATH", path);
    expect_content(start.env("PASSWORD_FILE", image.path().join("passwords")))
}

#[tokio::test]
async fn a_worker_mints_into_a_staged_cluster_that_the_scripts_of_compose_set_up() {
    let place = tempfile::tempdir().expect("a directory");
    let secrets = place.path();
    make_secrets(secrets);
    let Servers { postgres, broker: _broker } = start_servers(secrets);
    let url = postgres.url("codemint");
    postgres::create_database(&postgres.url("postgres"), "codemint").await;
    stage_citus(&url).await;

    let compose = compose();
    let set_up = || {
        let mut script = script("set-up-citus", secrets, &postgres);
        let environment = compose["services"]["citus-setup"]["environment"].as_object().expect("variables");
        for name in ["CITUS_COORDINATOR", "CITUS_NODES"] {
            script.env(name, environment[name].as_str().expect("a text"));
        }
        expect_content(&mut script)
    };
    // Each is repeated whenever the services are started.
    for _again in 0..2 {
        set_up();
        service(&compose, "citus-migrate", secrets).args(["migrate"]).run().await.expect_code(0);
        let distributed = expect_content(&mut script("distribute-codes", secrets, &postgres));
        assert!(distributed.contains("over 16 shards"), "{distributed}");
        assert!(!distributed.contains("WARNING"), "{distributed}");
    }
    let mut database = PgConnection::connect(&url).await.expect("the server");
    let nodes = "select string_agg(groupid || ' ' || nodename || ' ' || shouldhaveshards, ', ' order by groupid)
                   from pg_dist_node";
    let nodes: String = sqlx::query_scalar(nodes).fetch_one(&mut database).await.expect("nodes");
    assert_eq!(nodes, "0 citus-coordinator false, 1 citus-node-1 true, 2 citus-node-2 true");

    postgres.demand_password_of("migrate,mint");
    assert_eq!(
        start_citus(secrets, &postgres),
        "created for postgres -c wal_level=logical\nstarted as postgres -c \
                wal_level=logical\nmint\n600\n"
    );
    let worker = || service(&compose, "citus-worker", secrets);
    worker().args(["enqueue", "SPRING-[:safe:]{8}", "-n", "50"]).run().await.expect_code(0);
    worker().args(["worker", "--drain", "--no-wait"]).run().await.expect_code(0);
    let jobs = worker().args(["jobs", "list", "--json"]).run().await.expect_code(0).json();
    assert_eq!((jobs[0]["state"].as_str(), jobs[0]["minted"].as_u64()), (Some("completed"), Some(50)), "{jobs}");
}
