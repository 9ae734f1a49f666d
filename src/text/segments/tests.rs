//! Tests of the segments that each kind of text is split into.

use proptest::prelude::*;

use super::*;

/// The segments of a text: kind and text, white space at the ends aside.
pub(super) fn cut(text: &str) -> Vec<(SegmentKind, &str)> {
    segments(text).into_iter().map(|segment| (segment.kind, text[segment.range].trim())).collect()
}

/// Texts of the segments that are kept with the one that holds `part`, itself aside.
pub(super) fn kept_with<'t>(text: &'t str, part: &str) -> Vec<&'t str> {
    let all = segments(text);
    let at = all.iter().position(|segment| text[segment.range.clone()].contains(part)).expect("it is there");
    let (mut needed, mut open) = (std::collections::BTreeSet::new(), vec![at]);
    while let Some(next) = open.pop() {
        open.extend(all[next].needs.iter().filter(|&&need| needed.insert(need)));
    }
    needed.remove(&at);
    needed.into_iter().map(|need| text[all[need].range.clone()].trim()).collect()
}

/// Texts of the segments that the one that holds `part` needs itself.
pub(super) fn needed<'t>(text: &'t str, part: &str) -> Vec<&'t str> {
    let all = segments(text);
    let own = all.iter().find(|own| text[own.range.clone()].contains(part)).expect("it is there");
    let mut needs = own.needs.clone();
    needs.sort_unstable();
    needs.into_iter().map(|need| text[all[need].range.clone()].trim_end()).collect()
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
    assert!(
        cut(tickets).iter().all(|(kind, text)| (*kind == SegmentKind::Parent) == text.starts_with("Ticket"))
    );
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
fn rows_need_a_header_of_any_form() {
    let boxes = "depot=# select * from stock;\n┌──────┬─────┐\n│ part │ qty │\n├──────┼─────┤\n│ bolt │  40 │\n│ nut  │   7 │\n└──────┴─────┘\n(2 rows)\n";
    assert_eq!(kept_with(boxes, "nut"), ["│ part │ qty │"]);
    assert_eq!(kept_with(boxes, "┴"), ["│ part │ qty │"]);
    let lines = "Crop,,Harvest,\n,field,2021,2022\nrye,north,40,44\noats,south,31,29\npeas,east,12,9\n";
    assert_eq!(kept_with(lines, "oats"), ["Crop,,Harvest,", ",field,2021,2022"]);
    let years = "site\t\tcount\tcount\n\tkind\tspring\tautumn\nmoor\tnewt\t4\t9\nfen\ttoad\t7\t2\n";
    assert_eq!(kept_with(years, "toad"), ["site\t\tcount\tcount", "kind\tspring\tautumn"]);
    let two = "PS C:\\> Get-Disk\n\nNumber   Name    Health\n------   ----    ------\n0        sda     good\n1        sdb     poor\n\nPS C:\\> Get-Log\n\n   Id    Time     Text\n   --    ----     ----\n   7     08:00    full\n   8     09:00    lost\n";
    assert_eq!(kept_with(two, "sdb"), ["Number   Name    Health"]);
    assert_eq!(kept_with(two, "lost"), ["Id    Time     Text"]);
    assert!(cut(two).contains(&(SegmentKind::Line, "PS C:\\> Get-Log")));
}

#[test]
fn another_table_begins_behind_a_blank_line() {
    for (first, second) in [
        ("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |", "| c | d |\n|---|---|\n| 5 | 6 |\n| 7 | 8 |"),
        (
            "+---+---+\n| a | b |\n+---+---+\n| 1 | 2 |\n+---+---+",
            "+---+---+\n| c | d |\n+---+---+\n| 7 | 8 |\n+---+---+",
        ),
        (
            "a      b      e\n-----  -----  --\n1      2      3\n4      5      6",
            "c      d      f\n-----  -----  --\n5      6      7\n7      8      9",
        ),
    ] {
        let text = format!("{first}\n\n{second}\n");
        let header = second.lines().find(|line| line.contains('c')).unwrap();
        let row = second.lines().find(|line| line.contains('7') && line.contains('8')).unwrap();
        assert_eq!(kept_with(&text, row), [header]);
    }
}

#[test]
fn cells_over_several_lines_make_one_row() {
    let quoted = "no,who,note\n1,Ida,\"came late.\nLeft early.\"\n2,Ole,\"said \"\"no\"\",\n\nthen yes\"\n3,Pal,none\n";
    assert_eq!(cut(quoted)[1], (SegmentKind::Row, "1,Ida,\"came late.\nLeft early.\""));
    assert_eq!(cut(quoted)[2], (SegmentKind::Row, "2,Ole,\"said \"\"no\"\",\n\nthen yes\""));
    let tabs = "no\twho\tnote\n1\tIda\t\"one\ntwo\"\n2\tOle\tx\n3\tPal\ty\n";
    assert_eq!(cut(tabs)[1], (SegmentKind::Row, "1\tIda\t\"one\ntwo\""));
    // A mark that no other one closes is a mark of inches.
    let inches = "no,size,bin\n1,\"4,a\n2,5,b\n3,6,c\n";
    assert_eq!(cut(inches)[1], (SegmentKind::Row, "1,\"4,a"));
    let grid = "+------+--------+\n| lamp | use    |\n+======+========+\n| one  | not in |\n|      | rain   |\n+------+--------+\n| two  | always |\n+------+--------+\n";
    let row = "| one  | not in |\n|      | rain   |\n+------+--------+";
    assert_eq!(cut(grid)[3], (SegmentKind::Row, row));
    assert_eq!(kept_with(grid, "rain"), ["| lamp | use    |"]);
}

#[test]
fn rows_of_html_need_the_names_of_their_columns() {
    let row = |name: &str| format!("<tr><td>{name}</td><td>{}</td></tr>\n", "so it is ".repeat(9));
    let rows = format!("{}{}{}", row("oak"), row("ash"), row("elm"));
    for (header, names) in [
        ("<thead><tr><th>tree</th><th>why</th></tr></thead>\n<tbody>\n", "<thead><tr>"),
        ("<tr><th>tree</th><th>why</th></tr>\n", "<tr><th>tree"),
        ("<THEAD>\n<tr><th>tree</th><th>why</th></tr>\n</THEAD>\n<TBODY>\n", "<th>tree"),
    ] {
        let end = if header.to_lowercase().contains("tbody") { "</tbody>\n" } else { "" };
        let end = if header.contains("TBODY") { end.to_uppercase() } else { end.to_owned() };
        let table = format!("<table>\n{header}{rows}{end}</table>\n");
        let text = format!("<div>\n{table}{table}</div>\n");
        let second = text.rfind("<td>elm").unwrap();
        let all = segments(&text);
        let own = all.iter().find(|segment| segment.range.contains(&second)).unwrap();
        let needed = |need: &usize| text[all[*need].range.clone()].contains(names);
        let found = own.needs.iter().find(|need| needed(need)).expect("it needs the header");
        assert!(all[*found].range.start > text.find("</table>").unwrap(), "that of its own table");
    }
}

