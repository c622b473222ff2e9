# Verbs for daily work. Each is one command that runs without just, too.

# List the verbs
default:
    @just --list --unsorted

# Format and lints: under a minute
check:
    ./tests/run check

# Tests of the pure packages, without any server: under a minute
unit:
    ./tests/run unit

# What to run while you work: check, unit, the store, one message from broker to codes to events: under 4 minutes
quick:
    ./tests/run --quick

# Everything, as CI runs it
test *parts:
    ./tests/run {{parts}}

# Everything, then soaks, fuzzing and minutes of outages: hours
long:
    ./tests/run --long

# All benchmarks, or those named: nothing else may run on the machine
bench *names:
    ./benches/run-all {{names}}

# Fuzz masks, messages, configurations, imports or offers; needs `./tests/run --install fuzzing`
fuzz target seconds='300':
    PATH="$PWD/target/tools/bin:$PATH" cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}} -timeout=10 -rss_limit_mb=2048

# Break everything at random and count afterwards
soak minutes='30' seed='1':
    cargo run --locked --release --example soak -- --minutes {{minutes}} --seed {{seed}}

# Write docs/schemas from the types of messages, jobs, events and campaigns
schemas:
    CODEMINT_WRITE_SCHEMAS=1 cargo test --locked --package codemint-codes --package codemint-offers contract

# Build the program as releases have it
dist:
    cargo build --locked --profile dist --bin codemint
