//! The file of an SQLite store, alone and whole: copied, linked, moved, archived, backed up.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use codemint_telemetry::failpoint;
use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::codemint::{Codemint, Ran, finish};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// A directory with a store in the default place.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.at("codemint.db")
    }

    fn codemint(&self, args: &[&str]) -> Codemint {
        Codemint::new(self.0.path()).args(args)
    }

    async fn run(&self, args: &[&str], code: i32) -> Ran {
        self.codemint(args).run().await.expect_code(code)
    }

    async fn run_in(&self, file: &Path, args: &[&str], code: i32) -> Ran {
        let url = format!("sqlite://{}", file.display());
        self.codemint(&["--store", &url]).args(args).run().await.expect_code(code)
    }

    async fn jobs_in(&self, file: &Path) -> Vec<Value> {
        let listed = self.run_in(file, &["jobs", "list", "--json"], 0).await.json();
        listed.as_array().expect("a list").clone()
    }
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).expect("a file").permissions().mode() & 0o777
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, Permissions::from_mode(mode)).expect("other permissions");
}

/// Panics unless all changes are in the file itself.
fn assert_is_whole(file: &Path) {
    let log = PathBuf::from(format!("{}-wal", file.display()));
    assert_eq!(fs::metadata(&log).map_or(0, |metadata| metadata.len()), 0, "{}", log.display());
}

#[tokio::test]
async fn regression_after_every_command_that_wrote_the_file_alone_is_the_store() {
    let place = Place::new();
    fs::write(place.at("old.txt"), "OLD1\nOLD2\n").expect("a file");
    let commands: [(&[&str], i32); 7] = [
        (&["generate", "E#####", "--count", "100", "--output", "s.txt"], 0),
        (&["generate", "E##", "--count", "101"], 4),
        (&["import", "old.txt"], 0),
        (&["reserve", "add", "R###"], 0),
        (&["enqueue", "Q###", "--count", "10"], 0),
        (&["worker", "--drain"], 0),
        (&["jobs", "prune", "--older-than", "1h"], 0),
    ];
    for round in 0..3 {
        for (args, code) in commands {
            let ran = place.codemint(args).env("CODEMINT__ADMIN__LISTEN", "off").run().await;
            // A mask can be reserved once, and an import is stored once.
            assert!([code, 3].contains(&ran.code), "{args:?}: {}", ran.stderr);
            assert_is_whole(&place.file());
        }
        let copy = place.at(&format!("copy-{round}.db"));
        fs::copy(place.file(), &copy).expect("a copy");
        assert_eq!(place.jobs_in(&copy).await, place.jobs_in(&place.file()).await);
    }
}

/// Lets a command mint 20 chunks, and wait for five seconds before it goes on.
fn pause() -> String {
    format!("{}=20*off->1*return(stall)->off", failpoint::CHUNK_CLAIMED)
}

#[tokio::test]
async fn a_backup_is_complete_while_the_store_is_in_use() {
    let place = Place::new();
    let small = ("CODEMINT__JOB__CHUNK_SIZE", "1000");
    let minting = place.codemint(&["generate", "B#######", "--count", "100000"]).env(small.0, small.1);
    let minting = minting.env("FAILPOINTS", &pause()).start();
    wait_until("a job", async || place.codemint(&["jobs", "list"]).run().await.stdout.contains("running")).await;
    for number in 0..3 {
        let name = format!("backup-{number}.db");
        let told = place.run(&["backup", &name, "--json"], 0).await.json();
        let copy = place.at(&name);
        assert_eq!(told["bytes"].as_u64(), Some(fs::metadata(&copy).expect("a copy").len()));
        assert_eq!(mode(&copy), 0o600);
        let jobs = place.jobs_in(&copy).await;
        assert_eq!(jobs.len(), 1);
        place.run_in(&copy, &["verify", jobs[0]["job_id"].as_str().expect("an id")], 0).await;
    }
    finish(minting).await.expect_code(0);
    // The copy of an unfinished job is resumed in its place, to the same codes.
    let copy = place.at("backup-0.db");
    let id = place.jobs_in(&copy).await[0]["job_id"].as_str().expect("an id").to_owned();
    place.run_in(&copy, &["jobs", "resume", &id], 0).await;
    let digest = async |file: &Path| place.jobs_in(file).await[0]["digest"].clone();
    assert_eq!(digest(&copy).await, digest(&place.file()).await);
}

