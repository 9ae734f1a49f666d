//! Lines that stand earlier in the request.
//!
//! Every eight lines in a row have a hash, which rolls on from line to line; what a hash finds is compared line by line.
//! What is found must stand as a whole in the request as it is sent: lines that were left out are found by nobody.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use super::Origin;
use super::lines::{Line, mark, size};

/// Fewest lines in a row that are looked for.
const LEAST: usize = 8;
/// Lines that stay beside what is new: more of them in a file without line numbers, of which an edit may have to match
/// many lines in one piece.
const BESIDE: usize = 3;
const BESIDE_IN_FILE: usize = 20;
/// Earlier places that are compared with one.
const PLACES: usize = 8;
/// No place.
const NONE: u32 = u32::MAX;
/// The factor of the rolling hash.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// The lines that stand in the request so far.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The lines without their numbers, one behind the other.
    text: String,
    lines: Vec<Known>,
    places: Vec<Arc<str>>,
    /// The last line at which a hash begins, and for each line the one before it with the same hash.
    windows: HashMap<u64, u32>,
    earlier: Vec<u32>,
    /// Lines that were compared, by which tests measure the work.
    #[cfg(test)]
    pub(super) compared: std::cell::Cell<usize>,
}

/// A line that stands in the request.
#[derive(Debug, Clone, Copy)]
struct Known {
    start: u32,
    end: u32,
    /// The index among the places.
    place: u32,
    number: u32,
    hash: u64,
    /// Whether it can be referred to.
    stands: bool,
}

/// Lines that stand earlier.
struct Match {
    at: usize,
    lines: usize,
    target: usize,
}

/// A line to be looked up.
struct Body<'l> {
    text: &'l str,
    hash: u64,
    number: usize,
    /// Whether that number stands before it.
    is_numbered: bool,
    is_mark: bool,
}