#[test]
fn frames_need_the_exception_that_they_lead_to() {
    let python = "It broke.\n\nTraceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g(1)\n  File \"b.py\", line 9, in g\n    raise Spilt(x)\nshop.Spilt: 3 cups\n\nNobody saw it.\n";
    let head = "Traceback (most recent call last):";
    assert_eq!(kept_with(python, "a.py"), [head, "shop.Spilt: 3 cups"]);
    assert_eq!(kept_with(python, "raise"), [head, "File \"b.py\", line 9, in g", "shop.Spilt: 3 cups"]);
    assert!(kept_with(python, "3 cups").is_empty());
    let java = "09:12:01 INFO ready\n09:12:07 ERROR till closed\nshop.TillException: no paper\n\tat shop.Till.print(Till.java:40)\n\tat shop.Main.run(Main.java:9)\nCaused by: shop.Jam: feeder 2\n\tat shop.Feeder.pull(Feeder.java:77)\n\t... 2 more\n09:12:08 INFO bye\n";
    assert_eq!(kept_with(java, "Main.java"), ["09:12:07 ERROR till closed", "shop.TillException: no paper"]);
    assert_eq!(
        kept_with(java, "Feeder.java"),
        ["09:12:07 ERROR till closed", "Caused by: shop.Jam: feeder 2"]
    );
    let script = "The page is blank.\nRangeFault: no such page\n    at show (/srv/view.js:12:7)\n    at async main (/srv/app.js:3:1)\nIt was so on Monday.\n";
    assert_eq!(kept_with(script, "app.js"), ["RangeFault: no such page"]);
    for (text, name) in [(python, "3 cups"), (java, "feeder 2"), (script, "no such page")] {
        let worth = |part: &str| {
            let at = text.find(part).unwrap();
            segments(text).into_iter().find(|segment| segment.range.contains(&at)).unwrap().worth
        };
        let frame = if text == python {
            "a.py"
        } else if text == java {
            "Main.java"
        } else {
            "app.js"
        };
        assert!(worth(name) > worth(frame), "{name}");
    }
}

#[test]
fn items_of_nested_lists_need_what_they_stand_under() {
    let steps = "# Boats\n\nRead it all.\n\n## Summer\n\n1. Rig\n   - mast first\n   - then the boom\n2. Launch\n   - at high water\n\n## Winter\n\n1. Haul out\n   - at low water\n   - with two people\n";
    assert_eq!(kept_with(steps, "low water"), ["## Winter", "1. Haul out"]);
    assert_eq!(kept_with(steps, "boom"), ["## Summer", "1. Rig"]);
    let deep = "- tools\n  + saw\n    - for wood only\n  + file\n- paint\n  + red,\n    for the hull\n";
    assert_eq!(kept_with(deep, "wood"), ["- tools", "+ saw"]);
    assert!(cut(deep).contains(&(SegmentKind::Line, "+ red,\n    for the hull")));
    let letters = "## Fees\n### Guests\na) by day\n   - 4 a night\nb) by week\n   - 20 a week\n";
    assert_eq!(kept_with(letters, "20 a"), ["## Fees", "### Guests", "b) by week"]);
    // A list of one level goes by its sentences, as it did.
    assert_eq!(cut("- It is late. Go home.\n- Or stay.\n- Or both.\n")[0].0, SegmentKind::Sentence);
}

#[test]
fn items_need_the_sentence_that_leads_into_them() {
    let colon = "The pool is open. The fee is not due in these cases:\n\n- members of the club\n- guests of the hotel\n\nAll others pay.\n";
    assert_eq!(kept_with(colon, "guests"), ["The fee is not due in these cases:"]);
    assert!(cut(colon).contains(&(SegmentKind::Sentence, "The pool is open.")));
    let german = "Die Leine ist nicht nötig bei\n1. Hunden der Polizei,\n2. Hunden unter 4 Monaten.\nSonst ist sie es.\n";
    assert_eq!(kept_with(german, "4 Monaten"), ["Die Leine ist nicht nötig bei"]);
    let chinese = "下列人员不得进入：\n（一）未成年人；\n（二）醉酒者。\n";
    assert_eq!(kept_with(chinese, "醉酒"), ["下列人员不得进入："]);
    let tail = "If the guest\n(a) loses the key, or\n(b) breaks the lamp,\nhe pays for it.\n";
    assert_eq!(kept_with(tail, "the lamp"), ["If the guest", "he pays for it."]);
    let inner = "1. The rent does not cover:\n- heating\n- water\n2. It is due on the 3rd.\n";
    assert_eq!(kept_with(inner, "water"), ["1. The rent does not cover:"]);
    assert!(kept_with(inner, "3rd").is_empty());
    // A dash may go on with a sentence, and what ends before a list does not lead into it.
    for text in ["We saw a ship\n- or a boat - that day.\n", "It is late. Go home.\n- Or stay.\n- Or both.\n"]
    {
        assert!(cut(text).iter().all(|(kind, _)| *kind == SegmentKind::Sentence), "{text}");
    }
}

#[test]
fn numbered_paragraphs_keep_their_numbers() {
    let law = "§ 4 Boats\n(1) Boats shall carry a light.\n(2) Subsection (1) does not apply to\n  (a) canoes,\n  (b) boats at anchor.\n\n§ 5 Fines\n(1) The fine is 40 euros. It may be doubled.\n";
    assert_eq!(kept_with(law, "anchor"), ["§ 4 Boats", "(2) Subsection (1) does not apply to"]);
    assert_eq!(kept_with(law, "doubled"), ["§ 5 Fines"]);
    assert!(cut(law).contains(&(SegmentKind::Line, "(1) The fine is 40 euros. It may be doubled.")));
    let contract = "3. Term\n3.1 This contract runs for a year, but not beyond the end of the\nlease of the house.\n3.2 It may not be extended.\n";
    assert_eq!(kept_with(contract, "lease"), ["3. Term"]);
    assert_eq!(cut(contract).len(), 3);
    let chinese = "第一条 船须有灯。\n第二条 锚泊的船除外。\n";
    assert!(cut(chinese).iter().all(|(kind, _)| *kind == SegmentKind::Line));
    // Numbers that lines of wrapped text begin with by chance.
    let wrapped = "The sum of all the parts that are named in the equations\n(3) and in the equations that stand behind it, which are\n(4) and the next one, is never more than the whole of it.\n";
    assert!(cut(wrapped).iter().all(|(kind, _)| *kind == SegmentKind::Sentence));
}

