//! Panels of figures about this process and the store.

use codemint_telemetry::metrics::names;
use indicatif::{HumanBytes, HumanCount, HumanDuration};

use crate::console::system::figures::Figures;

/// A panel of figures that belong together.
#[derive(Debug)]
pub struct Panel {
    pub title: &'static str,
    pub figures: Vec<Figure>,
}

#[derive(Debug)]
pub struct Figure {
    pub name: &'static str,
    pub value: String,
    /// True if the figure needs attention.
    pub is_alarm: bool,
}

/// Returns the panels of a process. `metrics` is the response of `/metrics`.
pub fn panels(metrics: &str, has_broker: bool) -> Vec<Panel> {
    let figures = Figures::read(metrics);
    // A process that only serves requests mints nothing.
    let works = figures.count(names::WRITERS_ALLOWED) > 0;
    let mut panels = vec![jobs_panel(&figures, works)];
    if works {
        panels.push(codes_panel(&figures));
    }
    panels.push(store_panel(&figures));
    if has_broker {
        panels.push(broker_panel(&figures));
    }
    panels.push(process_panel(&figures));
    panels
}

fn figure(name: &'static str, value: impl ToString) -> Figure {
    Figure { name, value: value.to_string(), is_alarm: false }
}

fn alarm_if(is_alarm: bool, name: &'static str, value: impl ToString) -> Figure {
    Figure { name, value: value.to_string(), is_alarm }
}

fn jobs_panel(figures: &Figures<'_>, works: bool) -> Panel {
    let jobs = |state: &str| HumanCount(figures.count(&format!("{}{{state=\"{state}\"}}", names::JOBS)));
    let ended = |outcome: &str| figures.count(&format!("{}{{outcome=\"{outcome}\"}}", names::JOBS_FINISHED));
    let oldest = figures.seconds(names::OLDEST_WAITING_JOB_AGE);
    let waiting = if oldest.is_zero() { "–".to_owned() } else { HumanDuration(oldest).to_string() };
    let mut shown = vec![
        figure("queued", jobs("queued")),
        figure("wait for capacity", HumanCount(figures.count(names::JOBS_WAITING_FOR_ROOM))),
        figure("running", jobs("running")),
        figure("oldest has waited", waiting),
    ];
    if works {
        shown.push(figure("completed here", HumanCount(ended("completed"))));
        shown.push(alarm_if(ended("failed") > 0, "failed here", HumanCount(ended("failed"))));
    }
    Panel { title: "Jobs", figures: shown }
}

fn codes_panel(figures: &Figures<'_>) -> Panel {
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

fn store_panel(figures: &Figures<'_>) -> Panel {
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

fn broker_panel(figures: &Figures<'_>) -> Panel {
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

fn process_panel(figures: &Figures<'_>) -> Panel {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alarms(metrics: &str) -> Vec<&'static str> {
        let panels = panels(metrics, true);
        panels
            .iter()
            .flat_map(|panel| &panel.figures)
            .filter(|figure| figure.is_alarm)
            .map(|figure| figure.name)
            .collect()
    }

    #[test]
    fn figures_that_need_attention_are_marked() {
        let well = "codemint_writers_allowed 4\ncodemint_store_up 1\ncodemint_broker_connected 1\n";
        assert_eq!(alarms(well), Vec::<&str>::new());
        let ill = "codemint_writers_allowed 4\ncodemint_broker_queue_messages{queue=\"dead\"} 2\ncodemint_jobs_finished_total{outcome=\"failed\"} 1\n";
        assert_eq!(alarms(ill), ["failed here", "answers", "session", "dead letters"]);
    }

    #[test]
    fn a_process_that_mints_nothing_shows_no_codes() {
        let titles =
            |metrics: &str, has_broker| panels(metrics, has_broker).iter().map(|panel| panel.title).collect::<Vec<_>>();
        assert_eq!(titles("codemint_writers_allowed 4\n", true), ["Jobs", "Codes", "Store", "Broker", "Process"]);
        assert_eq!(titles("codemint_writers_allowed 0\n", false), ["Jobs", "Store", "Process"]);
    }
}
