//! Log setup. Codes, keys and passwords are never logged, by any module.

use strum::EnumString;
use tracing::field::Field;
use tracing::{Level, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{JsonFields, Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::json_lines::JsonLines;

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_format)]
pub enum LogFormat {
    Text,
    Json,
}

fn unknown_format(text: &str) -> String {
    format!("found {text:?}; write auto, text or json")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_level)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

fn unknown_level(text: &str) -> String {
    format!("found {text:?}; write auto, error, warn, info, debug or trace")
}

/// Sends the process's log to `writer`. Called once, by the command line. `printable` escapes texts for people.
pub fn install<W>(format: LogFormat, level: LogLevel, color: bool, printable: fn(&str) -> String, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let registry =
        tracing_subscriber::registry().with(layer(format, color, printable, writer).with_filter(filter(level)));
    #[cfg(feature = "otel")]
    let registry = registry.with(crate::otlp::layer());
    registry.init();
}

fn layer<S, W>(
    format: LogFormat,
    color: bool,
    printable: fn(&str) -> String,
    writer: W,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        LogFormat::Text => {
            let fields =
                debug_fn(move |writer, field, value| write_field(writer, field, &printable(&format!("{value:?}"))));
            fmt::layer()
                .fmt_fields(fields.delimited(" "))
                .with_writer(writer)
                .with_ansi(color)
                .with_target(false)
                .boxed()
        }
        LogFormat::Json => {
            fmt::layer().event_format(JsonLines).fmt_fields(JsonFields::new()).with_writer(writer).boxed()
        }
    }
}

/// Writes a field in text: its value was escaped, because the library leaves line breaks and many controls in it.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &str) -> std::fmt::Result {
    match (field.name(), writer.has_ansi_escapes()) {
        ("message", _) => writer.write_str(value),
        (name, true) => write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value}"),
        (name, false) => write!(writer, "{name}={value}"),
    }
}

/// Returns the filter: our own events at the configured level; libraries only from `warn` on, except at `trace`.
fn filter(level: LogLevel) -> Targets {
    let (ours, libraries) = match level {
        LogLevel::Error => (Level::ERROR, Level::ERROR),
        LogLevel::Warn => (Level::WARN, Level::WARN),
        LogLevel::Info => (Level::INFO, Level::WARN),
        LogLevel::Debug => (Level::DEBUG, Level::WARN),
        LogLevel::Trace => (Level::TRACE, Level::DEBUG),
    };
    // We log a broken connection ourselves, and how it is handled; the pool would log it again.
    let pool = if libraries > Level::WARN { libraries } else { Level::ERROR };
    // The same goes for the broker's library, which also logs clean closes as errors.
    let broker = if libraries > Level::WARN { LevelFilter::from_level(libraries) } else { LevelFilter::OFF };
    Targets::new()
        .with_default(LevelFilter::from_level(libraries))
        .with_target("sqlx_core::pool", pool)
        .with_target("sqlx::pool", pool)
        .with_target("lapin", broker)
        .with_target("codemint", ours)
}

#[cfg(test)]
mod tests {
    use tracing::Level;
    use tracing_subscriber::layer::SubscriberExt;

    use super::{LogFormat, LogLevel, filter, layer};
    use crate::written::Written;

    #[test]
    fn regression_a_text_line_escapes_the_values_of_all_its_fields() {
        let written = Written::default();
        let escape = |text: &str| text.replace('\n', "(newline)").replace('\u{202e}', "(override)");
        let text = layer(LogFormat::Text, false, escape, written.writer());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(text), || {
            let _job = tracing::error_span!("job", campaign = %"a\nb").entered();
            tracing::info!(count = 5, reason = "c\u{202e}d", "a message with {}", "e\nf");
        });
        let line = written.text();
        assert!(line.contains("job{campaign=a(newline)b}: a message with e(newline)f count=5 reason="), "{line}");
        assert!(!line.contains('\u{202e}') && line.lines().count() == 1, "{line}");
    }

    #[test]
    fn unknown_formats_and_levels_are_named_with_the_known_ones() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("xml".parse::<LogFormat>(), Err("found \"xml\"; write auto, text or json".to_owned()));
        assert_eq!("trace".parse(), Ok(LogLevel::Trace));
        let error = "found \"loud\"; write auto, error, warn, info, debug or trace";
        assert_eq!("loud".parse::<LogLevel>(), Err(error.to_owned()));
    }

    #[test]
    fn every_crate_of_the_program_logs_at_the_configured_level() {
        let debug = filter(LogLevel::Debug);
        for target in ["codemint", "codemint_store::minting", "codemint_worker::runner"] {
            assert!(debug.would_enable(target, &Level::DEBUG), "{target}");
            assert!(!debug.would_enable(target, &Level::TRACE), "{target}");
        }
    }

    #[test]
    fn libraries_log_warnings_only_unless_everything_is_traced() {
        let (debug, trace) = (filter(LogLevel::Debug), filter(LogLevel::Trace));
        assert!(debug.would_enable("hyper", &Level::WARN));
        assert!(!debug.would_enable("hyper", &Level::INFO));
        assert!(trace.would_enable("hyper", &Level::DEBUG));
    }

    #[test]
    fn broken_connections_are_not_logged_a_second_time_by_libraries() {
        let debug = filter(LogLevel::Debug);
        assert!(!debug.would_enable("sqlx_core::pool", &Level::WARN));
        assert!(!debug.would_enable("lapin::connection", &Level::ERROR));
        assert!(filter(LogLevel::Trace).would_enable("lapin::connection", &Level::DEBUG));
    }
}
