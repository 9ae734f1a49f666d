//! `hybrid`: one budget across documents, sentences and words, for prompts with a question.
//!
//! Documents and sentences are ranked by their worth to the question ([`super::relevance`]). The best sentences are
//! kept whole; what room is left goes to the words of the next ones that say most: names, numbers and other words
//! with a meaning of their own, in runs, without the function words between them. How much is kept whole follows
//! from the budget: as long as several passages fit, everything; the nearer the room comes to a single one, the
//! more of it goes to fragments, for then an answer in a sentence that was ranked second is better kept in
//! fragments than not at all.
//!
//! # What was tried
//! Answer retention over questions with 20 passages each (`data/nq`), titles as `Document [i](Title: T)`, tokens of
//! the scorer, through `POST /v1/compress`. At 0.05 with fragments in the order of their sentences, as a start:
//!
//! | first 300 questions | 0.05 |
//! |---|---|
//! | whole sentences alone (`extractive`) | 87.7% |
//! | 40% of the room whole, then fragments | 93.0% |
//! | the same, the best sentence whole only where it fits the share | 91.7% |
//! | the same, fragments of the documents that have a sentence already first | 92.3% |
//! | names and numbers before other words | 93.0% |
//! | words of the kind that the question asks for first | 93.7% |
//! | these, and fragments of short sentences first | 94.7% |
//!
//! | all 1,500 questions | 0.05 |
//! |---|---|
//! | as it is | 94.1% |
//! | commas, quotes and brackets dropped with the articles | 94.1% |
//! | twice as much for short sentences | 94.0% |
//! | whole sentences too by what they give for their tokens | 93.7% |
//!
//! From 3.75 passages on there are no fragments: they filled the last 5% of the room, where they kept no answer of NQ's
//! first 300 at 0.5 to 0.05 nor of the sets of `data/domains` (1,162 questions), and read like mistakes. Without them from
//! 3 or 3.5 passages on two answers of `papers` (26) were lost at 0.10.
//!
//! The end of a budget is not filled up with function words from between the fragments, nor with the half of a name that
//! still fits: both gave lines such as `published observations and.`. Without them answers of NQ's first 300 are the same
//! at 0.10 and 0.05 (98.7 and 91.3%), and one of `data/domains` is lost at four rates (`hotpot`, 0.05). Fragments that are
//! not cut at all lost one of the 300 at both rates; clauses between commas as fragments lost one and seven.
//!
//! Since then articles stay in whole sentences, which cost answers little and evidence much: without them NQ's first 300
//! have 92.7 instead of 92.0% at 0.05 (two questions) and `hotpot` one answer of 50 more at three rates, but `contracts` 50
//! instead of 81% of clauses whole at 0.05, and `hotpot` 30 instead of 60% of its evidence at 0.25.
//!
//! On the first 300, before that: 99.7% at 0.25 and 98.0% at 0.10, where fragments of another order change nothing.
//! In a simulation outside of this crate, dropping all function words of whole sentences lost about 9 points at each
//! rate, and reranking by the scorer's likelihood of the question 0.8 points of the gold document's recall at 1.
//! `eval/baselines` has the reader's view.
//!
//! # Tables
//! A row goes with the names of its columns, never without; the ruler below them goes where there is room. At small
//! budgets that binds: of 51 reports with a table (`data/domains`, `tatqa_mixed`), question, column names, short marks
//! and evidence rows fit into 0.10 of the tokens for 14, and 13 are kept whole. Tried, and left out: rows weighed
//! against sentences by the mean and deviation of their kind (83 to 70% of evidence whole at 0.25 of 30 tables); units
//! lowered by the share of the room that they take (contracts 81 to 69% at 0.05); all lines, not rows alone, whole as
//! long as there is room (e-mail 95 to 88% at 0.05); of a best sentence that is too long the telling words instead of
//! its beginning (`hotpot` 35 to 30% of evidence at 0.05, five other sets the same); one mark for all gaps of a table
//! instead of one for each (`tatqa_mixed` 20 to 22% of operands whole at 0.10, tables alone the same 33%), for which a
//! reader no longer sees where rows are missing.

use super::answer_spans::{AnswerType, names, runs};
use super::relevance::{Relevance, Sentence, relevance};
use super::words::{self, Joined, Plan, WordIndex, WordSelector};
use super::{CompressError, Compressed, Prompt, Stages, Target, Tools};

/// Tokens of a longer document count as so many: room for several passages of one document is room enough.
const PASSAGE: usize = 160;
/// Share of the room for whole sentences when the best document fills it.
const LEAST_WHOLE: f64 = 0.4;
/// The amount that each further document of that size that would fit adds to the share.
const MORE_WHOLE: f64 = 0.2;
/// The number of documents as large as the best one that must fit for nothing to be kept in fragments.
const ALL_WHOLE: f64 = 3.75;
/// The penalty on a run for each word of its sentence: short sentences give more for their tokens.
const PER_WORD: f64 = 0.0005;
/// The bonus of a run for a word of the kind that answers the question.
const WANTED: f64 = 0.05;

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    words::compress(prompt, target, tools, plan)
}

