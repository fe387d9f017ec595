//! The training as a picture: loss for each step, held-out quality for each epoch.

use std::path::Path;

use plotters::{
    coord::{Shift, ranged1d::ValueFormatter},
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{options::extension, report::Report};

const SIZE: (u32, u32) = (1280, 520);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(38, 44, 56);
const FAINT: RGBColor = RGBColor(225, 229, 236);
const LOSS: RGBColor = RGBColor(30, 102, 187);
const QUALITY: RGBColor = RGBColor(208, 92, 24);
/// More points than this lie on top of each other, and only make the file large.
const MOST_POINTS: usize = 4000;
/// Losses whose largest is this many times the smallest are shown on a logarithmic axis.
const WIDE: f64 = 20.0;

/// Writes the picture to `path`, as its ending says.
pub(super) fn write(path: &Path, report: &Report) -> Result<(), String> {
    // A machine that runs a server may have no fonts at all.
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| "the font built into this program is damaged".to_owned())?;
    if extension(path) == "svg" {
        draw(&SVGBackend::new(path, SIZE).into_drawing_area(), report)
    } else {
        draw(&BitMapBackend::new(path, SIZE).into_drawing_area(), report)
    }
}

fn draw<B: DrawingBackend>(area: &DrawingArea<B, Shift>, report: &Report) -> Result<(), String> {
    let panels = || -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        area.fill(&WHITE)?;
        let title = format!(
            "{}: {} samples, {} parameters",
            report.data, report.train_samples, report.parameters
        );
        let area = area.titled(&title, (FONT, 26).into_font().color(&INK))?;
        let (left, right) = area.split_horizontally(SIZE.0 * 11 / 20);
        draw_losses(&left, report)?;
        draw_quality(&right, report)?;
        area.present()
    };
    panels().map_err(|error| error.to_string())
}

/// Points (step, loss) of finite losses, thinned by averaging neighbours.
#[allow(clippy::cast_precision_loss, reason = "counts of steps")]
fn thin(losses: &[f64]) -> Vec<(f64, f64)> {
    let group = losses.len().div_ceil(MOST_POINTS).max(1);
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

/// A running average over about a thirtieth of the series, in which the course shows through the noise.
#[allow(clippy::cast_precision_loss, reason = "counts of points")]
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (points.len() as f64 / 30.0).max(1.0);
    let (mut average, mut weight) = (0.0, 0.0);
    points
        .iter()
        .map(|(step, loss)| {
            average = keep * average + (1.0 - keep) * loss;
            weight = keep * weight + (1.0 - keep);
            (*step, average / weight)
        })
        .collect()
}

fn draw_losses<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    report: &Report,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let losses: Vec<f64> = report
        .epochs
        .iter()
        .flat_map(|epoch| &epoch.losses)
        .copied()
        .collect();
    let points = thin(&losses);
    let smallest = points
        .iter()
        .map(|point| point.1)
        .fold(f64::INFINITY, f64::min);
    let largest = points.iter().map(|point| point.1).fold(0.0, f64::max);
    #[allow(clippy::cast_precision_loss, reason = "counts of steps")]
    let steps = 0.0..(losses.len() as f64).max(1.0);
    let mut builder = ChartBuilder::on(area);
    frame(&mut builder);
    if smallest > 0.0 && largest > WIDE * smallest {
        let axis = (smallest * 0.8..largest * 1.25).log_scale();
        let mut chart = builder.build_cartesian_2d(steps, axis)?;
        series(
            &mut chart,
            &points,
            "training loss (logarithmic)",
            &|loss| short(*loss),
        )
    } else {
        // All losses may be zero, or none finite; an axis needs an extent.
        let top = if largest > 0.0 { largest * 1.05 } else { 1.0 };
        let mut chart = builder.build_cartesian_2d(steps, 0.0..top)?;
        series(&mut chart, &points, "training loss", &|loss| short(*loss))
    }
}

type Chart<'a, 'b, B, Y> =
    ChartContext<'a, B, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>;

