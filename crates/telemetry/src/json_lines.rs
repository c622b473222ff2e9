//! Log lines as JSON: one flat object a line, with the fields of the spans in which it was logged.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer as _};
use serde_json::{Map, Serializer, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats an event as a JSON line. Expects the fields of spans to be formatted as JSON.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (mut line, metadata) = (Vec::with_capacity(512), event.metadata());
        let mut serializer = Serializer::new(&mut line);
        let map = serializer.serialize_map(None).map_err(|_unwritable| fmt::Error)?;
        let mut fields = Fields { map, is_written: true };
        let mut of_spans = Map::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            if let Some(Ok(Value::Object(fields))) = fields.map(|fields| serde_json::from_str(&fields.fields)) {
                of_spans.extend(fields);
            }
        }
        fields.put("timestamp", Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true));
        fields.put("level", metadata.level().as_str());
        fields.put("target", metadata.target());
        event.record(&mut fields);
        for (name, value) in of_spans.iter().filter(|(name, _)| metadata.fields().field(name.as_str()).is_none()) {
            fields.put(name, value);
        }
        let Fields { map, is_written } = fields;
        map.end().map_err(|_unwritable| fmt::Error)?;
        match String::from_utf8(line) {
            Ok(line) if is_written => writeln!(writer, "{line}"),
            _ => Err(fmt::Error),
        }
    }
}

struct Fields<M> {
    map: M,
    is_written: bool,
}

impl<M: SerializeMap> Fields<M> {
    fn put(&mut self, name: &str, value: impl Serialize) {
        self.is_written &= self.map.serialize_entry(name, &value).is_ok();
    }
}

impl<M: SerializeMap> Visit for Fields<M> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::fmt::layer;
    use tracing_subscriber::layer::SubscriberExt;

    use super::JsonLines;
    use crate::written::Written;

    /// Logs under a subscriber of its own and returns the lines.
    fn lines_of(log: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let lines = layer().event_format(JsonLines).fmt_fields(JsonFields::new()).with_writer(written.writer());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        written.text().lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_fields_of_its_spans() {
        let lines = lines_of(|| {
            let _job = tracing::info_span!("job", job_id = "j1", count = 5_u64).entered();
            let _chunk = tracing::info_span!("chunk", chunk_no = 3).entered();
            tracing::warn!(error = "gone\naway", is_last = true, ratio = 0.5, "a chunk failed");
        });
        let [line] = &lines[..] else { panic!("{lines:?}") };
        for (field, value) in [
            ("message", Value::from("a chunk failed")),
            ("level", "WARN".into()),
            ("job_id", "j1".into()),
            ("count", 5.into()),
            ("chunk_no", 3.into()),
            ("error", "gone\naway".into()),
            ("is_last", true.into()),
            ("ratio", 0.5.into()),
        ] {
            assert_eq!(line[field], value, "{field}");
        }
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    }

    #[test]
    fn a_field_of_the_event_replaces_that_of_a_span() {
        let lines = lines_of(|| {
            let _span = tracing::info_span!("job", count = 1_u64).entered();
            tracing::info!(count = 2_u64, "counted");
        });
        assert_eq!(lines[0]["count"], 2);
    }
}
