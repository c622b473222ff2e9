//! The figures of a load test.

use std::time::Duration;

use codemint_store::activity::Sessions;
use codemint_worker::mint::times::ChunkTimes;

/// Statements that a chunk waits for one after the other: begin, claim, the next chunk, savepoint, the beginning and the end of
/// `COPY`, checkpoint, commit.
pub const ROUND_TRIPS_A_CHUNK: u32 = 8;

/// With fewer looks at a server what was seen is chance.
const LOOKS_MIN: u64 = 10;

/// What was measured while all jobs were minted.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// From the first job's turn to the end of the last one.
    pub time: Duration,
    /// Chunks at once.
    pub workers: u32,
    /// Chunks that were committed.
    pub chunks: u64,
    /// The sum over all chunks.
    pub chunk_times: ChunkTimes,
    pub client: ClientFigures,
    pub store: StoreFigures,
}

/// What this process and its machine did meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct ClientFigures {
    /// Of all threads of this process.
    pub cpu: Duration,
    pub cpus: u32,
    /// The share of the machine's CPUs that were busy, with whatever program; `None` where it is not told.
    pub machine_busy: Option<f64>,
}

/// What is known of the other side.
#[derive(Clone, Copy, Debug)]
pub enum StoreFigures {
    /// It is this process that works.
    Sqlite,
    Postgres(ServerFigures),
    /// Nobody could look at what the server does for us.
    PostgresUnseen,
}

#[derive(Clone, Copy, Debug)]
pub struct ServerFigures {
    /// How often it was looked at, and the sum of what was seen.
    pub looks: u64,
    pub seen: Sessions,
    pub round_trip: Duration,
    pub is_on_this_machine: bool,
}

impl ServerFigures {
    /// Whether what was seen says something.
    pub const fn is_known(&self) -> bool {
        self.looks >= LOOKS_MIN && !self.is_hidden()
    }

    /// Whether the server keeps to itself what its sessions do.
    pub const fn is_hidden(&self) -> bool {
        let Sessions { cpu, wal, disk, lock, client, idle, hidden } = self.seen;
        hidden > cpu + wal + disk + lock + client + idle
    }
}

/// Shares of the workers' time, which add up to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    pub client_cpu: f64,
    pub database_cpu: f64,
    /// Flushing the write-ahead log or, of SQLite, the file.
    pub flush: f64,
    pub disk: f64,
    pub locks: f64,
    /// Nobody was at work: something was on its way, or waited for a CPU.
    pub network: f64,
}

impl Figures {
    /// What the workers' time went into. What a store does not tell is part of the rest.
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

    /// The share of this machine's CPUs that were kept busy by this program, and by what it made a database on the same
    /// machine do.
    pub fn own_share_of_machine(&self) -> f64 {
        let server = match &self.store {
            StoreFigures::Postgres(server) if server.is_on_this_machine => {
                server.seen.cpu as f64 / server.looks.max(1) as f64
            }
            _ => 0.0,
        };
        (self.client_cpus_busy() + server) / f64::from(self.client.cpus.max(1))
    }

    /// CPUs that this process kept busy.
    pub fn client_cpus_busy(&self) -> f64 {
        self.client.cpu.as_secs_f64() / self.seconds()
    }

    /// The share of the workers' time in which a chunk waited for the store.
    pub fn store_share(&self) -> f64 {
        let ChunkTimes { claim, put_codes, checkpoint, commit, .. } = self.chunk_times;
        self.share_of_workers(claim + put_codes + checkpoint + commit)
    }

    /// A time of the workers as a share of all the time that they had.
    pub fn share_of_workers(&self, time: Duration) -> f64 {
        (time.as_secs_f64() / (self.seconds() * f64::from(self.workers.max(1)))).min(1.0)
    }

    fn seconds(&self) -> f64 {
        self.time.as_secs_f64().max(0.001)
    }

    /// While the server works nobody else is waited for. In the rest this process computes, and what it does not compute is
    /// waiting: for the network, or for a CPU. Jobs are opened and closed besides, so more may be at work than workers.
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

    /// One chunk at a time has the file, however many workers there are. A flush is waited for without computing; a commit also
    /// computes, and the next chunk is prepared meanwhile: so no more of it is a flush than there was time in which this
    /// process did not compute. Others have the file while none of our chunks has it.
    fn shares_of_file(&self) -> Shares {
        let share = |time: Duration| (time.as_secs_f64() / self.seconds()).min(1.0);
        let ChunkTimes { claim, prepare, put_codes, checkpoint, commit, give_way, preparation: _ } = self.chunk_times;
        let not_ours = 1.0 - share(prepare + put_codes + checkpoint + commit);
        let not_computing = (1.0 - self.client_cpus_busy()).max(0.0);
        let flush = share(commit).min(not_computing);
        let locks = share(claim + give_way).min(not_ours).min(not_computing - flush);
        let client_cpu = self.client_cpus_busy().min(1.0 - flush - locks);
        rest_is_network(Shares { client_cpu, flush, locks, ..Shares::default() })
    }
}

fn rest_is_network(shares: Shares) -> Shares {
    let Shares { client_cpu, database_cpu, flush, disk, locks, .. } = shares;
    Shares { network: (1.0 - client_cpu - database_cpu - flush - disk - locks).max(0.0), ..shares }
}
