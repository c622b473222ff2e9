//! Draws a chart of rates against sizes, with a line for each series.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::{
    ChartBuilder, Circle, Color, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, SVGBackend,
    SeriesLabelPosition, WHITE,
};

const SIZE: (u32, u32) = (900, 500);
const FONT: &str = "sans-serif";
/// Colours that colour-blind readers can distinguish (Okabe and Ito).
const COLORS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// One line of a chart, with its points: a size, and a rate a second.
pub struct Curve {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// The texts of a chart. Sizes are shown in millions, rates in thousands.
pub struct Labels {
    pub caption: &'static str,
    pub sizes: &'static str,
    pub rates: &'static str,
    /// Where the curves leave room for their names.
    pub legend: SeriesLabelPosition,
}

/// Draws the lines, at most four, into an SVG file.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(file: &Path, labels: &Labels, curves: &[Curve]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (millions, thousands) = (reach(curves, |point| point.0 / 1e6), reach(curves, |point| point.1 / 1e3));
    let widest = millions.end;
    let mut chart = ChartBuilder::on(&area)
        .caption(labels.caption, (FONT, 22))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(millions, thousands)?;
    let style = (FONT, 15).into_font();
    let mut mesh = chart.configure_mesh();
    let millions_label = |millions: &f64| format!("{millions:.*}", usize::from(widest < 10.0));
    mesh.x_label_formatter(&millions_label).y_label_formatter(&|thousands| format!("{thousands:.0}"));
    mesh.x_desc(labels.sizes).y_desc(labels.rates);
    mesh.label_style(style.clone()).axis_desc_style(style.clone()).max_light_lines(0).draw()?;
    for (curve, color) in curves.iter().zip(COLORS) {
        let points: Vec<(f64, f64)> = curve.points.iter().map(|(size, rate)| (size / 1e6, rate / 1e3)).collect();
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        let key = move |(x, y)| PathElement::new(vec![(x, y), (x + 24, y)], color.stroke_width(3));
        chart.draw_series(line)?.label(curve.name).legend(key);
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 4, color.filled())))?;
    }
    let mut legend = chart.configure_series_labels();
    legend.position(labels.legend.clone()).margin(16).legend_area_size(32);
    legend.background_style(WHITE.filled()).border_style(RGBColor(160, 160, 160)).label_font(style).draw()?;
    area.present()?;
    Ok(())
}

/// Returns the range from 0 to a little above the greatest value.
fn reach(curves: &[Curve], value: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
    let greatest = curves.iter().flat_map(|curve| &curve.points).map(value).fold(0.0, f64::max);
    0.0..(greatest * 1.08).max(f64::MIN_POSITIVE)
}