impl Index {
    /// Takes note of the lines of a text.
    pub(super) fn add(&mut self, place: &str, lines: &[Line<'_>]) {
        let bodies = bodies(lines);
        self.begin(place);
        let mut roll = Roll::default();
        for body in &bodies {
            self.push(body, !body.is_mark, &mut roll);
        }
    }

    /// Leaves out the lines of a result that stand earlier, in it or before it. It is not noted yet.
    pub(super) fn fold<'t>(&self, lines: Vec<Line<'t>>, origin: Origin) -> Vec<Line<'t>> {
        let bodies = bodies(&lines);
        // The result's own lines are noted apart, and forgotten again.
        let mut own = Self::default();
        own.begin("this result");
        let numbered = bodies.iter().filter(|body| body.is_numbered).count() * 2 > bodies.len();
        let plain = origin == Origin::File && !numbered;
        let beside = if plain { BESIDE_IN_FILE } else { BESIDE };
        let mut matches = self.matches(&mut own, &bodies);
        if plain {
            in_one_piece(&mut matches);
        }
        let names = |target| self.known(&own, target);
        matches.retain(|found| is_smaller(found, names(found.target).0, beside, &lines));
        let folded = (!matches.is_empty()).then(|| self.without(&own, &matches, &bodies, (&lines, beside)));
        folded.unwrap_or(lines)
    }

    fn begin(&mut self, place: &str) {
        self.places.push(place.into());
    }

    fn push(&mut self, body: &Body, stands: bool, roll: &mut Roll) {
        let start = self.text.len();
        // What is beyond 4 GiB is not found any more.
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(start + body.text.len())) else {
            return;
        };
        self.text += body.text;
        let place = self.places.len().saturating_sub(1) as u32;
        let number = u32::try_from(body.number).unwrap_or(NONE);
        self.lines.push(Known { start, end, place, number, hash: body.hash, stands });
        self.earlier.push(NONE);
        let Some(hash) = roll.next(body.hash, stands) else { return };
        let first = self.lines.len() - LEAST;
        self.earlier[first] = self.windows.insert(hash, first as u32).unwrap_or(NONE);
    }

    fn text_of(&self, known: Known) -> &str {
        self.text.get(known.start as usize..known.end as usize).unwrap_or_default()
    }

    /// The number of lines from `target` on that are equal to `bodies`.
    fn common(&self, target: usize, bodies: &[Body]) -> usize {
        let Some(first) = self.lines.get(target) else { return 0 };
        let known = self.lines[target..].iter();
        let same = |(known, body): &(&Known, &Body)| {
            known.stands
                && known.place == first.place
                && !body.is_mark
                && known.hash == body.hash
                && self.text_of(**known) == body.text
        };
        let common = known.zip(bodies).take_while(same).count();
        #[cfg(test)]
        self.compared.set(self.compared.get() + common + 1);
        common
    }

    /// The longest run of lines that begins with `bodies`, with its place: the last one of equally long ones.
    fn longest(&self, hash: u64, bodies: &[Body]) -> Option<(usize, usize)> {
        let mut place = self.windows.get(&hash).copied();
        let places = std::iter::from_fn(|| {
            let now = place.filter(|now| *now != NONE)? as usize;
            place = self.earlier.get(now).copied();
            Some(now)
        });
        let found = places.take(PLACES).map(|place| (self.common(place, bodies), place));
        found.filter(|(lines, _)| *lines >= LEAST).max_by_key(|(lines, place)| (*lines, *place))
    }

    fn matches(&self, own: &mut Self, bodies: &[Body]) -> Vec<Match> {
        let hashes = windows(bodies);
        let (mut matches, mut at, mut roll) = (Vec::<Match>::new(), 0, Roll::default());
        while at < bodies.len() {
            let rest = &bodies[at..];
            let found = hashes.get(at).copied().flatten().and_then(|hash| {
                let far = self.longest(hash, rest);
                let near = own.longest(hash, rest).map(|(lines, target)| (lines, target + self.lines.len()));
                far.max(near).map(|(lines, target)| Match { at, lines, target })
            });
            if let Some(found) = found {
                for body in &rest[..found.lines] {
                    own.push(body, false, &mut roll);
                }
                at += found.lines;
                matches.push(found);
            } else {
                own.push(&rest[0], !rest[0].is_mark, &mut roll);
                at += 1;
            }
        }
        #[cfg(test)]
        self.compared.set(self.compared.get() + own.compared.get());
        matches
    }

    /// The name of the place of a line, and its number there.
    fn known<'i>(&'i self, own: &'i Self, target: usize) -> (&'i str, usize) {
        let (index, target) = match target.checked_sub(self.lines.len()) {
            Some(target) => (own, target),
            None => (self, target),
        };
        let Some(known) = index.lines.get(target) else { return ("", 0) };
        (index.places.get(known.place as usize).map_or("", |place| place), known.number as usize)
    }

    fn without<'t>(
        &self,
        own: &Self,
        matches: &[Match],
        bodies: &[Body],
        (lines, beside): (&[Line<'t>], usize),
    ) -> Vec<Line<'t>> {
        let mut folded = Vec::new();
        let mut at = 0;
        for (number, found) in matches.iter().enumerate() {
            let end = found.at + found.lines;
            let next = matches.get(number + 1).map_or(lines.len(), |next| next.at);
            let start = if found.at > at { found.at + beside } else { found.at };
            let stop = if next > end { end - beside } else { end };
            folded.extend_from_slice(&lines[at..start]);
            let (place, target) = self.known(own, found.target + (start - found.at));
            let [first, last] = [bodies[start].number, bodies[stop - 1].number];
            let detail = if first == target {
                format!("{first}-{last}, the same as in {place}")
            } else {
                let until = target + (stop - 1 - start);
                format!("{first}-{last}, the same as {target}-{until} in {place}")
            };
            folded.push(mark(&lines[start..stop], &detail));
            at = stop;
        }
        folded.extend_from_slice(&lines[at..]);
        folded
    }
}

