//! Turns the texts of all layers into a configuration: checks every key and collects all problems.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::config::configuration::{Config, ConfigError, Resolved, ServerSettings, WorkerSettings};
use crate::config::layers::Layers;
use crate::config::settings::{SETTINGS, Setting};
use crate::config::values::{
    address, address_or_off, name_of_entity, public_url, readable_file, true_or_false, unless_auto, whole_number,
};
use codemint_codes::job::request::{CHUNK_SIZE_MAX, Limits};
use codemint_codes::screening::FilterLimits;
use codemint_codes::text::printable;
use codemint_offers::access::client_address::TrustedProxies;
use codemint_offers::link::hosts::LinkHosts;
use codemint_offers::link::target::LinkSettings;
use codemint_server::api::limits::LimitSettings;
use codemint_server::api::service::HeaderName;
use codemint_store::connection::location::Location;
use codemint_worker::broker::settings::{BrokerNames, BrokerSettings, BrokerUrl};
use codemint_worker::files;
use url::Url;

/// A limit above the length of any URL.
const URL_FILE_BYTES_MAX: u64 = 64 << 10;
/// The limit of the quota arithmetic.
const COUNT_MAX_LIMIT: u64 = 1_000_000_000;
const GUESS_ODDS_LIMIT: u64 = 1_000_000_000_000;
const FILTER_BYTES_MAX_LIMIT: u64 = 1 << 30;
const PREFETCH_LIMIT: u64 = 1000;
const DELIVERY_LIMIT_LIMIT: u64 = 1_000_000;
const DELIVERY_TIMEOUT_LIMIT_SECONDS: u64 = 86_400;
const CONCURRENCY_LIMIT: u64 = 64;
const SHUTDOWN_LIMIT_SECONDS: u64 = 3600;
const CONNECTIONS_LIMIT: u64 = 1_000_000;
const RATE_LIMIT_LIMIT: u64 = 1_000_000;

/// Checks every key; the error lists all problems of all layers.
pub(super) fn finish(mut layers: Layers) -> Result<Config, ConfigError> {
    let store = layers.store();
    let require_least_privilege = layers.parse("store.require_least_privilege", true_or_false);
    let broker = layers.broker();
    let worker = layers.worker();
    let admin = layers.parse("admin.listen", address_or_off);
    let server = layers.server();
    let links = layers.links(server.as_ref());
    let chunk_size = layers.parse("job.chunk_size", |text| whole_number(text, 1, u64::from(CHUNK_SIZE_MAX)));
    let limits = layers.limits();
    let filters = layers.filters();
    let deny_builtin = layers.parse("deny.builtin", true_or_false);
    let log_format = layers.parse("log.format", unless_auto);
    let log_level = layers.parse("log.level", unless_auto);
    let checked = || {
        let (store, broker) = (store?, broker?);
        Some(Config {
            resolved: layers.resolved(&store, broker.as_ref()),
            warnings: layers.warnings.clone(),
            store,
            require_least_privilege: require_least_privilege?,
            broker,
            worker: worker?,
            admin: admin?,
            server: server?,
            links: links?,
            chunk_size: chunk_size?,
            limits: limits?,
            filters: filters?,
            check_key_file: layers.path("check.key_file"),
            deny_file: layers.path("deny.file"),
            deny_builtin: deny_builtin?,
            log_format: log_format?,
            log_level: log_level?,
        })
    };
    match checked() {
        Some(config) if layers.problems.is_empty() => Ok(config),
        _ => Err(ConfigError { problems: layers.problems }),
    }
}

