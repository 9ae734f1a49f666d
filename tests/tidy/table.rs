//! The table in `src/lib.rs` of who may use whom says the same as this test's own.

use std::collections::{BTreeMap, BTreeSet};

use crate::MAY_USE;

/// What each module of the table may use: names of the first and the last column, remarks in brackets left out.
fn table(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let behind_head = text.lines().skip_while(|line| !line.starts_with("//! | module |")).skip(2);
    let rows = behind_head.map_while(|line| line.strip_prefix("//! | "));
    rows.map(|row| {
        let mut cells = row.trim_end().trim_end_matches('|').split('|').map(str::trim);
        let name = |text: &str| text.trim_matches(['[', ']', '`', ' ']).to_owned();
        let module = cells.next().map(name).unwrap_or_default();
        let users = cells.next_back().unwrap_or_default();
        let without_remarks: String =
            users.split('(').map(|part| part.split(')').next_back().unwrap_or(part)).collect();
        let uses = without_remarks.split(',').map(name).filter(|name| !name.is_empty() && name != "nothing");
        (module, uses.collect())
    })
    .collect()
}

#[test]
fn the_documented_table_is_the_one_that_is_held() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).expect("lib.rs is there");
    let documented = table(&text);
    let held: BTreeMap<String, BTreeSet<String>> = MAY_USE
        .iter()
        .map(|(module, uses)| ((*module).to_owned(), uses.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(
        documented.keys().collect::<Vec<_>>(),
        held.keys().collect::<Vec<_>>(),
        "modules of the table"
    );
    for (module, uses) in &held {
        assert_eq!(&documented[module], uses, "what `{module}` may use");
    }
}

#[test]
fn a_table_is_read_as_it_is_written() {
    let text = "//! | module | what it is | may use |\n//! |---|---|---|\n//! | [`a`] | it has, commas | b, c (traits), d |\n\
        //! | `b` | x | nothing |\nuse x;";
    let read = table(text);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(read, [("a".to_owned(), names(&["b", "c", "d"])), ("b".to_owned(), names(&[]))].into());
}
