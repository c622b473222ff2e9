//! Passwords: typed at the terminal without echo, or read from standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write, stdin};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::input::on_a_thread;
use codemint_offers::access::password::Password;

/// More than the longest password with the end of its line.
const LINE_BYTES_MAX: u64 = 2_000;

/// Where a password comes from.
#[derive(Debug, Args)]
pub struct PasswordOptions {
    /// Read the password from standard input, one line
    #[arg(long)]
    password_stdin: bool,
    /// Print the path of a link by which the person chooses a password, once, within 24 hours
    #[arg(long, conflicts_with = "password_stdin")]
    pub invite: bool,
}

impl PasswordOptions {
    /// Reads the password: once from standard input, or twice from the terminal.
    pub async fn read(&self, context: &Context) -> Result<Password, Failure> {
        if self.password_stdin {
            return on_a_thread(context, || read_line(&mut stdin().lock()))
                .await??
                .parse()
                .map_err(Failure::impossible);
        }
        let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_none| {
            Failure::usage("there is no terminal to type a password at; give --password-stdin, or --invite for a link")
        })?;
        // Restored when this function ends, also if it is interrupted.
        let _silent = Silence::begin(&terminal).map_err(Failure::other)?;
        let reader = terminal.try_clone().map_err(Failure::other)?;
        on_a_thread(context, move || type_twice(&reader)).await??.parse().map_err(Failure::impossible)
    }
}

fn type_twice(terminal: &File) -> Result<String, Failure> {
    let mut lines = BufReader::new(terminal);
    let mut ask = |prompt: &str| {
        let mut shown = terminal;
        shown.write_all(prompt.as_bytes()).map_err(Failure::other)?;
        let line = read_line(&mut lines);
        // The end of the line was not echoed either.
        shown.write_all(b"\n").map_err(Failure::other)?;
        line
    };
    let password = ask("Password: ")?;
    if ask("The same again: ")? == password {
        Ok(password)
    } else {
        Err(Failure::usage("the two passwords differ; nothing was changed; try again"))
    }
}

/// Reads a line without its end. No error repeats it.
fn read_line(input: &mut impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    let read = input.take(LINE_BYTES_MAX).read_line(&mut line);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::usage("the password is not UTF-8; type it in UTF-8"),
        _ => Failure::usage(format!("the password cannot be read: {error}")),
    })?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn begin(terminal: &File) -> io::Result<Self> {
        let (terminal, before) = (terminal.try_clone()?, tcgetattr(terminal)?);
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // What was typed before the prompt is no password.
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing.
        let _restored = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
