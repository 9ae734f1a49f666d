//! Tests of the segments that each kind of text is split into.

use proptest::prelude::*;

use super::*;

/// The segments of a text: kind and text, white space at the ends aside.
fn cut(text: &str) -> Vec<(SegmentKind, &str)> {
    segments(text).into_iter().map(|segment| (segment.kind, text[segment.range].trim())).collect()
}

/// Texts of the segments that are kept with the one that holds `part`, itself aside.
fn kept_with<'t>(text: &'t str, part: &str) -> Vec<&'t str> {
    let all = segments(text);
    let at = all.iter().position(|segment| text[segment.range.clone()].contains(part)).expect("it is there");
    let (mut needed, mut open) = (std::collections::BTreeSet::new(), vec![at]);
    while let Some(next) = open.pop() {
        open.extend(all[next].needs.iter().filter(|&&need| needed.insert(need)));
    }
    needed.remove(&at);
    needed.into_iter().map(|need| text[all[need].range.clone()].trim()).collect()
}

#[test]
fn rows_need_their_header() {
    let csv = "plot,tree,height_m\n1,ash,7.5\n2,oak,12.1\n3,elm,9.0\n";
    assert_eq!(cut(csv)[1], (SegmentKind::Row, "1,ash,7.5"));
    assert_eq!(kept_with(csv, "elm"), ["plot,tree,height_m"]);
    let bars = "Harvest of the year:\n| Field | Crop |\n|---|---|\n| north | rye |\n| south | oats |\nAll of it was sold.";
    assert_eq!(kept_with(bars, "oats"), ["| Field | Crop |"]);
    // A table can be read without the ruler, but a ruler alone says nothing.
    assert_eq!(kept_with(bars, "---"), ["| Field | Crop |"]);
    assert_eq!(cut(bars)[0], (SegmentKind::Sentence, "Harvest of the year:"));
    assert_eq!(cut(bars).last(), Some(&(SegmentKind::Sentence, "All of it was sold.")));
    let spaced = "NAME      READY   AGE\nweb-0     1/1     4d\nweb-1     0/1     2h\ndb-0      1/1     9d\n";
    assert_eq!(kept_with(spaced, "web-1"), ["NAME      READY   AGE"]);
}

#[test]
fn lines_of_a_form_need_its_first_line() {
    let tickets = "Ticket: 4411\nRoom: boiler house\nState: open\n\nTicket: 4412\nRoom: attic\nState: closed\n\nTicket: 4413\nRoom: yard\nState: open\n";
    assert_eq!(kept_with(tickets, "closed"), ["Ticket: 4412"]);
    assert!(cut(tickets).iter().all(|(kind, _)| *kind == SegmentKind::Line));
    let requests = "GET /a HTTP/1.1\nHost: a.example\nAccept: text/csv\nX-Id: 7\n\nHTTP/1.1 404 Not Found\nHost: a.example\nX-Id: 7\nX-Limit: 60\n";
    assert_eq!(kept_with(requests, "X-Limit"), ["HTTP/1.1 404 Not Found"]);
    let commits = "commit 0a1b2c3d\nAuthor: Ann Lee <ann@a.example>\nDate:   Mon Nov 4 17:20:11 2024\n\n    Mend the gate\n\ncommit 1b2c3d4e\nAuthor: Bo Ek <bo@a.example>\nDate:   Tue Nov 5 17:20:11 2024\n\n    Paint the gate\n";
    assert_eq!(kept_with(commits, "Paint"), ["commit 1b2c3d4e", "Author: Bo Ek <bo@a.example>"]);
    assert_eq!(kept_with(commits, "Nov 4"), ["commit 0a1b2c3d"]);
}

#[test]
fn a_conversation_is_no_form() {
    for talk in [
        "Ann: Did you see the gate?\nBo: I did.\n\nAnn: Who left it open?\nBo: Nobody knows.\n",
        "User: list the files\nAssistant: a.txt and b.txt\n\nUser: remove the first\nAssistant: done\n",
        "Ann: yes\nBo: no\nAnn: why\n\nBo: because\nAnn: oh\nBo: well\n",
    ] {
        assert!(cut(talk).iter().all(|(kind, _)| *kind == SegmentKind::Turn), "{talk}");
    }
}

#[test]
fn rows_that_differ_from_the_rest_are_worth_more() {
    let mut rows = vec!["id,door,state".to_owned()];
    rows.extend((0..20).map(|i| format!("{i},{},{}", i % 7, if i == 11 { "jammed" } else { "shut" })));
    let text = rows.join("\n");
    let all = segments(&text);
    let worth = |i: usize| all[1 + i].worth;
    assert!(worth(11) > 2.0 && worth(10) <= 1.0, "{} {}", worth(11), worth(10));
}

