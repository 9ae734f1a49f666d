//! Charts as SVG whose text takes the page's colour.

use std::fmt::Write;

use anyhow::anyhow;
use plotters::prelude::*;
use plotters::style::RGBColor;

use super::escaped;
use crate::eval::statistics::Estimate;

/// Width and height in the chart's own units; the page scales it.
const SIZE: (u32, u32) = (640, 400);

/// Near to those of Okabe and Ito: told apart by the colour-blind and seen on white and on black.
pub(super) const COLOURS: [(u8, u8, u8); 7] = [
    (45, 130, 205),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (86, 180, 233),
    (140, 120, 30),
];

/// A chart as a file of its own, on white, with the names of its lines above it.
pub(super) fn standalone(svg: &str, names: &[&str]) -> String {
    const ROW: u32 = 26;
    let (mut x, mut y, mut legend) = (16, 20, String::new());
    for (i, name) in names.iter().enumerate() {
        let width = 34 + 9 * u32::try_from(name.chars().count()).unwrap_or(0);
        if x + width > SIZE.0 {
            (x, y) = (16, y + ROW);
        }
        let (r, g, b) = COLOURS[i % COLOURS.len()];
        let (text_x, box_y) = (x + 18, y - 11);
        // Writing to a string cannot fail.
        write!(
            legend,
            "<rect x=\"{x}\" y=\"{box_y}\" width=\"12\" height=\"12\" fill=\"rgb({r},{g},{b})\"/>\
             <text x=\"{text_x}\" y=\"{y}\">{}</text>",
            escaped(name)
        )
        .ok();
        x += width;
    }
    let (width, height, inner) = (SIZE.0, SIZE.1 + y + 8, svg.replace("currentColor", "#1b1b1b"));
    let below = y + 8;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\
         <g font-family=\"sans-serif\" font-size=\"16\" fill=\"#1b1b1b\">{legend}</g>\
         <g transform=\"translate(0 {below})\">{inner}</g></svg>\n"
    )
}

/// One line of a chart.
pub(super) struct Series {
    /// The index into [`COLOURS`].
    pub(super) colour: usize,
    /// The points from left to right: the place, and the value with its interval.
    pub(super) points: Vec<(f64, Estimate)>,
}

/// A level that is the same for every place.
pub(super) struct Level {
    pub(super) name: &'static str,
    pub(super) estimate: Estimate,
}

/// A chart to be drawn.
pub(super) struct Chart {
    pub(super) x_title: &'static str,
    pub(super) y_title: &'static str,
    /// Factor between values as they are and as they are shown, such as 100 for percent.
    pub(super) y_scale: f64,
    pub(super) series: Vec<Series>,
    pub(super) levels: Vec<Level>,
}

impl Chart {
    /// The chart as an `<svg>` element; none where there is nothing to show.
    ///
    /// # Errors
    /// The drawing library fails.
    pub(super) fn svg(&self) -> anyhow::Result<Option<String>> {
        let values = self.series.iter().flat_map(|series| series.points.iter().map(|(_, estimate)| estimate));
        let values: Vec<&Estimate> = values.chain(self.levels.iter().map(|level| &level.estimate)).collect();
        let places = self.series.iter().flat_map(|series| series.points.iter().map(|(x, _)| *x));
        let places: Vec<f64> = places.collect();
        if places.is_empty() {
            return Ok(None);
        }
        let span = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (left, right) = span(&mut places.iter().copied());
        let (low, high) = span(&mut values.iter().flat_map(|e| [e.low, e.high]).map(|v| v * self.y_scale));
        let margin = ((high - low) * 0.08).max(1e-6);
        let mut text = String::new();
        self.draw(&mut text, (left / 1.15, right * 1.15), (low - margin, high + margin))
            .map_err(|error| anyhow!("cannot draw a chart: {error}"))?;
        // Black is the page's colour, whatever that is.
        Ok(Some(text.replace("#000000", "currentColor")))
    }

    fn draw(
        &self,
        text: &mut String,
        (left, right): (f64, f64),
        (low, high): (f64, f64),
    ) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
        let x_axis = (left..right).log_scale();
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .x_label_area_size(56)
            .y_label_area_size(86)
            .build_cartesian_2d(x_axis, low..high)?;
        let places = |x: &f64| if *x >= 10.0 { format!("{x:.0}") } else { format!("{x:.2}") };
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(128, 128, 128).mix(0.25))
            .x_desc(self.x_title)
            .y_desc(self.y_title)
            .x_label_formatter(&places)
            .label_style(("sans-serif", 18))
            .draw()?;
        for (place, Level { name, estimate }) in self.levels.iter().enumerate() {
            let y = estimate.mean * self.y_scale;
            chart.draw_series(DashedLineSeries::new(
                [(left, y), (right, y)],
                6,
                4,
                RGBColor(128, 128, 128).stroke_width(2),
            ))?;
            // Above its line, but for the last, which lies among the best methods.
            let beside = if place == 2 { -0.015 } else { 0.045 };
            let above = y + (high - low) * beside;
            // Levels may lie close together: each has its name at another place.
            let across = left * (right / left).powf(0.01 + place as f64 * 0.22);
            chart.draw_series([Text::new(*name, (across, above), ("sans-serif", 16).into_font())])?;
        }
        for Series { colour, points } in &self.series {
            let (r, g, b) = COLOURS[colour % COLOURS.len()];
            let colour = RGBColor(r, g, b);
            let scaled = |v: f64| v * self.y_scale;
            let line = points.iter().map(|(x, e)| (*x, scaled(e.mean)));
            chart.draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|(x, e)| {
                let (low, high) = (scaled(e.low), scaled(e.high));
                ErrorBar::new_vertical(*x, low, scaled(e.mean), high, colour.filled(), 8)
            }))?;
        }
        root.present()?;
        Ok(())
    }
}
