//! Draws the chart of codes a second against codes in the table, with one line per way in which a table fills.

use std::path::PathBuf;

use plotters::prelude::SeriesLabelPosition;

use crate::chart::{self, Labels};
use crate::scale::Scale;

pub use crate::chart::Curve;

/// The number of lines in the complete chart.
const CURVES: usize = 3;
const LABELS: Labels = Labels {
    caption: "Codes a second, as the table grows",
    sizes: "codes in the table, millions",
    rates: "thousand codes a second",
    legend: SeriesLabelPosition::LowerRight,
};

/// Draws the lines, and returns the file. Only the complete chart in full size replaces the one in the repository.
pub fn draw(curves: &[Curve], scale: Scale) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let is_whole = scale.is_full() && curves.len() == CURVES;
    let file = root.join(if is_whole { "benches/throughput.svg" } else { "target/throughput.svg" });
    chart::draw(&file, &LABELS, curves).expect("a chart");
    file
}
