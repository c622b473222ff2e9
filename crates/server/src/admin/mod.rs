//! The admin listener: `/livez` (the process is alive), `/readyz` (it can work) and `/metrics`.

pub mod health;
pub mod routes;
