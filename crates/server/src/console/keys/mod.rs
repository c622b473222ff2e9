//! The pages of API keys, by which programs use the HTTP API.

pub mod page;
