//! The place of a load test: a schema of the given server, or a temporary file.

use std::io;

use codemint_store::connection::location::Location;
use codemint_store::connection::store::{Access, Store};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::file::TemporaryFile;
use crate::schema::Schema;

/// The environment variable with the URL, which may hold a password.
const URL_VARIABLE: &str = "CODEMINT__STORE__URL";

/// The store that is measured. It is removed by [`Place::remove`], or by the next load test.
#[derive(Debug)]
pub struct Place {
    location: Location,
    /// The place as it is shown: the schema, which is gone soon, is left out.
    pub shown: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Schema(Box<Schema>),
    File(TemporaryFile),
}

impl Place {
    /// Creates the schema or the file.
    pub async fn create(arguments: &Arguments) -> Result<Self, Failure> {
        match arguments.store.clone().or_else(|| std::env::var(URL_VARIABLE).ok()) {
            Some(url) => Self::in_schema(&url, arguments.quiet).await,
            None => Self::in_file(),
        }
    }

    async fn in_schema(url: &str, quiet: bool) -> Result<Self, Failure> {
        let given = parsed(url)?;
        if given.file().is_some() {
            return Err(Failure::usage(
                "--store: a load test of SQLite creates a temporary file; leave --store out, and run it in a directory \
                 on the disk to measure",
            ));
        }
        let schema = Schema::create(url, quiet).await?;
        let location = parsed(schema.url())?;
        Ok(Self { location, shown: given.to_string(), kind: Kind::Schema(Box::new(schema)) })
    }

    fn in_file() -> Result<Self, Failure> {
        let created = std::env::current_dir().and_then(|parent| TemporaryFile::create(&parent));
        let file = created
            .map_err(|error| Failure::other(format!("failed to create a directory for a temporary store: {error}")))?;
        let location = Location::Sqlite(file.path());
        Ok(Self { shown: location.to_string(), location, kind: Kind::File(file) })
    }

    pub const fn is_temporary_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }

    /// Returns the URL of the schema, for connections beside the store's own; `None` for a file.
    pub fn url(&self) -> Option<&str> {
        match &self.kind {
            Kind::Schema(schema) => Some(schema.url()),
            Kind::File(_) => None,
        }
    }

    /// Opens the store, with its tables.
    pub async fn open(&self) -> Result<Store, Failure> {
        Store::migrate(&self.location).await?;
        Ok(Store::open(&self.location, Access::CreateFile).await?)
    }

    /// Opens a separate store for this many workers, so that a server can identify its work for them.
    pub async fn open_for(&self, workers: usize) -> Result<Store, Failure> {
        // As a worker of the product: a claimed chunk may need two more connections for screening.
        let connections = u32::try_from(workers).unwrap_or(u32::MAX).saturating_mul(4).saturating_add(6);
        let location = self.location.clone().with_connections(connections);
        Ok(Store::open(&location, Access::Existing).await?)
    }

    /// Removes the schema or the file. All stores in it must be closed.
    pub async fn remove(self) -> Result<(), Failure> {
        match self.kind {
            Kind::Schema(schema) => schema.remove().await,
            Kind::File(file) => file.remove().map_err(|error: io::Error| Failure::other(error)),
        }
    }
}

fn parsed(url: &str) -> Result<Location, Failure> {
    url.parse().map_err(|error| Failure::usage(format!("--store: {error}")))
}
