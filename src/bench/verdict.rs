//! What limits: one plain sentence with the figures it comes from, and what could be changed.

use crate::bench::figures::{Figures, ROUND_TRIPS_A_CHUNK, ServerFigures, Shares, StoreFigures};

/// From here on all CPUs are busy.
const SATURATED: f64 = 0.9;
/// What takes less of the time is not said to limit by itself.
const LIMITS_FROM: f64 = 0.4;

/// What throughput would rise with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    ClientCpu,
    DatabaseCpu,
    /// Client and database compute on the same machine, and its CPUs are busy.
    SharedCpu,
    /// The CPUs of this machine are busy, and not with us.
    OtherPrograms,
    WalFlush,
    DatabaseDisk,
    DatabaseLocks,
    Network,
    /// Of an SQLite file.
    DiskFlush,
    /// Of an SQLite file: others write, or are let to.
    OtherWriters,
    /// Several take about the same part.
    NothingAlone,
    /// The server did not let itself be looked at, or it was over too soon.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Verdict {
    pub limit: Limit,
    /// A sentence with the figures.
    pub text: String,
    /// What could be changed.
    pub hint: &'static str,
}

impl Limit {
    /// For programs: stable, lower case, with underscores.
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
            Self::ClientCpu => "The CPU of this program limits",
            Self::DatabaseCpu => "The CPU of the database limits",
            Self::SharedCpu => "The CPUs of this machine limit, which this program and the database share",
            Self::OtherPrograms => "Other programs on this machine limit",
            Self::WalFlush => "The write-ahead log of the database limits",
            Self::DatabaseDisk => "The disk of the database limits",
            Self::DatabaseLocks => "Locks in the database limit",
            Self::Network => "The network limits",
            Self::DiskFlush => "Flushing the file to its disk limits",
            Self::OtherWriters => "Other writers of the file limit",
            Self::NothingAlone => "Nothing limits alone",
            Self::Unknown => "What limits is not known",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::ClientCpu => {
                "a faster CPU, more --workers where CPUs are idle, or several machines; denied words and crowded masks cost CPU"
            }
            Self::DatabaseCpu => {
                "try more --workers: each keeps one CPU of the server busy; when that no longer helps, it needs faster CPUs"
            }
            Self::SharedCpu => "give the database a machine of its own; more --workers will not help here",
            Self::OtherPrograms => "measure again when nothing else keeps the CPUs of this machine busy",
            Self::WalFlush => {
                "a faster disk for pg_wal, a larger max_wal_size, larger chunks (job.chunk_size); more --workers share flushes"
            }
            Self::DatabaseDisk => "more shared_buffers, or a faster disk for the table of codes and its index",
            Self::DatabaseLocks => {
                "fewer --workers, or look in pg_stat_activity for who holds what others wait for; partitions spread the index"
            }
            Self::Network => {
                "bring this program nearer to the database, use more --workers, which wait at the same time, or larger chunks"
            }
            Self::DiskFlush => "a faster disk, or larger chunks (job.chunk_size): each is flushed once",
            Self::OtherWriters => "an SQLite file has one writer at a time; PostgreSQL takes many",
            Self::NothingAlone => "try --workers, one more each time, until the throughput no longer grows",
            Self::Unknown => "more --codes; and for what the server does, a --store URL that leads to it directly",
        }
    }
}

/// What the figures say.
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

/// Where the CPUs of this machine are busy, whatever else is waited for is waiting for a CPU.
fn limit_of_machine(figures: &Figures) -> Option<Limit> {
    let own = figures.own_share_of_machine();
    if figures.client.machine_busy.unwrap_or(own) < SATURATED {
        return None;
    }
    Some(match &figures.store {
        // Who keeps it busy would be a guess.
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
            "of the time this program computed for {}, waited for commits for {}, for and in favour of other writers for \
             {}{busy}",
            percent(shares.client_cpu),
            percent(shares.flush),
            percent(shares.locks)
        ),
        StoreFigures::Postgres(server) if server.is_hidden() => {
            format!("the server does not tell this user what its sessions do{busy}")
        }
        StoreFigures::Postgres(server) if !server.is_known() => {
            format!("the server was looked at only {} times before all was done{busy}", server.looks)
        }
        StoreFigures::Postgres(server) => format!(
            "of the workers' time the database computed for {}, waited for its log for {}, for other files {}, for locks {}; \
             this program computed for {}, and for {} all waited for the network (a round trip takes {:.2} ms, a chunk {} of \
             them) or for a CPU{busy}",
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
            "the workers waited {} of their time for the database or the network, and by way of pgbouncer the server does \
             not tell which{busy}",
            percent(figures.store_share())
        ),
    }
}
