//! Captions of tables: `Table 3: Sizes in metres`.

use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::item::has_colon;
use super::lines::Line;

/// Most bytes of a caption.
const LONGEST: usize = 200;

static CAPTION: LazyLock<Regex> = LazyLock::new(|| {
    let english = "table|tbl\\.|figure|fig\\.?|exhibit|listing|chart";
    let others = "tabelle|tab\\.|abbildung|abb\\.|tableau|tabla|figura|tabella|tabela|figuur|tabell|tabel|figur|таблица|таблиця|рисунок|рис\\.|tablo|şekil";
    Regex::new(&format!(r"(?i)^(?:[*_]{{1,2}})?(?:(?:{english}|{others}) ?[\dA-Z]{{0,2}}[.-]?\d{{1,3}}[a-z]?|[表図图] ?\d{{1,3}})(?:[*_]{{0,2}})(?:[.:：–—]| [-–—]|$|\s)"))
        .expect("a test compiles it")
});

/// Returns whether a line is the caption of what stands below or above it.
fn is_caption(line: &Line) -> bool {
    line.text.len() <= LONGEST && CAPTION.is_match(line.text)
}

/// Returns whether a line is the caption of the table that begins with `first`, or an item that it stands under.
pub(super) fn heads(line: &Line, first: &Line) -> bool {
    is_caption(line) || line.text.len() <= LONGEST && has_colon(line.text) && first.indent > line.indent
}

/// Returns the caption that `lines` behind a table begin with: none that stands right above something else.
pub(super) fn below<'l, 't>(lines: &'l [Line<'t>]) -> Option<&'l Line<'t>> {
    let caption = lines.first().filter(|first| is_caption(first))?;
    let is_alone =
        caption.gap && lines.get(1).is_none_or(|next| next.text.contains(". ") || next.text.ends_with('.'));
    (is_alone || lines.len() == 1).then_some(caption)
}

/// Adds the caption of the table above it, whose segments begin with `first`: they need it.
pub(super) fn add_below(caption: &Line, first: usize, builder: &mut Builder, around: &Around) {
    let number = builder.push(caption.range.clone(), SegmentKind::Heading, around);
    for part in first..number {
        builder.put_under(part, number);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn rows_need_the_caption_of_their_table() {
        let bars = "| Boat | Crew |\n|---|---|\n| Gull | 4 |\n| Tern | 2 |\n";
        for caption in [
            "Table 3: Boats by crew",
            "**Table 3.** Boats",
            "Tabelle 2 – Boote",
            "Таблица 1. Суда",
            "表2：船",
            "Table A-1. Boats",
        ] {
            let text = format!("So it is.\n\n{caption}\n\n{bars}\nThat is all of it.\n");
            assert_eq!(kept_with(&text, "Tern"), [caption, "| Boat | Crew |"]);
            assert!(cut(&text).contains(&(SegmentKind::Heading, caption)));
            let text = format!("So it is.\n\n{bars}\n{caption}\n\nThat is all of it. It is not much.\n");
            assert_eq!(kept_with(&text, "Tern"), ["| Boat | Crew |", caption]);
        }
        let items = bars.replace("| ", "  | ").replace("|-", "  |-");
        let fees = format!("- In summer:\n\n{items}\n- In winter:\n\n{items}");
        let all = super::super::segments(&fees);
        let last = all.iter().rposition(|segment| fees[segment.range.clone()].contains("Tern")).unwrap();
        assert!(all[last].needs.iter().any(|&need| fees[all[need].range.clone()].contains("winter")));
        let remark = format!("Tables are dull.\n\n{bars}");
        assert_eq!(kept_with(&remark, "Tern"), ["| Boat | Crew |"]);
    }
}
