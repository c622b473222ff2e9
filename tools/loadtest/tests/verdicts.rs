//! Verdicts of a load test on made-up figures: every limit is found, and reported with the figures that show it.

use std::time::Duration;

use codemint_loadtest::figures::{ClientFigures, Figures, ServerFigures, StoreFigures};
use codemint_loadtest::probe::Sessions;
use codemint_loadtest::spread::Spread;
use codemint_loadtest::verdict::{Limit, judge};
use codemint_worker::mint::times::ChunkTimes;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The figures of ten seconds of two workers on a nearly idle machine of eight CPUs, with a server elsewhere.
fn figures(seen: Sessions, client_cpu: Duration) -> Figures {
    Figures {
        time: ms(10_000),
        workers: 2,
        chunks: 100,
        chunk_times: ChunkTimes { claim: ms(1000), put_codes: ms(12_000), commit: ms(3000), ..ChunkTimes::default() },
        client: ClientFigures { cpu: client_cpu, cpus: 8, machine_busy: Some(0.2) },
        store: StoreFigures::Postgres(ServerFigures {
            looks: 100,
            seen,
            round_trip: Duration::from_micros(400),
            is_on_this_machine: false,
        }),
    }
}

fn server(figures: &mut Figures) -> &mut ServerFigures {
    match &mut figures.store {
        StoreFigures::Postgres(server) => server,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_limit(figures: &Figures, limit: Limit, said: &str) {
    let verdict = judge(figures);
    assert_eq!(verdict.limit, limit, "{}", verdict.text);
    assert!(verdict.text.contains(said), "{said:?} is missing in: {}", verdict.text);
    let shares = figures.shares();
    let sum = shares.client_cpu + shares.database_cpu + shares.flush + shares.disk + shares.locks + shares.network;
    assert!((sum - 1.0).abs() < 1e-9, "{shares:?}");
}

#[test]
fn what_takes_most_of_the_servers_time_is_named_as_the_limit() {
    let busy = |sessions: Sessions| figures(sessions, ms(2000));
    let seen = Sessions { cpu: 140, wal: 20, idle: 40, ..Sessions::default() };
    assert_limit(&busy(seen), Limit::DatabaseCpu, "the database computed for 70 %, waited for its log for 10 %");
    let seen = Sessions { cpu: 40, wal: 120, idle: 40, ..Sessions::default() };
    assert_limit(&busy(seen), Limit::WalFlush, "for its log for 60 %");
    let seen = Sessions { cpu: 40, disk: 120, idle: 40, ..Sessions::default() };
    assert_limit(&busy(seen), Limit::DatabaseDisk, "for other files 60 %");
    let seen = Sessions { cpu: 40, lock: 120, idle: 40, ..Sessions::default() };
    assert_limit(&busy(seen), Limit::DatabaseLocks, "for locks 60 %");
}

#[test]
fn if_the_server_is_idle_this_program_or_the_network_is_the_limit() {
    let seen = Sessions { cpu: 40, client: 100, idle: 60, ..Sessions::default() };
    assert_limit(&figures(seen, ms(14_000)), Limit::ClientCpu, "this program computed for 70 %");
    assert_limit(
        &figures(seen, ms(2000)),
        Limit::Network,
        "for 70 % both waited for the network (a round trip takes 0.40 ms",
    );
}

#[test]
fn if_two_shares_are_about_equal_neither_is_blamed() {
    let seen = Sessions { cpu: 70, wal: 70, idle: 60, ..Sessions::default() };
    assert_limit(&figures(seen, ms(2000)), Limit::NothingAlone, "No single factor limits throughput");
}

#[test]
fn on_a_busy_machine_the_program_that_keeps_it_busy_is_blamed_not_the_network() {
    let seen = Sessions { cpu: 100, idle: 100, ..Sessions::default() };
    let mut busy = figures(seen, ms(10_000));
    busy.client = ClientFigures { machine_busy: Some(0.97), cpus: 2, ..busy.client };
    server(&mut busy).is_on_this_machine = true;
    assert_limit(&busy, Limit::SharedCpu, "the CPUs of this machine were 97 % busy");
    server(&mut busy).is_on_this_machine = false;
    assert_limit(&busy, Limit::ClientCpu, "The CPU of this program limits throughput");
    busy.client.cpu = ms(1000);
    assert_limit(&busy, Limit::OtherPrograms, "Other programs on this machine limit throughput");
}

#[test]
fn without_figures_of_the_machine_its_own_cpu_use_shows_that_a_program_is_the_limit() {
    let mut alone = figures(Sessions { cpu: 40, idle: 160, ..Sessions::default() }, ms(9500));
    alone.client = ClientFigures { machine_busy: None, cpus: 1, ..alone.client };
    assert_limit(&alone, Limit::ClientCpu, "The CPU of this program limits throughput");
}

#[test]
fn too_few_or_hidden_observations_give_an_unknown_limit() {
    let seen = Sessions { cpu: 20, ..Sessions::default() };
    let mut short = figures(seen, ms(2000));
    server(&mut short).looks = 9;
    assert_limit(&short, Limit::Unknown, "the server was sampled only 9 times");
    short.client.machine_busy = Some(1.0);
    server(&mut short).is_on_this_machine = true;
    assert_limit(&short, Limit::Unknown, "the CPUs of this machine were 100 % busy");
    let hidden = figures(Sessions { hidden: 200, ..Sessions::default() }, ms(2000));
    assert_limit(&hidden, Limit::Unknown, "hides from this user what its sessions do");
    let unseen = Figures { store: StoreFigures::PostgresUnseen, ..figures(seen, ms(2000)) };
    assert_limit(
        &unseen,
        Limit::Unknown,
        "waited 80 % of their time for the database or the network; the server does not show",
    );
}

#[test]
fn a_file_is_limited_by_cpu_by_its_disk_or_by_other_writers() {
    let of_file = |chunk_times, cpu| Figures {
        workers: 2,
        chunk_times,
        store: StoreFigures::Sqlite,
        ..figures(Sessions::default(), cpu)
    };
    let computing = ChunkTimes { put_codes: ms(7000), commit: ms(2000), claim: ms(9000), ..ChunkTimes::default() };
    assert_limit(
        &of_file(computing, ms(8500)),
        Limit::ClientCpu,
        "this program computed for 85 %, waited for commits for 15 %",
    );
    let flushing = ChunkTimes { put_codes: ms(1500), commit: ms(8000), claim: ms(9000), ..ChunkTimes::default() };
    assert_limit(&of_file(flushing, ms(2000)), Limit::DiskFlush, "waited for commits for 80 %");
    let waiting = ChunkTimes { put_codes: ms(1500), commit: ms(500), claim: ms(8000), ..ChunkTimes::default() };
    assert_limit(&of_file(waiting, ms(1500)), Limit::OtherWriters, "waited for or yielded to other writers for 80 %");
}

#[test]
fn sessions_are_counted_by_what_they_wait_for() {
    let mut seen = Sessions::default();
    for (state, wait_type, wait) in [
        (Some("active"), None, None),
        (Some("active"), Some("IO"), Some("WALSync")),
        (Some("active"), Some("LWLock"), Some("WALWrite")),
        (Some("active"), Some("IPC"), Some("SyncRep")),
        (Some("active"), Some("IO"), Some("DataFileExtend")),
        (Some("active"), Some("Lock"), Some("transactionid")),
        (Some("active"), Some("LWLock"), Some("BufferContent")),
        (Some("active"), Some("Client"), Some("ClientRead")),
        (Some("idle in transaction"), Some("Client"), Some("ClientRead")),
        (Some("idle"), Some("Client"), Some("ClientRead")),
        (Some("disabled"), None, None),
        (None, None, None),
    ] {
        seen.count(state, wait_type, wait, 10);
    }
    let counted = Sessions { cpu: 10, wal: 30, disk: 10, lock: 20, client: 10, idle: 20, hidden: 20 };
    assert_eq!(seen, counted);
}

#[test]
fn percentiles_are_measured_times() {
    let hundred: Vec<Duration> = (1..=100).rev().map(ms).collect();
    let spread = Spread { count: 100, p50: ms(50), p90: ms(90), p99: ms(99), max: ms(100) };
    assert_eq!(Spread::of(hundred), spread);
    let one = Spread { count: 1, p50: ms(7), p90: ms(7), p99: ms(7), max: ms(7) };
    assert_eq!(Spread::of(vec![ms(7)]), one);
    let three = Spread { count: 3, p50: ms(2), p90: ms(3), p99: ms(3), max: ms(3) };
    assert_eq!(Spread::of(vec![ms(3), ms(1), ms(2)]), three);
    assert_eq!(Spread::of(Vec::new()), Spread::default());
}
