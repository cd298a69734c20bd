//! Draws what `scale` measured: a chart for each engine.
//!
//!     cargo bench --bench scale
//!     cargo run -p diesel-accounts-compare --bin charts -- target/tmp/scale.csv target/tmp

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [csv, folder] = words.as_slice() else {
        return Err("usage: charts FILE.csv FOLDER".into());
    };
    std::fs::create_dir_all(folder)?;
    let csv = std::fs::read_to_string(csv)?;
    let figures = csv.lines().skip(1).map(Figure::of).collect::<Result<Vec<_>, _>>()?;
    let engines: BTreeSet<_> = figures.iter().map(|figure| figure.engine).collect();
    for engine in engines {
        let path = Path::new(folder).join(format!("scale-{}.svg", engine.to_lowercase()));
        let figures = figures.iter().filter(|figure| figure.engine == engine);
        draw(&path, engine, &lines(figures.collect())?)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// A line of the file.
struct Figure<'a> {
    engine: &'a str,
    act: &'a str,
    accounts: f64,
    median: f64,
}

impl<'a> Figure<'a> {
    fn of(line: &'a str) -> Result<Self, Box<dyn Error>> {
        let columns: Vec<_> = line.split(',').collect();
        let [engine, act, accounts, median, _] = *columns else {
            return Err(format!("not five columns: {line}").into());
        };
        Ok(Self { engine, act, accounts: accounts.parse()?, median: median.parse()? })
    }
}

/// An act as it is drawn.
struct Line {
    title: &'static str,
    colour: RGBColor,
    /// Accounts and microseconds.
    points: Vec<(f64, f64)>,
}

fn lines(figures: Vec<&Figure<'_>>) -> Result<Vec<Line>, String> {
    let line = |(act, title, colour): (&str, _, _)| {
        let of_act = figures.iter().filter(|figure| figure.act == act);
        let points: Vec<_> = of_act.map(|figure| (figure.accounts, figure.median)).collect();
        match points.is_empty() {
            true => Err(format!("the file has no {act}")),
            false => Ok(Line { title, colour, points }),
        }
    };
    ACTS.into_iter().map(line).collect()
}

fn draw(path: &Path, engine: &str, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (800, 500)).into_drawing_area();
    // A page behind it may be dark.
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(600);
    draw_lines(&left, engine, lines)?;
    draw_legend(&right, lines)?;
    Ok(area.present()?)
}

fn draw_lines(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    engine: &str,
    lines: &[Line],
) -> Result<(), Box<dyn Error>> {
    let (fewest, most) = span(lines, |point| point.0);
    let (fastest, slowest) = span(lines, |point| point.1);
    let x = (fewest / 1.5..most * 1.5).log_scale();
    let y = (power_below(fastest)..power_below(slowest) * 10.0).log_scale();
    let mut chart = ChartBuilder::on(area)
        .caption(engine, (FONT, 20))
        .margin(15)
        .x_label_area_size(45)
        .y_label_area_size(65)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc("accounts")
        .y_desc("microseconds, median")
        .x_label_formatter(&grouped)
        .y_label_formatter(&grouped)
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .bold_line_style(BLACK.mix(0.2))
        .light_line_style(BLACK.mix(0.07))
        .draw()?;
    for Line { colour, points, .. } in lines {
        let markers = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
        chart.draw_series(markers)?;
    }
    Ok(())
}

/// Least and most of all points on one axis.
fn span(lines: &[Line], coordinate: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let values = lines.iter().flat_map(|line| &line.points).map(coordinate);
    values.fold((f64::INFINITY, 0.0), |(least, most), value| (least.min(value), most.max(value)))
}

fn power_below(value: f64) -> f64 {
    10.0_f64.powf(value.log10().floor())
}

/// A whole number with its digits in groups of three.
fn grouped(number: &f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn draw_legend(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    lines: &[Line],
) -> Result<(), Box<dyn Error>> {
    let text = (FONT, 14).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
    for (Line { title, colour, .. }, row) in lines.iter().zip(0..) {
        let y = 80 + 30 * row;
        area.draw(&PathElement::new([(0, y), (26, y)], colour.stroke_width(2)))?;
        area.draw(&Circle::new((13, y), 4, colour.filled()))?;
        area.draw(&Text::new(*title, (36, y), text.clone()))?;
    }
    Ok(())
}

const FONT: &str = "sans-serif";

/// As `scale` names them, with the colours of Okabe and Ito, which those who see fewer colours can
/// tell apart.
const ACTS: [(&str, &str, RGBColor); 7] = [
    ("users_by_username_prefix of 2 digits", "search, 50 found", RGBColor(204, 121, 167)),
    ("list_users in the middle", "page of 50", RGBColor(230, 159, 0)),
    ("create_user", "creation", RGBColor(213, 94, 0)),
    ("create_user of a duplicate", "creation, duplicate", RGBColor(0, 0, 0)),
    ("user_by_username", "look-up by username", RGBColor(0, 114, 178)),
    ("user_by_email", "look-up by email", RGBColor(86, 180, 233)),
    ("user_by_id", "look-up by id", RGBColor(0, 158, 115)),
];
