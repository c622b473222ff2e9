//! The page `/`: the state of a worker at a glance, where there are no dashboards. No script, nothing external.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use askama::Template;
use indicatif::{HumanBytes, HumanCount, HumanDuration};

use crate::admin::health::{Missing, ReadinessDocument};
use crate::admin::jobs_seen::JobLines;
use codemint_codes::text::printable;
use codemint_telemetry::metrics::names;

/// The policy for the browser, also for the page `/docs`: it may use the page's own style, and nothing else.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Debug, Template)]
#[template(path = "page.html")]
pub struct Page {
    version: &'static str,
    ready: bool,
    missing: Vec<Missing>,
    panels: Vec<Panel>,
    jobs: JobLines,
}

/// A panel of figures that belong together.
#[derive(Debug)]
struct Panel {
    title: &'static str,
    figures: Vec<Figure>,
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    value: String,
    /// True if the figure needs attention.
    is_alarm: bool,
}

impl Page {
    /// Builds the page. `metrics` is the response of `/metrics`.
    pub fn new(readiness: ReadinessDocument, metrics: &str, jobs: JobLines) -> Self {
        let figures = Figures::read(metrics);
        let mut panels = vec![jobs_panel(&figures), codes_panel(&figures), store_panel(&figures)];
        if readiness.broker.is_some() {
            panels.push(broker_panel(&figures));
        }
        panels.push(process_panel(&figures));
        let ReadinessDocument { ready, missing, .. } = readiness;
        // The page is escaped as HTML, but its text can also mislead: a reason may quote what came from outside.
        let shown = |Missing { what, reason }: Missing| Missing { what, reason: printable(&reason) };
        let missing = missing.into_iter().map(shown).collect();
        Self { version: env!("CARGO_PKG_VERSION"), ready, missing, panels, jobs }
    }
}

fn figure(name: &'static str, value: impl ToString) -> Figure {
    Figure { name, value: value.to_string(), is_alarm: false }
}

fn alarm_if(is_alarm: bool, name: &'static str, value: impl ToString) -> Figure {
    Figure { name, value: value.to_string(), is_alarm }
}

fn jobs_panel(figures: &Figures) -> Panel {
    let jobs = |state: &str| HumanCount(figures.count(&format!("{}{{state=\"{state}\"}}", names::JOBS)));
    let ended = |outcome: &str| figures.count(&format!("{}{{outcome=\"{outcome}\"}}", names::JOBS_FINISHED));
    let oldest = figures.seconds(names::OLDEST_WAITING_JOB_AGE);
    let waiting = if oldest.is_zero() { "–".to_owned() } else { HumanDuration(oldest).to_string() };
    Panel {
        title: "Jobs",
        figures: vec![
            figure("queued", jobs("queued")),
            figure("wait for room", HumanCount(figures.count(names::JOBS_WAITING_FOR_ROOM))),
            figure("running", jobs("running")),
            figure("oldest has waited", waiting),
            figure("completed here", HumanCount(ended("completed"))),
            alarm_if(ended("failed") > 0, "failed here", HumanCount(ended("failed"))),
        ],
    }
}

fn codes_panel(figures: &Figures) -> Panel {
    let since = figures.since(names::LAST_PROGRESS);
    Panel {
        title: "Codes",
        figures: vec![
            figure("minted here", HumanCount(figures.count(names::CODES_MINTED))),
            figure("rejected", HumanCount(figures.sum(names::CANDIDATES_REJECTED))),
            figure("chunks in progress", figures.of(names::WRITERS_BUSY, names::WRITERS_ALLOWED)),
            figure("conflicts", HumanCount(figures.count(names::CHUNK_CONFLICTS))),
            figure("idle for", HumanDuration(since)),
        ],
    }
}

fn store_panel(figures: &Figures) -> Panel {
    let is_up = figures.get(names::STORE_UP) == 1.0;
    let used = format!("{}{{state=\"used\"}}", names::POOL_CONNECTIONS);
    let errors = figures.sum(names::STORE_ERRORS);
    let full = figures.get(names::KEYSPACE_USED);
    Panel {
        title: "Store",
        figures: vec![
            alarm_if(!is_up, "answers", if is_up { "yes" } else { "no" }),
            figure("connections used", figures.of(&used, names::POOL_CONNECTIONS_MAX)),
            alarm_if(errors > 0, "errors", HumanCount(errors)),
            figure("filters held", HumanBytes(figures.count(names::PREFILTER_BYTES))),
            alarm_if(full > 0.9, "fullest keyspace", format!("{:.1} %", full * 100.0)),
        ],
    }
}

fn broker_panel(figures: &Figures) -> Panel {
    let (connected, blocked) = (figures.get(names::BROKER_CONNECTED) == 1.0, figures.get(names::BROKER_BLOCKED) == 1.0);
    let state = match (connected, blocked) {
        (false, _) => "away",
        (true, true) => "blocked",
        (true, false) => "connected",
    };
    let messages = |queue: &str| figures.count(&format!("{}{{queue=\"{queue}\"}}", names::QUEUE_MESSAGES));
    Panel {
        title: "Broker",
        figures: vec![
            alarm_if(state != "connected", "session", state),
            figure("messages", HumanCount(messages("jobs"))),
            alarm_if(messages("dead") > 0, "dead letters", HumanCount(messages("dead"))),
            figure("events waiting", HumanCount(figures.count(names::OUTBOX_EVENTS))),
            figure("reconnects", HumanCount(figures.count(names::BROKER_RECONNECTS))),
        ],
    }
}

fn process_panel(figures: &Figures) -> Panel {
    Panel {
        title: "Process",
        figures: vec![
            figure("memory", HumanBytes(figures.count("process_resident_memory_bytes"))),
            figure("CPU time", HumanDuration(figures.seconds("process_cpu_seconds_total"))),
            figure("open files", HumanCount(figures.count("process_open_fds"))),
            figure("running for", HumanDuration(figures.since("process_start_time_seconds"))),
        ],
    }
}

/// The values of metrics, by series.
struct Figures<'a>(HashMap<&'a str, f64>);

impl<'a> Figures<'a> {
    fn read(metrics: &'a str) -> Self {
        let series = metrics.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Self(series.filter_map(|(series, value)| Some((series, value.parse().ok()?))).collect())
    }

    /// Returns the value of a series, or 0 if there is none.
    fn get(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or_default()
    }

    fn count(&self, series: &str) -> u64 {
        self.get(series) as u64
    }

    fn seconds(&self, series: &str) -> Duration {
        Duration::try_from_secs_f64(self.get(series)).unwrap_or_default()
    }

    /// Returns the time since a timestamp in seconds since 1970.
    fn since(&self, series: &str) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(self.seconds(series))
    }

    /// Returns the sum over all values of the labels.
    fn sum(&self, name: &str) -> u64 {
        let of_name = self.0.iter().filter(|(series, _)| series.split('{').next() == Some(name));
        of_name.map(|(_, value)| *value as u64).sum()
    }

    fn of(&self, part: &str, whole: &str) -> String {
        format!("{} of {}", self.count(part), self.count(whole))
    }
}