#[test]
fn items_need_the_title_right_above_them() {
    let text = "Release 2\n\nAdded\n- The red lamp\n- A bell\n\nRemoved\n- The old gate\n\nThat is all of it.\n- Ida\n";
    assert_eq!(kept_with(text, "bell"), ["Added"]);
    assert_eq!(kept_with(text, "old gate"), ["Removed"]);
    assert!(kept_with(text, "Ida").is_empty());
}

#[test]
fn an_item_of_several_sentences_goes_by_them_and_keeps_its_number() {
    let text = "The club has the following rules:\n1. Every member pays before the first of March, as a rule. Ann keeps the list of them all. Who is late loses the berth for one year.\n2. The slip is closed. It is cleaned on Monday by all of us together. Nobody may leave a trailer or a car on it while that is done.\n3. No dogs. No fires.\n";
    assert_eq!(kept_with(text, "Ann keeps"), ["The club has the following rules:", "1."]);
    assert_eq!(kept_with(text, "Every member"), ["The club has the following rules:", "1."]);
    assert_eq!(
        kept_with(text, "Nobody may"),
        ["The club has the following rules:", "2. The slip is closed."],
        "a short lead says what the others are about"
    );
    assert_eq!(cut(text).last(), Some(&(SegmentKind::Line, "3. No dogs. No fires.")));
    let under = "- Ropes are dried before they are stowed. They are rolled up then and hung on the hooks. No wet rope goes into the locker.\n  - Sails too.\n- Oars stand upright.\n";
    assert_eq!(kept_with(under, "Sails").len(), 1, "what others stand under is whole");
}

#[test]
fn strings_and_comments_keep_their_ends() {
    let python = "\"\"\"Tides.\n\nNever sail by them.\n\"\"\"\nimport math\n\nUSAGE = '''\nuse: tide\n'''\n\ndef height(t):\n    return math.sin(t)\n";
    assert_eq!(kept_with(python, "Never"), ["\"\"\"Tides.", "\"\"\""]);
    assert_eq!(kept_with(python, "use:"), ["USAGE = '''", "'''"]);
    let script =
        "const page = `\n  <p>${name}</p>\n  <p>the end</p>\n`;\n\nfunction show() {\n  print(page);\n}\n";
    assert_eq!(kept_with(script, "the end"), ["const page = `", "<p>${name}</p>", "`;"]);
    let java = "/**\n * A lamp.\n * Not for baths.\n */\npublic class Lamp {\n    private int watts = 3;\n\n    int watts() {\n        return watts;\n    }\n}\n";
    assert_eq!(kept_with(java, "/**"), ["* A lamp.", "* Not for baths.", "*/"]);
    assert_eq!(kept_with(java, "watts = 3"), ["public class Lamp {", "}"]);
}

#[test]
fn definitions_keep_what_is_put_before_them() {
    let python = "import tool\n\n@tool.again(3)\ndef lift(x):\n    return x + 1\n\n@tool.never\ndef drop(x):\n    return x\n";
    assert_eq!(kept_with(python, "x + 1"), ["@tool.again(3)", "def lift(x):"]);
    let rust = "use std::fmt;\n\n#[derive(Debug)]\nstruct Lamp {\n    watts: u8,\n}\n\nfn light(lamp: &Lamp) {\n    burn(lamp);\n}\n";
    assert_eq!(kept_with(rust, "watts: u8"), ["#[derive(Debug)]", "struct Lamp {", "}"]);
    let cpp = "#include <a>\n\ntemplate <typename T>\nT twice(T x)\n{\n    return x + x;\n}\n";
    assert_eq!(kept_with(cpp, "x + x"), ["template <typename T>", "T twice(T x)", "{", "}"]);
}

#[test]
fn braces_labels_and_conditions_hold_their_lines_together() {
    let braces = "class Pump\n{\npublic:\n    int flow()\n    {\n        return rate;\n    }\nprivate:\n    int rate;\n};\n";
    assert_eq!(
        kept_with(braces, "return rate"),
        ["class Pump", "{", "public:", "int flow()", "{", "}", "};"]
    );
    let switch = "func name(k int) string {\n\tswitch k {\n\tcase 1:\n\t\treturn \"one\"\n\tcase 2:\n\t\treturn \"two\"\n\tdefault:\n\t\treturn \"many\"\n\t}\n}\n";
    assert_eq!(kept_with(switch, "two"), ["func name(k int) string {", "switch k {", "case 2:", "}", "}"]);
    let falls = "switch (k) {\ncase 'a':\ncase 'b':\n    stop();\n    break;\ncase 'c':\n    run();\n}\n";
    assert_eq!(kept_with(falls, "case 'a'"), ["switch (k) {", "case 'b':", "}"]);
    assert_eq!(kept_with(falls, "run()"), ["switch (k) {", "case 'c':", "}"]);
    let conditions = "#ifdef LOUD\n#define SAY(x) shout(x)\n#else\n#define SAY(x) hum(x)\n#endif\nint main() {\n    SAY(1);\n}\n";
    assert_eq!(kept_with(conditions, "shout"), ["#ifdef LOUD", "#endif"]);
    assert_eq!(kept_with(conditions, "hum"), ["#ifdef LOUD", "#else", "#endif"]);
    assert_eq!(kept_with(conditions, "SAY(1)"), ["int main() {", "}"]);
}

#[test]
fn what_names_its_part_is_told_from_what_says_something() {
    let kind = |text: &str, part: &str| cut(text).into_iter().find(|(_, own)| own.contains(part)).unwrap().0;
    let settings = "[lamp]\nwatts = 4\ncolour = red\n\n[fan]\nspeed = 2\n";
    assert_eq!(kind(settings, "[fan]"), SegmentKind::Parent);
    assert_eq!(kind(settings, "speed"), SegmentKind::Line);
    let yaml = "lamp:\n  watts: 4\n  parts:\n    - bulb\nfan: off\nrest:\n";
    assert_eq!(kind(yaml, "parts:"), SegmentKind::Parent);
    assert_eq!(kind(yaml, "fan:"), SegmentKind::Line);
    assert_eq!(kind(yaml, "rest:"), SegmentKind::Line);
    let mail = "I agree.\n\nOn Friday Ann Lee wrote:\n> Shall we paint it?\n> It is rusty.\n";
    assert_eq!(kind(mail, "wrote:"), SegmentKind::Parent);
    assert_eq!(kept_with(mail, "rusty"), ["On Friday Ann Lee wrote:"]);
}

