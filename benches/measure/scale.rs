//! Scales sizes down, to check that a part works.

/// The factor for all numbers of codes. Bounds only apply at full size.
#[derive(Clone, Copy, Debug)]
pub struct Scale(f64);

impl Scale {
    /// Reads `CODEMINT_BENCH_SCALE`, a number above 0 and at most 1; the default is 1.
    pub fn from_environment() -> Self {
        let Ok(text) = std::env::var("CODEMINT_BENCH_SCALE") else { return Self(1.0) };
        let scale = text.parse().ok().filter(|scale| *scale > 0.0 && *scale <= 1.0);
        Self(scale.expect("CODEMINT_BENCH_SCALE must be a number above 0 and at most 1"))
    }

    pub fn codes(self, in_full: u64) -> u64 {
        ((in_full as f64 * self.0).round() as u64).max(1)
    }

    pub fn is_full(self) -> bool {
        self.0 >= 1.0
    }

    /// Prints the value and whether it is at least `least`; returns false if a bound at full size is missed.
    pub fn at_least(self, what: &str, reached: f64, least: f64) -> bool {
        self.judge(what, reached, &format!("at least {}", figure(least)), reached >= least)
    }

    /// Prints the value and whether it is at most `most`; returns false if a bound at full size is missed.
    pub fn at_most(self, what: &str, reached: f64, most: f64) -> bool {
        self.judge(what, reached, &format!("at most {}", figure(most)), reached <= most)
    }

    fn judge(self, what: &str, reached: f64, bound: &str, holds: bool) -> bool {
        let said = match (self.is_full(), holds) {
            (false, _) => "not judged at this scale",
            (true, true) => "holds",
            (true, false) => "MISSED",
        };
        println!("{what}: {}, bound {bound}: {said}", figure(reached));
        holds || !self.is_full()
    }
}

/// Formats a number, with two decimals if it is below 1000.
fn figure(number: f64) -> String {
    if number < 1000.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}
