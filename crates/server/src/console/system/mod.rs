//! The page of the system: the state of this process, and the jobs in progress.

mod figures;
mod panels;
pub mod page;
