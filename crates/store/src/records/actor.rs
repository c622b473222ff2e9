//! The actor in the audit log: the user who runs this process, the sender of a message, the holder of an API key, or a person in the
//! console.

use std::fmt;
use std::fs;
use std::sync::{Arc, OnceLock};

use rustix::process::getuid;
use uuid::Uuid;

/// Maximum length of each text that others chose.
const CHARS_MAX: usize = 100;

tokio::task_local! {
    /// The caller of the request that the task answers, once it is known.
    static CALLER: Arc<OnceLock<Caller>>;
}

/// The caller of a request over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The holder of an API key.
    Key(Uuid),
    /// A person who has signed in to the console, by the login.
    Person(String),
}

/// Writes the caller as the audit log names it.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "api key={id}"),
            Self::Person(login) => write!(f, "console user={}", plain(login)),
        }
    }
}

/// Answers a request: what the task changes meanwhile is the act of the caller whom the request names.
pub async fn acting_for<T>(caller: Arc<OnceLock<Caller>>, answer: impl Future<Output = T>) -> T {
    CALLER.scope(caller, answer).await
}

/// Returns the caller for whom the task acts, else the user of the process.
pub(crate) fn actor_of_task() -> String {
    let caller = CALLER.try_with(|caller| caller.get().map(ToString::to_string)).ok().flatten();
    caller.unwrap_or_else(|| actor_of_process().to_owned())
}

/// Returns the user of the operating system and the name of the machine: `user@host`.
pub fn actor_of_process() -> &'static str {
    static ACTOR: OnceLock<String> = OnceLock::new();
    ACTOR.get_or_init(|| {
        let id = getuid().as_raw();
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        // In a container a user often has no name.
        let user = name_of_user(&users, id).unwrap_or_else(|| format!("uid {id}"));
        format!("{user}@{}", hostname())
    })
}

/// Returns the sender of a message as the broker knows it: `user` is verified, `app` is the sender's own claim.
pub fn actor_of_message(user: Option<&str>, app: Option<&str>) -> String {
    let user = user.map(|user| format!(" user={}", plain(user)));
    let app = app.map(|app| format!(" app={}", plain(app)));
    format!("broker{}{}", user.unwrap_or_default(), app.unwrap_or_default())
}

/// Returns `None` if the user has no line in the list.
pub fn name_of_user(users: &str, id: u32) -> Option<String> {
    let lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut found = lines.filter(|fields| fields.get(2).is_some_and(|text| text.parse() == Ok(id)));
    found.next().and_then(|fields| fields.first().map(|name| plain(name)))
}

pub(crate) fn hostname() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    host.trim().chars().filter(char::is_ascii_graphic).collect()
}

/// Shortens a text to one word on one line.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() || c.is_whitespace() { '_' } else { c };
    text.chars().map(shown).take(CHARS_MAX).collect()
}
