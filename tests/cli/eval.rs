//! `whittle eval` on the embedded set and the real models.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Done, run, whittle};

fn eval(folder: &Path, limit: &str) -> Done {
    let arguments =
        ["eval", "run", "smoke", "--limit", limit, "--rates", "0.25", "--out", folder.to_str().unwrap()];
    whittle(&arguments, "")
}

fn summary(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap()
}

#[test]
fn a_run_goes_on_where_it_was_stopped_and_gives_the_same_figures() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    assert!(eval(folder, "2").text().contains("2 questions of embedded"));
    let rows = folder.join("rows.jsonl");
    let before = fs::read_to_string(&rows).unwrap();
    assert_eq!(before.lines().count(), 8, "whole, closed-book, best-two and the default");
    fs::write(&rows, format!("{before}{{\"question\":\"s")).unwrap();
    eval(folder, "4").text();
    let after = fs::read_to_string(&rows).unwrap();
    assert!(after.starts_with(&before) && after.lines().count() == 16, "{after}");
    eval(other.path(), "4").text();
    let (first, second) = (summary(folder), summary(other.path()));
    assert_eq!(first["figures"], second["figures"]);
    assert_eq!((&first["seed"], &first["questions"]), (&1.into(), &4.into()));
    assert!(first["made_by"]["models"][0].as_str().unwrap().len() > 64, "{first}");
    let whole = &first["figures"][0];
    assert_eq!((&whole["method"], &whole["retention"]["mean"]), (&"whole".into(), &1.0.into()));
    assert!(fs::read_to_string(folder.join("report.html")).unwrap().contains("<svg"));
}

#[test]
fn the_gate_passes_on_a_baseline_and_fails_on_a_planted_regression() {
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/baselines/smoke");
    let planted = tempfile::tempdir().unwrap();
    let gate = |candidate: &Path| {
        whittle(&["eval", "gate", baseline.to_str().unwrap(), candidate.to_str().unwrap()], "")
    };
    gate(&baseline).text();
    let kinds = baseline.with_file_name("kinds");
    let kinds = kinds.to_str().unwrap();
    assert!(whittle(&["eval", "gate", kinds, kinds], "").text().contains("whole evidence"));
    fs::copy(baseline.join("run.json"), planted.path().join("run.json")).unwrap();
    let default = serde_json::from_slice::<Value>(&fs::read(baseline.join("run.json")).unwrap()).unwrap()
        ["default_method"]
        .clone();
    let rows = fs::read_to_string(baseline.join("rows.jsonl")).unwrap();
    let mut number = 0;
    let worse = rows.lines().map(|line| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        if row["method"] == default {
            number += 1;
            if number % 4 == 0 {
                row["outcome"]["measured"]["retained"] = false.into();
            }
        }
        row.to_string() + "\n"
    });
    fs::write(planted.path().join("rows.jsonl"), worse.collect::<String>()).unwrap();
    let done = gate(planted.path());
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("retention by -"), "{}", done.stderr);
}

#[test]
fn sets_have_figures_of_their_own_and_no_reader_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("domains")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join("domains").join(name), text).unwrap();
    let text =
        "09:14 INFO door opened by Ines\\n09:15 WARN lamp 3 is out\\n09:16 INFO door closed\\n".repeat(9);
    let last = "09:59 ERROR pump 7 stopped at 41.5 bar";
    write("pumps.documents.jsonl", &format!("{{\"id\":\"d\",\"text\":\"{text}{last}\"}}\n"));
    let question = |id: &str, needs: &str| {
        format!(
            "{{\"id\":\"{id}\",\"question\":\"At how many bar did pump 7 stop?\",\"documents\":[\"d\"],{needs}}}\n"
        )
    };
    let spans = format!("\"answers\":[\"41.5\"],\"gold_spans\":[{{\"doc\":0,\"text\":\"{last}\"}}]");
    let operands = "\"answers\":[],\"all_answers\":[\"7\",\"41.5\"]";
    write("pumps.questions.jsonl", &(question("1", &spans) + &question("2", operands)));
    let out = folder.join("out");
    let run = |suite: &str| {
        let (data, out) = (folder.to_str().unwrap(), out.to_str().unwrap());
        whittle(&["eval", "run", suite, "--rates", "0.3", "--data", data, "--out", out], "")
    };
    assert!(run("pumps").text().contains("by set"));
    let figures = summary(&out);
    assert_eq!(figures["setting"]["reader"], "none");
    let set = &figures["sets"][0];
    assert_eq!((&set["set"], &set["questions"]), (&"pumps".into(), &2.into()));
    for measure in ["answer", "all_answers", "span", "whole"] {
        assert_eq!((&set[measure]["mean"], &set[measure]["n"]), (&1.0.into(), &1.into()), "{set}");
    }
    let rows = fs::read_to_string(out.join("rows.jsonl")).unwrap();
    assert!(rows.contains("\"set\":\"pumps\"") && rows.contains("\"all_answers\":true"), "{rows}");
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("By set"));
    // The same questions as one set of all are another run.
    assert!(run("domains").failure(1).contains("choose another --out"));
}

