//! The pages of reports.

pub mod day_chart;
pub mod page;