impl Layers {
    fn parse<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.values.get(key)?;
        match parse(value.text.trim()) {
            Ok(parsed) => Some(parsed),
            Err(problem) => {
                self.problems.push(format!("{key} ({}): {problem}", value.origin));
                None
            }
        }
    }

    fn store(&mut self) -> Option<Location> {
        let store = self.url::<Location>("store.url", "store.url_file");
        if !self.parse("store.pgbouncer", true_or_false)? {
            return store;
        }
        let reached = store?.through_pgbouncer().map_err(|error| error.to_string());
        self.parse("store.pgbouncer", |_| reached)
    }

    fn limits(&mut self) -> Option<Limits> {
        let count_max = self.parse("limits.count_max", |text| whole_number(text, 1, COUNT_MAX_LIMIT));
        let guess_odds_min = self.parse("limits.guess_odds_min", |text| whole_number(text, 0, GUESS_ODDS_LIMIT));
        Some(Limits { count_max: count_max?, guess_odds_min: guess_odds_min? })
    }

    fn filters(&mut self) -> Option<FilterLimits> {
        let false_positive_rate = self.parse("prefilter.false_positive_rate", |text| {
            let rate = text.parse().ok().filter(|rate| (0.00001..=0.5).contains(rate));
            rate.ok_or_else(|| format!("found {text:?}; write a number from 0.00001 to 0.5"))
        });
        let bytes_max = self.parse("prefilter.max_bytes", |text| whole_number(text, 1, FILTER_BYTES_MAX_LIMIT));
        let mode = self.parse("prefilter.screening", str::parse);
        Some(FilterLimits { mode: mode?, false_positive_rate: false_positive_rate?, bytes_max: bytes_max? })
    }

    fn worker(&mut self) -> Option<WorkerSettings> {
        let concurrency = self.parse("worker.concurrency", |text| whole_number(text, 1, CONCURRENCY_LIMIT));
        let shutdown = self.seconds("worker.shutdown_seconds", SHUTDOWN_LIMIT_SECONDS);
        Some(WorkerSettings { concurrency: usize::try_from(concurrency?).ok()?, shutdown: shutdown? })
    }

    fn server(&mut self) -> Option<ServerSettings> {
        let address = self.parse("server.listen", address);
        let connections_max = self.parse("server.connections_max", |text| whole_number(text, 1, CONNECTIONS_LIMIT));
        let proxies = self.parse("server.trusted_proxies", |text| {
            text.parse::<TrustedProxies>().map_err(|problem| problem.to_string())
        });
        let sign_in_header = self.parse("server.sign_in_header", |text| match text {
            "" => Ok(None),
            text => text
                .parse::<HeaderName>()
                .map(Some)
                .map_err(|_malformed| format!("found {text:?}; write the name of a header, such as X-Remote-User")),
        });
        if let (Some(Some(_)), Some(proxies)) = (&sign_in_header, &proxies)
            && *proxies == TrustedProxies::default()
        {
            let advice =
                "server.sign_in_header: name the proxy that sets it in server.trusted_proxies; nobody else is believed";
            self.problems.push(advice.to_owned());
        }
        let limit = |text: &str| whole_number(text, 0, RATE_LIMIT_LIMIT);
        let requests_per_second = self.parse("server.rate_limit", limit);
        let failures_per_minute = self.parse("server.failures_per_minute", limit);
        let clicks_per_minute = self.parse("links.clicks_per_minute", limit);
        let [certificate, key] = ["server.tls_cert_file", "server.tls_key_file"].map(|key| {
            let path = self.path(key);
            if path.is_some() {
                self.parse(key, readable_file);
            }
            path
        });
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                self.problems.push("server.tls_cert_file and server.tls_key_file: set both, or neither".to_owned());
                None
            }
        };
        let at_most = |limit: u64| u32::try_from(limit).ok().and_then(NonZeroU32::new);
        let limits = LimitSettings {
            requests_per_second: at_most(requests_per_second?),
            failures_per_minute: at_most(failures_per_minute?),
            clicks_per_minute: at_most(clicks_per_minute?),
        };
        Some(ServerSettings {
            address: address?,
            tls,
            connections_max: usize::try_from(connections_max?).ok()?,
            limits,
            proxies: proxies?,
            sign_in_header: sign_in_header?,
        })
    }

    fn links(&mut self, server: Option<&ServerSettings>) -> Option<LinkSettings> {
        let hosts = self.parse("links.hosts", |text| text.parse::<LinkHosts>().map_err(|problem| problem.to_string()));
        let given = self.parse("links.public_url", |text| match text {
            "" => Ok(None),
            text => public_url(text).map(Some),
        })?;
        let own = |server: &ServerSettings| {
            let scheme = if server.tls.is_some() { "https" } else { "http" };
            Url::parse(&format!("{scheme}://{}", server.address)).ok()
        };
        Some(LinkSettings { hosts: hosts?, public: given.or_else(|| own(server?))? })
    }

    /// The settings of the broker; the inner `Option` is `None` if no broker is configured.
    fn broker(&mut self) -> Option<Option<BrokerSettings>> {
        let names = BrokerNames {
            jobs_exchange: self.parse("amqp.jobs_exchange", name_of_entity),
            jobs_queue: self.parse("amqp.jobs_queue", name_of_entity),
            triggers_exchange: self.parse("amqp.triggers_exchange", name_of_entity),
            triggers_queue: self.parse("amqp.triggers_queue", name_of_entity),
            dead_exchange: self.parse("amqp.dead_exchange", name_of_entity),
            dead_queue: self.parse("amqp.dead_queue", name_of_entity),
            events_exchange: self.parse("amqp.events_exchange", name_of_entity),
        };
        let ca_file = self.path("amqp.ca_file");
        if ca_file.is_some() {
            self.parse("amqp.ca_file", readable_file);
        }
        let declare = self.parse("amqp.declare", true_or_false);
        let prefetch = self.parse("amqp.prefetch", |text| whole_number(text, 1, PREFETCH_LIMIT));
        let delivery_limit = self.parse("amqp.delivery_limit", |text| whole_number(text, 1, DELIVERY_LIMIT_LIMIT));
        let delivery_timeout = self.seconds("amqp.delivery_timeout_seconds", DELIVERY_TIMEOUT_LIMIT_SECONDS);
        if self.path("amqp.url").is_none() && self.path("amqp.url_file").is_none() {
            return Some(None);
        }
        let url = self.url::<BrokerUrl>("amqp.url", "amqp.url_file");
        Some(Some(BrokerSettings {
            url: url?,
            ca_file,
            names: names.all_there()?,
            declare: declare?,
            prefetch: u16::try_from(prefetch?).ok()?,
            delivery_limit: u32::try_from(delivery_limit?).ok()?,
            delivery_timeout: delivery_timeout?,
        }))
    }

    fn seconds(&mut self, key: &str, max: u64) -> Option<Duration> {
        self.parse(key, |text| whole_number(text, 1, max)).map(Duration::from_secs)
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.values.get(key).map(|value| value.text.trim()).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// Returns the URL, given either itself or in a file, whichever a later layer sets.
    fn url<T: FromStr<Err: Display>>(&mut self, url_key: &str, file_key: &str) -> Option<T> {
        let (url, file) = (self.values.get(url_key)?, self.values.get(file_key)?);
        if file.text.is_empty() || file.layer < url.layer {
            return self.parse(url_key, |text| text.parse::<T>().map_err(|error| error.to_string()));
        }
        if file.layer == url.layer && !url.text.is_empty() {
            self.problems.push(format!("{url_key} and {file_key} are both set ({}); set one of them", file.origin));
            return None;
        }
        self.parse(file_key, |path| {
            // A relative path counts from the current folder, wherever the configuration file is.
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
            let url = files::read_text(&whole, URL_FILE_BYTES_MAX, "one line with the URL")
                .map_err(|problem| format!("{}: {problem}", printable(&whole.display().to_string())))?;
            url.trim().parse::<T>().map_err(|error| format!("{}: {error}", printable(path)))
        })
    }

    fn resolved(&self, store: &Location, broker: Option<&BrokerSettings>) -> Vec<Resolved> {
        let shown = |setting: &Setting| {
            let value = self.values.get(setting.key)?;
            let (text, origin) = match setting.key {
                "store.url" => (store.to_string(), self.origin_of_url("store.url", "store.url_file")?),
                "amqp.url" => {
                    let shown = broker.map(|broker| broker.url.to_string());
                    (shown.unwrap_or_default(), self.origin_of_url("amqp.url", "amqp.url_file")?)
                }
                _ => (value.text.clone(), value.origin.clone()),
            };
            Some(Resolved { key: setting.key, value: Some(text).filter(|text| !text.is_empty()), origin })
        };
        SETTINGS.iter().filter_map(shown).collect()
    }

    fn origin_of_url(&self, url_key: &str, file_key: &str) -> Option<String> {
        let (url, file) = (self.values.get(url_key)?, self.values.get(file_key)?);
        let from_file = !file.text.is_empty() && (file.layer > url.layer || url.text.is_empty());
        Some(if from_file { format!("{file_key}, {}", file.origin) } else { url.origin.clone() })
    }
}
