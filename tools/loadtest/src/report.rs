//! The report of a load test, for people and for programs.

use std::io::{Write, stdout};
use std::time::Duration;

use serde::Serialize;

use codemint_codes::job::record::Job;
use codemint_codes::text::{grouped, plural, printable, printable_lines};

use crate::failure::Failure;
use crate::figures::{Figures, Shares, StoreFigures};
use crate::measure::Measured;
use crate::spread::Spread;
use crate::verdict::{Verdict, judge};

/// The parameters of the test.
pub struct Asked {
    pub store: String,
    pub temporary: bool,
    pub mask: String,
    pub chunk_size: u32,
    pub workers: usize,
}

/// The JSON document; docs/loadtest.md explains its fields.
#[derive(Debug, Serialize)]
pub struct Report {
    store: String,
    temporary: bool,
    mask: String,
    codes: u64,
    jobs: usize,
    chunk_size: u32,
    workers: usize,
    rejected: u64,
    seconds: f64,
    codes_per_second: u64,
    putting_seconds: f64,
    removing_seconds: f64,
    chunk_ms: Percentiles,
    job_ms: Percentiles,
    phases: Vec<Phase>,
    client: Client,
    server: Option<Server>,
    shares: ShownShares,
    limit: &'static str,
    verdict: String,
    hint: &'static str,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    count: usize,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct Phase {
    phase: &'static str,
    seconds: f64,
    /// The share of the workers' time.
    share: f64,
}

