//! The page as a whole.

use std::collections::BTreeMap;

use super::*;
use crate::compress::Mode;
use crate::eval::dataset::{AnswerKind, Source, scorer};
use crate::eval::grading::judge;
use crate::eval::reader::Reply;
use crate::eval::run::{Measured, Outcome, Reader, Setting};
use crate::eval::statistics::Estimate;
use crate::eval::summary::{MadeBy, Times};

fn estimate(mean: f64) -> Estimate {
    Estimate { mean, low: mean * 0.9, high: mean * 1.1, n: 2 }
}

fn figures(method: &str, rate: f64) -> Figures {
    Figures {
        method: method.into(),
        rate,
        measured: 2,
        refused: 0,
        achieved_rate: Some(estimate(rate.max(0.01))),
        original_tokens: Some(estimate(100.0)),
        compressed_tokens: Some(estimate(100.0 * rate)),
        retention: Some(estimate(0.5)),
        nll: Some(estimate(3.0)),
        nll_against_whole: Some(estimate(0.1)),
        numbers: Some(estimate(0.4)),
        names: None,
        digits: None,
        capitals: None,
        altered_numbers: None,
        text_nll: None,
        broken: None,
        accuracy: None,
        accuracy_against_whole: None,
        exact_match: None,
        f1: None,
        dollars: None,
    }
}

fn summary(figures: Vec<Figures>) -> Summary {
    let setting = Setting {
        dataset: "<own>".into(),
        files: BTreeMap::new(),
        answer: AnswerKind::Extract,
        default_method: "m".into(),
        score_cache: true,
        reader: Reader::Likelihood,
        mode: Mode::Exact,
        tokenizer: scorer(),
    };
    let made_by = MadeBy {
        version: "1".into(),
        git_revision: None,
        models: vec!["a & b".into()],
        machine: "linux".into(),
    };
    let timing = vec![Times {
        method: "m".into(),
        rate: 0.5,
        milliseconds: Some(Estimate { mean: 5.0, low: 4.0, high: 6.0, n: 2 }),
        end_to_end: None,
    }];
    Summary {
        suite: "s".into(),
        seed: 1,
        questions: 2,
        setting,
        price: None,
        figures,
        sets: Vec::new(),
        timing,
        made_by,
    }
}

fn row(method: &str, kept: Option<Vec<Vec<[usize; 2]>>>) -> Row {
    let measured = Measured {
        original_tokens: 10,
        compressed_tokens: 5,
        requested_tokens: 5,
        retained: Some(kept.is_none()),
        nll: Some(if kept.is_none() { 1.0 } else { 4.0 }),
        milliseconds: 1.0,
        kept,
        ..Measured::default()
    };
    Row {
        question: "q".into(),
        set: None,
        method: method.into(),
        rate: 0.5,
        model: "m".into(),
        outcome: Outcome::Measured(Box::new(measured)),
    }
}

#[test]
fn the_page_stands_alone_and_shows_what_was_lost() {
    let summary = summary(vec![
        figures("whole", 1.0),
        figures("closed-book", 0.0),
        figures("m", 0.5),
        figures("m", 0.1),
    ]);
    let question = Question {
        id: "q".into(),
        instruction: String::new(),
        documents: vec![Source { id: "d".into(), title: "T & U".into(), text: "It was <Ada>.".into() }],
        question: "who".into(),
        asked: "who?".into(),
        answers: vec!["Ada".into()],
        needs: None,
    };
    let rows = [row("whole", None), row("m", Some(vec![vec![[0, 2]]]))];
    let page = html(&summary, Some(Texts { rows: &rows, questions: &[question] })).unwrap();
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(
        page.contains("<ins>It</ins><del> was &lt;Ada&gt;.</del>") && page.contains("T &amp; U"),
        "{page}"
    );
    assert!(page.contains("+3.00 nats") && page.contains("--rates 0.5,0.1") && page.contains("n = 2"));
    assert!(page.contains("&lt;own&gt;") && page.contains("a &amp; b"));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http") && !outside.contains("src=") && !outside.contains("<script"), "{page}");
}

