//! Store URLs: their valid forms, and their display without secrets.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::connection::postgres::Address;
use crate::connection::postgres_transaction::Route;

/// The place of a store. `Display` shows no password.
#[derive(Clone)]
pub enum Location {
    Sqlite(PathBuf),
    Postgres(Box<ServerLocation>),
}

/// Enough for one job: its chunk, the screening of two, and an observer.
const CONNECTIONS_MAX: u32 = 8;

/// A database of a PostgreSQL server.
#[derive(Clone)]
pub struct ServerLocation {
    /// Maximum number of connections at once.
    pub(crate) connections_max: u32,
    options: PgConnectOptions,
    shown: String,
    route: Route,
}

/// The problem with a store URL. The URL itself is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    #[error("found the scheme {0:?}; a store is sqlite://FILE or postgres://USER@HOST/DATABASE")]
    Scheme(String),
    #[error("there is no scheme; a store is sqlite://FILE or postgres://USER@HOST/DATABASE")]
    NoScheme,
    #[error("not a URL: {0}")]
    NotUrl(String),
    #[error("holds a line break or another control character; write the URL alone, on one line")]
    ControlCharacter,
    #[error("found @ or # after the host; in a password write %40 for @, %23 for #, %2F for / and %3F for ?")]
    NotEncoded,
    #[error("names no host; write postgres://USER@HOST/DATABASE")]
    NoHost,
    #[error("names no file; write sqlite://codemint.db")]
    NoFile,
    #[error("an SQLite store takes no parameters and no host; write sqlite://FILE or sqlite:///ABSOLUTE/FILE")]
    SqliteExtras,
    #[error("an SQLite store in memory would lose its codes; name a file")]
    InMemory,
    #[error("unknown parameter {0:?}; the known ones are {known}", known = POSTGRES_PARAMETERS.join(", "))]
    Parameter(String),
    #[error("{parameter} {path} cannot be read: {problem}")]
    File { parameter: String, path: String, problem: String },
    #[error("the parameter {name} takes {wanted}")]
    ParameterValue { name: &'static str, wanted: String },
    #[error("an SQLite store cannot be reached through pgbouncer; unset store.pgbouncer")]
    FileThroughPgbouncer,
    #[error("pgbouncer rejects the parameter options of the URL; set these options for the role with `alter role`")]
    OptionsThroughPgbouncer,
    #[error("{0}")]
    Value(String),
}

const POSTGRES_PARAMETERS: [&str; 10] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "password", "options"];

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let Some((scheme, rest)) = text.split_once(':') else { return Err(LocationError::NoScheme) };
        if text.contains(char::is_control) {
            return Err(LocationError::ControlCharacter);
        }
        match scheme {
            "sqlite" => sqlite(rest.strip_prefix("//").unwrap_or(rest)),
            "postgres" | "postgresql" => postgres(text),
            other => Err(LocationError::Scheme(other.chars().take(32).collect())),
        }
    }
}

fn sqlite(path: &str) -> Result<Location, LocationError> {
    match path {
        "" => Err(LocationError::NoFile),
        ":memory:" => Err(LocationError::InMemory),
        path if path.contains('?') => Err(LocationError::SqliteExtras),
        path => Ok(Location::Sqlite(PathBuf::from(path))),
    }
}

fn postgres(text: &str) -> Result<Location, LocationError> {
    // Without the slashes the parser recognizes no password, and the whole URL would be shown.
    let Some((_, rest)) = text.split_once("://") else { return Err(LocationError::NoHost) };
    // An unencoded password ends the host at its first / ? or #, and the rest of it would be shown.
    let after_host = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    if after_host.contains(['@', '#']) {
        return Err(LocationError::NotEncoded);
    }
    let mut url = Url::parse(text).map_err(|error| LocationError::NotUrl(error.to_string()))?;
    url.query_pairs().try_for_each(|(name, value)| check_parameter(&name, &value))?;
    let options = PgConnectOptions::from_str(text).map_err(|error| LocationError::Value(error.to_string()))?;
    redact(&mut url);
    Ok(Location::Postgres(Box::new(ServerLocation {
        connections_max: CONNECTIONS_MAX,
        options,
        shown: url.to_string(),
        route: Route::Direct,
    })))
}

fn check_parameter(name: &str, value: &str) -> Result<(), LocationError> {
    let wrong = |name, wanted| Err(LocationError::ParameterValue { name, wanted });
    match name {
        "port" if value.parse::<u16>().is_err() => wrong("port", "a number from 1 to 65535".to_owned()),
        "sslmode" if !SSL_MODES.contains(&value) => wrong("sslmode", SSL_MODES.join(", ")),
        // A connection would only report that some file is missing, and look like a server that is away.
        "sslrootcert" | "sslcert" | "sslkey" => File::open(value).map(drop).map_err(|error| LocationError::File {
            parameter: name.to_owned(),
            path: value.to_owned(),
            problem: error.to_string(),
        }),
        known if POSTGRES_PARAMETERS.contains(&known) => Ok(()),
        unknown => Err(LocationError::Parameter(unknown.to_owned())),
    }
}

fn redact(url: &mut Url) {
    if url.password().is_some() {
        // Fails only for URLs that cannot have a password.
        let _unchanged = url.set_password(Some("***"));
    }
    if url.query_pairs().any(|(key, _)| key == "password") {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(key, value)| {
                let shown = if key == "password" { "***".into() } else { value };
                (key.into_owned(), shown.into_owned())
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
}

impl ServerLocation {
    pub(crate) fn address(&self) -> Address<'_> {
        Address { options: &self.options, route: self.route, connections_max: self.connections_max, place: &self.shown }
    }
}

impl Location {
    /// Returns the kind of store, as named in metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Returns the same place with this many connections at most. An SQLite file has a fixed few.
    #[must_use]
    pub fn with_connections(self, connections_max: u32) -> Self {
        match self {
            Self::Postgres(mut server) => {
                server.connections_max = connections_max.max(CONNECTIONS_MAX);
                Self::Postgres(server)
            }
            sqlite => sqlite,
        }
    }

    /// Returns the same place, reached through a pgbouncer in transaction mode.
    ///
    /// # Errors
    /// `FileThroughPgbouncer` for a file, `OptionsThroughPgbouncer` if the URL has the parameter `options`.
    pub fn through_pgbouncer(self) -> Result<Self, LocationError> {
        match self {
            Self::Sqlite(_) => Err(LocationError::FileThroughPgbouncer),
            Self::Postgres(server) if server.options.get_options().is_some() => {
                Err(LocationError::OptionsThroughPgbouncer)
            }
            Self::Postgres(mut server) => {
                server.route = Route::Pgbouncer;
                Ok(Self::Postgres(server))
            }
        }
    }

    /// Returns the file of an embedded store.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(server) => f.write_str(&server.shown),
        }
    }
}

impl fmt::Debug for ServerLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerLocation({}, {:?})", self.shown, self.route)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}
