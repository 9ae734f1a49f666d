//! One HTML file that needs no other: charts, the table, what went wrong, and how to run it again.

mod chart;
mod failures;

use std::fmt::Write;

use chart::{COLOURS, Chart, Level, Series, standalone};

use super::dataset::{Question, scorer};
use super::run::{LEVELS, Reader, Row};
use super::sets::{MEASURES, Measure, SetFigures};
use super::statistics::Estimate;
use super::summary::{Figures, Summary};

const STYLE: &str = include_str!("style.css");

/// The texts to show failures with: the rows of a run and their questions.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// All rows.
    pub rows: &'a [Row],
    /// The questions, at least those of the rows.
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
    for Titled { heading, chart, .. } in charts(summary, &names) {
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
    page += &sets(&summary.sets);
    if let Some(Texts { rows, questions }) = texts {
        page += &failures::section(rows, questions, summary.setting.answer);
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
    let mut images = Vec::new();
    for Titled { file, chart, .. } in charts(summary, &names) {
        if let Some((file, svg)) = file.zip(chart.svg()?) {
            images.push((file, standalone(&svg, &names)));
        }
    }
    Ok(images)
}

fn introduction(summary: &Summary) -> String {
    let Summary { questions, seed, setting, made_by, .. } = summary;
    let read = match &setting.reader {
        Reader::Likelihood => {
            " <b>NLL</b>: mean nats a token of the answer for a small model that reads the compressed context; lower \
             is better."
                .to_owned()
        }
        Reader::None => String::new(),
        Reader::Model(name) => format!(
            " <b>Right</b>: {} was asked at temperature 0 with the compressed context, and its answer is right.",
            escaped(name)
        ),
    };
    let tokens = match &*setting.tokenizer {
        tokenizer if *tokenizer == scorer() => "the scorer's".to_owned(),
        other => format!("those of {}", escaped(other)),
    };
    format!(
        "<p>{questions} questions of <b>{}</b>, drawn with seed {seed}. Each documents-and-question prompt is \
         compressed to a share of its tokens. <b>Retention</b>: the compressed context still holds an answer.{read} \
         Bars are 95% bootstrap intervals over questions. Tokens are {tokens}.</p>\
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

/// A chart with what stands above it.
struct Titled {
    /// The name of the file, for a chart that is also drawn as a file of its own.
    file: Option<&'static str>,
    heading: &'static str,
    chart: Chart,
}

fn charts(summary: &Summary, names: &[&str]) -> Vec<Titled> {
    let achieved = |figures: &Figures| figures.achieved_rate.map(|rate| rate.mean);
    let of = |place: Place<'_>, value: &dyn Fn(&Figures) -> Option<Estimate>| -> (Vec<Series>, Vec<Level>) {
        let series = names.iter().enumerate().map(|(colour, name)| {
            let figures = summary.figures.iter().filter(|figures| figures.method == *name);
            let points = figures.filter_map(|figures| Some((place(figures)?, value(figures)?)));
            Series { colour, points: sorted(points.collect()) }
        });
        let level = |name: &'static str| {
            let figures = summary.figures.iter().find(|figures| figures.method == name)?;
            Some(Level { name, estimate: value(figures)? })
        };
        (series.collect(), LEVELS.into_iter().filter_map(level).collect())
    };
    let (x_title, percent) = ("share of tokens kept (log scale)", 100.0);
    let against_ratio = |y_title, y_scale, value: &dyn Fn(&Figures) -> Option<Estimate>, levelled: bool| {
        let (series, levels) = of(&achieved, value);
        let levels = if levelled { levels } else { Vec::new() };
        Chart { x_title, y_title, y_scale, series, levels }
    };
    let nll = "NLL of the answer, nats a token";
    vec![
        Titled {
            file: Some("accuracy.svg"),
            heading: "Accuracy against ratio",
            chart: against_ratio("answers right, %", percent, &|figures| figures.accuracy, true),
        },
        Titled {
            file: Some("retention.svg"),
            heading: "Answer retention against ratio",
            chart: against_ratio("answers retained, %", percent, &|figures| figures.retention, true),
        },
        Titled {
            file: Some("nll.svg"),
            heading: "Reader NLL against ratio",
            chart: against_ratio(nll, 1.0, &|figures| figures.nll, true),
        },
        Titled { file: Some("cost.svg"), heading: "Cost against accuracy", chart: cost(summary, &of) },
        Titled {
            file: None,
            heading: "Numbers and dates against ratio",
            chart: against_ratio("numbers and dates kept, %", percent, &|figures| figures.numbers, false),
        },
        Titled { file: None, heading: "Time against tokens", chart: time(summary, names) },
    ]
}

/// Values of a figure at the places of another.
type Drawn<'a> = dyn Fn(Place<'_>, &dyn Fn(&Figures) -> Option<Estimate>) -> (Vec<Series>, Vec<Level>) + 'a;
type Place<'a> = &'a dyn Fn(&Figures) -> Option<f64>;

/// Draws the cost of a thousand questions, in dollars where prices are known, else in tokens of the prompts.
fn cost(summary: &Summary, drawn: &Drawn<'_>) -> Chart {
    let priced = summary.price.is_some_and(|price| price.input > 0.0);
    let mean = |estimate: Option<Estimate>| Some(estimate?.mean);
    let place = |figures: &Figures| mean(if priced { figures.dollars } else { figures.compressed_tokens });
    let x_title =
        if priced { "dollars for 1,000 questions (log scale)" } else { "tokens of a prompt (log scale)" };
    let (series, levels) = drawn(&place, &|figures| figures.accuracy);
    Chart { x_title, y_title: "answers right, %", y_scale: 100.0, series, levels }
}

