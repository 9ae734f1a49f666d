#![expect(clippy::format_collect, reason = "tests build their texts line by line")]

use proptest::prelude::*;

use super::*;

fn fold(text: &str, origin: Origin) -> Option<String> {
    Folder::default().folded(text, origin, Rules::ALL).map(|folded| folded.text().to_owned())
}

fn source(lines: std::ops::Range<usize>) -> String {
    lines.map(|n| format!("    let value_{n} = compute(input[{n}], \"{}\");\n", "x".repeat(n % 7))).collect()
}

#[test]
fn lines_that_stand_earlier_are_named_by_their_place() {
    let mut folder = Folder::default();
    folder.see("the result of Read a.rs above", &source(0..60));
    let changed = format!("{}    new line\n{}", source(0..30), source(30..60));
    let folded = folder.folded(&changed, Origin::File, Rules::ALL).unwrap();
    let mark = "[10 lines left out: 1-10, the same as in the result of Read a.rs above]\n";
    assert!(folded.text().starts_with(mark), "{}", folded.text());
    // A file keeps what an edit near the new line would quote.
    assert!(folded.text().contains(&format!("{}    new line\n{}", source(10..30), source(30..50))));
    assert!(folded.text().contains("52-61, the same as 51-60 in"));
    folder.see_folded("the result of Read a.rs again", &folded);
    // What was left out is found where it stands, not where a mark stands for it.
    let again = folder.folded(&changed, Origin::Output, Rules::ALL).unwrap();
    assert!(again.text().contains("Read a.rs above"), "{}", again.text());
    assert!(Folder::default().folded(&changed, Origin::File, Rules::ALL).is_none());
}

#[test]
fn line_numbers_are_not_compared() {
    let number = |text: &str, from: usize| -> String {
        text.lines().enumerate().map(|(at, line)| format!("{:6}\t{line}\n", at + from)).collect()
    };
    let mut folder = Folder::default();
    folder.see("what you wrote into Write above", &source(0..40));
    let folded = folder.folded("", Origin::File, Rules::ALL);
    assert!(folded.is_none());
    let read = number(&source(10..40), 11);
    let folded = folder.folded(&read, Origin::File, Rules::ALL).unwrap();
    assert_eq!(folded.text(), "[30 lines left out: 11-40, the same as in what you wrote into Write above]\n");
}

#[test]
fn runs_progress_and_tests_leave_their_ends() {
    let log: String = (0..9).map(|n| format!("Epoch {n}: the loss is 0.{n}31 after {n}00 steps\n")).collect();
    let folded = fold(&log, Origin::Output).unwrap();
    assert!(
        folded.contains("Epoch 1:") && folded.contains("Epoch 8:") && !folded.contains("Epoch 4:"),
        "{folded}"
    );
    assert!(folded.contains("[6 lines left out: alike but for numbers]\n"), "{folded}");
    assert_eq!(fold(&log, Origin::File), None);
    let bad = log.replace("loss", "error");
    assert_eq!(fold(&bad, Origin::Output), None);
    let pip: String = ["numpy", "scipy", "torch", "requests", "urllib3"]
        .map(|name| format!("Collecting {name}\n  Downloading {name}-1.0.whl (1.2 MB)\n"))
        .concat();
    let folded = fold(&format!("{pip}ERROR: no space left\n"), Origin::Output).unwrap();
    assert!(folded.contains("left out: progress]") && folded.contains("ERROR: no space"), "{folded}");
    let tests: String = (0..20).map(|n| format!("test module::case_{} ... ok\n", "z".repeat(n))).collect();
    let folded = fold(&format!("{tests}test module::bad ... FAILED\n"), Origin::Output).unwrap();
    assert!(
        folded.contains("[19 lines left out: tests that passed]") && folded.contains("FAILED"),
        "{folded}"
    );
}

