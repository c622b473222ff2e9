//! The figures of a load test, and the verdict on them. Pure: it runs nothing and prints nothing; `cli` does.

pub mod spread;
pub mod figures;
pub mod verdict;
