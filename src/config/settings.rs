//! Every key of the configuration, with its default and its meaning.

/// A key that may be set, its default and its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub key: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

const fn setting(key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { key, default, meaning }
}

/// Every key, in the order in which `config show` lists them. An empty default means "not set".
pub const SETTINGS: [Setting; 43] = [
    setting(
        "store.url",
        "sqlite://codemint.db",
        "URL of the store for jobs and codes: sqlite://FILE or postgres://USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=FILE",
    ),
    setting("store.url_file", "", "file that holds the store's URL, for URLs with a password; instead of store.url"),
    setting("store.pgbouncer", "false", "true if store.url leads to a pgbouncer in transaction mode"),
    setting("store.require_least_privilege", "false", "true refuses to work as a superuser of PostgreSQL; false warns"),
    setting("job.chunk_size", "100000", "codes per transaction, 1 to 1048576"),
    setting("limits.count_max", "1000000000", "maximum number of codes per job, 1 to 1000000000"),
    setting(
        "limits.guess_odds_min",
        "0",
        "minimum number of random guesses per hit, 0 to 1000000000000; jobs that are easier to guess are refused; 0 only warns below 10000",
    ),
    setting(
        "prefilter.false_positive_rate",
        "0.001",
        "share of new codes that a new filter takes for existing ones, 0.00001 to 0.5; each such code costs a look-up",
    ),
    setting(
        "prefilter.max_bytes",
        "67108864",
        "maximum size of the filters loaded for a chunk in bytes, 1 to 1073741824; beyond it, every candidate is looked up",
    ),
    setting(
        "prefilter.screening",
        "auto",
        "how new codes are compared with existing ones before they are written: auto, look_up or none; only auto writes and reads filters",
    ),
    setting(
        "check.key_file",
        "",
        "file with the secret of [:check:], 16 to 4096 bytes, accessible to its owner alone (chmod 600)",
    ),
    setting("deny.file", "", "file with words that no code may contain, one per line; # begins a comment"),
    setting("deny.builtin", "false", "true to also deny well-known vulgar and offensive words of English"),
    setting("amqp.url", "", "URL of the broker: amqp://USER@HOST/VHOST or amqps://; empty for no broker"),
    setting("amqp.url_file", "", "file that holds the broker's URL, for URLs with a password; instead of amqp.url"),
    setting(
        "amqp.ca_file",
        "",
        "file with CA certificates (PEM) to trust for the broker's certificate, besides those of the system",
    ),
    setting(
        "amqp.declare",
        "true",
        "true to create missing exchanges and queues at the start; false to only check that they exist, for users who may not create them",
    ),
    setting("amqp.jobs_exchange", "codemint.jobs", "direct exchange that jobs are published to"),
    setting("amqp.jobs_queue", "codemint.jobs", "queue that jobs wait in, and the routing key that leads to it"),
    setting("amqp.triggers_exchange", "codemint.triggers", "direct exchange that triggers are published to"),
    setting(
        "amqp.triggers_queue",
        "codemint.triggers",
        "queue that triggers wait in, and the routing key that leads to it",
    ),
    setting("amqp.dead_exchange", "codemint.dead", "fanout exchange for dead-lettered messages"),
    setting("amqp.dead_queue", "codemint.jobs.dead", "queue that keeps dead-lettered messages"),
    setting("amqp.events_exchange", "codemint.events", "topic exchange that events are published to"),
    setting(
        "amqp.prefetch",
        "64",
        "maximum number of job messages that a worker holds unacknowledged, 1 to 1000; of triggers, eight times as many",
    ),
    setting(
        "amqp.delivery_limit",
        "100",
        "maximum number of times that a message goes back to its queue before the broker dead-letters it, 1 to 1000000",
    ),
    setting(
        "amqp.delivery_timeout_seconds",
        "1200",
        "maximum time in seconds that a message waits for an unreachable store before it goes back, 1 to 86400; less than the broker's consumer_timeout",
    ),
    setting("worker.concurrency", "2", "number of chunks that a worker mints at once, 1 to 64"),
    setting(
        "worker.shutdown_seconds",
        "20",
        "time limit in seconds of the graceful shutdown of a worker or server, 1 to 3600",
    ),
    setting(
        "admin.listen",
        "127.0.0.1:9464",
        "address and port of /livez, /readyz and /metrics of a worker or server, or off",
    ),
    setting("server.listen", "127.0.0.1:8080", "address and port of the HTTP API"),
    setting(
        "server.tls_cert_file",
        "",
        "file with the certificate chain of the HTTP API (PEM), and server.tls_key_file; without both it speaks HTTP",
    ),
    setting(
        "server.tls_key_file",
        "",
        "file with the private key of the certificate (PEM), accessible to its owner alone",
    ),
    setting("server.connections_max", "10000", "maximum number of open connections, 1 to 1000000; further ones wait"),
    setting(
        "server.rate_limit",
        "0",
        "maximum number of requests of an API key per second, 0 to 1000000; 0 for no limit",
    ),
    setting(
        "server.failures_per_minute",
        "30",
        "maximum number of wrong codes per minute of an actor, or of an API key whose requests name none, and of wrong keys of a client's address, 0 to 1000000; beyond it, pauses that double; 0 for no limit",
    ),
    setting(
        "server.trusted_proxies",
        "",
        "addresses or networks of the proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8, with commas between; without any, nobody's is",
    ),
    setting(
        "server.sign_in_header",
        "",
        "name of the header in which a trusted proxy states who has signed in there, such as X-Remote-User; without it, people sign in with a password",
    ),
    setting(
        "links.hosts",
        "",
        "hosts that links of campaigns may lead to, such as shop.example or *.shop.example, with commas between; without any, links lead nowhere",
    ),
    setting(
        "links.public_url",
        "",
        "address of this server as customers reach it, such as https://go.shop.example; without it, that of server.listen",
    ),
    setting(
        "links.clicks_per_minute",
        "600",
        "maximum number of clicks per minute of a client's address that count, 0 to 1000000; further ones lead to the landing page and are not counted; 0 for no limit",
    ),
    setting("log.format", "auto", "text or json, on standard error; auto is text on a terminal and json elsewhere"),
    setting(
        "log.level",
        "auto",
        "error, warn, info, debug or trace; auto is info for worker and serve, and warn for all other commands",
    ),
];
