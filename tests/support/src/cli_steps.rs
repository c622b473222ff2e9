//! Steps that the tests of the command line share.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use codemint_codes::job::request::{Limits, Request};
use uuid::Uuid;

use crate::codemint::{Codemint, Ran};
use crate::stores::TestStore;
use crate::waiting::wait_until;

/// The sorted names of the files in a directory, without the files of the store.
pub fn files_beside_the_store(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in Unicode"))
        .filter(|name| !name.starts_with("store.db"))
        .collect();
    names.sort();
    names
}

/// A directory without a store, for commands that need none.
#[derive(Debug)]
pub struct EmptyPlace {
    directory: tempfile::TempDir,
}

impl EmptyPlace {
    pub fn create() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("a file");
    }

    pub fn write_with_mode(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    }

    /// Runs the program here with these variables, and panics on another exit code.
    pub async fn run(&self, environment: &[(&str, &str)], args: &[&str], code: i32) -> Ran {
        let program = Codemint::new(self.path()).args(args);
        let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        program.run().await.expect_code(code)
    }
}

/// Waits until the store holds a committed chunk.
pub async fn wait_for_a_chunk(place: &TestStore) {
    let done = "select count(*) from chunks where state = 'done'";
    wait_until("a chunk is committed", async || place.number(done).await > 0).await;
}

pub fn job_id(ran: &Ran) -> Uuid {
    ran.json()["job_id"].as_str().expect("a job id").parse().expect("a UUID")
}

/// Mints with the program and returns the id of the job.
pub async fn generate(place: &TestStore, args: &[&str]) -> Uuid {
    let ran = place.codemint(["generate", "--json"]).args(args).run().await.expect_code(0);
    job_id(&ran)
}

/// The codes of a job in the order in which `export` writes them.
pub async fn exported(place: &TestStore, job: Uuid) -> Vec<String> {
    let job = job.to_string();
    let ran = place.codemint(["export", &job, "--format", "txt"]).run().await.expect_code(0);
    ran.stdout.lines().map(str::to_owned).collect()
}

/// The command that a message proposes between backticks, to be run word for word: it must name the store by itself.
pub fn proposed(place: &TestStore, said: &str) -> Codemint {
    let command = said.split('`').nth(1).unwrap_or_else(|| panic!("no command in {said}"));
    let words = command.strip_prefix("codemint ").unwrap_or_else(|| panic!("not a command of codemint: {command}"));
    Codemint::new(place.path()).args(words.split(' '))
}

/// Panics unless the text contains all these parts.
pub fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// A request to put into the store with the library, so that no process works on it.
pub fn request(mask: &str, count: i128) -> Request {
    let limits = Limits { count_max: 1_000_000_000, guess_odds_min: 0 };
    Request::check(mask, count, None, 1000, limits).expect("a request")
}

/// Waits until the program has a handler for SIGINT; before, the signal would kill it.
pub async fn catches_signals(pid: u32) {
    wait_until("the program catches signals", async || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running program");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask").trim();
        u64::from_str_radix(caught, 16).expect("a mask") & (1 << 1) != 0
    })
    .await;
}