fn plan(words: &WordSelector, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let Relevance { ranking, sentences } =
        stages.time("embed", || relevance(words.prompt, &words.segments, room, words.tools))?;
    let scores = words.broadcast(&sentences);
    let (order, names) = stages.time("select", || order(words, &sentences, room));
    Ok(Plan { order, joined: names, ranking, scores, ..Plan::default() })
}

/// Words of whole sentences, then runs of words with a meaning; and the units of names, which are not cut.
fn order(words: &WordSelector, sentences: &[Sentence], room: usize) -> (Vec<WordIndex>, Vec<Joined>) {
    let costs: Vec<usize> = sentences.iter().map(|sentence| words.sentence_tokens(sentence)).collect();
    let share = whole_share(words, sentences, &costs, room);
    let fragments = share.is_none_or(|share| share < 1.0);
    let whole = (room as f64 * share.unwrap_or(1.0)) as usize;
    let asked = AnswerType::by(&words.prompt.question);
    let (mut first, mut second, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    let mut open = vec![false; words.prompt.documents.len()];
    let mut taken = 0;
    let mut paid = words.required();
    for (sentence, cost) in sentences.iter().zip(&costs) {
        let places = words.within(sentence.document, &sentence.range);
        let Some(&start) = places.first() else { continue };
        // The number of an item is the first word of a sentence that may be chosen.
        if places.iter().all(|&place| words.comes_with_others(place)) {
            continue;
        }
        let is_whole = words.is_whole(start);
        let heading = if open[sentence.document] { 0 } else { words.heading_tokens(sentence.document) };
        let (needed, needed_tokens) =
            if is_whole { words.needed(start, &mut paid) } else { Default::default() };
        let cost = heading + cost + needed_tokens;
        // A row costs little next to a sentence, and there are no fragments of it.
        let limit = if words.is_row(start) { room } else { whole };
        let fits = taken + cost <= limit || first.is_empty() && (!is_whole || cost <= room);
        let is_cut = !is_whole && (fits || fragments);
        let texts: Vec<&str> =
            if is_cut { places.iter().map(|&place| words.word(place)).collect() } else { Vec::new() };
        joined.extend(names(&texts).into_iter().map(|name| Joined::of(&places[name])));
        if fits {
            taken += cost;
            open[sentence.document] = true;
            // Of the best sentence the beginning is better than nothing: a paragraph in Thai is one sentence.
            let fitting = if cost <= room {
                places.len()
            } else {
                beginning(words, (&places, &texts), room - heading.min(room))
            };
            first.extend(&places[..fitting]);
        } else if is_whole {
            for (document, unit) in needed {
                paid[document][unit] = false;
            }
            second.push((sentence.score, places));
        } else if fragments {
            let base = sentence.score - PER_WORD * texts.len() as f64;
            second.extend(runs(&texts).into_iter().map(|run| {
                let wanted = texts[run.clone()].iter().any(|word| asked.wants(word));
                (base + if wanted { WANTED } else { 0.0 }, places[run].to_vec())
            }));
        }
    }
    second.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    (first.into_iter().chain(second.into_iter().flat_map(|(_, run)| run)).collect(), joined)
}

/// Returns how many of the words of a sentence it can begin with in `room`: the last one has a meaning of its own, and no
/// name is cut.
fn beginning(words: &WordSelector, (places, texts): (&[WordIndex], &[&str]), room: usize) -> usize {
    // A word takes about a token at least: what follows so many is not counted.
    let counts: Vec<usize> = (1..=places.len().min(4 * room)).collect();
    let fitting = counts.partition_point(|&n| words.stretch_tokens(&places[..n]) < room);
    let cut =
        names(&texts[..counts.len()]).into_iter().find(|name| name.start < fitting && fitting < name.end);
    let whole = cut.map_or(fitting, |name| name.start);
    runs(&texts[..whole]).last().map_or(fitting, |run| run.end)
}

/// Returns the share of the room for whole sentences, 0 to 1: all of it where [`ALL_WHOLE`] passages fit. `None` where
/// the best unit is no sentence.
fn whole_share(words: &WordSelector, sentences: &[Sentence], costs: &[usize], room: usize) -> Option<f64> {
    let first = sentences.first()?;
    let best = first.document;
    if words.within(best, &first.range).first().is_some_and(|&place| words.is_whole(place)) {
        return None;
    }
    let own = sentences.iter().zip(costs).filter(|(sentence, _)| sentence.document == best);
    let size = own.map(|(_, cost)| cost).sum::<usize>().min(PASSAGE);
    let fits = room as f64 / (words.heading_tokens(best) + size).max(1) as f64;
    let share = if fits < ALL_WHOLE { LEAST_WHOLE + MORE_WHOLE * (fits - 1.0) } else { 1.0 };
    Some(share.max(LEAST_WHOLE))
}
