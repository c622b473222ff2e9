//! The verdict of a load test: one plain sentence on what limits throughput, with its figures, and what to change.

use codemint_codes::text::plural;

use crate::figures::{Figures, ROUND_TRIPS_A_CHUNK, ServerFigures, Shares, StoreFigures};

/// Share of busy CPUs from which a machine counts as saturated.
const SATURATED: f64 = 0.9;
/// Minimum share of the time from which one factor counts as the limit.
const LIMITS_FROM: f64 = 0.4;

/// The factor that limits throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    ClientCpu,
    DatabaseCpu,
    /// Client and database compute on the same machine, and its CPUs are busy.
    SharedCpu,
    /// Other programs keep the CPUs of this machine busy.
    OtherPrograms,
    WalFlush,
    DatabaseDisk,
    DatabaseLocks,
    Network,
    /// Flushing an SQLite file to its disk.
    DiskFlush,
    /// Other processes write to the SQLite file, or this one yields it to them.
    OtherWriters,
    /// Several factors take about the same share.
    NothingAlone,
    /// The server could not be observed, or the measurement was too short.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Verdict {
    pub limit: Limit,
    /// One sentence with the figures.
    pub text: String,
    /// A suggestion of what to change.
    pub hint: &'static str,
}

impl Limit {
    /// Returns the name for programs: stable, lower case, with underscores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCpu => "client_cpu",
            Self::DatabaseCpu => "database_cpu",
            Self::SharedCpu => "shared_cpu",
            Self::OtherPrograms => "other_programs",
            Self::WalFlush => "wal_flush",
            Self::DatabaseDisk => "database_disk",
            Self::DatabaseLocks => "database_locks",
            Self::Network => "network",
            Self::DiskFlush => "disk_flush",
            Self::OtherWriters => "other_writers",
            Self::NothingAlone => "nothing_alone",
            Self::Unknown => "unknown",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ClientCpu => "The CPU of this program limits throughput",
            Self::DatabaseCpu => "The CPU of the database limits throughput",
            Self::SharedCpu => "The CPUs of this machine, which this program and the database share, limit throughput",
            Self::OtherPrograms => "Other programs on this machine limit throughput",
            Self::WalFlush => "The write-ahead log of the database limits throughput",
            Self::DatabaseDisk => "The disk of the database limits throughput",
            Self::DatabaseLocks => "Locks in the database limit throughput",
            Self::Network => "The network limits throughput",
            Self::DiskFlush => "Flushing the file to its disk limits throughput",
            Self::OtherWriters => "Other writers of the file limit throughput",
            Self::NothingAlone => "No single factor limits throughput",
            Self::Unknown => "It is not known what limits throughput",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::ClientCpu => {
                "a faster CPU, more --workers where CPUs are idle, or several machines; denied words and crowded masks cost CPU"
            }
            Self::DatabaseCpu => {
                "more --workers: each keeps one CPU of the server busy; when that no longer helps, faster CPUs for the server"
            }
            Self::SharedCpu => "a separate machine for the database; more --workers will not help here",
            Self::OtherPrograms => "another measurement when no other program keeps the CPUs of this machine busy",
            Self::WalFlush => {
                "a faster disk for pg_wal, a larger max_wal_size, larger chunks (--chunk-size; in Codemint job.chunk_size); more --workers share flushes"
            }
            Self::DatabaseDisk => "more shared_buffers, or a faster disk for the table of codes and its index",
            Self::DatabaseLocks => {
                "fewer --workers; pg_stat_activity shows which session holds the locks; partitions spread the index"
            }
            Self::Network => {
                "this program nearer to the database, more --workers, which wait at the same time, or larger chunks"
            }
            Self::DiskFlush => {
                "a faster disk, or larger chunks (--chunk-size; in Codemint job.chunk_size): each is flushed once"
            }
            Self::OtherWriters => "an SQLite file has one writer at a time; PostgreSQL takes many",
            Self::NothingAlone => "more --workers, one at a time, until the throughput no longer grows",
            Self::Unknown => "more --codes, and a user who may read pg_stat_activity and pg_stat_wal",
        }
    }
}

