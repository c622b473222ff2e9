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
        meaning: "where jobs and codes live: sqlite://FILE or postgres://USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=FILE",
    },
    Setting {
        key: "store.url_file",
        default: "",
        meaning: "a file that holds the store's URL, for URLs with a password; instead of store.url",
    },
    Setting {
        key: "store.pgbouncer",
        default: "false",
        meaning: "true where store.url leads to a pgbouncer in transaction mode",
    },
    Setting {
        key: "store.require_least_privilege",
        default: "false",
        meaning: "true to refuse to work as a superuser of PostgreSQL, instead of warning",
    },
    Setting { key: "job.chunk_size", default: "100000", meaning: "codes a transaction, 1 to 1048576" },
    Setting { key: "limits.count_max", default: "1000000000", meaning: "most codes of one job, 1 to 1000000000" },
    Setting {
        key: "limits.guess_odds_min",
        default: "0",
        meaning: "refuse jobs of which fewer random guesses than this hit a code, 0 to 1000000000000; 0 warns below 10000",
    },
    Setting {
        key: "prefilter.false_positive_rate",
        default: "0.001",
        meaning: "how often a new filter takes a new code for an existing one, 0.00001 to 0.5; each such code costs a look-up",
    },
    Setting {
        key: "prefilter.max_bytes",
        default: "67108864",
        meaning: "most bytes of filters that are loaded for a chunk, 1 to 1073741824; beyond, every candidate is looked up",
    },
    Setting {
        key: "prefilter.screening",
        default: "auto",
        meaning: "how new codes are compared with existing ones before they are written: auto, look_up or none; only auto writes and reads filters",
    },
    Setting {
        key: "check.key_file",
        default: "",
        meaning: "a file with the secret of [:check:], 16 to 4096 bytes, for its owner alone (chmod 600)",
    },
    Setting {
        key: "deny.file",
        default: "",
        meaning: "a file with words that no code may contain, one a line; # begins a comment line",
    },
    Setting {
        key: "deny.builtin",
        default: "false",
        meaning: "true to deny well-known vulgar and offensive words of English as well",
    },
    Setting {
        key: "amqp.url",
        default: "",
        meaning: "the message broker: amqp://USER@HOST/VHOST or amqps://; without it there is none",
    },
    Setting {
        key: "amqp.url_file",
        default: "",
        meaning: "a file that holds the broker's URL, for URLs with a password; instead of amqp.url",
    },
    Setting {
        key: "amqp.ca_file",
        default: "",
        meaning: "a file with the certificates (PEM) that the broker's certificate must come from, besides those of the system",
    },
    Setting {
        key: "amqp.declare",
        default: "true",
        meaning: "false to only check at the start that exchanges and queues are there, for users who may not make them",
    },
    Setting {
        key: "amqp.jobs_exchange",
        default: "codemint.jobs",
        meaning: "the direct exchange that jobs are published to",
    },
    Setting {
        key: "amqp.jobs_queue",
        default: "codemint.jobs",
        meaning: "the queue that jobs wait in, and the routing key that leads there",
    },
    Setting {
        key: "amqp.dead_exchange",
        default: "codemint.dead",
        meaning: "the fanout exchange for messages that are no jobs",
    },
    Setting {
        key: "amqp.dead_queue",
        default: "codemint.jobs.dead",
        meaning: "the queue where messages that are no jobs are kept",
    },
    Setting {
        key: "amqp.events_exchange",
        default: "codemint.events",
        meaning: "the topic exchange that events are published to",
    },
    Setting {
        key: "amqp.prefetch",
        default: "64",
        meaning: "most messages that a worker holds unacknowledged, 1 to 1000",
    },
    Setting {
        key: "amqp.delivery_limit",
        default: "100",
        meaning: "how often a message may go back to its queue before the broker puts it to the dead ones, 1 to 1000000",
    },
    Setting {
        key: "amqp.delivery_timeout_seconds",
        default: "1200",
        meaning: "how long a message may wait for a store that is away before it goes back, 1 to 86400; less than the broker's consumer_timeout",
    },
    Setting { key: "worker.concurrency", default: "2", meaning: "chunks that a worker mints at once, 1 to 64" },
    Setting {
        key: "worker.shutdown_seconds",
        default: "20",
        meaning: "how long a worker that is asked to stop may take, 1 to 3600",
    },
    Setting {
        key: "admin.listen",
        default: "127.0.0.1:9464",
        meaning: "the address and port of a worker's /livez, /readyz and /metrics, or off",
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