#[test]
fn hits_are_grouped_and_blobs_and_long_hits_cut() {
    let hits: String =
        (0..4).map(|n| format!("src/a/long/path/file.rs:{}:hit {}\n", n * 9 + 1, "ab".repeat(n))).collect();
    let folded = fold(&hits, Origin::Search).unwrap();
    assert!(folded.starts_with("src/a/long/path/file.rs:\n1:hit \n10:hit ab\n"), "{folded}");
    let long = format!("min.js:1:{}\n", "f(x);".repeat(1000));
    assert!(fold(&long, Origin::Search).unwrap().contains("bytes left out]"));
    let blob = format!("key: {} end\n", "aB3dE5gH".repeat(60));
    let folded = fold(&blob, Origin::Output).unwrap();
    assert!(folded.contains("[416 bytes left out: encoded data] end"), "{folded}");
    assert_eq!(fold(&blob, Origin::File), None);
}

#[test]
fn a_terminal_shows_less_and_a_file_keeps_its_spaces() {
    let text = "\u{1b}[31mred\u{1b}[0m  \n\n\n10%\r20%\rdone\r\n";
    assert_eq!(fold(text, Origin::Output).unwrap(), "red\n\ndone\n");
    assert_eq!(fold(text, Origin::File).unwrap(), "red  \n\n\n10%\r20%\rdone\r\n");
}

#[test]
fn json_stays_json() {
    let json = r#"[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}]"#;
    let folded = fold(json, Origin::Output).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&folded).is_ok(), "{folded}");
    assert_eq!(fold(json, Origin::File), None);
}

#[test]
fn a_text_with_marks_is_left_alone() {
    let log: String = (0..9).map(|n| format!("Epoch {n}: the loss is 0.{n}31 after {n}00 steps\n")).collect();
    assert_eq!(fold(&format!("{log}[6 lines left out: alike but for numbers]\n"), Origin::Output), None);
}

#[test]
fn each_rule_can_be_switched_off() {
    let mut rules = Rules::ALL;
    for rule in Rule::ALL {
        assert!(rules.has(rule) && !rules.without(rule).has(rule) && Rules::NONE.with(rule).has(rule));
        rules = rules.without(rule);
    }
    assert!(rules.is_empty());
}

proptest! {
    #[test]
    fn a_text_depends_on_those_before_it_alone(
        texts in prop::collection::vec("([a-c ]{0,6}\n){0,30}|\\PC{0,80}", 0..8)
    ) {
        let run = |texts: &[String]| {
            let mut folder = Folder::default();
            let mut sent = Vec::new();
            for text in texts {
                if let Some(folded) = folder.folded(text, Origin::Output, Rules::ALL) {
                    sent.push(folded.text().to_owned());
                    folder.see_folded("x above", &folded);
                } else {
                    sent.push(text.clone());
                    folder.see("x above", text);
                }
            }
            sent
        };
        let all = run(&texts);
        for (count, text) in texts.iter().enumerate() {
            prop_assert_eq!(&run(&texts[..count])[..], &all[..count]);
            prop_assert!(all[count].len() <= text.len());
        }
    }
}

#[test]
fn the_work_on_3000_results_grows_as_their_lines_do() {
    // A file that is read again and again, changed in one place, and the output of a build.
    let result = |turn: usize| -> String {
        let line = |n: usize| match n {
            30 => format!("let changed_{turn} = {turn};\n"),
            n => format!("let value_{n} = compute(input[{n}]);\n"),
        };
        let build = |n: usize| format!("   Compiling crate-{n} v0.{n}.{turn}\n");
        if turn.is_multiple_of(2) { (0..60).map(line).collect() } else { (0..60).map(build).collect() }
    };
    let compared = |results: usize| {
        let mut folder = Folder::default();
        for turn in 0..results {
            let text = result(turn);
            let origin = if turn.is_multiple_of(2) { Origin::File } else { Origin::Output };
            match folder.folded(&text, origin, Rules::ALL) {
                Some(folded) => folder.see_folded("a result", &folded),
                None => folder.see("a result", &text),
            }
        }
        folder.index.compared.get()
    };
    let (half, all) = (compared(1500), compared(3000));
    assert!(half > 1500 * 10, "{half}");
    assert!(all <= half * 21 / 10, "{half} {all}");
    assert!(all <= 3000 * 60 * 9, "{all}");
}
