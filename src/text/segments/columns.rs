//! Tables whose columns stand below each other, with spaces alone between them: what a program lists.

use super::lines::Line;

/// Fewest rows, and fewest gaps between columns that go through all of them.
const FEW: usize = 3;
const FEWEST_GAPS: usize = 2;
/// Columns of characters that are looked at.
const WIDEST: usize = 400;

/// The columns of characters in which no row has a text, up to the widest row.
struct Blank {
    columns: Vec<bool>,
}

impl Blank {
    /// The gaps between columns of text: runs of blank columns with a text on either side.
    fn gaps(&self) -> Vec<(usize, usize)> {
        let mut gaps = Vec::new();
        let mut open: Option<usize> = None;
        for (at, blank) in self.columns.iter().enumerate() {
            match (blank, open) {
                (false, Some(end)) if end < at => gaps.push((end, at)),
                _ => {}
            }
            if !blank {
                open = Some(at + 1);
            }
        }
        gaps
    }

    /// Returns these columns without those in which `line` has a text.
    fn without(&self, line: &str) -> Self {
        let mut columns = self.columns.clone();
        for (at, c) in line.chars().enumerate().take(WIDEST) {
            if at == columns.len() {
                columns.push(true);
            }
            columns[at] &= c == ' ';
        }
        Self { columns }
    }
}

/// Returns whether spaces part a line evidently: two or more stand within it.
fn is_parted(line: &str) -> bool {
    let line = line.trim();
    // Carets under a line point at a part of it.
    let points = |word: &str| word.bytes().all(|byte| matches!(byte, b'^' | b'~'));
    line.contains("  ") && !line.contains('\t') && !line.split_whitespace().any(points)
}

/// Returns the number of leading `lines` that are rows of one table, lines between rows included, and the columns where
/// its gaps begin; none where the first begins no table. A blank line ends it.
pub(super) fn table(lines: &[Line], is_ruler: impl Fn(&str) -> bool) -> Option<(usize, Vec<usize>)> {
    if !lines.first().is_some_and(|first| is_parted(first.text) && !is_ruler(first.text)) {
        return None;
    }
    let mut blank = Blank { columns: Vec::new() };
    let (mut gaps, mut rows, mut height): (Vec<(usize, usize)>, _, _) = (Vec::new(), 0, 0);
    for (at, line) in lines.iter().enumerate() {
        if !is_ruler(line.text) {
            let own = blank.without(line.text);
            let found = own.gaps();
            // A gap of one space may go through lines of prose by chance.
            let goes_on = is_parted(line.text)
                && found.len() >= FEWEST_GAPS
                && found.len() + found.iter().filter(|(start, end)| end - start > 1).count()
                    > FEWEST_GAPS + 1
                && (rows < FEW || found.len() * 3 >= gaps.len() * 2);
            if !goes_on {
                break;
            }
            (blank, gaps, rows) = (own, found, rows + 1);
        }
        height = at + 1;
        if line.gap {
            break;
        }
    }
    (rows >= FEW).then(|| (height, gaps.into_iter().map(|(start, _)| start).collect()))
}

/// The cells of a row between the gaps of its table.
pub(super) fn cells<'t>(line: &'t str, gaps: &[usize]) -> Vec<&'t str> {
    let (mut cells, mut from, mut wanted) = (Vec::with_capacity(gaps.len() + 1), 0, gaps.iter().peekable());
    for (column, (at, _)) in line.char_indices().enumerate() {
        if wanted.next_if(|&&gap| gap == column).is_some() {
            cells.push(line[from..at].trim());
            from = at;
        }
    }
    cells.push(line[from..].trim());
    cells.resize(gaps.len() + 1, "");
    cells
}

#[cfg(test)]
mod tests {
    use super::super::lines::lines;
    use super::*;

    fn found(text: &str) -> Option<(usize, Vec<usize>)> {
        table(&lines(text, 0..text.len()), |line| line.bytes().all(|byte| byte == b'-'))
    }

    #[test]
    fn columns_stand_below_each_other() {
        let disks = "Disk        Size  Used Free On\n/dev/a       98G   61G  33G /\n/dev/bb1    4.5T  3.1T 350G /srv\n";
        assert_eq!(found(disks), Some((3, vec![8, 16, 22, 27])));
        let ruled = "Pos  Article      Amount\n------------------------\n1    Door seal      4.00\n2    Discount      -8.70\n";
        assert_eq!(found(ruled).map(|(rows, _)| rows), Some(4));
        assert_eq!(
            cells("/dev/bb1    4.5T  3.1T 350G /srv", &[8, 16, 22, 27]),
            ["/dev/bb1", "4.5T", "3.1T", "350G", "/srv"]
        );
        assert_eq!(cells("ab", &[8, 16]), ["ab", "", ""]);
    }

    #[test]
    fn prose_has_no_columns() {
        for text in [
            "It  was so, and nobody  knew why.\nThe  rest of them went  home by\nnight, for  the road  was dark.\n",
            "It rained.  We stayed.\nNobody came.  The end.\nSo it was.  It is not.\n",
            "one two three\nsix ten four\ntwo one five\n",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
