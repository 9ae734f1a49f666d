//! JSON within a string of JSON.

/// Fewer elements are no list.
const FEWEST: usize = 3;

/// An array or object that is open, or was.
struct Container {
    is_array: bool,
    start: usize,
    commas: Vec<usize>,
    end: usize,
}

/// Ends of the parts of the spelling of a string that holds JSON: what stands before the second element of its largest
/// list, each further element with the comma before it, and what stands behind them. Any choice of the elements
/// between the first and the last part is JSON again. None where the string holds something else.
pub(super) fn parts(inside: &str) -> Option<Vec<usize>> {
    inside.trim_start().starts_with(['{', '[']).then_some(())?;
    let (mut open, mut closed): (Vec<Container>, Vec<Container>) = (Vec::new(), Vec::new());
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in characters(inside) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' => open.push(Container { is_array: c == '[', start: at, commas: Vec::new(), end: 0 }),
            ',' => open.last_mut()?.commas.push(at),
            '}' | ']' => {
                let own = open.pop()?;
                (own.is_array == (c == ']')).then_some(())?;
                closed.push(Container { end: at, ..own });
            }
            _ => {}
        }
    }
    let is_list = |own: &&Container| own.commas.len() + 1 >= FEWEST;
    let list = closed
        .iter()
        .filter(is_list)
        .filter(|_| open.is_empty() && !quoted)
        .max_by_key(|own| (own.is_array, own.end - own.start))?;
    Some(list.commas.iter().copied().chain([list.end, inside.len()]).collect())
}

/// The characters that the spelling of a string stands for, with their places; any for those in hexadecimal.
fn characters(inside: &str) -> impl Iterator<Item = (usize, char)> {
    let mut chars = inside.char_indices();
    std::iter::from_fn(move || {
        let (at, c) = chars.next()?;
        Some((at, if c == '\\' { chars.next().map_or(c, |(_, escape)| meaning(escape)) } else { c }))
    })
}

fn meaning(escape: char) -> char {
    if matches!(escape, '"' | '\\' | '/') { escape } else { ' ' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_parts_with_the_comma_before_them() {
        let inside =
            r#"{\"n\": 3, \"all\": [{\"a\": \"x, y\"}, {\"a\": \"q\\\"]\"}, {\"a\": 2}], \"e\": null}"#;
        let ends = parts(inside).unwrap();
        let mut at = 0;
        let cut: Vec<&str> =
            ends.into_iter().map(|end| &inside[std::mem::replace(&mut at, end)..end]).collect();
        let want = [
            r#"{\"n\": 3, \"all\": [{\"a\": \"x, y\"}"#,
            r#", {\"a\": \"q\\\"]\"}"#,
            r#", {\"a\": 2}"#,
            r#"], \"e\": null}"#,
        ];
        assert_eq!(cut, want);
        for none in ["A sentence. Another one.", "[no json, at all", r#"{\"a\": [1, 2}"#] {
            assert_eq!(parts(none), None, "{none}");
        }
    }
}