#[test]
fn a_line_that_begins_with_a_comment_is_text() {
    for text in ["<!-- draft --> The gate is open.", "<?php echo 1; ?> The gate is open.", "<? <|end|>gate"] {
        assert!(cut(text).iter().any(|(_, own)| own.contains("gate")), "{text}");
    }
}

#[test]
fn declarations_and_elements_of_one_line_stay_whole() {
    let xml = "<?xml version=\"1.0\"?>\n<shelf>\n<book>One</book>\n<book>Two</book>\n</shelf>\n";
    assert_eq!(cut(xml)[0], (SegmentKind::Line, "<?xml version=\"1.0\"?>"));
    let html = "<!DOCTYPE html>\n<html>\n<!-- Is it so? -->\n<p>It is.</p>\n<p>And it is not, and it was not, and nobody ever thought that it would be one day, for it was much too far away, and far too cold for that.</p>\n<p>So they all went home, and did not come back in that year, nor in the next.</p>\n</html>\n";
    assert_eq!(cut(html)[0], (SegmentKind::Line, "<!DOCTYPE html>"));
    assert!(cut(html).contains(&(SegmentKind::Line, "<!-- Is it so? -->")));
    let notes = "Read on.\n\n<details>\n<summary>Who asks? We do.</summary>\n\nIt is long. It is dull.\n\nIt was so.\n\nIt will be.\n</details>\n\nRead no more.\n";
    assert!(cut(notes).contains(&(SegmentKind::Line, "<summary>Who asks? We do.</summary>")));
    assert!(cut(notes).contains(&(SegmentKind::Sentence, "It is dull.")));
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
fn what_opens_something_says_nothing_by_itself() {
    let shell = "Run this now.\n\n```sh\nturn north\nlift\n```\n";
    assert!(cut(shell).contains(&(SegmentKind::Parent, "```sh")), "{:?}", cut(shell));
    let cells = "<tr><td>Brest</td><td>6.9</td></tr>\n".repeat(9);
    let table = format!(
        "<table>\n<thead><tr><th>Port</th><th>Tide</th></tr></thead>\n<tbody>\n{cells}</tbody>\n</table>\n"
    );
    assert!(cut(&table).contains(&(SegmentKind::Parent, "<table>")), "{:?}", cut(&table));
    let few = table.replace(&cells, &cells[..cells.len() / 9 * 5]);
    assert!(kept_with(&few, "Brest").contains(&"<thead><tr><th>Port</th><th>Tide</th></tr></thead>"));
}

#[test]
fn rows_between_borders_need_their_header() {
    let ports = "======  ===================\nPort    Tide\n======  ===================\nBrest   6.9 m, but more in\n        spring\nDover   6.7 m\n\nHull    7.4 m\n======  ===================\n\nIt is so.\n";
    assert_eq!(kept_with(ports, "Hull"), ["Port    Tide"]);
    assert!(cut(ports).contains(&(SegmentKind::Row, "Brest   6.9 m, but more in\n        spring")));
    assert_eq!(cut(ports).last(), Some(&(SegmentKind::Sentence, "It is so.")));
}

#[test]
fn indented_lines_are_no_table() {
    let imports = "Put this first.\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\n\tcrane \"a.example/crane\"\n\t_ \"a.example/lamp\"\n)\n";
    assert!(cut(imports).iter().all(|(kind, _)| !matches!(kind, SegmentKind::Row | SegmentKind::Header)));
    assert_eq!(kept_with(imports, "crane"), ["import (", ")"], "{:?}", cut(imports));
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

#[test]
fn lists_of_json_are_one_value() {
    for (text, list) in [
        (r#"{"pump": "P1", "bars": [1, 2, 3, 4], "open": true}"#, r#""bars": [1, 2, 3, 4],"#),
        (
            r#"{"days": ["Mon", "Thu", "Sat"], "place": "the north gate"}"#,
            r#""days": ["Mon", "Thu", "Sat"],"#,
        ),
        (r"[[0, 0.5], [5, 5.5], [10, 10.5], [15, 15.5]]", "[5, 5.5],"),
    ] {
        for all in [segments(text), core_segments(text), fine_segments(text)] {
            let found: Vec<&str> = all.iter().map(|segment| text[segment.range.clone()].trim()).collect();
            assert!(found.contains(&list), "{found:?}");
        }
    }
}

#[test]
fn rows_of_json_need_the_names_of_their_columns() {
    let rows = |cell: &dyn Fn(usize) -> String| (0..9).map(cell).collect::<Vec<_>>().join(",\n ");
    for (names, cells) in [
        (r#"["boat", "crew"]"#, rows(&|i| format!(r#"["Gull {i}", {i}]"#))),
        (r#"["at", "open", "by"]"#, rows(&|i| format!(r#"[{i}, {}, "Ann"]"#, i % 2 == 0))),
        (r#"["x", "y"]"#, rows(&|i| format!("[{i}, {}]", i * i))),
    ] {
        let text = format!("{{\"rows\": [{names},\n {cells}]}}");
        let last = cells.lines().last().unwrap().trim();
        assert!(kept_with(&text, last).contains(&&*format!("{names},")), "{:?}", kept_with(&text, last));
    }
    // Pairs of strings have none, and neither have rows of another length.
    assert!(
        !kept_with(r#"{"edges": [["a", "b"], ["b", "c"], ["c", "d"]]}"#, r#"["c""#)
            .contains(&r#"["a", "b"],"#)
    );
    assert!(!kept_with(r#"{"odd": [["a", "b"], [1], [2, 3, 4]]}"#, "[2").contains(&r#"["a", "b"],"#));
}

#[test]
fn strings_of_small_json_go_by_sentences() {
    for (key, said) in [
        ("text", "The lock is shut at night. It must not be opened by hand before six o'clock."),
        ("note", "He came by train on Friday.\\nHe left the same evening, and nobody saw him go."),
        ("body", "Die Pumpe steht seit Montag still. Das Ventil ist noch nicht repariert worden."),
    ] {
        let text = format!("{{\"id\": 7, \"{key}\": \"{said}\"}}");
        for all in [segments(&text), core_segments(&text), fine_segments(&text)] {
            let said: Vec<&Segment> =
                all.iter().filter(|segment| segment.kind == SegmentKind::Said).collect();
            assert_eq!(said.len(), 2, "{all:?}");
            // Neither needs the other.
            let number = |said: &Segment| all.iter().position(|segment| segment == said).unwrap();
            assert!(!said[1].needs.contains(&number(said[0])));
        }
        // The shortest members come with all others, but where each goes by itself.
        let needs_id =
            |all: &[Segment]| all[0].needs.iter().any(|&need| text[all[need].range.clone()].contains("id"));
        assert!(needs_id(&core_segments(&text)) && !needs_id(&fine_segments(&text)));
    }
}

#[test]
fn empty_cells_at_the_end_of_a_row_are_cells() {
    for (row, header) in [
        ("b7\tshut\t\n", "gate\tstate\tnote\n"),
        ("b7\t\t\n", "gate\tstate\tnote\n"),
        ("b7\t4\tx\t\t\n", "gate\tstate\tnote\tby\tfor\n"),
    ] {
        let text = format!("{header}{}{row}", row.repeat(5).replace("b7", "a1"));
        assert_eq!(kept_with(&text, "b7"), [header.trim()]);
        assert_eq!(cut(&text).iter().filter(|(kind, _)| *kind == SegmentKind::Row).count(), 6);
    }
}

#[test]
fn statements_and_carets_are_no_rows() {
    for text in [
        "import java.util.List;\nimport java.util.Map;\nimport java.util.Set;\nimport java.util.Queue;\n",
        "E         ?         ^\nE         + rent;10.12\nE         ?         ^\nE         - rent;10.13\n",
        "use std::fmt;\nuse std::io;\nuse std::mem;\n",
    ] {
        assert!(cut(text).iter().all(|(kind, _)| *kind != SegmentKind::Row), "{:?}", cut(text));
    }
}

#[test]
fn output_of_tools_and_code_of_any_language_go_by_lines() {
    for text in [
        "yarn warn peer lamp@2 is not met\nyarn warn bulb@1 is old\nyarn fail could not link the oil, or the wick\nyarn fail try again\n",
        "area :: Shape -> Double\narea (Disc r) = pi * r * r\narea Dot = 0\n",
        "fill:\n    mov   r0, #4\n    str   r1, [r0]\n    bx    lr\n",
        "(defun double (x)\n  (if (null x)\n      x\n    (+ x x)))\n",
        "boat: hull.o sail.o\n\t$(CC) -o $@ $^\n\nclean:\n\trm -f *.o\n",
        "remote: Counting objects: 3, done.\nhint: Your branch is behind the other one, and nothing was sent.\nhint: Fetch it first.\n",
        "---\ntitle: Tides of May\ndraft: true\n---\n",
        "* Reached a.example port 80\n> GET /tide\n> Host: a.example\n< 404 Not Found\n< Retry-After: 9\n",
    ] {
        assert!(cut(text).iter().all(|(kind, _)| !kind.goes_by_words()), "{:?}", cut(text));
    }
}

#[test]
fn what_reads_as_prose_goes_by_sentences() {
    for text in [
        "The gate was shut on Monday, and the man who has the key was away until the\nend of the week; so nobody could get in, and the boats were not painted as\nthey had been each year before.\n",
        "Under the wall of the harbour\nthe small boats lie asleep,\nand nobody comes at all\nwhere the water is deep.\n",
        "Ann was ill. Bo came late.\nNobody else spoke.\nThe meeting was closed.\n",
        "港口的小船\n在墙下睡着\n没有人来看它们\n",
        "We met at noon.\nWe did not vote.\nWe went home.\n",
    ] {
        assert!(cut(text).iter().all(|(kind, _)| *kind == SegmentKind::Sentence), "{:?}", cut(text));
    }
}

#[test]
fn records_between_begin_and_end_keep_both_and_their_name() {
    let cards = "BEGIN:VCARD\nFN:Ida Moe\nTEL:4471\nEND:VCARD\nBEGIN:VCARD\nFN:Per Lie\nNOTE:not on\n  Mondays\nEND:VCARD\n";
    assert_eq!(kept_with(cards, "Mondays"), ["BEGIN:VCARD", "FN:Per Lie", "END:VCARD"]);
    assert!(cut(cards).contains(&(SegmentKind::Line, "NOTE:not on\n  Mondays")));
    let dates = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSTATUS:CANCELLED\nSUMMARY:Row\nBEGIN:VALARM\nTRIGGER:-PT5M\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n";
    let ends = ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "SUMMARY:Row", "END:VEVENT", "END:VCALENDAR"];
    assert_eq!(kept_with(dates, "CANCELLED"), ends);
    assert!(kept_with(dates, "TRIGGER").contains(&"SUMMARY:Row"));
    let open = "BEGIN:VCARD\nFN:Ida Moe\nTEL:4471\n";
    assert!(cut(open).iter().all(|(kind, _)| *kind == SegmentKind::Line), "{:?}", cut(open));
}

#[test]
fn a_key_is_one() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nBKcwggSjAgEAAoIB\n-----END KEY-----";
    for text in [
        format!("HOST=a\nPORT=1\nKEY=\"{key}\"\nLEVEL=2\nSIZE=3\n"),
        format!("Here it is:\n\n{key}\n\nDo not lose it.\n"),
        format!("{key}\n{key}\n"),
    ] {
        assert!(
            cut(&text).iter().any(|(kind, own)| *kind == SegmentKind::Blob && own.contains(key)),
            "{text}"
        );
    }
}

#[test]
fn lines_below_the_name_of_their_file_or_host_need_it() {
    let found = "src/pump.rs\n7-    if dry {\n8:        return stop();\n--\n20:fn stop() {\n\nsrc/lamp.rs\n3:fn stop() {\n";
    assert_eq!(kept_with(found, "return"), ["src/pump.rs", "7-    if dry {"]);
    assert_eq!(kept_with(found, "3:fn"), ["src/lamp.rs"]);
    let hosts = "Report for a.lan (10.0.0.1)\nPORT    STATE   NAME\n22/tcp  open    ssh\n\nReport for b.lan (10.0.0.2)\nPORT    STATE   NAME\n23/tcp  open    telnet\n";
    assert_eq!(kept_with(hosts, "telnet"), ["Report for b.lan (10.0.0.2)", "PORT    STATE   NAME"]);
    let plan = "  # lamp.one will be destroyed\n  - resource \"lamp\" \"one\" {\n      - watts = 4 -> null\n    }\n\n  # lamp.two will be created\n  + resource \"lamp\" \"two\" {\n      + watts = 9\n    }\n";
    let two = ["# lamp.two will be created", "+ resource \"lamp\" \"two\" {", "}"];
    assert_eq!(kept_with(plan, "watts = 9"), two);
}

#[test]
fn an_option_goes_with_its_text_and_moves_with_the_players() {
    let manual = "OPTIONS\n       -q, --quiet\n              Say nothing. Errors are told\n              all the same.\n\n       --all\n              Do it for all.\n";
    let quiet = "-q, --quiet\n              Say nothing. Errors are told\n              all the same.";
    assert!(cut(manual).contains(&(SegmentKind::Line, quiet)), "{:?}", cut(manual));
    assert_eq!(kept_with(manual, "for all"), ["OPTIONS"]);
    let terms = "FILES\n    /etc/lamp.conf\n        Read first. It may be missing.\n    /run/lamp\n        Never touch it.\n";
    assert_eq!(kept_with(terms, "Never"), ["FILES"]);
    let game = "[Event \"Open\"]\n[White \"Moe, Ida\"]\n[Black \"Lie, Per\"]\n[Result \"0-1\"]\n\n1. e4 e5 2. Nf3 Nc6\n3. Bb5 a6 0-1\n";
    assert_eq!(kept_with(game, "Bb5"), ["[White \"Moe, Ida\"]", "[Black \"Lie, Per\"]", "[Result \"0-1\"]"]);
}

#[test]
fn titles_and_options_of_a_manual_come_with_their_text() {
    let manual = "LAMP(1)\n\nOPTIONS\n       -q, --quiet\n              say nothing\n\n       --level=N\n              set the level\n\nEXIT STATUS\n       0      all went well\n\n       1      no lamp was found\n\n       2      no oil is left\n\nFILES\n       ~/.lamp\n              own names\n";
    assert_eq!(kept_with(manual, "no oil"), ["EXIT STATUS"]);
    assert_eq!(kept_with(manual, "say nothing"), ["OPTIONS", "-q, --quiet"]);
    for head in ["OPTIONS", "-q, --quiet", "--level=N", "EXIT STATUS", "FILES", "~/.lamp"] {
        assert!(cut(manual).contains(&(SegmentKind::Parent, head)), "{head}: {:?}", cut(manual));
    }
}

#[test]
fn the_state_of_a_unit_needs_its_name() {
    let units = "● till.service - The till\n     Loaded: loaded (/etc/till.service; enabled)\n     Active: failed (Result: exit-code)\n   Main PID: 411 (code=exited)\n\n○ lamp.service - The lamp\n     Loaded: loaded (/etc/lamp.service; disabled)\n     Active: inactive (dead)\n";
    assert_eq!(kept_with(units, "failed"), ["● till.service - The till"]);
    assert_eq!(kept_with(units, "inactive"), ["○ lamp.service - The lamp"]);
}

#[test]
fn lines_with_who_wrote_them_are_those_of_a_program() {
    let blame = "^1a2b3c4 (Ida Moe  2023-01-03 10:12:01 +0100 1) def toll(car):\n5d6e7f80 (Per Lie  2024-02-07 11:30:44 +0100 2)     if car.heavy:\n^1a2b3c4 (Ida Moe  2023-01-03 10:12:01 +0100 3)         return 9\n^1a2b3c4 (Ida Moe  2023-01-03 10:12:01 +0100 4)     return 4\n";
    assert_eq!(kept_with(blame, "return 9").len(), 2);
    assert_eq!(kept_with(blame, "return 4").len(), 1);
}

#[test]
fn a_single_commit_heads_its_message_and_its_changes() {
    let shown = "commit 0a1b2c3d\nAuthor: Ann Lee <ann@a.example>\nDate:   Mon Nov 4 17:20:11 2024\n\n    Mend the gate\n";
    assert_eq!(kept_with(shown, "Mend"), ["commit 0a1b2c3d", "Author: Ann Lee <ann@a.example>"]);
    let diff = format!(
        "{shown}\ndiff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n int a;\n-int b = 1;\n+int b = 2;\n int c;\n"
    );
    assert_eq!(kept_with(&diff, "b = 2")[0], "commit 0a1b2c3d");
    assert_eq!(kept_with(&diff, "Mend").len(), 2);
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
        "BEGIN:A\n".repeat(100_000),
        "-----BEGIN A\n".repeat(50_000),
        "a/b\n1:x\n".repeat(50_000),
        "[A \"x\"]\n".repeat(100_000),
        "-a\n    so it is\n".repeat(50_000),
        "    so it is\n".repeat(100_000),
        "a  7  b\n\nc  d  e\n".repeat(30_000),
        "GET /a HTTP/1.1\nHost: b\n".repeat(30_000),
        ">a b\nAAAAAAAAAAAAAAAAAAAAAAAA\n".repeat(30_000),
        "<p><a/>\n".repeat(50_000),
        "  mov  eax  b;\n".repeat(50_000),
        "> a:\n>\n".repeat(50_000),
        "- a: b\n".repeat(50_000),
        "# HELP a_b c\n".repeat(50_000),
        "#: a\n".repeat(50_000),
        "---\na: b\n".repeat(50_000),
        "👩\u{200d}👩\u{200d}👧".repeat(50_000),
    ] {
        let before = start.elapsed();
        assert!(!segments(&text).is_empty());
        let took = start.elapsed().saturating_sub(before);
        assert!(took.as_secs() < 30, "{took:?} for {:?}", &text[..text.floor_char_boundary(20)]);
    }
}

#[test]
fn the_header_is_the_line_that_names_the_columns() {
    let disks = "Disk        Size  Used Free Use% Put on\n/dev/a       98G   61G  33G  66% /\n/dev/bb1    4.5T  3.1T 350G  91% /srv/media\n/dev/c      1.0G  0.9G 0.1G  90% /tmp\n";
    assert_eq!(kept_with(disks, "media"), ["Disk        Size  Used Free Use% Put on"]);
    let ruled = "Pos  Article              Qty   Price\n-------------------------------------\n1    Door seal, 90 cm       2   48.00\n2    Discount                   -8.70\n3    Lamp                   1    4.00\n-------------------------------------\n                          Net   43.30\n";
    assert_eq!(kept_with(ruled, "Discount"), ["Pos  Article              Qty   Price"]);
    assert_eq!(kept_with(ruled, "Net"), ["Pos  Article              Qty   Price"]);
    let times = "            Mon-Fri        Sat    Sun\nHarbour     05:40  06:10   07:10  08:10\nMarket      05:47  06:17   07:17  08:17\nAirport     06:20    |     07:50  08:45\n";
    assert_eq!(kept_with(times, "Market"), ["Mon-Fri        Sat    Sun"]);
    let load = "procs --memory-- --swap--\n r  b   free cache   si  so\n 2  0   3100  4120    0   1\n 9  1   8100  4120    3   9\n 1  0   3100  4120    0   0\n";
    assert_eq!(kept_with(load, "8100"), ["procs --memory-- --swap--", "r  b   free cache   si  so"]);
    let wide =
        load.replace("   4120 ", " 412700 ").replace("4120", "12040 181020").replace("cache", "buff  cache");
    assert!(kept_with(&wide, "8100").contains(&"procs --memory-- --swap--"));
    assert!(kept_with(&wide, "8100").iter().any(|line| line.starts_with("r  b")), "{:?}", cut(&wide));
    // Rows without names of columns are all rows.
    for rows in [
        "lo     up    10.0.0.1\neth0   up    10.0.0.2\neth1   down  10.0.0.3\n",
        "7,ash,12\n8,oak,31\n9,elm,4\n",
        "gull  4  open\ntern  2  shut\nauk   9  open\n",
    ] {
        assert!(cut(rows).iter().all(|(kind, _)| *kind == SegmentKind::Row), "{:?}", cut(rows));
    }
    let copied = "COPY yard.gate (no, name, open) FROM stdin;\n1\tnorth\tt\n2\tsouth\tf\n3\triver\tt\n\\.\n";
    assert_eq!(kept_with(copied, "south"), ["COPY yard.gate (no, name, open) FROM stdin;", "\\."]);
}

#[test]
fn rows_stand_under_the_line_above_them() {
    let findings = "/src/a.js\n  12:7   error    Gate is open    no-gate\n  40:19  warning  Two spaces      spaces\n\n/src/b.js\n  3:1  error  Lamp is on  no-lamp\n\n/src/c.js\n  5:5  error  Who is it?  no-who\n";
    assert_eq!(kept_with(findings, "Two spaces"), ["/src/a.js"]);
    assert_eq!(kept_with(findings, "no-lamp"), ["/src/b.js"]);
    assert_eq!(kept_with(findings, "no-who"), ["/src/c.js"]);
    let tables = "$ units\nUNIT     STATE    SINCE\ngull     running  09:00\ntern     stopped  08:12\n$ disks\nDISK     SIZE     USED\n/dev/a   450G     431G\n/dev/b   900G     120G\n";
    assert_eq!(kept_with(tables, "900G"), ["DISK     SIZE     USED"]);
    assert_eq!(kept_with(tables, "08:12"), ["UNIT     STATE    SINCE"]);
    let letters = ">G1 Gate chain\nMKTAYIAKQRQISFVKSHFSRQLEERLGLI\nALPDAQ\n>G2 Lamp chain\nMVHLTDAEKAAVNGLWGKVNPDDVGGEALG\n";
    assert_eq!(cut(letters)[1].1, ">G2 Lamp chain\nMVHLTDAEKAAVNGLWGKVNPDDVGGEALG");
    let talk = "GET /gates HTTP/1.1\nHost: yard.example\nAccept: text/csv\n\nHTTP/1.1 429 Slow down\nRetry-After: 120\nHost: yard.example\n\nPOST /lamps HTTP/1.1\nHost: yard.example\nAccept: image/png\n";
    assert_eq!(kept_with(talk, "120"), ["HTTP/1.1 429 Slow down"]);
    assert_eq!(kept_with(talk, "image"), ["POST /lamps HTTP/1.1"]);
}

#[test]
fn no_sentence_ends_within_a_row() {
    let who = "USER      PID %CPU TTY     STAT COMMAND\nroot        1  0.0 ?       Ss   /sbin/init\nann     20411 92.1 ?       Sl   till --open\nbo      22310  0.0 pts/1   T    notes\n";
    assert_eq!(kept_with(who, "till --open"), ["USER      PID %CPU TTY     STAT COMMAND"]);
    for row in
        ["Harbour st.       Main pier?       9 a.m.", "ul. Nowa 3    Kto? Nikt.", "7:00 น.     ท่าเรือ     ?"]
    {
        let text = format!("The rest is below.\n{row}\nThat is all. Go home.\n");
        assert!(cut(&text).contains(&(SegmentKind::Line, row)), "{:?}", cut(&text));
    }
    for prose in [
        "-    The gate is open. Nobody knows why.",
        "It rained.  We stayed.  Then we went.",
        "1.   It is so. Is it?",
    ] {
        assert!(cut(prose).iter().all(|(kind, _)| *kind == SegmentKind::Sentence), "{:?}", cut(prose));
    }
}

#[test]
fn a_wide_colon_ends_the_name_of_a_speaker() {
    for talk in [
        "小李：明天的门开吗？\n老王：不开，下雨。\n小李：那我们坐船。\n老王：船也不开。\n",
        "店员：几位？\n客人：三位。\n经理：请等一下，没有空位。\n",
        "田中：門は開いていますか。\n鈴木：いいえ、開いていません。\n田中：なぜですか。\n",
    ] {
        let turns: Vec<_> = talk.lines().map(|line| (SegmentKind::Turn, line)).collect();
        assert_eq!(cut(talk), turns);
    }
}

#[test]
fn a_matrix_is_one_value() {
    for matrix in ["[[1,0,0],[0,1,0],[0,0,-1]]", "[[1.5,2],[3,4.25]]", "[[true],[false],[null]]"] {
        let text = format!(
            "{{\"turn\":{matrix},\"notes\":\"{}\",\"on\":true}}",
            "It turns about its axis. ".repeat(3)
        );
        assert!(cut(&text).iter().any(|(_, part)| part.contains(matrix)), "{:?}", cut(&text));
        assert!(fine_segments(&text).iter().any(|part| text[part.range.clone()].contains(matrix)));
    }
}

#[test]
fn answers_need_their_questions() {
    let bold = "**Q: May I swim?**\nA: Only in summer.\n\n**Q: May I fish?**\nA: No.\n";
    assert_eq!(kept_with(bold, "A: No"), ["**Q: May I fish?**"]);
    let german = "Frage: Gibt es Brot?\nAntwort: Nur am Montag.\nFrage: Gibt es Tee?\nAntwort: Nein.\n";
    assert_eq!(kept_with(german, "Nein"), ["Frage: Gibt es Tee?"]);
    assert!(kept_with(german, "Tee?").is_empty());
    let chat = "Ann: Is it late?\nBo: It is.\nAnn: Shall we go?\nBo: Yes.\n";
    assert!(kept_with(chat, "Yes").is_empty());
}

#[test]
fn blocks_of_a_program_are_never_left_open() {
    // A head over several lines opens its block on the last of them.
    let java = "class Gate {\n    void open(Key key)\n            throws Locked {\n        turn(key);\n        swing();\n    }\n\n    void shut() {\n        swing();\n    }\n}\n";
    assert!(kept_with(java, "turn(key)").contains(&"throws Locked {"));
    // The end of a list that stands further to the right than its beginning, and of a long one.
    let python = "import gate\n\nkeys = {\n    'north': 1,\n    'south': 2,\n    }\n\ndef turn(key):\n    return key\n";
    assert!(kept_with(python, "keys =").contains(&"}"));
    let long =
        format!("import gate\n\nadd(\n{})\n\ndef turn(key):\n    return key\n", "    'a key',\n".repeat(20));
    assert_eq!(kept_with(&long, "add("), [")"]);
    let shell = "#!/bin/sh\nfor key in a b\ndo\n    turn $key\n    swing\ndone < list\n\ncase $1 in\na|b)\n    turn\n    ;;\nesac\n";
    assert_eq!(kept_with(shell, "turn $key"), ["for key in a b", "do", "done < list"]);
    assert_eq!(kept_with(shell, "a|b)"), ["case $1 in", "esac"]);
}

#[test]
fn branches_of_a_program_follow_what_they_belong_to() {
    let python = "import gate\n\ndef turn(key):\n    try:\n        gate.turn(key)\n    # It may be old (or wet.\n    except Rust:\n        gate.oil()\n# key = None\n    if key:\n        swing()\n    # It is not there.\n    else:\n        wait()\n";
    assert_eq!(kept_with(python, "gate.turn"), ["def turn(key):", "try:", "except Rust:"]);
    assert_eq!(kept_with(python, "swing()"), ["def turn(key):", "if key:"]);
    assert_eq!(kept_with(python, "wait()"), ["def turn(key):", "if key:", "else:"]);
    let c = "#include <gate.h>\n\nint turn(int key)\n{\n    if (!key)\n        goto fail;\n    swing();\n    return 0;\nfail:\n    shut();\n    return 1;\n}\n";
    assert_eq!(kept_with(c, "shut()"), ["int turn(int key)", "{", "fail:", "}"]);
    let decorated = "import gate\n\n@gate.kept(\n    'north',\n    'south',\n)\nclass Keeper(gate.Keeper):\n    age = 40\n    name = 'Bo'\n";
    assert!(kept_with(decorated, "'north'").contains(&"class Keeper(gate.Keeper):"));
}

#[test]
fn long_comments_make_a_program_no_prose() {
    let words = "The gate is turned by hand, and nobody is to leave it open.\n".repeat(12);
    let python = format!(
        "\"\"\"Gates.\n\n{words}\"\"\"\nimport gate\n\ndef turn(key):\n    gate.turn(key)\n\ndef shut():\n    gate.shut()\n"
    );
    assert!(cut(&python).iter().all(|(kind, _)| *kind == SegmentKind::Line));
    let script = format!(
        "#!/bin/sh\n# {}\nturn() {{\n    local key\n    key=$1\n    sleep 4\n}}\n",
        words.trim().replace('\n', "\n# ")
    );
    assert!(cut(&script).iter().all(|(kind, _)| *kind == SegmentKind::Line));
}

#[test]
fn bars_between_cells_are_no_pipes_of_a_shell() {
    let markdown = "# Boats\n\nAll of them:\n\n| id | state |\n|---|:-:|\n| 1 | afloat |\n| 2 | sunk |\n| 3 | afloat |\n";
    assert_eq!(kept_with(markdown, "sunk"), ["| id | state |"]);
    let rows = " id | state  | crew\n----+--------+------\n  1 | afloat | Ann\n  2 | sunk   | Bo\n  3 | afloat | Eva\n(3 rows)\n";
    assert_eq!(kept_with(rows, "sunk"), ["id | state  | crew"]);
    assert!(is_definition("fn a() {") && lines::is_code("cat boats.txt | sort | uniq"));
}

#[test]
fn exported_chats_are_turns() {
    for chat in [
        "3.5.24, 18:01 - Jörg: Kommst du?\n3.5.24, 18:02 - Eva: Heute nicht.\n3.5.24, 18:03 - Jörg: Dann morgen?\n",
        "[03/05/24, 18:01:11] Ann: Are you there?\n[03/05/24, 18:02:12] Bo: Not yet.\n[03/05/24, 18:03:13] Ann: Hurry.\n",
        "[10:01] <ann> is it on?\n[10:02] <bo_7> it is not\n[10:03] <ann> why?\n",
    ] {
        let turns: Vec<_> = chat.lines().map(|line| (SegmentKind::Turn, line)).collect();
        assert_eq!(cut(chat), turns);
    }
}

#[test]
fn a_sentence_over_two_cues_is_kept_whole() {
    let text = "1\n00:00:01,000 --> 00:00:02,000\nDogs may not come\n\n2\n00:00:03,000 --> 00:00:04,000\non board, guide dogs aside.\n\n3\n00:00:05,000 --> 00:00:06,000\nThe bar is open.\n";
    assert_eq!(
        kept_with(text, "not come"),
        ["2\n00:00:03,000 --> 00:00:04,000\non board, guide dogs aside."]
    );
    assert!(kept_with(text, "bar").is_empty());
}

#[test]
fn records_on_lines_of_broken_json_stand_for_themselves() {
    let text = "[\n  {\n    \"id\": 1,\n    \"state\": \"afloat\"\n  },\n  {\n    \"id\": 2,\n    \"state\": \"sunk\"\n  },\n  {\n    \"id\": 3,\n";
    let kept = kept_with(text, "sunk");
    assert!(kept.contains(&"{") && !kept.iter().any(|line| line.contains("id")), "{kept:?}");
    assert!(kept.len() <= 3, "{kept:?}");
}

#[test]
fn what_nobody_reads_is_of_the_least_worth() {
    let vector: Vec<String> = (0..120).map(|i| format!("0.{:06}", i * 7919 % 999_983)).collect();
    let json = format!(
        "{{\"id\": \"a7\", \"text\": \"The bow is green.\", \"sum\": [1, 2], \"vector\": [{}]}}",
        vector.join(", ")
    );
    let dump = "Bytes of the log:\n\n00000000  25 59 48 29 85 2b ec 11  1b 62 7d c0 ce ca f7 ce\n00000010  32 4d 20 d6 f1 0b f9 e9  7b 50 0d 9b ed a2 63 16\n";
    for text in [json.as_str(), dump] {
        let low = |part: &str| part.contains("vector") || part.starts_with("000000");
        for segment in segments(text) {
            let own = text[segment.range].trim();
            assert_eq!(segment.worth < 0.1, low(own), "{own}");
        }
    }
}

#[test]
fn headings_of_git_are_lines() {
    let text = "On branch main\nChanges not staged for commit:\n  (use \"git add <file>...\" to update what will be committed)\n\tmodified:   hull.py\n\nUntracked files:\n  (use \"git add <file>...\" to include in what will be committed)\n\tnotes.txt\n";
    assert!(
        cut(text).iter().all(|(kind, _)| matches!(kind, SegmentKind::Line | SegmentKind::Parent)),
        "{:?}",
        cut(text)
    );
}
