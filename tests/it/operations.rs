//! docs/operations.md: its commands, run as they stand on what looks like a fresh machine, and cannot touch this one.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::support::codemint::program;
use crate::support::postgres::is_root;
use crate::support::tools::{expect_content, read, root};

/// Before the commands: processes, network, host name and files of its own. What packages have installed is there, what
/// somebody has made with it is not. Without /run/systemd the servers are started by their scripts, wherever this runs.
const FRESH_MACHINE: &str = r#"
set -euo pipefail
hostname operations
ip link set lo up
room=$(mktemp -d)
mount -t tmpfs tmpfs "$room"
for place in etc var usr/local home root; do
    mkdir -p "$room/$place/upper" "$room/$place/work"
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$room/$place/upper,workdir=$room/$place/work" "/$place"
done
mount -t tmpfs tmpfs /run
empty() {
    mount -t tmpfs tmpfs "$2"
    chown "$1" "$2"
}
mkdir -p /var/lib/prometheus /var/log/prometheus /var/log/rabbitmq /var/log/postgresql /etc/postgresql
empty postgres: /etc/postgresql
empty postgres: /var/lib/postgresql
empty postgres: /var/log/postgresql
empty rabbitmq: /etc/rabbitmq
empty rabbitmq: /var/lib/rabbitmq
empty rabbitmq: /var/log/rabbitmq
empty prometheus: /var/lib/prometheus
empty prometheus: /var/log/prometheus
echo "127.0.0.1 localhost operations" > /etc/hosts
sed -i '/^codemint:/d' /etc/passwd /etc/group /etc/shadow /etc/gshadow
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
cd "$REPOSITORY"
mkdir -p target/release
mount -t tmpfs tmpfs target/release
cp "$PROGRAM" target/release/codemint
"#;

/// Behind the commands: what there is now, a name and a value on each line.
const LOOK_AROUND: &str = r#"
sql() { su postgres -c "psql --no-psqlrc --tuples-only --no-align codemint" <<< "$1"; }
echo "== seen"
echo "codes $(sql 'select count(*) from codes')"
echo "exported $(tail -n +2 /var/tmp/spring.csv | sort -u | wc -l)"
echo "completed $(sql "select count(*) from jobs where state = 'completed'")"
echo "superusers $(sql "select count(*) from pg_roles where rolsuper and rolname in ('mint', 'migrate')")"
echo "owners $(sql "select string_agg(distinct tableowner, ',') from pg_tables where schemaname = 'public'")"
echo "audited $(sql "select count(*) from audit where action in ('request', 'export')")"
echo "mintDeletes $(PGPASSWORD=$(of mint) psql --no-psqlrc --quiet --host localhost --username mint codemint --command 'delete from codes' 2>&1 | grep --count 'permission denied')"
echo "readable $(find /etc/codemint -perm /o+r | wc -l)"
echo "workerUser $(ps -o user= -p "$(cat /run/codemint-worker.pid)")"
echo "brokerUsers $(rabbitmqctl --quiet list_users --no-table-headers | cut -f1 | sort | paste -sd,)"
echo "up $(promtool query instant http://localhost:9090 'up{job="codemint"}' | grep --count '=> 1 ')"
recorded() { promtool query instant http://localhost:9090 'job_state:codemint_jobs:max{state="queued"}' | grep --count '=> 0 '; }
for _ in {1..60}; do recorded > /dev/null && break || sleep 1; done
echo "recorded $(recorded)"
echo "alerts $(promtool query instant http://localhost:9090 'ALERTS{alertstate="firing"}' | grep --count . || true)"
echo "logLines $(grep --count '^{.*"job_id"' /var/log/codemint/worker.log)"
echo "secretsLogged $(grep --count --file <(cat /etc/codemint/*-password) /var/log/codemint/worker.log || true)"
"#;

/// The blocks of shell commands, in order.
fn blocks() -> Vec<String> {
    let page = read("docs/operations.md");
    let blocks: Vec<String> = page
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("an end of the block").to_owned())
        .collect();
    assert!(blocks.len() >= 10, "{} blocks", blocks.len());
    blocks
}

/// For root, or by way of sudo.
fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}

/// The first block asks the network for packages, which `tests/run` has installed: it is run where there is a network, and told to
/// leave what is there as it is.
fn install_packages(block: &str, directory: &std::path::Path) {
    assert!(block.lines().all(|line| line.starts_with("apt-get ")), "{block}");
    let settings = directory.join("apt.conf");
    fs::write(&settings, "APT::Get::Upgrade \"false\";\n").expect("a file");
    let environment = [format!("APT_CONFIG={}", settings.display()), "DEBIAN_FRONTEND=noninteractive".to_owned()];
    expect_content(as_root("env").args(environment).args(["bash", "-euo", "pipefail", "-c", block]));
}

#[test]
fn the_commands_of_the_operations_document_lead_from_a_fresh_machine_to_a_watched_worker() {
    let directory = tempfile::tempdir().expect("a directory");
    let blocks = blocks();
    let (packages, others) = blocks.split_first().expect("blocks");
    install_packages(packages, directory.path());

    let script = directory.path().join("operations");
    fs::write(&script, format!("{FRESH_MACHINE}\n{}\n{LOOK_AROUND}", others.concat())).expect("a script");
    let environment = [format!("REPOSITORY={}", root().display()), format!("PROGRAM={}", program().display())];
    let alone = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "--kill-child"];
    let said = expect_content(as_root("env").args(environment).args(alone).arg("bash").arg(&script));

    let (_, seen) = said.split_once("== seen\n").unwrap_or_else(|| panic!("it did not come to an end:\n{said}"));
    let seen: BTreeMap<&str, &str> = seen.lines().filter_map(|line| line.split_once(' ')).collect();
    let expected = [
        ("codes", "50000"),
        ("exported", "50000"),
        ("completed", "1"),
        ("superusers", "0"),
        ("owners", "codemint_owner"),
        ("audited", "3"),
        ("mintDeletes", "1"),
        ("readable", "0"),
        ("workerUser", "codemint"),
        ("brokerUsers", "codemint-producer,codemint-reader,codemint-worker"),
        ("up", "1"),
        ("recorded", "1"),
        ("alerts", "0"),
        ("logLines", "3"),
        ("secretsLogged", "0"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.get(name), Some(&value), "{name}: {said}");
    }
}

#[test]
fn every_page_that_the_operations_document_leads_to_is_there() {
    let page = read("docs/operations.md");
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links: Vec<&str> = links.filter(|link| !link.starts_with("http")).collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        assert!(root().join("docs").join(link).exists(), "{link} is not there");
    }
}