/// Returns the verdict on the figures.
pub fn judge(figures: &Figures) -> Verdict {
    let shares = figures.shares();
    let limit = limit_of_machine(figures).unwrap_or_else(|| match &figures.store {
        StoreFigures::Sqlite => limit_of_file(&shares),
        StoreFigures::Postgres(server) => limit_of_server(server, &shares),
        StoreFigures::PostgresUnseen => Limit::Unknown,
    });
    let text = format!("{}: {}.", limit.name(), reason(figures, &shares));
    Verdict { limit, text, hint: limit.hint() }
}

/// Returns the limit if the CPUs of this machine are busy: then every other wait may be a wait for a CPU.
fn limit_of_machine(figures: &Figures) -> Option<Limit> {
    let own = figures.own_share_of_machine();
    if figures.client.machine_busy.unwrap_or(own) < SATURATED {
        return None;
    }
    Some(match &figures.store {
        // What keeps it busy would be a guess.
        StoreFigures::Postgres(server) if server.is_on_this_machine && !server.is_known() => Limit::Unknown,
        _ if own < SATURATED / 2.0 => Limit::OtherPrograms,
        StoreFigures::Postgres(server) if server.is_on_this_machine => Limit::SharedCpu,
        _ => Limit::ClientCpu,
    })
}

fn limit_of_file(shares: &Shares) -> Limit {
    largest([
        (Limit::ClientCpu, shares.client_cpu),
        (Limit::DiskFlush, shares.flush),
        (Limit::OtherWriters, shares.locks),
    ])
}

fn limit_of_server(server: &ServerFigures, shares: &Shares) -> Limit {
    if !server.is_known() {
        return Limit::Unknown;
    }
    largest([
        (Limit::ClientCpu, shares.client_cpu),
        (Limit::DatabaseCpu, shares.database_cpu),
        (Limit::WalFlush, shares.flush),
        (Limit::DatabaseDisk, shares.disk),
        (Limit::DatabaseLocks, shares.locks),
        (Limit::Network, shares.network),
    ])
}

fn largest<const N: usize>(shares: [(Limit, f64); N]) -> Limit {
    let largest = shares.into_iter().max_by(|(_, one), (_, other)| one.total_cmp(other));
    largest.filter(|(_, share)| *share >= LIMITS_FROM).map_or(Limit::NothingAlone, |(limit, _)| limit)
}

fn reason(figures: &Figures, shares: &Shares) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let busy = match figures.client.machine_busy {
        Some(busy) => format!("; the CPUs of this machine were {} busy", percent(busy)),
        None => String::new(),
    };
    match &figures.store {
        StoreFigures::Sqlite => format!(
            "of the time this program computed for {}, waited for commits for {}, waited for or yielded to other \
             writers for {}{busy}",
            percent(shares.client_cpu),
            percent(shares.flush),
            percent(shares.locks)
        ),
        StoreFigures::Postgres(server) if server.is_hidden() => {
            format!("the server hides from this user what its sessions do{busy}")
        }
        StoreFigures::Postgres(server) if !server.is_known() => {
            format!(
                "the server was sampled only {} {} before the jobs were done{busy}",
                server.looks,
                plural(server.looks, "time")
            )
        }
        StoreFigures::Postgres(server) => format!(
            "of the workers' time the database computed for {}, waited for its log for {}, for other files {}, for locks \
             {}; this program computed for {}, and for {} both waited for the network (a round trip takes {:.2} ms, a \
             chunk needs {} of them) or for a CPU{busy}",
            percent(shares.database_cpu),
            percent(shares.flush),
            percent(shares.disk),
            percent(shares.locks),
            percent(shares.client_cpu),
            percent(shares.network),
            server.round_trip.as_secs_f64() * 1000.0,
            ROUND_TRIPS_A_CHUNK
        ),
        StoreFigures::PostgresUnseen => format!(
            "the workers waited {} of their time for the database or the network; the server does not show \
             which{busy}",
            percent(figures.store_share())
        ),
    }
}
