//! The plot of a training: the loss of each step, the held-out quality of each epoch.

use std::{fs, path::Path};

use plotters::{
    coord::{Shift, ranged1d::ValueFormatter},
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    options::extension,
    png,
    report::{Epoch, Report},
};

/// In units of the layout; see [`Canvas::scale`].
const SIZE: (u32, u32) = (1280, 540);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(38, 44, 56);
const FAINT: RGBColor = RGBColor(225, 229, 236);
const LOSS: RGBColor = RGBColor(30, 102, 187);
const QUALITY: RGBColor = RGBColor(208, 92, 24);
/// Largest number of points; more would overlap and only enlarge the file.
const MOST_POINTS: usize = 2000;
/// Enough for a smooth curve; with points closer than a pixel, a thick line grows spikes at its joints.
const MOST_JOINTS: usize = 300;
/// Losses whose largest is this many times the smallest are shown on a logarithmic axis.
const WIDE: f64 = 20.0;

/// Writes the plot to `path`, in the format of its extension.
pub(super) fn write(path: &Path, report: &Report) -> Result<(), String> {
    // A server machine may have no fonts.
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| "the font built into this program is damaged".to_owned())?;
    if extension(path) == "svg" {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        Canvas {
            area: &area,
            scale: 1,
        }
        .draw(report)
    } else {
        // Lines in a bitmap are as rough as its pixels are large.
        let scale = 2;
        let (width, height) = (scale * SIZE.0, scale * SIZE.1);
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            Canvas { area: &area, scale }.draw(report)?;
        }
        png::encode(width, height, &pixels)
            .and_then(|file| fs::write(path, file))
            .map_err(|error| error.to_string())
    }
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Where to draw.
struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    /// Pixels for each unit of the layout.
    scale: u32,
}

/// The number of steps per point.
fn group(steps: usize) -> usize {
    steps.div_ceil(MOST_POINTS).max(1)
}

/// Points (step, loss) of finite losses, thinned by averaging neighbours.
#[allow(clippy::cast_precision_loss, reason = "counts of steps")]
fn thin(losses: &[f64]) -> Vec<(f64, f64)> {
    let group = group(losses.len());
    losses
        .chunks(group)
        .enumerate()
        .map(|(at, chunk)| {
            (
                (at * group) as f64 + 0.5 * (chunk.len() as f64 + 1.0),
                chunk.iter().sum::<f64>() / chunk.len() as f64,
            )
        })
        .filter(|(_, loss)| loss.is_finite())
        .collect()
}

/// A moving average over a thirtieth of the series. The window is centred, so that the average does not lag behind a falling
/// loss.
#[allow(clippy::cast_precision_loss, reason = "counts of points")]
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = points.len() / 60;
    let mean = |at: usize| {
        // The window is symmetric at the start, too, where the loss falls fast: otherwise the average would be too low.
        let before = reach.min(at);
        let after = before.min(points.len() - 1 - at);
        let near = &points[at - before..=at + after];
        let sum: f64 = near.iter().map(|(_, loss)| loss).sum();
        (points[at].0, sum / near.len() as f64)
    };
    let stride = points.len().div_ceil(MOST_JOINTS).max(1);
    (0..points.len()).step_by(stride).map(mean).collect()
}

type Chart<'a, 'b, B, Y> =
    ChartContext<'a, B, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>;

