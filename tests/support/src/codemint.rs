//! The program as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::waiting::DEADLINE;

/// The environment variable that is set for everything started as the program.
pub const AS_PROGRAM: &str = "CODEMINT_TEST_AS_PROGRAM";

/// One call of the program, in an otherwise empty directory.
#[derive(Debug)]
pub struct Codemint {
    command: Command,
}

/// The result of a call.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Codemint {
    pub fn new(directory: &Path) -> Self {
        Self::built_elsewhere(&program(), directory)
    }

    /// Returns a call of another version of the program.
    pub fn built_elsewhere(program: &Path, directory: &Path) -> Self {
        let mut command = Command::new(program);
        command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env(AS_PROGRAM, "1")
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CODEMINT__") {
                command.env_remove(name);
            }
        }
        Self { command }
    }

    pub fn args<I: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = I>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, from: Stdio) -> Self {
        self.command.stdin(from);
        self
    }

    pub fn stdout(mut self, to: Stdio) -> Self {
        self.command.stdout(to);
        self
    }

    pub fn stderr(mut self, to: Stdio) -> Self {
        self.command.stderr(to);
        self
    }

    /// Returns the command itself, for tests that start it in another way.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Runs the program to its end.
    pub async fn run(self) -> Ran {
        finish(self.start()).await
    }

    /// Runs the program to its end, which may take longer than others do.
    pub async fn run_within(self, limit: Duration) -> Ran {
        finish_within(self.start(), limit).await
    }

    pub fn start(mut self) -> Child {
        self.command.spawn().expect("the program starts")
    }
}

/// Waits for the end of a call.
pub async fn finish(child: Child) -> Ran {
    finish_within(child, DEADLINE).await
}

async fn finish_within(child: Child, limit: Duration) -> Ran {
    let ended = tokio::time::timeout(limit, child.wait_with_output()).await;
    Ran::from(ended.expect("the program ends in time").expect("its output"))
}

/// Sends a signal, such as `INT`, to the program.
pub fn send_signal(name: &str, child: &Child) {
    let pid = child.id().expect("a running program").to_string();
    assert!(crate::processes::send_signal(name, &[pid]), "kill");
}

/// A program that can act as the program under test when [`AS_PROGRAM`] is set: itself.
static STAND_IN: OnceLock<PathBuf> = OnceLock::new();

/// Declares that this process can act as the program under test.
pub fn act_as_program() {
    STAND_IN.get_or_init(|| std::env::current_exe().expect("the path of this process"));
}

/// Returns the path of the program under test, which Cargo passes to tests and benchmarks.
///
/// # Panics
/// If neither Cargo nor [`act_as_program`] named it. A test program that took itself for it would start itself forever.
pub fn program() -> PathBuf {
    let built = std::env::var_os("CARGO_BIN_EXE_codemint").map(PathBuf::from).or_else(|| STAND_IN.get().cloned());
    built.expect("the environment variable CARGO_BIN_EXE_codemint; run tests with cargo")
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map_or(-1, |signal| -signal);
        Self {
            code: output.status.code().unwrap_or(signal),
            stdout: String::from_utf8(output.stdout).expect("text on standard output"),
            stderr: String::from_utf8(output.stderr).expect("text on standard error"),
        }
    }
}

impl Ran {
    /// Panics with the whole output unless the exit code is this one.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}
