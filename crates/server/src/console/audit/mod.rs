//! The page of the audit log.

pub mod page;
