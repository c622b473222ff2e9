//! What a load test measured, and what that says. Pure: it runs nothing and prints nothing; `cli` does.

pub mod spread;
pub mod figures;
pub mod verdict;