#[test]
fn what_a_model_answered_is_shown() {
    let estimate = |mean| Some(Estimate { mean, low: mean - 0.1, high: mean + 0.1, n: 2 });
    let asked = |method: &str, rate| Figures { accuracy: estimate(rate), ..figures(method, rate) };
    let mut summary = summary(vec![asked("whole", 1.0), asked("m", 0.5)]);
    summary.setting.answer = AnswerKind::Number;
    let mut wrong = row("m", Some(vec![vec![[0, 2]]]));
    if let Outcome::Measured(measured) = &mut wrong.outcome {
        let reply = Reply { text: "<7>".into(), input_tokens: 1, output_tokens: 1, milliseconds: 1.0 };
        measured.reading = Some(judge(AnswerKind::Number, reply, &["8".to_owned()]));
    }
    let source = Source { id: "d".into(), title: String::new(), text: "It was.".into() };
    let question = Question {
        id: "q".into(),
        instruction: String::new(),
        documents: vec![source],
        question: "how many".into(),
        asked: "how many?".into(),
        answers: vec!["8".into()],
        needs: None,
    };
    let page = html(&summary, Some(Texts { rows: &[wrong], questions: &[question] })).unwrap();
    assert!(page.contains("Accuracy against ratio") && page.contains("Cost against accuracy"));
    assert!(page.contains("right, %") && page.contains("the model said \u{201c}&lt;7&gt;\u{201d}"), "{page}");
    assert!(page.contains("<ins>It</ins><del> was.</del>"));
    let names: Vec<_> = images(&summary).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["accuracy.svg", "retention.svg", "nll.svg", "cost.svg"]);
}

#[test]
fn sets_have_a_table_of_their_own() {
    let mut summary = summary(vec![figures("whole", 1.0), figures("m", 0.5)]);
    assert!(!html(&summary, None).unwrap().contains("By set"));
    summary.setting.tokenizer = "o200k_base".into();
    summary.sets = vec![SetFigures {
        set: "<logs>".into(),
        method: "m".into(),
        rate: 0.5,
        questions: 7,
        refused: 2,
        over: 0,
        answer: Some(Estimate { mean: 0.5, low: 0.25, high: 0.75, n: 7 }),
        all_answers: None,
        span: None,
        whole: None,
    }];
    let page = html(&summary, None).unwrap();
    assert!(page.contains("By set") && page.contains("those of o200k_base"), "{page}");
    assert!(page.contains("<td>&lt;logs&gt;<td>m<td>0.5<td>7<td>2<td>50.0 <small>[25.0, 75.0]"), "{page}");
    assert!(!page.contains("<th>whole, %"), "{page}");
}

#[test]
fn a_run_without_methods_has_no_charts() {
    let page =
        html(&summary(vec![figures("whole", 1.0)]), Some(Texts { rows: &[], questions: &[] })).unwrap();
    assert!(!page.contains("<svg") && page.contains("No answer was lost"));
    let page = html(&summary(vec![figures("whole", 1.0)]), None).unwrap();
    assert!(!page.contains("Worst failures"));
}

#[test]
fn the_main_charts_are_images_with_a_legend() {
    let mut lost = figures("lost", 0.5);
    (lost.measured, lost.retention, lost.nll) = (0, None, None);
    let summary = summary(vec![figures("whole", 1.0), figures("a&b", 0.5), figures("a&b", 0.1), lost]);
    let images = images(&summary).unwrap();
    assert_eq!(images.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["retention.svg", "nll.svg"]);
    for (_, svg) in images {
        assert!(svg.starts_with("<svg xmlns") && svg.contains("a&amp;b") && svg.contains("whole"));
        assert!(!svg.contains("currentColor") && !svg.contains("lost"));
    }
}
