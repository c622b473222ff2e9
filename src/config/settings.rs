//! Every key of the configuration, with its default and its meaning.

/// A key that may be set, its default and its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub key: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

/// Every key, in the order in which `config show` lists them. An empty default means "not set".
pub const SETTINGS: [Setting; 30] = [
    Setting {
        key: "store.url",
        default: "sqlite://codemint.db",
        meaning: "URL of the store for jobs and codes: sqlite://FILE or postgres://USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=FILE",
    },
    Setting {
        key: "store.url_file",
        default: "",
        meaning: "file that holds the store's URL, for URLs with a password; instead of store.url",
    },
    Setting {
        key: "store.pgbouncer",
        default: "false",
        meaning: "true if store.url leads to a pgbouncer in transaction mode",
    },
    Setting {
        key: "store.require_least_privilege",
        default: "false",
        meaning: "true to refuse to work as a superuser of PostgreSQL; false only warns",
    },
    Setting { key: "job.chunk_size", default: "100000", meaning: "codes per transaction, 1 to 1048576" },
    Setting {
        key: "limits.count_max",
        default: "1000000000",
        meaning: "maximum number of codes per job, 1 to 1000000000",
    },
    Setting {
        key: "limits.guess_odds_min",
        default: "0",
        meaning: "minimum number of random guesses per hit, 0 to 1000000000000; jobs that are easier to guess are refused; 0 only warns below 10000",
    },
    Setting {
        key: "prefilter.false_positive_rate",
        default: "0.001",
        meaning: "share of new codes that a new filter takes for existing ones, 0.00001 to 0.5; each such code costs a look-up",
    },
    Setting {
        key: "prefilter.max_bytes",
        default: "67108864",
        meaning: "maximum size of the filters loaded for a chunk in bytes, 1 to 1073741824; beyond it, every candidate is looked up",
    },
    Setting {
        key: "prefilter.screening",
        default: "auto",
        meaning: "how new codes are compared with existing ones before they are written: auto, look_up or none; only auto writes and reads filters",
    },
    Setting {
        key: "check.key_file",
        default: "",
        meaning: "file with the secret of [:check:], 16 to 4096 bytes, accessible to its owner alone (chmod 600)",
    },
    Setting {
        key: "deny.file",
        default: "",
        meaning: "file with words that no code may contain, one per line; a line that begins with # is a comment",
    },
    Setting {
        key: "deny.builtin",
        default: "false",
        meaning: "true to also deny well-known vulgar and offensive words of English",
    },
    Setting {
        key: "amqp.url",
        default: "",
        meaning: "URL of the message broker: amqp://USER@HOST/VHOST or amqps://; without a URL no broker is used",
    },
    Setting {
        key: "amqp.url_file",
        default: "",
        meaning: "file that holds the broker's URL, for URLs with a password; instead of amqp.url",
    },
    Setting {
        key: "amqp.ca_file",
        default: "",
        meaning: "file with CA certificates (PEM) to trust for the broker's certificate, besides those of the system",
    },
    Setting {
        key: "amqp.declare",
        default: "true",
        meaning: "true to create missing exchanges and queues at the start; false to only check that they exist, for users who may not create them",
    },
    Setting {
        key: "amqp.jobs_exchange",
        default: "codemint.jobs",
        meaning: "direct exchange that jobs are published to",
    },
    Setting {
        key: "amqp.jobs_queue",
        default: "codemint.jobs",
        meaning: "queue that jobs wait in, and the routing key that leads to it",
    },
    Setting {
        key: "amqp.dead_exchange",
        default: "codemint.dead",
        meaning: "fanout exchange for dead-lettered messages",
    },
    Setting {
        key: "amqp.dead_queue",
        default: "codemint.jobs.dead",
        meaning: "queue that keeps dead-lettered messages",
    },
    Setting {
        key: "amqp.events_exchange",
        default: "codemint.events",
        meaning: "topic exchange that events are published to",
    },
    Setting {
        key: "amqp.prefetch",
        default: "64",
        meaning: "maximum number of messages that a worker holds unacknowledged, 1 to 1000",
    },
    Setting {
        key: "amqp.delivery_limit",
        default: "100",
        meaning: "maximum number of times that a message goes back to its queue before the broker dead-letters it, 1 to 1000000",
    },
    Setting {
        key: "amqp.delivery_timeout_seconds",
        default: "1200",
        meaning: "maximum time in seconds that a message waits for an unreachable store before it goes back, 1 to 86400; less than the broker's consumer_timeout",
    },
    Setting {
        key: "worker.concurrency",
        default: "2",
        meaning: "number of chunks that a worker mints at once, 1 to 64",
    },
    Setting {
        key: "worker.shutdown_seconds",
        default: "20",
        meaning: "time limit in seconds of a worker's graceful shutdown, 1 to 3600",
    },
    Setting {
        key: "admin.listen",
        default: "127.0.0.1:9464",
        meaning: "address and port of a worker's /livez, /readyz and /metrics, or off",
    },
    Setting {
        key: "log.format",
        default: "auto",
        meaning: "text or json, on standard error; auto is text on a terminal and json elsewhere",
    },
    Setting {
        key: "log.level",
        default: "auto",
        meaning: "error, warn, info, debug or trace; auto is info for a worker and warn for all other commands",
    },
];