fn series<'a, B: DrawingBackend + 'a, Y: Ranged<ValueType = f64> + ValueFormatter<f64>>(
    chart: &mut Chart<'a, '_, B, Y>,
    points: &[(f64, f64)],
    title: &str,
    label: &dyn Fn(&f64) -> String,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    mesh(chart, "step", title, label)?;
    chart
        .draw_series(LineSeries::new(
            points.iter().copied(),
            LOSS.mix(0.3).stroke_width(1),
        ))?
        .label("each step")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], LOSS.mix(0.4).stroke_width(1)));
    chart
        .draw_series(LineSeries::new(smooth(points), LOSS.stroke_width(2)))?
        .label("running average")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], LOSS.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(FAINT)
        .label_font((FONT, 16).into_font().color(&INK))
        .draw()
}

fn draw_quality<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    report: &Report,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let mut points = Vec::new();
    for (number, epoch) in (1u32..).zip(&report.epochs) {
        points.push((f64::from(number), epoch.held_out.score()));
    }
    points.retain(|point| point.1.is_finite());
    let Some((last, name)) = points
        .last()
        .copied()
        .zip(report.epochs.first().map(|epoch| epoch.held_out.name()))
    else {
        return Ok(());
    };
    // The interesting part lies close to 1; a wild first epoch (R² far below 0) must not squeeze it flat.
    let lowest = points
        .iter()
        .map(|point| point.1)
        .fold(1.0, f64::min)
        .max(-1.0);
    let range = (lowest - 0.1 * (1.0 - lowest) - 0.002)..1.0 + 0.04 * (1.0 - lowest) + 0.001;
    let bottom = range.start;
    let mut builder = ChartBuilder::on(area);
    frame(&mut builder);
    let epochs = f64::from(u32::try_from(report.epochs.len()).unwrap_or(u32::MAX));
    let mut chart = builder.build_cartesian_2d(0.0..epochs * 1.02, range)?;
    let title = format!("held-out {name}");
    mesh(&mut chart, "epoch", &title, &|value| {
        if name == "accuracy" {
            format!("{} %", short(100.0 * value))
        } else {
            short(*value)
        }
    })?;
    let shown: Vec<_> = points
        .iter()
        .map(|(epoch, value)| (*epoch, value.max(bottom)))
        .collect();
    chart.draw_series(LineSeries::new(
        shown.iter().copied(),
        QUALITY.stroke_width(2),
    ))?;
    if shown.len() <= 100 {
        chart.draw_series(
            shown
                .iter()
                .map(|point| Circle::new(*point, 3, QUALITY.filled())),
        )?;
    }
    let text = if name == "accuracy" {
        format!("{:.2} %", 100.0 * last.1)
    } else {
        format!("{:.3}", last.1)
    };
    let style = (FONT, 20)
        .into_font()
        .color(&QUALITY)
        .pos(Pos::new(HPos::Right, VPos::Top));
    chart.draw_series([
        EmptyElement::at((last.0, last.1.max(bottom))) + Text::new(text, (0, 14), style)
    ])?;
    Ok(())
}

fn frame<B: DrawingBackend>(builder: &mut ChartBuilder<'_, '_, B>) {
    builder
        .margin(14)
        .margin_right(28)
        .x_label_area_size(46)
        .y_label_area_size(76);
}

fn mesh<B: DrawingBackend, Y: Ranged<ValueType = f64> + ValueFormatter<f64>>(
    chart: &mut Chart<'_, '_, B, Y>,
    x: &str,
    y: &str,
    label: &dyn Fn(&f64) -> String,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&label)
        .x_labels(8)
        .y_labels(8)
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(INK.mix(0.5))
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 18).into_font().color(&INK))
        .draw()
}

/// A number in as few characters as name it.
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
    use crate::cli::train::report::{Epoch, Quality};

    fn report(quality: impl Fn(u32) -> Quality, loss: impl Fn(u32) -> f64) -> Report {
        let epoch = |number: u32| Epoch {
            losses: (0..45).map(|step| loss(45 * number + step)).collect(),
            held_out: quality(number),
            seconds: 0.1,
            computed_seconds: 0.1,
        };
        Report {
            data: "digits".to_owned(),
            train_samples: 1438,
            held_out_samples: 359,
            features: 64,
            parameters: 17_226,
            epochs: (0..30).map(epoch).collect(),
            confusion: None,
            digest: "0".repeat(64),
            steps: 1350,
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
