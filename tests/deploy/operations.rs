//! docs/operations.md: its commands, run word for word on a simulated fresh machine, which cannot touch this one.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use codemint_test_support::codemint::program;
use codemint_test_support::postgres::is_root;
use codemint_test_support::tools::{expect_content, read, root};

const DOCUMENT: &str = "docs/operations.md";
const FRESH_MACHINE: &str = "tests/support/fresh-machine";
/// Ends a script that hangs: many times longer than all commands take beside other tests on a slow machine.
const SECONDS_MAX: &str = "600";

/// A script that prints what exists after the commands: a name and a value on each line. It looks from outside the
/// program, as users with access and as users without.
const LOOK_AROUND: &str = r#"
set +x
sql() { su --login postgres --command "psql --no-psqlrc --tuples-only --no-align codemint" <<< "$1"; }
ask() { promtool query instant http://127.0.0.1:9090 "$1"; }
as_nobody() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
count() { grep --count "$@" || true; }
up() { ask 'up{job="codemint"}' | count '=> 1 '; }
alerts() { ask ALERTS | count .; }
recorded() { ask 'job_state:codemint_jobs:max{state="queued"}' | count '=> 0 '; }
queues() { rabbitmqctl --quiet list_queues --no-table-headers name messages consumers | sort | tr '\t\n' ':,'; }
for _ in {1..60}; do [ "$(recorded)" = 0 ] || break; sleep 1; done
# The commands start both processes again: a scrape in between has found one of them down, and its alert is pending.
for _ in {1..60}; do [ "$(up) $(alerts)" != "2 0" ] || break; sleep 1; done
# A quorum queue counts its consumers every few seconds.
for _ in {1..60}; do [[ "$(queues)" = *jobs:0:0,* ]] || break; sleep 1; done
# A unit's user does not exist on this machine: it gets copies of the files with URLs, and may read what everyone may.
units=$(grep --no-filename --only-matching '/etc/codemint/[a-z.-]*' deploy/systemd/*.service | sort --unique)
secrets=(/etc/codemint/*-password /etc/codemint/*-url /root/spring.csv /root/*.key /var/backups/codemint/*)
echo "== seen"
echo "codes $(sql 'select count(*) from codes')"
echo "exported $(tail --lines +2 /root/spring.csv | sort --unique | wc --lines)"
echo "completed $(sql "select count(*) from jobs where state = 'completed' and minted = count")"
echo "jobs $(sql "select count(*) from jobs")"
echo "encoding $(sql 'show server_encoding')"
echo "databases $(sql "select string_agg(datname, ',') from pg_database where datname like 'codemint%'")"
echo "rightsBeyond $(sql "select count(*) from pg_roles where rolname ~ '^(codemint_|mint|migrate|serve)' and (rolsuper or rolcreaterole or rolcreatedb)")"
echo "owners $(sql "select string_agg(distinct tableowner, ',') from pg_tables where schemaname = 'public'")"
echo "audited $(sql "select string_agg(action || ' ' || result, ',' order by no) from audit" | tr ' ' '-')"
echo "mintDeletes $(PGPASSWORD=$(cat /etc/codemint/mint-password) psql --no-psqlrc --host localhost --username mint codemint \
    --command 'delete from codes' 2>&1 | count 'permission denied')"
echo "secrets ${#secrets[@]}"
echo "secretsOfOthers $(for file in "${secrets[@]}"; do as_nobody cat "$file" 2> /dev/null || true; done | wc --bytes)"
echo "secretsLogged $(grep --recursive --fixed-strings --file <(cat /etc/codemint/*-password /root/*.key) /var/log | wc --lines)"
echo "missingForUnits $(for file in $units; do [ -f "$file" ] || echo "$file"; done | wc --lines)"
install --owner nobody --mode 400 /etc/codemint/migrate-store-url /tmp/credential
echo "worksForUnits $(as_nobody env --ignore-environment CODEMINT__STORE__URL_FILE=/tmp/credential /usr/local/bin/codemint \
    --config /etc/codemint/codemint.toml migrate --check 2>&1 | count 'the schema is current')"
echo "processes $(ps -C codemint -o user=,args= | sed 's/ .* / /' | sort | paste --serial --delimiters ,)"
echo "workerStarts $(count 'the worker is at work' /var/log/codemint/worker.log)"
echo "workerEnds $(count 'the worker has ended; it minted 50000 codes' /var/log/codemint/worker.log)"
echo "serverStarts $(count 'the HTTP API listens' /var/log/codemint/server.log)"
echo "serverEnds $(count 'the HTTP API has ended' /var/log/codemint/server.log)"
echo "requests $(count '"status":200.*"message":"request"\|"message":"request".*"status":200' /var/log/codemint/server.log)"
echo "errorsLogged $(cat /var/log/codemint/*.log | count ERROR)"
echo "brokerUsers $(rabbitmqctl --quiet list_users --no-table-headers | cut --fields 1 | sort | paste --serial --delimiters ,)"
echo "queues $(queues)"
echo "up $(up)"
echo "recorded $(recorded)"
echo "alerts $(alerts)"
echo "open $(ss --no-header --listening --tcp --numeric | awk '{ print $4 }' | grep --invert-match '^127\.0\.0\.1:' |
    sed 's/.*://' | sort --unique | paste --serial --delimiters ,)"
"#;

/// Returns the commands of the document, in order.
fn commands() -> String {
    let page = read(DOCUMENT);
    let blocks: Vec<&str> =
        page.split("```sh\n").skip(1).map(|rest| rest.split_once("```").expect("an end of the block").0).collect();
    assert!(blocks.len() >= 13, "{} blocks", blocks.len());
    assert_eq!(page.matches("\n```").count(), 2 * blocks.len(), "another kind of block would not be run");
    blocks.concat()
}

/// Returns a command that runs as root, through sudo where necessary.
fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let may = Command::new("sudo").args(["--non-interactive", "true"]).stderr(Stdio::null()).status();
    let may = may.is_ok_and(|status| status.success());
    assert!(may, "an isolated machine within this one needs root, or sudo without a password");
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}

/// Runs a script on a fresh machine and returns its output.
fn run_on_a_fresh_machine(script: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("script");
    fs::write(&file, script).expect("a script");
    let mut machine = as_root("timeout");
    machine.args(["--signal=KILL", SECONDS_MAX]);
    machine.args(["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "--kill-child"]);
    machine.arg(root().join(FRESH_MACHINE)).arg(root()).arg(program()).arg(file);
    expect_content(machine.stdin(Stdio::null()))
}

#[test]
fn the_operations_document_leads_from_a_fresh_machine_to_a_monitored_worker_and_server() {
    let said = run_on_a_fresh_machine(&format!("PS4='+ \\t '; set -x\n{}{LOOK_AROUND}", commands()));

    let (_, seen) = said.split_once("== seen\n").unwrap_or_else(|| panic!("the script did not finish:\n{said}"));
    let seen: BTreeMap<&str, &str> = seen.lines().filter_map(|line| line.split_once(' ')).collect();
    let expected = [
        ("codes", "50000"),
        ("exported", "50000"),
        ("completed", "1"),
        ("jobs", "1"),
        ("encoding", "UTF8"),
        ("databases", "codemint"),
        ("rightsBeyond", "0"),
        ("owners", "codemint_owner"),
        ("audited", "request-accepted,end-completed,export-begun,export-done,key_create-done"),
        ("mintDeletes", "1"),
        ("secrets", "13"),
        ("secretsOfOthers", "0"),
        ("secretsLogged", "0"),
        ("missingForUnits", "0"),
        ("worksForUnits", "1"),
        ("processes", "codemint serve,codemint worker"),
        ("workerStarts", "2"),
        ("workerEnds", "1"),
        ("serverStarts", "2"),
        ("serverEnds", "1"),
        ("requests", "1"),
        ("errorsLogged", "0"),
        ("brokerUsers", "codemint-producer,codemint-reader,codemint-worker"),
        ("queues", "codemint.jobs:0:1,codemint.jobs.dead:0:0,codemint.triggers:0:1,"),
        ("up", "2"),
        ("recorded", "1"),
        ("alerts", "0"),
        ("open", "4369"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.get(name), Some(&value), "{name}: {said}");
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_commands_of_the_operations_document() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("commands");
    fs::write(&script, commands()).expect("a script");
    expect_content(Command::new("shellcheck").arg("--shell=bash").arg(script).arg(root().join(FRESH_MACHINE)));
}

#[test]
fn every_page_that_the_operations_document_links_to_exists() {
    let page = read(DOCUMENT);
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links: Vec<&str> = links.filter(|link| !link.starts_with("http")).collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        let (page, _section) = link.split_once('#').unwrap_or((link, ""));
        assert!(root().join("docs").join(page).exists(), "{link} does not exist");
    }
}
