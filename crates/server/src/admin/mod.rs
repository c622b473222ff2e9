//! The admin listener: `/livez` (the process is alive), `/readyz` (it can work), `/metrics`, and `/`, a page that shows all of
//! that to people.

pub mod health;
mod jobs_seen;
pub(crate) mod page;
pub mod routes;
