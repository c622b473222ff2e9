//! Draws redemptions over time.

use chrono::NaiveDate;
use codemint_codes::text::grouped;
use codemint_offers::report::chart::Series;
use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, IntoFont, LineSeries, RGBAColor, RGBColor, Rectangle, SVGBackend,
};
use plotters::style::TextStyle;

const SIZE: (u32, u32) = (960, 360);
const FONT: &str = "sans-serif";
const BAR: RGBColor = RGBColor(0, 114, 178);
/// Readable on white and on black: the background is transparent.
const INK: RGBColor = RGBColor(118, 118, 118);
const GRID: RGBAColor = RGBAColor(128, 128, 128, 0.25);
/// More days than these are drawn as a line.
const BARS_MAX: usize = 120;
/// About this many days have a label.
const LABELS: usize = 8;

/// Returns a chart of redemptions by day as SVG.
pub fn svg(series: &Series) -> String {
    let mut text = String::new();
    // Drawing into a text fails only for a chart without extent, and this one has some.
    let _drawn = draw(&mut text, series);
    text
}

fn draw(text: &mut String, series: &Series) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    let count = series.days.len().max(1) as f64;
    let greatest = series.maximum().max(1) as f64 * 1.05;
    let style = || TextStyle::from((FONT, 13).into_font()).color(&INK);
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(64)
        // On a narrow screen, only the newest days are in view.
        .right_y_label_area_size(64)
        .build_cartesian_2d(0.0..count, 0.0..greatest)
        .map_err(|error| error.to_string())?;
    let labels = LABELS.min(series.days.len()).max(1);
    let day_label =
        |place: &f64| day_at(series, *place).map(|day| day.format("%Y-%m-%d").to_string()).unwrap_or_default();
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().x_labels(labels).x_label_formatter(&day_label).x_label_style(style());
    // There is no half redemption.
    let count_label = |count: &f64| if count.fract() == 0.0 { grouped(*count as u128) } else { String::new() };
    mesh.y_labels(5).y_label_formatter(&count_label).y_label_style(style());
    mesh.axis_style(INK).bold_line_style(GRID).max_light_lines(0);
    mesh.draw().map_err(|error| error.to_string())?;
    let points = series.days.iter().enumerate().map(|(at, (_, redeemed))| (at as f64, *redeemed as f64));
    if series.days.len() <= BARS_MAX {
        let bars = points.map(|(at, redeemed)| Rectangle::new([(at + 0.12, 0.0), (at + 0.88, redeemed)], BAR.filled()));
        chart.draw_series(bars).map_err(|error| error.to_string())?;
    } else {
        let line = LineSeries::new(points.map(|(at, redeemed)| (at + 0.5, redeemed)), BAR.stroke_width(2));
        chart.draw_series(line).map_err(|error| error.to_string())?;
    }
    area.present().map_err(|error| error.to_string())?;
    Ok(())
}

fn day_at(series: &Series, place: f64) -> Option<NaiveDate> {
    series.days.get(place as usize).map(|(day, _)| *day)
}
