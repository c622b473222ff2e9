//! The actor in the audit log: the user who runs this process, the sender of a message, or the holder of an API key.

use std::fs;
use std::sync::{Arc, OnceLock};

use rustix::process::getuid;
use uuid::Uuid;

/// Maximum length of each text that others chose.
const CHARS_MAX: usize = 100;

tokio::task_local! {
    /// The API key of the request that the task answers, once it is known.
    static KEY: Arc<OnceLock<Uuid>>;
}

/// Answers a request: what the task changes meanwhile is the act of the key that the request names.
pub async fn acting_for_key<T>(key: Arc<OnceLock<Uuid>>, answer: impl Future<Output = T>) -> T {
    KEY.scope(key, answer).await
}

/// Returns the holder of the API key for whom the task acts, else the user of the process.
pub(crate) fn actor_of_task() -> String {
    let key = KEY.try_with(|key| key.get().copied()).ok().flatten();
    key.map_or_else(|| actor_of_process().to_owned(), actor_of_key)
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

/// Returns the holder of an API key.
pub fn actor_of_key(id: Uuid) -> String {
    format!("api key={id}")
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
