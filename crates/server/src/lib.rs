//! The admin server of a worker, over HTTP: `/livez` (the process is alive), `/readyz` (it can work), `/metrics`, and
//! `/`, a page that shows all of that to people.

pub mod routes;
pub mod health;
mod page;
mod jobs_seen;
