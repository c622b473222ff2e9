//! What a person can recognize an input by: its first codes and lines that look damaged.

use std::fmt;

use crate::damage::{Damage, DamageWatch};

/// The number of codes that a preview holds.
pub const FIRST_CODES: usize = 10;

/// The first codes of an input, in its order, and what looks damaged in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Preview {
    pub first_codes: Vec<String>,
    pub damage: Damage,
}

/// Shows no codes, because they are worth money.
impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preview").field("damage", &self.damage).finish_non_exhaustive()
    }
}

/// Makes a preview while codes are read.
#[derive(Default)]
pub(crate) struct Previewer {
    first_codes: Vec<String>,
    damage: DamageWatch,
}

impl Previewer {
    pub fn take(&mut self, code: &[u8], line: u64) {
        if self.first_codes.len() < FIRST_CODES {
            self.first_codes.push(String::from_utf8_lossy(code).into_owned());
        }
        self.damage.take(code, line);
    }

    pub fn finish(self) -> Preview {
        Preview { first_codes: self.first_codes, damage: self.damage.finish() }
    }
}