#[test]
fn wrong_usage_is_said_to_be_so() {
    for (arguments, said) in [
        (&["eval", "run", "nothing"][..], "unknown suite `nothing`"),
        (&["eval", "run", "smoke", "--methods", "magic"], "unknown method `magic`"),
        (&["eval", "run", "smoke", "--rates", "1.5"], "above 0 and at most 1"),
        (&["eval", "datasets", "path", "x"], "unknown dataset `x`"),
    ] {
        let done = whittle(arguments, "");
        assert!(done.failure(2).contains(said), "{}", done.stderr);
    }
    let empty = tempfile::tempdir().unwrap();
    let variables = [("WHITTLE_CACHE", empty.path().to_str().unwrap())];
    let done = run(&["eval", "run", "nq"], b"", &variables, empty.path());
    assert!(done.failure(1).contains("--data"), "{}", done.stderr);
    let listed = run(&["eval", "datasets", "list"], b"", &variables, empty.path());
    assert!(listed.text().contains("embedded") && listed.text().contains("2 of 2 files are missing"));
}

#[test]
fn a_model_in_this_process_reads_and_is_asked_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let read = || {
        let out = folder.to_str().unwrap();
        let reader = "local/smollm2-135m-instruct";
        whittle(
            &["eval", "run", "smoke", "--limit", "2", "--rates", "0.25", "--reader", reader, "--out", out],
            "",
        )
    };
    assert!(read().text().contains("right"));
    let first = summary(folder);
    let whole = &first["figures"][0];
    assert_eq!((&whole["accuracy"]["n"], &whole["dollars"]["mean"]), (&2.into(), &0.0.into()));
    let answers = fs::read_to_string(folder.join("answers.jsonl")).unwrap();
    assert!((1..=8).contains(&answers.lines().count()), "{answers}");
    // Without its rows the run is made anew, but from the same answers.
    fs::remove_file(folder.join("rows.jsonl")).unwrap();
    read().text();
    assert_eq!(fs::read_to_string(folder.join("answers.jsonl")).unwrap(), answers);
    assert_eq!(summary(folder)["figures"], first["figures"]);
    assert!(fs::read_to_string(folder.join("report.html")).unwrap().contains("Accuracy against ratio"));
    let other = folder.join("other");
    let said = whittle(&["eval", "run", "smoke", "--reader", "gpt-9", "--out", other.to_str().unwrap()], "");
    assert!(said.failure(2).contains("[[upstreams]]"));
}

#[test]
fn medprompts_ladder_is_climbed_on_rows_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let line = |(i, place)| {
        format!(
            "{{\"question\":\"Where is number {i} kept?\",\"options\":{{\"A\":\"{place}\",\"B\":\"nowhere\"}},\"answer\":\"A\"}}\n"
        )
    };
    let rows: String =
        ["the mill", "the bank", "the mint", "the barn"].into_iter().enumerate().map(line).collect();
    fs::write(folder.path().join("own.jsonl"), rows).unwrap();
    let climb = |task: &str| {
        let arguments = ["eval", "medprompt", task, "--examples", "1", "--votes", "2", "--out", "out"];
        run(&arguments, &[], &[], folder.path())
    };
    let first = climb("own.jsonl");
    assert!(first.text().starts_with("own.jsonl: 2 questions") && first.text().contains("+ ensemble"));
    let rows = fs::read_to_string(folder.path().join("out/rows.jsonl")).unwrap();
    assert_eq!(rows.lines().count(), 18);
    assert_eq!(climb("own.jsonl").text(), first.text());
    assert_eq!(fs::read_to_string(folder.path().join("out/rows.jsonl")).unwrap(), rows);
    assert!(climb("chess").failure(2).contains("medqa"));
}
