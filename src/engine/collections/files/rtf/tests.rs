//! Small files, each as a word processor writes it.

use super::*;

fn text(body: &str) -> String {
    parsed(format!("{{\\rtf1\\ansi\\ansicpg1252\\deff0 {body}}}").as_bytes()).unwrap().text
}

#[test]
fn headings_lists_and_characters_are_kept() {
    let head = "{\\fonttbl{\\f0\\fnil Times;}{\\f1\\fcharset204 Arial;}{\\f2\\fcharset128 Mincho;}}{\\colortbl;\\red255;}\
        {\\stylesheet{\\s0 Normal;}{\\s3\\outlinelevel1 heading 2;}{\\*\\cs10 Default;}{\\s7 \\'dcberschrift;}}\
        {\\info{\\title Harbour\\'20rules}{\\author Ann}}{\\*\\generator Msftedit;}";
    let body = "\\pard\\outlinelevel0 Har{\\b bour}\\par\\pard Caf\\'e9, na\\u239 ?ve \\u8364\\'80 5 \\u-10179 ?\\u-8930 ?!\\~x\\line # c\\par\
        {\\f1 \\'ec\\'ee\\'f1\\'f2}{\\f2 \\'8b\\'b4}\\emdash {\\v secret}{\\deleted gone}{\\*\\unknown x}{\\pict ffd8\\bin3 }}}}\\par\
        \\pard\\s3 Hours\\par\\pard{\\listtext 1.\\tab}one\\par\\pard\\ilvl1{\\pntext\\f1\\'b7\\tab}two\\par\
        \\pard See {\\field{\\*\\fldinst HYPERLINK \"x\"}{\\fldrslt the page}}.\\par";
    let Parsed { title, text } =
        parsed(format!("{{\\rtf1\\ansi\\ansicpg1252{head}{body}}}\0\0").as_bytes()).unwrap();
    assert_eq!(title.as_deref(), Some("Harbour rules"));
    assert_eq!(
        text,
        "# Harbour\n\nCafé, naïve € 5 \u{1f51e}!\u{a0}x\n\\# c\n\nмост橋\u{2014}\n\n## Hours\n\n1. one\n\n  - two\n\nSee the page.\n\n"
    );
}

#[test]
fn tables_are_grids() {
    let row = |shapes: &str, cells: &[&str]| {
        let cells =
            cells.iter().map(|cell| format!("\\pard\\intbl {cell}\\cell")).collect::<Vec<_>>().concat();
        format!("\\trowd{shapes}{cells}\\row ")
    };
    let table = [
        row("\\clvmgf\\cellx1000\\cellx3010", &["Berth", "Low season"]),
        row("\\clvmrg\\cellx1000\\cellx2000\\cellx3000", &["", "day\\par \\par fee", "week"]),
        row("\\cellx1000\\clmgf\\cellx2000\\clmrg\\cellx3000", &["North|quay", "none", ""]),
    ]
    .concat();
    assert_eq!(
        text(&format!("Fees\\par{table}\\pard End\\par")),
        "Fees\n\n| Berth | Low season | Low season |\n|---|---|---|\n| Berth | day fee | week |\n\
         | North\\|quay | none | none |\n\nEnd\n\n"
    );
}

#[test]
fn a_table_in_a_table_stands_behind_it() {
    let inner = "\\pard\\intbl\\itap2 a\\nestcell\\pard\\intbl\\itap2 b\\nestcell{\\*\\nesttableprops\\trowd\\cellx700\\cellx900\
        \\nestrow}{\\nonesttables\\par}";
    let table = format!(
        "\\trowd\\cellx1000\\cellx2000\\pard\\intbl Hours\\cell{inner}\\pard\\intbl\\itap1 below\\cell\\row"
    );
    assert_eq!(
        text(&format!("{table}\\pard End\\par")),
        "| Hours | below |\n|---|---|\n\nHours\n\n| a | b |\n|---|---|\n\nEnd\n\n"
    );
}

#[test]
fn notes_stand_behind_what_they_belong_to_and_margins_apart() {
    let body = "{\\header\\pard Harbour office\\par}{\\headerf\\pard Harbour office\\par}{\\footer Confidential}\
        The length{\\super\\chftn}{\\footnote\\pard{\\super\\chftn} Of a ship.\\par Not of a car.} counts.\\par\
        {\\shp{\\*\\shpinst{\\sp{\\sn name}{\\sv value}}{\\shptxt\\pard In a box\\par}}}End\\par";
    assert_eq!(
        text(body),
        "The length[^1] counts.\n\n[^1]: Of a ship. Not of a car.\n\nIn a box\n\nEnd\n\n# Headers and footers\n\nHeader:\n\n\
         Harbour office\n\nFooter:\n\nConfidential\n\n"
    );
}

#[test]
fn what_is_damaged_or_hostile_is_told() {
    let deep = format!("{{\\rtf1 {}", "{".repeat(100_000));
    for (bytes, wanted) in [
        (&b"PK\x03\x04"[..], "no RTF"),
        (b"{\\rtf1 The bridge is", "ends within its text"),
        (b"{\\rtf1 a\\", "ends within its text"),
        (deep.as_bytes(), "nested deeper than 1000"),
    ] {
        let error = parsed(bytes).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
    assert_eq!(text("}{\\rtf1 behind the end"), "");
    let odd = "\\cell\\row\\nestcell\\nestrow\\trowd\\cellx-2147483648\\cellx2147483647 a\\cell b\\cell c\\cell\\row\
        \\itap2147483647 x\\nestcell\\uc-1\\u99999999 \\bin2147483647";
    assert!(parsed(format!("{{\\rtf1{odd}").as_bytes()).is_err());
    let wide = (0..5000).map(|place| format!("\\cellx{}", place * 100)).collect::<Vec<_>>().concat();
    assert!(text(&format!("\\trowd{wide}{}\\row", "a\\cell".repeat(5000))).len() < 100_000);
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(
        body in "(\\{|\\}|\\\\par|\\\\cell|\\\\row|\\\\nestcell|\\\\nestrow|\\\\trowd|\\\\cellx[0-9]{1,4}|\\\\clmrg|\\\\clvmrg|\
                  \\\\intbl|\\\\itap[0-9]|\\\\footnote|\\\\header|\\\\u-?[0-9]{1,5}|\\\\'[0-9a-f]{2}|\\\\pard|\\\\s1|\\\\stylesheet|\
                  \\\\fonttbl|\\\\f1|\\\\title|\\\\listtext|[a-z #]){0,80}"
    ) {
        let _ = parsed(format!("{{\\rtf1 {body}}}}}}}}}").as_bytes());
    }
}
