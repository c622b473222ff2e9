//! The figures of a load test.

use std::time::Duration;

use codemint_worker::mint::times::ChunkTimes;

use crate::probe::Sessions;

/// Number of statements that a chunk waits for in sequence: begin, claim, the next chunk, savepoint, the beginning and
/// the end of `COPY`, checkpoint, commit.
pub const ROUND_TRIPS_A_CHUNK: u32 = 8;

/// Minimum number of samples of a server; with fewer, the result is chance.
const LOOKS_MIN: u64 = 10;

/// The measurements taken while all jobs were minted.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// The time from the first job's first turn to the end of the last job.
    pub time: Duration,
    /// Number of chunks minted at once.
    pub workers: u32,
    /// Number of committed chunks.
    pub chunks: u64,
    /// The sum over all chunks.
    pub chunk_times: ChunkTimes,
    pub client: ClientFigures,
    pub store: StoreFigures,
}

/// The load of this process and its machine in that time.
#[derive(Clone, Copy, Debug)]
pub struct ClientFigures {
    /// The CPU time of all threads of this process.
    pub cpu: Duration,
    pub cpus: u32,
    /// The share of the machine's CPUs that any program kept busy; `None` if the system does not report it.
    pub machine_busy: Option<f64>,
}

/// The figures of the database.
#[derive(Clone, Copy, Debug)]
pub enum StoreFigures {
    /// The database runs in this process.
    Sqlite,
    Postgres(ServerFigures),
    /// The server's work for this process could not be observed.
    PostgresUnseen,
}

#[derive(Clone, Copy, Debug)]
pub struct ServerFigures {
    /// Number of samples; `seen` is their sum.
    pub looks: u64,
    pub seen: Sessions,
    pub round_trip: Duration,
    pub is_on_this_machine: bool,
}

impl ServerFigures {
    /// Returns true if there are enough samples, and visible ones, to judge by.
    pub const fn is_known(&self) -> bool {
        self.looks >= LOOKS_MIN && !self.is_hidden()
    }

    /// Returns true if the server hides from this user what most of its sessions do.
    pub const fn is_hidden(&self) -> bool {
        let Sessions { cpu, wal, disk, lock, client, idle, hidden } = self.seen;
        hidden > cpu + wal + disk + lock + client + idle
    }
}

/// The shares of the workers' time, which add up to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    pub client_cpu: f64,
    pub database_cpu: f64,
    /// Flushing the write-ahead log or, for SQLite, the file.
    pub flush: f64,
    pub disk: f64,
    pub locks: f64,
    /// Neither side was at work: data was in transit, or something waited for a CPU.
    pub network: f64,
}

impl Figures {
    /// Returns how the workers spent their time. What a store does not report is counted as `network`.
    pub fn shares(&self) -> Shares {
        match &self.store {
            StoreFigures::Sqlite => self.shares_of_file(),
            StoreFigures::Postgres(server) => self.shares_of_server(server),
            StoreFigures::PostgresUnseen => {
                let client_cpu = self.client_cpus_busy() / f64::from(self.workers.max(1));
                rest_is_network(Shares { client_cpu: client_cpu.min(1.0), ..Shares::default() })
            }
        }
    }

    /// Returns the share of this machine's CPUs that this program kept busy, including its sessions of a database on
    /// the same machine.
    pub fn own_share_of_machine(&self) -> f64 {
        let server = match &self.store {
            StoreFigures::Postgres(server) if server.is_on_this_machine => {
                server.seen.cpu as f64 / server.looks.max(1) as f64
            }
            _ => 0.0,
        };
        (self.client_cpus_busy() + server) / f64::from(self.client.cpus.max(1))
    }

    /// Returns the number of CPUs that this process kept busy.
    pub fn client_cpus_busy(&self) -> f64 {
        self.client.cpu.as_secs_f64() / self.seconds()
    }

    /// Returns the share of the workers' time in which a chunk waited for the store.
    pub fn store_share(&self) -> f64 {
        let ChunkTimes { claim, put_codes, checkpoint, commit, .. } = self.chunk_times;
        self.share_of_workers(claim + put_codes + checkpoint + commit)
    }

    /// Returns a duration as a share of all workers' time.
    pub fn share_of_workers(&self, time: Duration) -> f64 {
        (time.as_secs_f64() / (self.seconds() * f64::from(self.workers.max(1)))).min(1.0)
    }

    fn seconds(&self) -> f64 {
        self.time.as_secs_f64().max(0.001)
    }

    /// Returns the shares for PostgreSQL. While the server works, nothing else is waited for. In the remaining time
    /// this process computes; what is left is waiting, for the network or for a CPU. Jobs are opened and closed too, so
    /// more sessions may be active than there are workers.
    fn shares_of_server(&self, server: &ServerFigures) -> Shares {
        let mean = |sum: u64| sum as f64 / server.looks.max(1) as f64;
        let Sessions { cpu, wal, disk, lock, .. } = server.seen;
        let at_work = mean(cpu + wal + disk + lock);
        let all = at_work.max(f64::from(self.workers.max(1)));
        let client_cpu = (self.client_cpus_busy() / all).min(1.0 - at_work / all);
        rest_is_network(Shares {
            client_cpu,
            database_cpu: mean(cpu) / all,
            flush: mean(wal) / all,
            disk: mean(disk) / all,
            locks: mean(lock) / all,
            network: 0.0,
        })
    }

    /// Returns the shares for SQLite. One chunk at a time has the file, however many workers there are. Waiting for a
    /// flush takes no CPU, but a commit also computes, and the next chunk is prepared meanwhile: so the flush takes at
    /// most the time in which this process did not compute. Others have the file while none of our chunks has it.
    fn shares_of_file(&self) -> Shares {
        let share = |time: Duration| (time.as_secs_f64() / self.seconds()).min(1.0);
        let ChunkTimes { claim, prepare, put_codes, checkpoint, commit, yield_writer, preparation: _ } =
            self.chunk_times;
        let not_ours = 1.0 - share(prepare + put_codes + checkpoint + commit);
        let not_computing = (1.0 - self.client_cpus_busy()).max(0.0);
        let flush = share(commit).min(not_computing);
        let locks = share(claim + yield_writer).min(not_ours).min(not_computing - flush);
        let client_cpu = self.client_cpus_busy().min(1.0 - flush - locks);
        rest_is_network(Shares { client_cpu, flush, locks, ..Shares::default() })
    }
}

fn rest_is_network(shares: Shares) -> Shares {
    let Shares { client_cpu, database_cpu, flush, disk, locks, .. } = shares;
    Shares { network: (1.0 - client_cpu - database_cpu - flush - disk - locks).max(0.0), ..shares }
}
