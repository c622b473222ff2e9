//! The cost of building and writing filters for a job that meets no other codes.

use crate::measure::{Pairs, SECONDS_HEADER, Turn, turns};
use crate::place::{DENSE, Job, Place, UNSCREENED};

const RATIO_MAX: f64 = 1.08;
const PAIRS: usize = 9;

pub async fn run(place: &Place) -> bool {
    let mut pairs = Pairs::default();
    for pair in 0..PAIRS {
        for turn in turns(pair) {
            place.make_empty().await;
            let environment = if turn == Turn::Ours { &[] } else { UNSCREENED };
            pairs.add(turn, place.time(&Job { environment, ..Job::million_of(DENSE) }).await);
        }
    }
    println!("the first million of {DENSE}, {PAIRS} pairs");
    println!("{SECONDS_HEADER}");
    pairs.print(["filters are written", "no filter is written"], RATIO_MAX)
}
