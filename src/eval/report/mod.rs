//! One HTML file that needs no other: charts, the table, what went wrong, and how to run it again.

mod chart;
mod failures;

use std::fmt::Write;

use chart::{COLOURS, Chart, Level, Series, standalone};

use super::dataset::Question;
use super::run::{LEVELS, Row};
use super::statistics::Estimate;
use super::summary::{Figures, Summary};

const STYLE: &str = include_str!("style.css");

/// What failures are shown with: the rows of a run and the questions that they are about.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// All rows.
    pub rows: &'a [Row],
    /// At least those of the rows.
    pub questions: &'a [Question],
}

/// The report of a run; without `texts` it holds figures alone and nothing of the data.
///
/// # Errors
/// A chart cannot be drawn.
pub fn html(summary: &Summary, texts: Option<Texts>) -> anyhow::Result<String> {
    let title = format!("{}: compression against accuracy", escaped(&summary.suite));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>\n"
    );
    page += &introduction(summary);
    let names = methods(summary);
    page += &legend(&names);
    for (heading, chart) in charts(summary, &names) {
        if let Some(svg) = chart.svg()? {
            let n = summary.questions;
            // Writing to a string cannot fail.
            writeln!(page, "<section><h2>{heading} <small>n = {n}</small></h2>{svg}</section>").ok();
        }
    }
    if summary.setting.score_cache {
        page += "<p>Times are left out: this run remembered scores, so that only the first rate of a method \
                 paid for its model. <code>--no-score-cache</code> times first requests.</p>\n";
    }
    page += &table(summary);
    if let Some(Texts { rows, questions }) = texts {
        page += &failures::section(rows, questions);
    }
    page += &reproduction(summary);
    page += "</main></body></html>\n";
    Ok(page)
}

