//! Tests that the result of each kind of text is coherent: whole lines under their heads, rows under their header,
//! turns with their speaker, JSON that parses, negations with what they negate.

use super::{
    FakeEmbedder, FakeScorer, PROTECTOR, check_document, document, is_marked, is_subsequence, without_marks,
};
use crate::compress::{
    CompressError, Compressed, Constraints, Document, Method, Mode, Place, Prompt, Target, Tools, compress,
};
use crate::model::Cancel;
use crate::text::{Granularity, MarkStyle, Noun, for_name, segments};

const RATES: [f64; 5] = [0.8, 0.6, 0.4, 0.25, 0.12];

pub(super) fn run(prompt: &Prompt, rate: f64, method: Method) -> Result<Compressed, CompressError> {
    let cancel = Cancel::never();
    let counter = for_name("o200k_base").unwrap();
    let tools = Tools {
        scorer: Some(&FakeScorer { piece: 3 }),
        embedder: Some(&FakeEmbedder),
        ..Tools::bare(counter.as_ref(), &PROTECTOR, &cancel)
    };
    compress(prompt, Target::Rate(rate), method, Mode::Exact, &tools)
}

fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect()
}

/// Results of every method that needs no other model, at every rate that there is room for.
fn results(text: &str) -> Vec<Compressed> {
    let mut results = Vec::new();
    for rate in RATES {
        for (method, question) in [
            (Method::LlmLingua, ""),
            (Method::SelectiveContext, ""),
            (Method::Hybrid, "What is the state of the second one?"),
            (Method::Extractive, "What is the state of the second one?"),
            (Method::LongLlmLingua, "What is the state of the second one?"),
        ] {
            match run(&document(text, question), rate, method) {
                Ok(compressed) => {
                    assert!(compressed.compressed_tokens <= compressed.requested_tokens);
                    let unmarked = without_marks(MarkStyle::beside([text]), &compressed.documents[0].text);
                    assert!(is_subsequence(&unmarked, text), "{unmarked}");
                    results.push(compressed);
                }
                Err(CompressError::Infeasible { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(results.len() > 10, "only {} results of {text:?}", results.len());
    results
}

/// The lines of what is left, without marks.
fn lines(compressed: &Compressed) -> Vec<&str> {
    let own = |line: &&str| !line.trim().is_empty() && !is_marked(line);
    compressed.documents[0].text.lines().filter(own).collect()
}

/// Every line that is left is one of `text`, and a line of `inside` never stands without that of `head`.
fn whole_lines(text: &str, pairs: &[(&str, &str)]) {
    for compressed in results(text) {
        let left = &compressed.documents[0].text;
        for line in lines(&compressed) {
            assert!(text.lines().any(|own| own.trim_end() == line.trim_end()), "{line:?} of {left:?}");
        }
        for (inside, head) in pairs {
            assert!(!left.contains(inside) || left.contains(head), "{inside} without {head}: {left}");
        }
    }
}

#[test]
fn rows_stay_under_their_header() {
    let csv: String = rows(24, |i| format!("{i},gate {},{}\n", i % 5, if i == 9 { "stuck" } else { "fine" }));
    let bars: String = rows(16, |i| format!("| pond {i} | {} | {} |\n", i * 3 % 11, i * 7 % 13));
    let spaced: String = rows(16, |i| format!("node-{i:<4}  ready   {}d\n", i + 3));
    for (header, rows) in [
        ("number,gate,state", csv),
        ("| name | depth | fish |\n|---|---|---|", bars),
        ("NAME       STATE   AGE", spaced),
    ] {
        let text = format!("{header}\n{rows}");
        // The ruler below the names of the columns goes where the budget is small.
        let names = header.lines().next().unwrap();
        for compressed in results(&text) {
            assert!(compressed.documents[0].text.starts_with(names), "{:?}", compressed.documents[0].text);
        }
        whole_lines(&text, &[]);
    }
}

#[test]
fn rows_stay_in_their_section_and_no_section_stands_without_rows() {
    let section = |name: &str, year: usize| {
        let row =
            |i: usize| format!("| {name} item {i} of {year} | {} | {} |\n", i * 37 % 101, i * year % 97);
        format!("| {name} assets |  |  |\n{}", rows(3, row))
    };
    let part =
        |year: usize| format!("| June {year} |  |  |\n{}{}", section("Fixed", year), section("Other", year));
    let text = format!("| what | cost | worth |\n|---|---|---|\n{}{}", part(2018), part(2019));
    let name = |line: &str| line.split('|').nth(1).unwrap_or_default().trim().to_owned();
    for compressed in results(&text) {
        let (mut year, mut kind) = (String::new(), String::new());
        let left = lines(&compressed);
        // Where there is room for no row, what heads it is kept by itself.
        let rows = left.iter().filter(|line| line.contains(" item ")).count();
        for (i, line) in left.iter().enumerate().filter(|_| rows > 0) {
            let name = name(line);
            if name.starts_with("June ") || name.ends_with(" assets") {
                let heads_more = left.get(i + 1).is_some_and(|next| !next.contains("June "));
                assert!(heads_more, "{name} heads nothing: {left:#?}");
                let target = if name.starts_with("June ") { &mut year } else { &mut kind };
                *target = name;
            } else if name.contains(" item ") {
                assert!(name.ends_with(&year[5..]) && name.starts_with(&kind[..5]), "{name}: {left:#?}");
            }
        }
    }
}

#[test]
fn a_row_that_fits_is_found_behind_many_that_do_not() {
    let long =
        |i: usize| format!("| the {i}th pump beside the long pier, to be replaced in spring | {i} |\n");
    let text = format!("| what | hours |\n|---|---|\n{}| lamp | 7 |\n", rows(30, long));
    let prompt = document(&text, "Which pump beside the long pier is to be replaced in spring?");
    let got = run(&prompt, 0.055, Method::Hybrid).unwrap();
    assert!(got.documents[0].text.contains("| lamp | 7 |"), "{}", got.documents[0].text);
}

#[test]
fn where_several_passages_fit_sentences_are_kept_whole_or_not_at_all() {
    let sentence = |i: usize| format!("The {i}th keeper of the harbour wrote down the name of each ship. ");
    let documents = (0..20).map(|i| (0..6).map(|j| sentence(6 * i + j)).collect::<String>());
    let prompt = Prompt {
        documents: documents
            .enumerate()
            .map(|(i, text)| Document { id: format!("d{i}"), title: None, text })
            .collect(),
        ..document("", "What did the 9th keeper write down?")
    };
    let got = run(&prompt, 0.5, Method::Hybrid).unwrap();
    for text in got.documents.iter().map(|document| document.text.trim()).filter(|text| !text.is_empty()) {
        let whole = |own: &str| prompt.documents.iter().any(|document| document.text.contains(own));
        assert!(
            text.split_inclusive(". ").all(|own| own.trim().ends_with('.') && whole(own.trim())),
            "{text}"
        );
    }
}

#[test]
fn fragments_cut_no_name_and_are_no_function_words() {
    let names = ["Super Bowl Trophy", "Rosa Maria Blanca", "Cape of Good Hope", "Jeepers Creepers"];
    let sentence = |i: usize| {
        let name = names[i % names.len()];
        format!("In the {i}th year keepers and their guests had sailed to {name} on what was the old barge. ")
    };
    let text: String = (0..12).map(sentence).collect();
    let prompt = document(&text, "Where did the keepers sail in the 7th year?");
    let mut fragments = 0;
    for budget in 20..140 {
        let Ok(got) = run(&prompt, f64::from(budget) / 300.0, Method::Hybrid) else { continue };
        for own in
            got.documents[0].text.split_inclusive(['.', '\n']).map(str::trim).filter(|own| !own.is_empty())
        {
            for name in names {
                let count = |word: &str| own.matches(word).count();
                assert!(name.split(' ').all(|word| count(word) == count(name)), "{name} is cut: {own}");
            }
            fragments += usize::from(!text.contains(own));
            let last = own.trim_end_matches('.').rsplit(' ').next().unwrap_or_default();
            assert!(!["and", "had", "on", "the", "was", "to"].contains(&last), "{own}");
        }
    }
    assert!(fragments > 20, "only {fragments} fragments");
}

#[test]
fn marks_count_as_long_as_they_take_little_of_the_budget() {
    let short = "[left out]";
    for (n, rate, counts) in [(300, 0.8, true), (12, 0.4, false)] {
        let text: String = rows(n, |i| format!("SETTING_{i}=value-{}\n", i * 7 % 31));
        let prompt = document(&text, "What is SETTING_9?");
        let got = run(&prompt, rate, Method::Hybrid).unwrap();
        let left = &got.documents[0].text;
        let found = MarkStyle::default().find(left);
        assert_eq!((!found.is_empty(), left.contains(short)), (counts, !counts), "{left}");
        let gone = n - lines(&got).len();
        assert_eq!(got.documents[0].left_out.get(&Noun::Lines), Some(&gone), "{left}");
    }
}

#[test]
fn a_table_has_its_ruler_where_that_takes_little_of_the_budget() {
    let rows: String = rows(16, |i| format!("| pond {i} | {} | {} |\n", i * 3 % 11, i * 7 % 13));
    let text = format!("| name | depth | fish |\n|---|---|---|\n{rows}");
    for (method, question) in [(Method::Hybrid, "Which pond is deepest?"), (Method::LlmLingua, "")] {
        let got = run(&document(&text, question), 0.8, method).unwrap();
        let left = &got.documents[0].text;
        assert!(left.starts_with("| name | depth | fish |\n|---|---|---|\n"), "{left}");
    }
}

#[test]
fn no_blank_line_stands_below_a_mark_at_the_beginning() {
    let part = |i: usize| format!("[part-{i}]\nname = \"the {i}th of them\"\nsize = {}\n\n", i * 7 % 9);
    let mut marked = 0;
    for compressed in results(&rows(9, part)) {
        let left = &compressed.documents[0].text;
        let mut lines = left.lines();
        if lines.next().is_some_and(is_marked) {
            marked += 1;
            assert!(lines.next().is_some_and(|line| !line.is_empty()), "{left}");
        }
    }
    assert!(marked > 0);
}

#[test]
fn rare_rows_come_first() {
    for (usual, rare) in [("ok", "burst"), ("200", "503"), ("paid", "disputed")] {
        let rows: String =
            self::rows(30, |i| format!("{i},{},{}\n", i % 4, if i == 12 || i == 23 { rare } else { usual }));
        let prompt = document(&format!("id,line,state\n{rows}"), &format!("Which rows are not {usual}?"));
        for method in [Method::Hybrid, Method::Extractive] {
            let compressed = run(&prompt, 0.4, method).unwrap();
            assert_eq!(compressed.documents[0].text.matches(rare).count(), 2, "{}", compressed.prompt);
        }
    }
}

#[test]
fn json_parses_and_says_how_many_records_are_gone() {
    let one = (0..20)
        .map(|i| format!("{{\"id\": {i}, \"town\": \"T{i}\", \"open\": {}}}", i % 3 == 0))
        .collect::<Vec<_>>()
        .join(", ");
    let one = format!("{{\"towns\": [{one}], \"next\": null}}");
    let long = (0..6).map(|i| format!("{{\"name\": \"n{i}\", \"about\": \"It is said \\\"so\\\". Once more\\nit is said that {i} came. {}\"}}", "And so on it went. ".repeat(9))).collect::<Vec<_>>().join(",\n  ");
    let long = format!("[\n  {long}\n]");
    let map = (0..30).map(|i| format!("\"key-{i}\": \"value {i}\"")).collect::<Vec<_>>().join(",\n");
    let map = format!("{{{map}}}");
    for text in [one, long, map] {
        for compressed in results(&text) {
            let left = &compressed.documents[0].text;
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(left);
            assert!(parsed.is_ok(), "{left}");
            let gone = compressed.documents[0].left_out.get(&Noun::Records).copied().unwrap_or_default();
            assert!(gone == 0 || compressed.reason.contains("record"), "{}", compressed.reason);
        }
    }
}

/// Returns whether no object, array or string in `value` is empty.
fn is_full(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(members) => !members.is_empty() && members.values().all(is_full),
        serde_json::Value::Array(elements) => !elements.is_empty() && elements.iter().all(is_full),
        serde_json::Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

#[test]
fn nothing_of_json_becomes_empty() {
    let pumps = (0..12)
        .map(|i| format!("{{\"id\": {i}, \"at\": [{i}, {}], \"note\": \"Number {i} was cleaned in May. It must not run dry. Nobody has looked at it since.\"}}", i * 3))
        .collect::<Vec<_>>()
        .join(", ");
    let order = r#"{"order": {"no": 4711, "for": {"name": "Bakery Lund", "town": "Visby", "since": 1998}, "lines": [{"sku": "R-1", "what": "Rye flour, coarse"}, {"sku": "S-2", "what": "Salt from the lake"}], "hints": ["Ring twice", "The gate is low"], "paid": false}}"#;
    let story = r#"{"id": 7, "text": "The old mill stands by the brook. It was built in 1790. The wheel may not be turned by hand. A miller lived there until the war, and his daughter sold it."}"#;
    for text in [format!("[{pumps}]"), order.to_owned(), story.to_owned()] {
        for compressed in results(&text) {
            let left = &compressed.documents[0].text;
            let parsed: serde_json::Value = serde_json::from_str(left).unwrap();
            assert!(is_full(&parsed), "{left}");
        }
    }
}

#[test]
fn a_string_of_json_is_cut_where_it_does_not_fit() {
    for (asked, rest) in [
        ("The wheel may not be turned by hand.", "It was built in 1790. A miller lived there until the war."),
        ("Boil the water for nine minutes.", "The stove is old. The kettle came from an aunt in Riga."),
        ("No dogs are let in after dark.", "The park has two gates. Roses grow by the smaller one."),
    ] {
        let text = format!("{{\"id\": 7, \"text\": \"{rest} {asked}\"}}");
        let compressed = run(&document(&text, asked), 0.75, Method::Hybrid).unwrap();
        let left: serde_json::Value = serde_json::from_str(&compressed.documents[0].text).unwrap();
        assert!(left["text"].as_str().is_some_and(|said| !said.starts_with(' ')), "{left}");
    }
}

#[test]
fn a_document_with_a_place_is_never_empty() {
    let texts = [
        "The ferry leaves at nine. It does not sail on Sundays, and in winter it lies in the harbour of the island.",
        "Thank you!",
        "[{\"boat\": \"Gull\", \"crew\": 4}, {\"boat\": \"Tern\", \"crew\": 2}, {\"boat\": \"Auk\", \"crew\": 3}]",
        "INFO gate opened\nINFO gate closed\nWARN gate stuck\nINFO gate opened\nINFO gate closed\nINFO lamp on\n",
    ];
    let document =
        |(i, text): (usize, &&str)| Document { id: i.to_string(), title: None, text: (*text).into() };
    let places = [Noun::Turns, Noun::Turns, Noun::Turns, Noun::Lines].map(Place::Mark);
    let places = places.into_iter().enumerate().collect();
    let prompt = Prompt {
        documents: texts.iter().enumerate().map(document).collect(),
        constraints: Constraints { places, ..Constraints::default() },
        ..Prompt::default()
    };
    let mut marked = 0;
    for rate in RATES {
        let Ok(compressed) = run(&prompt, rate, Method::LlmLingua) else { continue };
        assert!(compressed.compressed_tokens <= compressed.requested_tokens);
        assert!(compressed.documents[1].marks.is_empty(), "a mark would be longer");
        for document in &compressed.documents {
            assert!(!document.text.is_empty() && compressed.prompt.contains(&document.text));
            if document.kept.is_empty() {
                let (noun, count) = document.left_out.first_key_value().unwrap();
                let found = MarkStyle::default().find(&document.text);
                assert_eq!((found[0].1.noun, found[0].1.count), (*noun, *count));
                marked += 1;
            }
        }
    }
    assert!(marked > 0);
}

#[test]
fn marks_count_the_ends_of_elements_too() {
    let part = |name: &str, n: usize| {
        let inner: String = rows(6, |i| {
            format!(
                "<item>\n<no>{}</no>\n<what>one of the many things that are here</what>\n<colour>the colour of the sea at night</colour>\n<place>it stands in the large hall on the right side of the door</place>\n<owner>nobody knows whose it is and nobody asks</owner>\n</item>\n",
                i + n
            )
        });
        format!("<{name}>\n{inner}</{name}>\n")
    };
    for name in ["list", "shelf", "room"] {
        let text = format!("<house>\n{}{}</house>\n", part(name, 10), part("cellar", 70));
        for compressed in results(&text) {
            let left = &compressed.documents[0].text;
            let marks = MarkStyle::default().find(left);
            let marked: usize = marks.iter().map(|(_, mark)| mark.count).sum();
            let here = lines(&compressed).len();
            assert!(marks.is_empty() || here + marked == text.lines().count(), "{here} {marked} {left}");
        }
    }
}

#[test]
fn programs_keep_the_head_of_a_body() {
    let python = "def toll(car, day):\n    if car.heavy:\n        rate = 9\n    else:\n        rate = 4\n    if day == 'sun':\n        rate = 0\n    return rate\n\ndef open_gate(n):\n    for i in range(n):\n        lift(i)\n    close_all()\n";
    let go = "func Sum(xs []int) int {\n\ttotal := 0\n\tfor _, x := range xs {\n\t\tif x < 0 {\n\t\t\tcontinue\n\t\t}\n\t\ttotal += x\n\t}\n\treturn total\n}\n\nfunc Last(xs []int) int {\n\tif len(xs) == 0 {\n\t\treturn -1\n\t}\n\treturn xs[len(xs)-1]\n}\n";
    let numbered: String =
        rows(python.lines().count(), |i| format!("{:>6}\t{}\n", i + 1, python.lines().nth(i).unwrap()));
    whole_lines(
        python,
        &[
            ("rate = 9", "if car.heavy"),
            ("rate = 4", "else:"),
            ("else:", "if car.heavy"),
            ("rate = 0", "if day"),
            ("lift(i)", "for i in"),
            ("close_all", "def open_gate"),
        ],
    );
    whole_lines(go, &[("continue", "if x < 0"), ("total += x", "for _, x"), ("return -1", "if len(xs)")]);
    whole_lines(&numbered, &[("rate = 9", "if car.heavy"), ("rate = 0", "if day"), ("lift(i)", "for i in")]);
    for compressed in results(go) {
        let count = |c| compressed.documents[0].text.matches(c).count();
        assert_eq!(count('{'), count('}'), "{}", compressed.documents[0].text);
    }
}

#[test]
fn settings_keep_their_parents_and_gaps_are_marked() {
    let yaml = "api:\n  port: 8080\n  limits:\n    memory: 1Gi\n    cpu: 2\nworker:\n  port: 9090\n  limits:\n    memory: 4Gi\n    cpu: 8\nflags:\n  dark: true\n  beta: false\n";
    let toml = "[lamp]\ncolour = \"red\"\nwatts = 40\n\n[fan]\nspeed = 3\nnoise = 12\n\n[door]\nlocked = true\ncode = 77\n";
    let env: String = rows(25, |i| format!("SETTING_{i}=value-{i}\n"));
    whole_lines(yaml, &[("4Gi", "worker:"), ("1Gi", "api:"), ("dark", "flags:")]);
    whole_lines(toml, &[("speed", "[fan]"), ("locked", "[door]"), ("watts", "[lamp]")]);
    whole_lines(&env, &[]);
    for text in [yaml, toml, &env] {
        for compressed in results(text) {
            let gone = compressed.documents[0].left_out.get(&Noun::Lines).copied().unwrap_or_default();
            let style = MarkStyle::default();
            let marked: usize =
                style.find(&compressed.documents[0].text).iter().map(|(_, mark)| mark.count).sum();
            // Where there is no room for marks, there are none.
            assert!(marked == gone || marked == 0, "{}", compressed.documents[0].text);
        }
    }
}

#[test]
fn marks_can_be_turned_off() {
    let env: String = rows(25, |i| format!("SETTING_{i}=value-{i}\n"));
    let prompt = Prompt {
        constraints: Constraints { unmarked: true, ..Constraints::default() },
        ..document(&env, "")
    };
    let compressed = run(&prompt, 0.5, Method::LlmLingua).unwrap();
    assert!(!compressed.prompt.contains("left out") && compressed.documents[0].marks.is_empty());
    assert!(compressed.documents[0].left_out[&Noun::Lines] > 5);
}

#[test]
fn changes_stay_whole_under_their_headers() {
    for (old, new) in [("limit = 3", "limit = 5"), ("open(\"w\")", "open(\"a\")"), ("if x:", "if x and y:")] {
        let hunk = |n: usize| {
            format!(
                "@@ -{n},5 +{n},5 @@ def part_{n}():\n     a = {n}\n     b = {n} + 1\n-    {old}\n+    {new}\n     c = 2\n     d = 3\n"
            )
        };
        let text = format!(
            "diff --git a/m.py b/m.py\nindex 0a..1b 100644\n--- a/m.py\n+++ b/m.py\n{}{}{}",
            hunk(10),
            hunk(40),
            hunk(90)
        );
        whole_lines(&text, &[("@@ -40", "+++ b/m.py")]);
        for compressed in results(&text) {
            let left = &compressed.documents[0].text;
            assert_eq!(
                left.matches(&format!("-    {old}")).count(),
                left.matches(&format!("+    {new}")).count(),
                "{left}"
            );
            assert!(left.starts_with("diff --git"), "{left}");
        }
    }
}

#[test]
fn turns_keep_their_speakers() {
    let call = |a: &str, b: &str| {
        rows(8, |i| {
            format!(
                "{a}: I do not like the {i}th one, it is not mine.\n{b}: Then leave it, please, I will not mind.\n"
            )
        })
    };
    for (a, b) in [("Agent", "Customer"), ("Иван", "Мария"), ("[00:10] Li Wei", "[00:12] Ana")] {
        let text = call(a, b);
        whole_lines(&text, &[]);
    }
}

#[test]
fn no_speaker_is_kept_without_a_word() {
    let long = |name: &str, i: usize| {
        let said: String =
            rows(6, |j| format!("Item {i} came up again on day {j} of the trial of the new screen. "));
        format!("{name}: {said}\n")
    };
    let talk = rows(12, |i| format!("{}Ann: Right.\n", long(["Designer", "Marketing"][i % 2], i)));
    for compressed in results(&talk) {
        let left = &compressed.documents[0].text;
        let mut lines = left.lines().map(str::trim_end);
        assert!(!lines.any(|line| ["Designer:", "Marketing:"].contains(&line)), "{left}");
    }
}

#[test]
fn a_sentence_that_begins_with_its_number_can_be_chosen() {
    let duties = ["the gate", "the ferry", "the lamp at the weir", "the old mill", "the bell", "the pump"];
    let text = rows(duties.len(), |i| {
        format!("{}. Whoever has {} keeps it in order. It is looked at in May. ", i + 1, duties[i])
    });
    let question = "Who keeps the lamp at the weir in order?";
    for method in [Method::Hybrid, Method::Extractive] {
        let compressed = run(&document(&text, question), 0.5, method).unwrap();
        let left = &compressed.documents[0].text;
        assert!(
            left.contains("3. Whoever has the lamp at the weir keeps it in order."),
            "{method:?}: {left}"
        );
    }
}

#[test]
fn tags_are_balanced() {
    let list: String = rows(14, |i| format!("<li>Item number {i} of the whole list of items.</li>\n"));
    for (open, close) in
        [("<ul>", "</ul>"), ("<section id=\"a\">", "</section>"), ("<feed xmlns=\"x\">", "</feed>")]
    {
        let text = format!("<html>\n<body>\n{open}\n{list}{close}\n</body>\n</html>\n");
        for compressed in results(&text) {
            let left = &compressed.documents[0].text;
            assert_eq!(left.matches("<li>").count(), left.matches("</li>").count(), "{left}");
            let around = left.contains(open) && left.contains(close) && left.contains("<html>");
            assert!(around || !left.contains("<li>"), "{left}");
        }
    }
}

#[test]
fn blobs_go_first() {
    let blob = |n: usize| {
        (0..n)
            .map(|i| {
                char::from(b"aZ3kQ9+xB7mT/pR2wL5vY8cN0dF4gH6jbAy1PzUe"[(i * i * i + 7 * i + i / 3) % 37])
            })
            .collect::<String>()
    };
    let words = "Close the inlet before you lift the lid. Never run it dry for more than a minute. The seal lasts two years.";
    for text in [
        format!("# Manual\n\n![Drawing](data:image/png;base64,{})\n\n{words}", blob(1200)),
        format!("{words}\n\n{}\n", blob(900)),
        format!(
            "Certificate:\n\n{}\n\n{words}",
            blob(1280)
                .as_bytes()
                .chunks(64)
                .map(|line| String::from_utf8_lossy(line).into_owned())
                .collect::<Vec<_>>()
                .join("\n")
        ),
    ] {
        assert!(
            segments(&text).iter().any(|segment| segment.kind == crate::text::SegmentKind::Blob),
            "{text}"
        );
        for method in [Method::LlmLingua, Method::Hybrid] {
            let question =
                if method == Method::Hybrid { "What is closed before the lid is lifted?" } else { "" };
            let compressed = run(&document(&text, question), 0.3, method).unwrap();
            assert!(compressed.prompt.contains(words), "{}", compressed.prompt);
            assert!(compressed.documents[0].left_out.contains_key(&Noun::Bytes));
        }
    }
}

#[test]
fn names_of_one_capital_and_values_stay_whole() {
    for (text, name) in [
        (
            "Vitamin D was given in the north. Vitamin K was given in the south. The summer was long and the harvest good.",
            ["Vitamin D", "Vitamin K"],
        ),
        (
            "Plan B needs a boat of its own. Plan C needs none of that at all. The harbour is wide and deep enough for it.",
            ["Plan B", "Plan C"],
        ),
        (
            "Le port a payé 3 millions d'euros cette année. La tour mesure 30 mètres depuis le sol. Le soir il fait bon.",
            ["3 millions d'euros", "30 mètres"],
        ),
    ] {
        for compressed in results(text) {
            for name in name {
                let start = name.split(' ').next().unwrap();
                let end = name.split(' ').next_back().unwrap();
                let left = &compressed.documents[0].text;
                assert!(!left.contains(end) || left.contains(name) || start == end, "{name} of {left}");
            }
        }
    }
}

#[test]
fn no_negation_is_parted_from_its_clause() {
    let list = include_str!("../../text/negations.txt");
    let sentences: Vec<&str> = list.lines().filter_map(|line| Some(line.split_once('\t')?.1)).collect();
    for part in sentences.chunks(12) {
        let text = part.join("\n\n");
        for rate in [0.7, 0.5, 0.3] {
            for (method, question) in
                [(Method::LlmLingua, ""), (Method::SelectiveContext, ""), (Method::Hybrid, "Why is it so?")]
            {
                let Ok(compressed) = run(&document(&text, question), rate, method) else { continue };
                let left = &compressed.documents[0];
                for sentence in part {
                    let start = text.find(sentence).unwrap();
                    let inner = start + sentence.len() / 8..start + sentence.len() * 7 / 8;
                    let touched =
                        left.kept.iter().any(|kept| kept.start < inner.end && inner.start < kept.end);
                    let whole =
                        left.kept.iter().any(|kept| kept.start <= inner.start && inner.end <= kept.end);
                    assert!(!touched || whole, "{sentence:?} in {:?}", left.text);
                }
            }
        }
    }
}

#[test]
fn bad_input_gives_a_result_or_an_error() {
    let mixed = "a,b,c\r\n1,2,3\n4,5\r6,7,8,9\n\t\"x,\"\"y\",z\n\r\n| one |\n";
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in [
        mixed.repeat(3),
        deep,
        "{\"a\": 1, \"a\": 2, \"a\": [1, 2, 3, {\"a\": null}]}".repeat(2),
        "((((\n}}}}\nif x {\n".repeat(30),
        "!function(e){var t={};function n(r){if(t[r])return t[r].exports}}".repeat(200),
        "👩\u{200d}👩\u{200d}👧 🇩🇪 👍🏽 ".repeat(60),
        "שלום 123 עולם 45.6 לא נכון\n".repeat(20),
        "aZ3kQ9+xB7mTpR2wL5vY8cN0dF4gH6j".repeat(100),
        "| only | one | row |".into(),
        "one\ttwo\n".into(),
    ] {
        for method in [Method::Auto, Method::LlmLingua] {
            for rate in [0.5, 0.1] {
                match run(&document(&text, ""), rate, method) {
                    Ok(compressed) => assert!(compressed.compressed_tokens <= compressed.requested_tokens),
                    Err(CompressError::Infeasible { needed, budget }) => assert!(needed > budget),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn several_documents_of_several_kinds_are_compressed_together() {
    let texts = [
        "A sentence of prose stands here. It is followed by another.",
        "k: 1\nl:\n  m: 2\n  n: 3\n",
        "[{\"a\": 1}, {\"a\": 2}, {\"a\": 3}]",
    ];
    let document =
        |(i, text): (usize, &&str)| Document { id: i.to_string(), title: None, text: (*text).into() };
    let prompt = Prompt { documents: texts.iter().enumerate().map(document).collect(), ..Prompt::default() };
    for rate in RATES {
        let Ok(compressed) = run(&prompt, rate, Method::LlmLingua) else { continue };
        let json = &compressed.documents[2].text;
        assert!(json.is_empty() || serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
    }
}

#[test]
fn a_span_over_sentences_and_lines_is_kept_or_dropped_as_one() {
    let text = "https://example.org/a?b=c v2.0.0-rc.1\nthe12.5% the the the  not the the the the\n \u{301} ";
    assert_eq!(PROTECTOR.spans(text).first(), Some(&(0..79)));
    for rate in RATES {
        for method in [Method::LlmLingua, Method::SelectiveContext] {
            let Ok(got) = run(&document(text, ""), rate, method) else { continue };
            let left = &got.documents[0].text;
            assert_eq!(left.contains("https"), left.contains("not the the"), "{left}");
        }
    }
}

#[test]
fn a_phrase_over_two_sentences_has_what_either_needs() {
    // The negation reaches from the second sentence into the first row of a table.
    let text = ".\u{301}預算 the the the <|endoftext|> no\none  \u{301}  Ünïcode\n\"so be it\" the the the  the the \
                a_b the\nਓ A𐶏𒐀  approved the the the the ";
    let prompt = Prompt {
        constraints: Constraints { granularity: Some(Granularity::Phrase), ..Constraints::default() },
        ..document(text, "")
    };
    for rate in [0.3, 0.5, 0.63, 0.8] {
        match run(&prompt, rate, Method::SelectiveContext) {
            Ok(got) => check_document(text, &got.documents[0]).unwrap(),
            Err(error) => assert!(matches!(error, CompressError::Infeasible { .. }), "{error}"),
        }
    }
}

#[test]
fn the_comma_of_a_protected_member_may_go() {
    // One fence is never closed, so that each line of the JSON is taken for code, which is protected.
    let text = [
        "The `intent` field is kept beside the decision for the review that comes later.",
        "### `POST /override` — A person lets blocked transactions pass",
        "```",
        "Actions: `ALLOW` or `REJECT`.",
        "### `GET /logs` — The log of all decisions",
        "```",
        "GET /logs?limit=10&offset=0&result=BLOCKED",
        "```",
        "Query params: `limit` (default 50), `offset`, `result` (ALLOWED/BLOCKED/PENDING_APPROVAL).",
        "```json",
        "{",
        "  \"offset\": 0,",
        "  \"limit\": 10,",
        "  \"entries\": [",
        "    {",
        "      \"reason\": \"Flash loan: the pattern was detected on account ...\",",
        "      \"timestamp\": 1715000000,",
        "      \"intent\": \"Swap 1 SOL for USDC\"",
        "    }",
        "  ]",
        "}",
        "```",
        "### `GET /logs/tx/:transaction_id` — Finds a transaction by its hash",
        "### `GET /logs/signature/:signature` — Finds one by its signature",
        "### `GET /policy` — The policy as it is",
        "### `PUT /policy` — Another core policy",
    ]
    .join("\n");
    let mut without = 0;
    for rate in (5..60).map(|part| f64::from(part) / 100.0) {
        for method in [Method::Hybrid, Method::Extractive] {
            match run(&document(&text, "limit"), rate, method) {
                Ok(got) => without += usize::from(got.documents[0].text.contains("\"limit\": 10\n")),
                Err(error) => assert!(matches!(error, CompressError::Infeasible { .. }), "{rate} {error}"),
            }
        }
    }
    assert!(without > 0, "the comma never went");
}

#[test]
fn of_the_best_sentence_the_beginning_is_kept_where_it_is_too_long() {
    // Paragraphs in Thai, each of which is one sentence; there is room for the first of them alone.
    let about = "สะพานท่าเรือเปิดในวันที่ 3 พฤษภาคม หลังจากก่อสร้างสี่ปี";
    let rest = "และชาวบ้านเดินข้ามไปตลาดทุกเช้าเพื่อซื้อปลาและผักสดจากเรือเล็ก";
    let other = "ห้องสมุดปิดตอนเย็นและเด็กนักเรียนอ่านหนังสืออยู่ใต้ต้นไม้ใหญ่ริมถนน";
    let documents = [other.to_owned(), format!("{about}{}", rest.repeat(4)), other.repeat(3)];
    let documents = documents.into_iter().enumerate();
    let prompt = Prompt {
        documents: documents.map(|(i, text)| Document { id: i.to_string(), title: None, text }).collect(),
        question: "สะพานท่าเรือเปิดเมื่อไร".into(),
        ..Prompt::default()
    };
    for rate in [0.2, 0.25, 0.3, 0.35] {
        let got = run(&prompt, rate, Method::Hybrid).unwrap();
        // A shorter paragraph that has nothing to do with the question does not take its place.
        assert!(got.documents[1].text.starts_with(about), "{:?}", got.prompt);
        assert!(got.documents[0].text.is_empty(), "{:?}", got.prompt);
    }
}

#[test]
fn a_heading_is_kept_with_what_stands_below_it() {
    let ini = "[pump]\nport = 81\nspeed = 4\nlevel = low\n\n[valve]\nport = 82\nside = left\nopen = no\n\n[tank]\nport = 83\nlitres = 900\nlid = shut\n";
    let yaml = "pump:\n  port: 81\n  speed: 4\n  level: low\nvalve:\n  port: 82\n  side: left\n  open: no\ntank:\n  port: 83\n  litres: 900\n  lid: shut\n";
    let list = "# Works\n\n## Pump\n\n- daily\n  - look at the level of the oil\n  - write it down in the book\n\n## Valve\n\n- weekly\n  - turn it to the left and back\n  - never turn it to the right\n\n## Tank\n\n- yearly\n  - let the water out of it\n";
    for (text, names, below) in [
        (ini, ["[pump]", "[valve]", "[tank]"], [" = 4", " = left", " = 900"]),
        (yaml, ["pump:", "valve:", "tank:"], ["speed", "side", "litres"]),
        (list, ["## Pump", "## Valve", "## Tank"], ["oil", "back", "water"]),
    ] {
        for compressed in results(text) {
            let left = &compressed.documents[0].text;
            let is_bare =
                |line: &str| line.trim().is_empty() || names.iter().any(|name| line.starts_with(name));
            if left.lines().all(is_bare) {
                // There was room for nothing else.
                continue;
            }
            for (name, below) in names.iter().zip(below) {
                assert!(!left.contains(below) || left.contains(name), "{below} without {name}: {left}");
                let next =
                    left.split_once(name).map(|(_, rest)| rest.trim_start().lines().next().unwrap_or(""));
                let is_name = |next: &str| next.is_empty() || names.iter().any(|name| next.starts_with(name));
                assert!(!next.is_some_and(is_name), "{name} by itself: {left}");
            }
        }
    }
}

#[test]
fn where_there_is_room_for_nothing_else_a_heading_is_kept_by_itself() {
    let text = format!("[a]\nnote = {}\nmore = {}\n", "so it is ".repeat(40), "and was ".repeat(40));
    let got = run(&document(&text, ""), 0.02, Method::LlmLingua).unwrap();
    assert_eq!(got.documents[0].text.trim(), "[a]");
}

#[test]
fn rows_of_several_lines_stay_whole() {
    let csv = rows(14, |i| format!("{i},gate {i},\"stuck.\nMended on day {i}.\",{}\n", i % 3));
    let csv = format!("no,gate,note,crew\n{csv}");
    let grid = rows(9, |i| {
        format!("| gate {i}  | stuck,     |\n|         | mended {i}   |\n+---------+------------+\n")
    });
    let grid =
        format!("+---------+------------+\n| gate    | note       |\n+=========+============+\n{grid}");
    let tabs = rows(14, |i| format!("{i}\t\"gate\n{i}\"\tmended\n"));
    let tabs = format!("no\tgate\tnote\n{tabs}");
    for (text, first, second) in
        [(csv, "stuck.", "Mended"), (grid, "stuck,", "mended"), (tabs, "\"gate", "\"\tmended")]
    {
        for compressed in results(&text) {
            let left = &compressed.documents[0].text;
            assert_eq!(left.matches(first).count(), left.matches(second).count(), "{left}");
        }
    }
}

#[test]
fn what_begins_and_ends_something_is_kept_with_a_part_of_it() {
    let events: String = rows(6, |i| {
        format!(
            "BEGIN:VEVENT\nUID:{i}\nSUMMARY:Rowing {i}\nLOCATION:Pond {}\nSTATUS:OPEN\nEND:VEVENT\n",
            i * 3
        )
    });
    let cards: String =
        rows(6, |i| format!("BEGIN:VCARD\nFN:Ann {i}\nTEL:{}\nNOTE:Rows on day {i}\nEND:VCARD\n", 4400 + i));
    let tables: String = rows(4, |i| {
        format!(
            "\\begin{{table}}\nPond {i} & oak & shut \\\\\nPond {i}0 & elm & open \\\\\n\\end{{table}}\n\n"
        )
    });
    for text in [events, cards, tables] {
        for compressed in results(&text) {
            let left = lines(&compressed);
            let ends = |line: &str| line.starts_with("END:") || line.starts_with("\\end");
            let begins = |line: &str| line.starts_with("BEGIN:") || line.starts_with("\\begin");
            for pair in left.windows(2) {
                assert!(!(begins(pair[0]) && ends(pair[1])), "{left:?}");
            }
            let count = |is: &dyn Fn(&str) -> bool| left.iter().filter(|line| is(line)).count();
            assert_eq!(count(&begins), count(&ends), "{left:?}");
        }
    }
}