fn time(summary: &Summary, names: &[&str]) -> Chart {
    let series = names.iter().enumerate().map(|(colour, name)| {
        let times = summary.timing.iter().filter(|times| times.method == *name);
        let points = times.filter_map(|times| {
            let same = |f: &&Figures| f.method == times.method && f.rate.to_bits() == times.rate.to_bits();
            Some((summary.figures.iter().find(same)?.compressed_tokens?.mean, times.milliseconds?))
        });
        Series { colour, points: sorted(points.collect()) }
    });
    Chart {
        x_title: "tokens left (log scale)",
        y_title: "compressor, ms",
        y_scale: 1.0,
        series: series.collect(),
        levels: Vec::new(),
    }
}

fn sorted(mut points: Vec<(f64, Estimate)>) -> Vec<(f64, Estimate)> {
    points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    points
}

/// A function that renders a column of the table for a method at a rate.
type Cell = fn(&Figures) -> String;

/// All columns; those without a figure are left out.
const COLUMNS: [(&str, Cell); 18] = [
    ("achieved", |f| f.achieved_rate.map_or_else(String::new, |rate| format!("{:.3}", rate.mean))),
    ("tokens", |f| {
        let tokens = f.original_tokens.zip(f.compressed_tokens);
        tokens.map_or_else(String::new, |(from, to)| format!("{:.0} → {:.0}", from.mean, to.mean))
    }),
    ("n", |f| f.measured.to_string()),
    ("refused", |f| if f.refused > 0 { f.refused.to_string() } else { String::new() }),
    ("right, %", |f| with_interval(f.accuracy, 100.0, 1)),
    ("against whole, points", |f| with_interval(f.accuracy_against_whole, 100.0, 1)),
    ("exact match, %", |f| with_interval(f.exact_match, 100.0, 1)),
    ("F1, %", |f| with_interval(f.f1, 100.0, 1)),
    ("dollars for 1,000", |f| with_interval(f.dollars, 1.0, 3)),
    ("retention, %", |f| with_interval(f.retention, 100.0, 1)),
    ("NLL", |f| with_interval(f.nll, 1.0, 3)),
    ("NLL against whole", |f| with_interval(f.nll_against_whole, 1.0, 3)),
    ("NLL of the text", |f| with_interval(f.text_nll, 1.0, 3)),
    ("broken units, %", |f| with_interval(f.broken, 100.0, 1)),
    ("numbers, %", |f| with_interval(f.numbers, 100.0, 1)),
    ("names, %", |f| with_interval(f.names, 100.0, 1)),
    ("digits, %", |f| with_interval(f.digits, 100.0, 1)),
    ("capitals, %", |f| with_interval(f.capitals, 100.0, 1)),
];

fn table(summary: &Summary) -> String {
    let filled = |(_, cell): &&(&str, Cell)| summary.figures.iter().any(|figures| !cell(figures).is_empty());
    let columns: Vec<_> = COLUMNS.iter().filter(filled).collect();
    let heads: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
    let heads = heads.join("<th>");
    let mut out = format!(
        "<section><h2>All figures</h2><div class=\"wide\"><table><thead><tr><th>method<th>rate<th>{heads}\
         </tr></thead><tbody>\n"
    );
    for figures in &summary.figures {
        let cells: Vec<String> = columns.iter().map(|(_, cell)| cell(figures)).collect();
        let (method, cells) = (escaped(&figures.method), cells.join("<td>"));
        // Writing to a string cannot fail.
        writeln!(out, "<tr><td>{method}<td>{}<td>{cells}</tr>", figures.rate).ok();
    }
    out + "</tbody></table></div></section>\n"
}

/// The figures of each set, where there are sets.
fn sets(sets: &[SetFigures]) -> String {
    if sets.is_empty() {
        return String::new();
    }
    let columns: Vec<&Measure> =
        MEASURES.iter().filter(|(_, _, value)| sets.iter().any(|set| value(set).is_some())).collect();
    let heads: Vec<_> = columns.iter().map(|(name, ..)| format!("{}, %", name.replace('_', " "))).collect();
    let mut out = format!(
        "<section><h2>By set</h2><p><b>answer</b>: one of the answers is left; <b>all answers</b>: every operand of a \
         calculation is; <b>span</b>: share of the evidence's characters that were kept; <b>whole</b>: the evidence was \
         kept whole. What was refused counts as lost.</p><div class=\"wide\"><table><thead><tr><th>set<th>method\
         <th>rate<th>n<th>refused<th>{}</tr></thead><tbody>\n",
        heads.join("<th>")
    );
    for figures in sets {
        let SetFigures { set, method, rate, questions, refused, .. } = figures;
        let cells: Vec<_> =
            columns.iter().map(|(_, _, value)| with_interval(value(figures), 100.0, 1)).collect();
        let (set, method, cells) = (escaped(set), escaped(method), cells.join("<td>"));
        // Writing to a string cannot fail.
        writeln!(out, "<tr><td>{set}<td>{method}<td>{rate}<td>{questions}<td>{refused}<td>{cells}</tr>").ok();
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
    let reader = match &summary.setting.reader {
        Reader::Likelihood => String::new(),
        other => format!(" --reader {}", escaped(&String::from(other.clone()))),
    };
    format!(
        "<section><h2>Again</h2><pre>whittle eval run {} --methods {} --rates {rates} --limit {} --seed {}{reader}{cache}\
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
