//! From a request to a job: capacity, overlaps with what exists, the rows of a job.

pub mod submit;
pub mod waiting;
pub(crate) mod new_jobs;
pub mod refused;
pub mod imports;
pub(crate) mod check_keys;
pub mod capacity;
mod neighbours;
mod node_look_ups;
pub mod overlaps;
pub mod reserved;
pub mod entropy;