/// The main charts as SVG files of their own, by name.
///
/// # Errors
/// A chart cannot be drawn.
pub fn images(summary: &Summary) -> anyhow::Result<Vec<(&'static str, String)>> {
    let names = methods(summary);
    let files = ["retention.svg", "nll.svg"].into_iter().zip(charts(summary, &names));
    let drawn = files.map(|(file, (_, chart))| Ok((file, chart.svg()?)));
    let drawn: Vec<(&'static str, Option<String>)> = drawn.collect::<anyhow::Result<_>>()?;
    Ok(drawn.into_iter().filter_map(|(file, svg)| Some((file, standalone(&svg?, &names)))).collect())
}

fn introduction(summary: &Summary) -> String {
    let Summary { questions, seed, setting, made_by, .. } = summary;
    format!(
        "<p>{questions} questions of <b>{}</b>, drawn with seed {seed}. Each documents-and-question prompt is \
         compressed to a share of its tokens. <b>Retention</b>: the compressed context still holds an answer. \
         <b>NLL</b>: mean nats a token of the answer for a small model that reads the compressed context; \
         lower is better. Bars are 95% bootstrap intervals over questions. Tokens are the scorer's.</p>\
         <p class=\"made\">{}; revision {}; {}</p>\n",
        escaped(&setting.dataset),
        escaped(&made_by.machine),
        escaped(made_by.git_revision.as_deref().unwrap_or("not known")),
        escaped(&made_by.models.iter().map(|model| shortened(model)).collect::<Vec<_>>().join("; ")),
    )
}

/// A model with the beginnings of its files' hashes; `summary.json` has them whole.
fn shortened(model: &str) -> String {
    let is_hash = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = model.split(' ').map(|word| if is_hash(word) { &word[..12] } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Names of the methods that compress and were measured, in order.
fn methods(summary: &Summary) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for Figures { method, .. } in summary.figures.iter().filter(|figures| figures.measured > 0) {
        if !LEVELS.contains(&&**method) && !names.contains(&&**method) {
            names.push(method);
        }
    }
    names
}

fn legend(names: &[&str]) -> String {
    let items = names.iter().enumerate().map(|(i, name)| {
        let (r, g, b) = COLOURS[i % COLOURS.len()];
        format!("<li><span style=\"background:rgb({r},{g},{b})\"></span>{}</li>", escaped(name))
    });
    format!("<ul class=\"legend\">{}</ul>\n", items.collect::<String>())
}

fn charts(summary: &Summary, names: &[&str]) -> Vec<(&'static str, Chart)> {
    let achieved = |figures: &Figures| figures.achieved_rate.map(|rate| rate.mean);
    let of = |value: &dyn Fn(&Figures) -> Option<Estimate>| -> (Vec<Series>, Vec<Level>) {
        let series = names.iter().enumerate().map(|(colour, name)| {
            let figures = summary.figures.iter().filter(|figures| figures.method == *name);
            let points = figures.filter_map(|figures| Some((achieved(figures)?, value(figures)?)));
            Series { colour, points: sorted(points.collect()) }
        });
        let level = |name: &'static str| {
            let figures = summary.figures.iter().find(|figures| figures.method == name)?;
            Some(Level { name, estimate: value(figures)? })
        };
        (series.collect(), LEVELS.into_iter().filter_map(level).collect())
    };
    let (x_title, percent) = ("share of tokens kept (log scale)", 100.0);
    let (series, levels) = of(&|figures| figures.retention);
    let retention = Chart { x_title, y_title: "answers retained, %", y_scale: percent, series, levels };
    let (series, levels) = of(&|figures| figures.nll);
    let nll = Chart { x_title, y_title: "NLL of the answer, nats a token", y_scale: 1.0, series, levels };
    let (series, _) = of(&|figures| figures.numbers);
    let numbers =
        Chart { x_title, y_title: "numbers and dates kept, %", y_scale: percent, series, levels: Vec::new() };
    let series = names.iter().enumerate().map(|(colour, name)| {
        let times = summary.timing.iter().filter(|times| times.method == *name);
        let points = times.filter_map(|times| {
            let same = |f: &&Figures| f.method == times.method && f.rate.to_bits() == times.rate.to_bits();
            Some((summary.figures.iter().find(same)?.compressed_tokens?.mean, times.milliseconds))
        });
        Series { colour, points: sorted(points.collect()) }
    });
    let time = Chart {
        x_title: "tokens left (log scale)",
        y_title: "compressor, ms",
        y_scale: 1.0,
        series: series.collect(),
        levels: Vec::new(),
    };
    vec![
        ("Answer retention against ratio", retention),
        ("Reader NLL against ratio", nll),
        ("Numbers and dates against ratio", numbers),
        ("Time against tokens", time),
    ]
}

fn sorted(mut points: Vec<(f64, Estimate)>) -> Vec<(f64, Estimate)> {
    points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    points
}

fn table(summary: &Summary) -> String {
    let mut out = String::from(
        "<section><h2>All figures</h2><div class=\"wide\"><table><thead><tr><th>method<th>rate<th>achieved\
         <th>tokens<th>n<th>refused<th>retention, %<th>NLL<th>NLL against whole<th>numbers, %<th>names, %\
         </tr></thead><tbody>\n",
    );
    for figures in &summary.figures {
        let Figures { method, rate, measured, refused, .. } = figures;
        let tokens = figures.original_tokens.zip(figures.compressed_tokens);
        let cells = [
            escaped(method),
            rate.to_string(),
            figures.achieved_rate.map_or_else(String::new, |rate| format!("{:.3}", rate.mean)),
            tokens.map_or_else(String::new, |(from, to)| format!("{:.0} → {:.0}", from.mean, to.mean)),
            measured.to_string(),
            refused.to_string(),
            with_interval(figures.retention, 100.0, 1),
            with_interval(figures.nll, 1.0, 3),
            with_interval(figures.nll_against_whole, 1.0, 3),
            with_interval(figures.numbers, 100.0, 1),
            with_interval(figures.names, 100.0, 1),
        ];
        // Writing to a string cannot fail.
        writeln!(out, "<tr><td>{}</tr>", cells.join("<td>")).ok();
    }
    out + "</tbody></table></div></section>\n"
}

fn with_interval(estimate: Option<Estimate>, scale: f64, digits: usize) -> String {
    estimate.map_or_else(String::new, |estimate| {
        let [mean, low, high] = [estimate.mean, estimate.low, estimate.high].map(|value| value * scale);
        format!("{mean:.digits$} <small>[{low:.digits$}, {high:.digits$}]</small>")
    })
}

fn reproduction(summary: &Summary) -> String {
    let of_methods = |figures: &&Figures| !LEVELS.contains(&&*figures.method);
    let mut rates: Vec<f64> = summary.figures.iter().filter(of_methods).map(|figures| figures.rate).collect();
    rates.sort_by(|a, b| b.total_cmp(a));
    rates.dedup();
    let rates = rates.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    let cache = if summary.setting.score_cache { "" } else { " --no-score-cache" };
    format!(
        "<section><h2>Again</h2><pre>whittle eval run {} --methods {} --rates {rates} --limit {} --seed {}{cache}\
         </pre><p>whittle {}. Rows are in <code>rows.jsonl</code>, these figures in \
         <code>summary.json</code>.</p></section>\n",
        escaped(&summary.suite),
        escaped(&methods(summary).join(",")),
        summary.questions,
        summary.seed,
        escaped(&summary.made_by.version),
    )
}

/// Text that may stand in HTML, in an attribute too.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