impl<'a, B: DrawingBackend + 'a> Canvas<'a, B> {
    fn draw(&self, report: &Report) -> Result<(), String> {
        self.panels(report).map_err(|error| error.to_string())
    }

    fn panels(&self, report: &Report) -> Drawn<B> {
        self.area.fill(&WHITE)?;
        let title = format!(
            "{}: {} training samples, {} parameters",
            report.data, report.train_samples, report.parameters
        );
        let area = self
            .area
            .margin(self.pixels(12), 0, 0, 0)
            .titled(&title, self.font(24, INK))?;
        let (left, right) = area.split_horizontally(self.scale * SIZE.0 * 11 / 20);
        let panel = |area| Canvas {
            area,
            scale: self.scale,
        };
        panel(&left).losses(report)?;
        panel(&right).quality(report)?;
        self.area.present()
    }

    fn losses(&self, report: &Report) -> Drawn<B> {
        let losses: Vec<f64> = report
            .epochs
            .iter()
            .flat_map(|epoch| &epoch.losses)
            .copied()
            .collect();
        let points = thin(&losses);
        let dots = match group(losses.len()) {
            1 => "each step".to_owned(),
            group => format!("mean of {group} steps"),
        };
        let smallest = points
            .iter()
            .map(|point| point.1)
            .fold(f64::INFINITY, f64::min);
        let largest = points.iter().map(|point| point.1).fold(0.0, f64::max);
        #[allow(clippy::cast_precision_loss, reason = "counts of steps")]
        let steps = 0.0..(losses.len() as f64).max(1.0);
        let mut builder = self.builder();
        if smallest > 0.0 && largest > WIDE * smallest {
            let axis = (smallest * 0.8..largest * 1.25).log_scale();
            let mut chart = builder.build_cartesian_2d(steps, axis)?;
            self.series(&mut chart, &points, ("training loss (logarithmic)", &dots))
        } else {
            // All losses may be zero, or none finite; an axis needs an extent.
            let top = if largest > 0.0 { largest * 1.05 } else { 1.0 };
            let mut chart = builder.build_cartesian_2d(steps, 0.0..top)?;
            self.series(&mut chart, &points, ("training loss", &dots))
        }
    }

    fn series<Y: Ranged<ValueType = f64> + ValueFormatter<f64>>(
        &self,
        chart: &mut Chart<'a, '_, B, Y>,
        points: &[(f64, f64)],
        (title, dots): (&str, &str),
    ) -> Drawn<B> {
        self.mesh(chart, "step", title, &|loss| short(*loss))?;
        let faint = LOSS.mix(0.25);
        let radius = self.pixels(1);
        // Dots, not a line: from one mini-batch to the next the loss jumps too far for a line to mean anything.
        chart
            .draw_series(
                points
                    .iter()
                    .map(|point| Circle::new(*point, radius, faint.filled())),
            )?
            .label(dots)
            .legend(move |(x, y)| {
                Circle::new((x + 11 * radius, y), 2 * radius, LOSS.mix(0.5).filled())
            });
        let line = LOSS.stroke_width(2 * self.scale);
        chart
            .draw_series(LineSeries::new(smooth(points), line))?
            .label("average")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22 * radius, y)], line));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .legend_area_size(self.scale * 30)
            .margin(self.scale * 8)
            .background_style(WHITE.mix(0.85))
            .border_style(FAINT)
            .label_font(self.font(16, INK))
            .draw()
    }

    fn quality(&self, report: &Report) -> Drawn<B> {
        let Some(name) = report.epochs.first().map(|epoch| epoch.held_out.name()) else {
            return Ok(());
        };
        let percent = name == "accuracy";
        let point = |epoch: &Epoch| (f64::from(epoch.number), epoch.held_out.score());
        let mut points: Vec<(f64, f64)> = report.epochs.iter().map(point).collect();
        points.retain(|point| point.1.is_finite());
        // The interesting part lies close to 1; a wild first epoch (R² far below 0) must not squeeze it flat.
        let lowest = points
            .iter()
            .map(|point| point.1)
            .fold(1.0, f64::min)
            .max(-1.0);
        let bottom = lowest - 0.1 * (1.0 - lowest) - 0.002;
        let top = 1.0 + 0.04 * (1.0 - lowest) + 0.001;
        let epochs = f64::from(report.last_epoch());
        let mut chart = self
            .builder()
            .build_cartesian_2d(0.0..epochs * 1.02, bottom..top)?;
        self.mesh(&mut chart, "epoch", &format!("held-out {name}"), &|value| {
            if percent {
                format!("{} %", short(100.0 * value))
            } else {
                short(*value)
            }
        })?;
        for point in &mut points {
            point.1 = point.1.max(bottom);
        }
        let line = QUALITY.stroke_width(2 * self.scale);
        chart.draw_series(LineSeries::new(points.iter().copied(), line))?;
        // More dots than this would touch.
        if points.len() <= 100 {
            let dot = |point: &(f64, f64)| Circle::new(*point, self.pixels(3), QUALITY.filled());
            chart.draw_series(points.iter().map(dot))?;
        }
        if let Some(last) = points.last() {
            let text = if percent {
                format!("{:.2} %", 100.0 * last.1)
            } else {
                format!("{:.3}", last.1)
            };
            let style = self.font(20, QUALITY).pos(Pos::new(HPos::Right, VPos::Top));
            let text = Text::new(text, (0, self.pixels(14)), style);
            chart.draw_series([EmptyElement::at(*last) + text])?;
        }
        Ok(())
    }

    fn mesh<Y: Ranged<ValueType = f64> + ValueFormatter<f64>>(
        &self,
        chart: &mut Chart<'a, '_, B, Y>,
        x: &str,
        y: &str,
        label: &dyn Fn(&f64) -> String,
    ) -> Drawn<B> {
        chart
            .configure_mesh()
            .x_desc(x)
            .y_desc(y)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .y_label_formatter(&label)
            .x_labels(8)
            .y_labels(8)
            .set_all_tick_mark_size(self.scale * 5)
            .bold_line_style(FAINT.stroke_width(self.scale))
            .light_line_style(TRANSPARENT)
            .axis_style(INK.mix(0.5).stroke_width(self.scale))
            .label_style(self.font(15, INK))
            .axis_desc_style(self.font(18, INK))
            .draw()
    }

    fn builder(&self) -> ChartBuilder<'a, '_, B> {
        let mut builder = ChartBuilder::on(self.area);
        builder
            .margin(self.scale * 14)
            .margin_right(self.scale * 28)
            .x_label_area_size(self.scale * 46)
            .y_label_area_size(self.scale * 70);
        builder
    }

    fn font(&self, size: u32, color: RGBColor) -> TextStyle<'static> {
        (FONT, f64::from(self.scale * size))
            .into_font()
            .color(&color)
    }

    fn pixels(&self, units: i32) -> i32 {
        units * i32::try_from(self.scale).unwrap_or(1)
    }
}