#[test]
fn a_body_needs_the_heads_around_it() {
    let python = "import math\n\ndef area(r):\n    if r < 0:\n        raise ValueError(r)\n    else:\n        s = math.pi\n    return s * r * r\n\ndef other():\n    return 1\n";
    assert_eq!(kept_with(python, "raise"), ["def area(r):", "if r < 0:"]);
    assert_eq!(kept_with(python, "s = math"), ["def area(r):", "if r < 0:", "else:"]);
    let braces =
        "int f(int a) {\n  while (a > 1) {\n    a -= 2;\n  }\n  return a;\n}\nint g() {\n  return 0;\n}\n";
    assert_eq!(kept_with(braces, "a -= 2"), ["int f(int a) {", "while (a > 1) {", "}", "}"]);
    let numbered = "     7\tdef f(x):\n     8\t    if x:\n     9\t        return 1\n    10\t    return 2\n";
    assert_eq!(kept_with(numbered, "return 1"), ["7\tdef f(x):", "8\t    if x:"]);
    let found = "src/a.py:3:def f(x):\nsrc/a.py-4-    y = x\nsrc/b.py:9:    f(2)\nsrc/b.py-10-    g()\n";
    assert_eq!(kept_with(found, "y = x"), ["src/a.py:3:def f(x):"]);
    assert!(kept_with(found, "f(2)").is_empty());
}

#[test]
fn keys_need_their_parents() {
    let yaml = "server:\n  limits:\n    memory: 2Gi\n  port: 80\nclient:\n  limits:\n    memory: 1Gi\n";
    assert_eq!(kept_with(yaml, "1Gi"), ["client:", "limits:"]);
    let toml = "[one]\na = 1\nb = 2\n\n[two]\na = 3\nb = 4\n";
    assert_eq!(kept_with(toml, "a = 3"), ["[two]"]);
    assert!(kept_with("A_KEY=1\nB_KEY=x y\nC_KEY=\n", "B_KEY").is_empty());
}

#[test]
fn a_change_is_one_and_needs_hunk_and_file() {
    let diff = "diff --git a/x.c b/x.c\nindex 1..2 100644\n--- a/x.c\n+++ b/x.c\n@@ -1,4 +1,4 @@\n int a;\n-int b = 1;\n+int b = 2;\n int c;\n";
    let header = "diff --git a/x.c b/x.c\nindex 1..2 100644\n--- a/x.c\n+++ b/x.c";
    assert_eq!(kept_with(diff, "int b = 2"), [header, "@@ -1,4 +1,4 @@"]);
    assert!(cut(diff).contains(&(SegmentKind::Line, "-int b = 1;\n+int b = 2;")));
}

#[test]
fn turns_keep_their_speakers() {
    let long = "That is a long story. ".repeat(20);
    let text = format!("Ann: Are you well?\nBob: Yes. Thank you.\nAnn: What happened?\nBob: {long}\n");
    let all = cut(&text);
    assert_eq!(all[0], (SegmentKind::Turn, "Ann: Are you well?"));
    assert_eq!(all[3], (SegmentKind::Speaker, "Bob:"));
    assert_eq!(kept_with(&text, "a long story"), ["Bob:"]);
    let cues = "1\n00:00:01,000 --> 00:00:02,500\nGood evening.\n\n2\n00:00:03,000 --> 00:00:04,000\nWho is there?\n";
    assert_eq!(cut(cues)[1], (SegmentKind::Turn, "2\n00:00:03,000 --> 00:00:04,000\nWho is there?"));
}

#[test]
fn content_needs_the_tags_around_it() {
    let html = format!(
        "<html>\n<body>\n<ul>\n<li>One thing.</li>\n<li>Two things.</li>\n</ul>\n<p>{}</p>\n</body>\n</html>\n",
        "A sentence of it. ".repeat(20)
    );
    assert_eq!(kept_with(&html, "Two things"), ["<html>", "<body>", "</body>", "</html>"]);
}

#[test]
fn fences_and_what_is_in_them() {
    let text = "Run this first.\n\n```python\nfor x in y:\n    z(x)\n```\n\nThen go home. It is late.\n";
    assert_eq!(kept_with(text, "z(x)"), ["```python", "for x in y:", "```"]);
    assert_eq!(cut(text)[0], (SegmentKind::Sentence, "Run this first."));
    assert_eq!(cut(text).last(), Some(&(SegmentKind::Sentence, "It is late.")));
}

