//! Steps that the tests of the broker module share.

use codemint_worker::broker::publish::Outgoing;
use codemint_worker::broker::settings::{BrokerNames, BrokerSettings};

use std::time::Duration;

/// The settings of a configuration that sets only the URL.
pub fn settings(url: &str) -> BrokerSettings {
    BrokerSettings {
        url: url.parse().expect("a URL"),
        ca_file: None,
        names: BrokerNames {
            jobs_exchange: "codemint.jobs".to_owned(),
            jobs_queue: "codemint.jobs".to_owned(),
            triggers_exchange: "codemint.triggers".to_owned(),
            triggers_queue: "codemint.triggers".to_owned(),
            dead_exchange: "codemint.dead".to_owned(),
            dead_queue: "codemint.jobs.dead".to_owned(),
            events_exchange: "codemint.events".to_owned(),
        },
        declare: true,
        prefetch: 64,
        delivery_limit: 100,
        delivery_timeout: Duration::from_secs(1200),
    }
}

/// A message for the job queue.
pub fn job_message(id: &str) -> Outgoing {
    Outgoing {
        exchange: "codemint.jobs".to_owned(),
        routing_key: "codemint.jobs".to_owned(),
        mandatory: true,
        message_id: Some(id.to_owned()),
        content_type: Some("application/json".to_owned()),
        body: b"{}".to_vec(),
        ..Outgoing::default()
    }
}