/// A number in the fewest characters that identify it.
fn short(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e5) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::train::report::Quality;

    fn report(quality: impl Fn(u32) -> Quality, loss: impl Fn(u32) -> f64) -> Report {
        let epoch = |number: u32| Epoch {
            number: number + 1,
            losses: (0..45).map(|step| loss(45 * number + step)).collect(),
            held_out: quality(number),
            seconds: 0.1,
        };
        Report {
            model: None,
            best_epoch: 1,
            data: "digits".to_owned(),
            train_samples: 1438,
            held_out_samples: 359,
            features: 64,
            parameters: 17_226,
            epochs: (0..30).map(epoch).collect(),
            held_out: quality(29),
            confusion: None,
            digest: "0".repeat(64),
            steps: 1350,
            computed_seconds: 3.0,
            total_seconds: 3.0,
        }
    }

    #[test]
    fn pictures_are_written_whatever_the_numbers() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let classes = |number| Quality::Classes {
            right: 359 - 200 / (1 + 2 * number as usize),
            of: 359,
        };
        let numbers = |number| Quality::Numbers {
            rmse: 1.0,
            r2: if number == 0 { -50.0 } else { 0.9 },
        };
        let falling = |step| {
            2.3 * (-f64::from(step) / 200.0).exp()
                * (1.0 + 0.5 * f64::from(step * 7919 % 13) / 13.0)
        };
        let reports = [
            report(classes, falling),
            report(numbers, |_| f64::NAN),
            report(classes, |_| 0.0),
            report(numbers, |step| 1.0 + f64::from(step % 2)),
        ];
        for (at, report) in reports.iter().enumerate() {
            for (ending, magic) in [("svg", &b"<svg"[..]), ("png", b"\x89PNG")] {
                let path = directory.path().join(format!("{at}.{ending}"));
                write(&path, report).expect("drawn");
                let bytes = std::fs::read(&path).expect("written");
                assert!(
                    bytes.starts_with(magic) && bytes.len() > 5000,
                    "{at}.{ending}: {} bytes",
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let report = report(|_| Quality::Classes { right: 1, of: 2 }, |_| 1.0);
        for ending in ["svg", "png"] {
            assert!(
                write(
                    &directory.path().join("none").join(format!("a.{ending}")),
                    &report
                )
                .is_err()
            );
        }
    }
}