#[derive(Debug, Serialize)]
struct Client {
    cpu_seconds: f64,
    cpus_busy: f64,
    cpus: u32,
    machine_busy: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Server {
    looks: u64,
    round_trip_ms: f64,
    is_on_this_machine: bool,
    /// Measured on the whole server, like the other figures of the log.
    wal_bytes: Option<i64>,
    wal_bytes_per_code: Option<f64>,
    wal_flushes: Option<u64>,
    wal_flush_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ShownShares {
    store: f64,
    client_cpu: f64,
    database_cpu: f64,
    flush: f64,
    disk: f64,
    locks: f64,
    network: f64,
}

impl Report {
    pub fn new(asked: &Asked, jobs: &[Job], measured: &Measured, putting: Duration, removing: Duration) -> Self {
        let figures = &measured.figures;
        let Verdict { limit, text, hint } = judge(figures);
        let codes: u64 = jobs.iter().map(|job| job.minted).sum();
        let seconds = figures.time.as_secs_f64();
        Self {
            store: asked.store.clone(),
            temporary: asked.temporary,
            mask: asked.mask.clone(),
            codes,
            jobs: jobs.len(),
            chunk_size: asked.chunk_size,
            workers: asked.workers,
            rejected: jobs.iter().map(|job| job.rejections.total()).sum(),
            seconds: rounded(seconds),
            codes_per_second: (codes as f64 / seconds.max(0.001)).round() as u64,
            putting_seconds: rounded(putting.as_secs_f64()),
            removing_seconds: rounded(removing.as_secs_f64()),
            chunk_ms: Percentiles::of(&measured.chunk_times),
            job_ms: Percentiles::of(&measured.job_times),
            phases: phases(figures),
            client: Client {
                cpu_seconds: rounded(figures.client.cpu.as_secs_f64()),
                cpus_busy: rounded(figures.client_cpus_busy()),
                cpus: figures.client.cpus,
                machine_busy: figures.client.machine_busy.map(rounded),
            },
            server: Server::of(measured, codes),
            shares: ShownShares::of(figures),
            limit: limit.as_str(),
            verdict: text,
            hint,
        }
    }

    /// Prints the report as one line of JSON.
    pub fn print_json(&self) -> Result<(), Failure> {
        print_raw(&serde_json::to_string(self).map_err(Failure::other)?)
    }

    /// Prints the report for people.
    pub fn print(&self) -> Result<(), Failure> {
        let Self { codes, jobs, workers, chunk_size, .. } = self;
        let temporary = if self.temporary { " (temporary; --store URL measures a server)" } else { "" };
        let line = |name: &str, value: String| print_line(&format!("{name:<12}{value}"));
        line("store", format!("{}{temporary}", printable(&self.store)))?;
        line("mask", printable(&self.mask))?;
        let crowd = match self.rejected {
            0 => String::new(),
            rejected => format!("; {} {} rejected", grouped(rejected.into()), plural(rejected, "candidate")),
        };
        line(
            "codes",
            format!(
                "{} in {jobs} {}, {workers} {} of {chunk_size} at once{crowd}",
                grouped((*codes).into()),
                plural(*jobs, "job"),
                plural(*workers, "chunk")
            ),
        )?;
        line("time", format!("{:.2} s, {} codes/s", self.seconds, grouped(self.codes_per_second.into())))?;
        line(
            "besides",
            format!(
                "{:.2} s for storing the jobs, {:.2} s for removing all",
                self.putting_seconds, self.removing_seconds
            ),
        )?;
        print_line(&format!("\n{:<12}{:>10}{:>10}{:>10}{:>10}", "ms", "p50", "p90", "p99", "max"))?;
        for (name, times) in [("chunk", &self.chunk_ms), ("job", &self.job_ms)] {
            let Percentiles { p50, p90, p99, max, .. } = times;
            print_line(&format!("{name:<12}{p50:>10.1}{p90:>10.1}{p99:>10.1}{max:>10.1}"))?;
        }
        print_line(&format!("\n{:<12}{:>10}{:>10}", "phase", "s", "share"))?;
        for Phase { phase, seconds, share } in self.phases.iter().filter(|phase| phase.seconds > 0.0) {
            print_line(&format!("{phase:<12}{seconds:>10.3}{:>10}", percent(*share)))?;
        }
        print_line("")?;
        self.print_limits()
    }

    fn print_limits(&self) -> Result<(), Failure> {
        let line = |name: &str, value: String| print_line(&format!("{name:<12}{value}"));
        let Client { cpus_busy, cpus, machine_busy, .. } = self.client;
        let machine = machine_busy.map(|busy| format!("; all programs together kept {} busy", percent(busy)));
        line("client", format!("{cpus_busy:.2} of {cpus} CPUs{}", machine.unwrap_or_default()))?;
        line("database", format!("waited for during {} of the workers' time", percent(self.shares.store)))?;
        if let Some(server) = &self.server {
            let place = if server.is_on_this_machine { "this machine" } else { "another machine" };
            line("server", format!("on {place}, a round trip takes {:.2} ms", server.round_trip_ms))?;
            line("log", server.log())?;
        }
        line("limit", self.verdict.clone())?;
        line("try", self.hint.to_owned())
    }
}

impl Server {
    fn of(measured: &Measured, codes: u64) -> Option<Self> {
        let StoreFigures::Postgres(server) = &measured.figures.store else { return None };
        let wal = measured.wal.as_ref();
        let wal_bytes = wal.map(|(before, after)| after.position - before.position);
        let flushes = wal.and_then(|(before, after)| after.flushes?.checked_sub(before.flushes?));
        let flush_ms = wal.and_then(|(before, after)| Some(after.flush_ms? - before.flush_ms?));
        Some(Self {
            looks: server.looks,
            round_trip_ms: rounded(server.round_trip.as_secs_f64() * 1000.0),
            is_on_this_machine: server.is_on_this_machine,
            wal_bytes,
            wal_bytes_per_code: wal_bytes.map(|bytes| rounded(bytes as f64 / codes.max(1) as f64)),
            wal_flushes: flushes,
            wal_flush_ms: flush_ms.map(rounded),
        })
    }

    fn log(&self) -> String {
        let bytes = self.wal_bytes_per_code.map_or("not known".to_owned(), |bytes| format!("{bytes:.0} bytes a code"));
        let flushes = self.wal_flushes.map(|flushes| format!(", {flushes} flushes")).unwrap_or_default();
        let took = match self.wal_flush_ms {
            Some(took) => format!(" that took {took:.0} ms"),
            None => {
                "; how long flushes take is not known (track_wal_io_timing is off, or the server reports it elsewhere)"
                    .to_owned()
            }
        };
        format!("{bytes}{flushes}{took}, of the whole server")
    }
}

/// Returns the phases, which add up to the workers' time: the time that no chunk used is the phase `rest`.
fn phases(figures: &Figures) -> Vec<Phase> {
    let all = figures.time.as_secs_f64() * f64::from(figures.workers.max(1));
    let phase =
        |phase, seconds: f64| Phase { phase, seconds: rounded(seconds), share: rounded(seconds / all.max(0.001)) };
    let mut phases: Vec<Phase> =
        figures.chunk_times.phases().iter().map(|(name, time)| phase(*name, time.as_secs_f64())).collect();
    phases.push(phase("rest", (all - figures.chunk_times.total().as_secs_f64()).max(0.0)));
    phases
}

impl Percentiles {
    fn of(times: &[Duration]) -> Self {
        let ms = |time: Duration| rounded(time.as_secs_f64() * 1000.0);
        let Spread { count, p50, p90, p99, max } = Spread::of(times.to_vec());
        Self { count, p50: ms(p50), p90: ms(p90), p99: ms(p99), max: ms(max) }
    }
}

impl ShownShares {
    fn of(figures: &Figures) -> Self {
        let Shares { client_cpu, database_cpu, flush, disk, locks, network } = figures.shares();
        let [client_cpu, database_cpu, flush, disk, locks, network] =
            [client_cpu, database_cpu, flush, disk, locks, network].map(rounded);
        Self { store: rounded(figures.store_share()), client_cpu, database_cpu, flush, disk, locks, network }
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Rounds to three decimals, the precision of the measurement.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Prints one line of the report for people. Whatever it contains, a terminal does not act on it.
///
/// # Errors
/// If standard output cannot be written.
fn print_line(line: &str) -> Result<(), Failure> {
    print_raw(&printable_lines(line))
}

fn print_raw(line: &str) -> Result<(), Failure> {
    writeln!(stdout(), "{line}").map_err(|error| Failure::stdout(&error))
}