/// Whether a mark is shorter than what it stands for, as if there were new lines on both sides.
fn is_smaller(found: &Match, place: &str, beside: usize, lines: &[Line]) -> bool {
    let start = if found.at == 0 { 0 } else { found.at + beside };
    let end = found.at + found.lines;
    let end = if end == lines.len() { end } else { end.saturating_sub(beside) };
    let out = lines.get(start..end).unwrap_or_default();
    out.len() > 1 && size(out) > 2 * (place.len() + 60)
}

/// Leaves those matches out that adjoin another one: what they are parts of stands nowhere in one piece, and an edit
/// may have to match all of it.
fn in_one_piece(matches: &mut Vec<Match>) {
    let ends: Vec<Range<usize>> = matches.iter().map(|found| found.at..found.at + found.lines).collect();
    let adjoins = |at: usize| {
        let before = at.checked_sub(1).is_some_and(|before| ends[before].end == ends[at].start);
        before || ends.get(at + 1).is_some_and(|next| next.start == ends[at].end)
    };
    let mut at = 0..ends.len();
    matches.retain(|_| at.next().is_none_or(|at| !adjoins(at)));
}

/// The lines without the numbers before them, where the numbers count up from line to line.
fn bodies<'l>(lines: &'l [Line]) -> Vec<Body<'l>> {
    let numbers: Vec<Option<(usize, usize)>> = lines.iter().map(|line| leading_number(line.body())).collect();
    let follows =
        |a: Option<(usize, usize)>, b: Option<(usize, usize)>| a.zip(b).is_some_and(|(a, b)| a.0 + 1 == b.0);
    let body = |(at, line): (usize, &'l Line)| {
        let own = numbers[at];
        let before = at.checked_sub(1).and_then(|before| numbers[before]);
        let after = numbers.get(at + 1).copied().flatten();
        let counts = follows(before, own) || follows(own, after);
        let text = line.body();
        let own = own.filter(|_| counts);
        let (number, text) = match own {
            Some((number, length)) => (number, text.get(length..).unwrap_or_default()),
            None => (line.number, text),
        };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Body { text, hash: hasher.finish(), number, is_numbered: own.is_some(), is_mark: line.is_mark }
    };
    lines.iter().enumerate().map(body).collect()
}

/// The number before a line, as tools that read files write it, and its length: `  12→`, `12:`, `Line 12:`, `12\t`.
fn leading_number(line: &str) -> Option<(usize, usize)> {
    let rest = line.trim_start_matches(' ');
    let rest = rest.strip_prefix("Line ").unwrap_or(rest);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=7).contains(&digits) {
        return None;
    }
    let (number, behind) = rest.split_at(digits);
    let separator =
        ["→", "\t", " | ", "|", ": ", ":", "-"].into_iter().find(|mark| behind.starts_with(mark))?;
    // A space behind a colon may be the line's own.
    let length = if separator == ": " { 1 } else { separator.len() };
    Some((number.parse().ok()?, line.len() - behind.len() + length))
}

/// The hash of each eight lines in a row, by the first of them. None where a mark is among them.
fn windows(bodies: &[Body]) -> Vec<Option<u64>> {
    let mut hashes = vec![None; bodies.len()];
    let mut roll = Roll::default();
    for (at, body) in bodies.iter().enumerate() {
        let hash = roll.next(body.hash, !body.is_mark);
        if let Some(first) = (at + 1).checked_sub(LEAST) {
            hashes[first] = hash;
        }
    }
    hashes
}

/// The hash of the last eight lines.
#[derive(Default)]
struct Roll {
    last: [u64; LEAST],
    count: usize,
    hash: u64,
}

impl Roll {
    /// Takes one more line. None until there are eight in a row that stand.
    fn next(&mut self, line: u64, stands: bool) -> Option<u64> {
        if !stands {
            *self = Self::default();
            return None;
        }
        let place = self.count % LEAST;
        let gone = std::mem::replace(&mut self.last[place], line);
        let far = (0..LEAST).fold(1_u64, |power, _| power.wrapping_mul(FACTOR));
        self.hash = self.hash.wrapping_mul(FACTOR).wrapping_add(line).wrapping_sub(gone.wrapping_mul(far));
        self.count += 1;
        (self.count >= LEAST).then_some(self.hash)
    }
}