#[tokio::test]
async fn a_backup_replaces_no_file_and_a_server_is_left_to_its_own_tools() {
    let place = Place::new();
    place.run(&["generate", "B###", "--count", "10"], 0).await;
    fs::write(place.at("taken.db"), "mine").expect("a file");
    assert_names(&place.run(&["backup", "taken.db"], 2).await.stderr, &["taken.db exists already", "name a new file"]);
    assert_eq!(fs::read_to_string(place.at("taken.db")).expect("the file"), "mine");
    let refused = place.run(&["backup", "missing/copy.db"], 1).await;
    assert_names(&refused.stderr, &["missing/copy.db: its directory does not exist"]);
    let server = TestStore::postgres().await;
    let refused = server.codemint(["backup", "my copy"]).run().await.expect_code(2);
    assert_names(&refused.stderr, &["pg_dump --format custom --file 'my copy'", "pg_restore"]);
    assert!(!server.path().join("my copy").exists());
}

#[tokio::test]
async fn regression_a_backup_is_not_written_to_standard_output() {
    let place = Place::new();
    place.run(&["generate", "A###", "--count", "1"], 0).await;
    let refused = place.run(&["backup", "-"], 2).await;
    assert_names(&refused.stderr, &["not to standard output"]);
    assert!(!place.at("-").exists());
}

#[tokio::test]
async fn regression_a_store_that_is_moved_or_removed_while_in_use_is_an_error() {
    for is_moved in [true, false] {
        let place = Place::new();
        let minting = place.codemint(&["generate", "M#######", "--count", "300000"]);
        let minting = minting.env("CODEMINT__JOB__CHUNK_SIZE", "1000").env("FAILPOINTS", &pause()).start();
        wait_until("a job", async || place.codemint(&["jobs", "list"]).run().await.stdout.contains("running")).await;
        if is_moved {
            fs::rename(place.file(), place.at("moved.db")).expect("a move");
        } else {
            fs::remove_file(place.file()).expect("a removal");
        }
        let ran = finish(minting).await.expect_code(1);
        assert_names(&ran.stderr, &["codemint.db was moved or removed while it was in use"]);
        let log = fs::metadata(place.at("codemint.db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "a log that is left behind would be taken for that of the next file");
        if is_moved {
            fs::rename(place.at("moved.db"), place.at("alone.db")).expect("a move");
            let jobs = place.run(&["--store", "sqlite://alone.db", "jobs", "list", "--json"], 0).await.json();
            let id = jobs[0]["job_id"].as_str().expect("an id");
            assert!(jobs[0]["minted"].as_u64().expect("a number") >= 1000, "{jobs}");
            place.run(&["--store", "sqlite://alone.db", "verify", id], 0).await;
        }
    }
}

#[tokio::test]
async fn regression_a_read_only_store_can_be_read_and_says_so_when_it_cannot_be_written() {
    let place = Place::new();
    let id = place.run(&["generate", "A####", "--count", "500", "--json"], 0).await.json()["job_id"].clone();
    let id = id.as_str().expect("an id");
    set_mode(&place.file(), 0o400);
    place.run(&["jobs", "list"], 0).await;
    place.run(&["jobs", "show", id], 0).await;
    place.run(&["verify", id], 0).await;
    place.run(&["audit"], 0).await;
    let exported = place.run(&["export", id], 0).await;
    assert_eq!(exported.stdout.lines().count(), 501);
    assert_names(&exported.stderr, &["read-only", "does not record this export"]);
    place.run(&["backup", "copy.db"], 0).await;
    for args in [["generate", "W###", "--count", "1"].as_slice(), &["reserve", "add", "W###"]] {
        assert_names(&place.run(args, 2).await.stderr, &["codemint.db is read-only", "writable"]);
    }
    assert!(!place.at("codemint.db-wal").exists() && !place.at("codemint.db-shm").exists());

    fs::write(place.at("codemint.db-wal"), "changes").expect("a log");
    let refused = place.run(&["jobs", "list"], 2).await;
    assert_names(&refused.stderr, &["codemint.db-wal", "copy both files"]);
}

#[tokio::test]
async fn regression_a_linked_or_an_empty_file_becomes_readable_by_its_owner_alone() {
    let place = Place::new();
    symlink(place.at("elsewhere.db"), place.file()).expect("a link");
    place.run(&["generate", "L###", "--count", "10"], 0).await;
    assert_eq!(mode(&place.at("elsewhere.db")), 0o600);

    let empty = place.at("empty.db");
    fs::write(&empty, "").expect("a file");
    set_mode(&empty, 0o644);
    place.run_in(&empty, &["generate", "L###", "--count", "10"], 0).await;
    assert_eq!(mode(&empty), 0o600);
}