#[test]
fn blobs_are_cut_out_of_what_holds_them() {
    let blob: String = (0..600_u32)
        .map(|i| char::from(b"aZ3kQ9+xB7mT/pR2wL5vY8cN0dF4gH6j"[(i * 7 % 31) as usize]))
        .collect();
    let text =
        format!("See the photo.\n\n![A map](data:image/png;base64,{blob}) of the lake.\n\nThe end is near.");
    let all = cut(&text);
    assert_eq!(all[2], (SegmentKind::Sentence, "A map]("));
    assert_eq!(all[3].0, SegmentKind::Blob);
    assert_eq!(all[4], (SegmentKind::Sentence, ") of the lake."));
    assert_eq!(kept_with(&text, "A map"), [") of the lake."]);
}

#[test]
fn json_goes_by_records() {
    let rows: Vec<String> =
        (0..30).map(|i| format!("{{\"id\": {i}, \"name\": \"n{i}\", \"tags\": [\"a\", \"b\"]}}")).collect();
    let text = format!("{{\"next\": null, \"rows\": [{}]}}", rows.join(", "));
    assert!(cut(&text).contains(&(SegmentKind::Record, &*format!("{},", rows[7]))));
    assert_eq!(kept_with(&text, "\"n7\""), ["{", "\"next\": null,", "\"rows\": [", "]", "}"]);
    let lines = rows.join("\n");
    assert_eq!(cut(&lines).len(), 30);
    assert!(kept_with(&lines, "\"n7\"").is_empty());
}

fn piece() -> impl Strategy<Value = String> {
    const PIECES: [&str; 34] = [
        "plain words. ",
        "\n",
        "\n\n",
        "\r\n",
        "    ",
        "\t",
        "| a | b |\n",
        "|---|---|\n",
        "a,b,c\n",
        "1,2,3\n",
        "```\n",
        "~~~sh\n",
        "Ann: hi\n",
        "Bob: ho. Ha.\n",
        "{\"a\": [1, {\"b\": \"x y\"}]}\n",
        "[{\"k\": null}, {\"k\": 2}]",
        "{",
        "]",
        "\"",
        "<div>\n",
        "</div>\n",
        "<p>x</p>",
        "@@ -1,2 +1,2 @@\n",
        "--- a\n+++ b\n",
        "-x\n+y\n",
        "def f(x):\n",
        "  return (x,\n",
        "}\n",
        "key: value\n",
        "  - item\n",
        "A=1\n",
        "[s]\n",
        "2024-01-02 03:04:05 INFO x\n",
        "Traceback (most recent call last):\n",
    ];
    prop_oneof![
        8 => prop::sample::select(PIECES.as_slice()).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ]
}

proptest! {
    #[test]
    fn segments_partition_any_text(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        for all in [segments(&text), fine_segments(&text)] {
            let mut end = 0;
            for (i, segment) in all.iter().enumerate() {
                prop_assert_eq!(segment.range.start, end, "{:?}", all);
                prop_assert!(segment.range.end > end && text.is_char_boundary(segment.range.end));
                prop_assert!(!text[segment.range.clone()].trim().is_empty() || text.trim().is_empty());
                prop_assert!(segment.needs.iter().all(|&need| need < all.len() && need != i));
                prop_assert!(segment.worth > 0.0 && segment.worth.is_finite());
                prop_assert!(segment.context.iter().all(|range| text.get(range.clone()).is_some()));
                end = segment.range.end;
            }
            prop_assert_eq!(end, text.len());
        }
    }
}

#[test]
fn time_is_linear_and_depth_no_matter() {
    let start = std::time::Instant::now();
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in [
        deep,
        "{\n".repeat(100_000),
        "<a1>\n".repeat(100_000),
        "```\n".repeat(100_001),
        "x".repeat(5 << 20),
        "if(a){b()};".repeat(400_000),
        "| a | b |\n".repeat(50_000),
        "────\n".repeat(50_000),
        "    at x\n".repeat(100_000),
        "((((\n".repeat(100_000),
        "From: a\n".repeat(50_000),
        "👩\u{200d}👩\u{200d}👧".repeat(50_000),
    ] {
        let before = start.elapsed();
        assert!(!segments(&text).is_empty());
        let took = start.elapsed().saturating_sub(before);
        assert!(took.as_secs() < 30, "{took:?} for {:?}", &text[..text.floor_char_boundary(20)]);
    }
}
