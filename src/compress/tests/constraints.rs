//! Tests that a result meets the caller's constraints, on random prompts too.

use super::*;
use crate::compress::{Constraints, ContextBudget, Reorder, Section, Share};
use crate::text::{Granularity, sentences, units};

fn constraints(documents: usize) -> impl Strategy<Value = Constraints> {
    let words = prop::collection::vec(
        prop::sample::select(vec!["budget", "not approved", "預", "v2.0.0-rc.1"]),
        0..2,
    );
    let reorder = prop::sample::select(vec![Reorder::Original, Reorder::Sort, Reorder::TwoStage]);
    let budget = prop::option::of(prop_oneof![
        (-500.0..500.0_f64).prop_map(ContextBudget::Add),
        (0.01..5.0_f64).prop_map(ContextBudget::Multiply),
    ]);
    let granularity = prop::option::of(prop::sample::select(vec![
        Granularity::Token,
        Granularity::Phrase,
        Granularity::Sentence,
    ]));
    let forced = prop::collection::btree_set(0..documents, 0..3);
    (forced, words, any::<bool>(), 0_usize..2, 0_usize..2, 0_usize..15, (reorder, budget, granularity))
        .prop_map(
            |(
                documents,
                words,
                numbers,
                first_sentences,
                last_sentences,
                document_tokens,
                (reorder, context_budget, granularity),
            )| {
                Constraints {
                    documents,
                    words: words.into_iter().map(Into::into).collect(),
                    numbers,
                    first_sentences,
                    last_sentences,
                    document_tokens,
                    granularity,
                    reorder,
                    context_budget,
                    ..Constraints::default()
                }
            },
        )
}

/// Returns whether every word that overlaps `range` is kept.
fn kept_whole(document: &Document, kept: &[Range<usize>], range: &Range<usize>) -> bool {
    let units = units(&document.text, &PROTECTOR.spans(&document.text));
    let mut touched = units.iter().filter(|u| u.core.start < range.end && range.start < u.core.end);
    touched.all(|unit| kept.iter().any(|kept| kept.start <= unit.core.start && unit.core.end <= kept.end))
}

fn check_demands(prompt: &Prompt, counter: &dyn TokenCounter, got: &Compressed) -> Result<(), TestCaseError> {
    let constraints = &prompt.constraints;
    prop_assert!(got.compressed_tokens <= got.requested_tokens);
    prop_assert_eq!(got.compressed_tokens, counter.count(&got.prompt));
    prop_assert!(got.prompt.starts_with(&prompt.instruction) && got.prompt.ends_with(&prompt.question));
    for (i, (document, kept)) in prompt.documents.iter().zip(&got.documents).enumerate() {
        check_document(&document.text, kept)?;
        prop_assert!(got.prompt.contains(&kept.text));
        let all = sentences(&document.text);
        let ends = all
            .iter()
            .take(constraints.first_sentences)
            .chain(all.iter().rev().take(constraints.last_sentences));
        for sentence in ends {
            prop_assert!(kept_whole(document, &kept.kept, sentence), "{sentence:?}");
        }
        prop_assert!(
            counter.count(&kept.text) >= constraints.document_tokens.min(counter.count(document.text.trim())),
            "{:?} of {:?}",
            kept.text,
            document.text
        );
        if constraints.documents.contains(&i) {
            prop_assert!(!kept.text.is_empty() || document.text.trim().is_empty());
        }
        if constraints.numbers {
            for word in kept.words.iter().filter(|word| !word.kept) {
                prop_assert!(!document.text[word.range.clone()].contains(char::is_numeric));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_demands_are_met_or_refused(
        prompt in prompt(), target in target(), piece in 1_usize..6,
        constraints in constraints(3),
    ) {
        let counter = for_name("o200k_base").unwrap();
        let documents = prompt.documents.len();
        let constraints = Constraints { documents: constraints.documents.into_iter().filter(|&i| i < documents).collect(), ..constraints };
        let prompt = Prompt { constraints, ..prompt };
        match run(&prompt, target, piece, counter.as_ref()) {
            Ok(got) => check_demands(&prompt, counter.as_ref(), &got)?,
            Err(CompressError::Infeasible { budget, needed }) => prop_assert!(needed > budget),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

fn prompt_of(texts: &[&str], constraints: Constraints) -> Prompt {
    let document =
        |(i, text): (usize, &&str)| Document { id: i.to_string(), title: None, text: (*text).into() };
    Prompt { documents: texts.iter().enumerate().map(document).collect(), constraints, ..Prompt::default() }
}

fn tokens(prompt: &Prompt, most: usize) -> Result<Compressed, CompressError> {
    run(prompt, Target::Tokens(most), 3, for_name("o200k_base").unwrap().as_ref())
}

/// Words that differ.
fn words(n: usize) -> String {
    (0..n).map(|i| ["alpha ", "beta ", "gamma ", "delta ", "omega "][i % 5]).collect()
}

#[test]
fn defect_07_first_and_last_sentences_of_each_document_are_kept() {
    let body = words(40);
    let text = format!("First words here. Then {}. Last words there.", body.trim_end());
    let constraints = Constraints { first_sentences: 1, last_sentences: 1, ..Constraints::default() };
    let got = tokens(&prompt_of(&[&text, &text], constraints), 40).unwrap();
    for document in got.documents {
        assert!(document.text.starts_with("First words here."), "{}", document.text);
        assert!(document.text.ends_with("Last words there."), "{}", document.text);
    }
}

#[test]
fn a_forced_document_and_a_minimum_are_kept_whatever_the_rank() {
    let texts = [words(60), words(50), words(55), words(45)];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for forced in 0..4 {
        let constraints = Constraints { documents: [forced].into(), ..Constraints::default() };
        assert!(!tokens(&prompt_of(&texts, constraints), 10).unwrap().documents[forced].text.is_empty());
    }
    let constraints = Constraints { document_tokens: 6, ..Constraints::default() };
    let got = tokens(&prompt_of(&texts, constraints.clone()), 60).unwrap();
    let counter = for_name("o200k_base").unwrap();
    assert!(got.documents.iter().all(|document| counter.count(&document.text) >= 6));
    let refused = tokens(&prompt_of(&texts, constraints), 20);
    assert!(matches!(refused, Err(CompressError::Infeasible { budget: 20, needed }) if needed > 20));
}

#[test]
fn forced_words_that_do_not_fit_are_refused_with_the_tokens_needed() {
    let text = format!("{}ACME {}ACME", words(30), words(30));
    let constraints = Constraints { words: vec!["ACME".into()], ..Constraints::default() };
    let got = tokens(&prompt_of(&[&text], constraints), 12).unwrap();
    assert_eq!(got.prompt.matches("ACME").count(), 2);
    let constraints = Constraints { words: vec!["alpha".into(), "beta".into()], ..Constraints::default() };
    let Err(CompressError::Infeasible { needed, .. }) = tokens(&prompt_of(&[&text], constraints.clone()), 12)
    else {
        panic!("it does not fit");
    };
    assert!(tokens(&prompt_of(&[&text], constraints), needed).is_ok());
}

#[test]
fn documents_come_in_the_order_asked_for() {
    let texts: Vec<String> = ["ant ", "bee ", "cow ", "dog ", "emu "].map(|word| word.repeat(12)).into();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let order = |reorder| {
        let constraints = Constraints {
            reorder,
            document_tokens: 3,
            context_budget: Some(ContextBudget::Multiply(9.0)),
            ..Constraints::default()
        };
        let got = tokens(&prompt_of(&texts, constraints), 40).unwrap();
        let mut ranks: Vec<(usize, usize)> = got
            .documents
            .iter()
            .map(|document| (got.prompt.find(&document.text[..3]).unwrap(), document.rank.unwrap()))
            .collect();
        ranks.sort_unstable();
        ranks.into_iter().map(|(_, rank)| rank).collect::<Vec<_>>()
    };
    assert_eq!(order(Reorder::Sort), [0, 1, 2, 3, 4]);
    assert_eq!(order(Reorder::TwoStage), [0, 2, 4, 3, 1]);
}

#[test]
fn sections_have_rates_of_their_own() {
    let (whole, half, free) = (words(20), words(40), words(60));
    let text = format!("{whole}\n{half}\n{free}");
    let section = |start: usize, len: usize, share| Section { document: 0, range: start..start + len, share };
    let constraints = Constraints {
        sections: vec![
            section(0, whole.len(), Share::Whole),
            section(whole.len() + 1, half.len(), Share::Rate(0.5)),
        ],
        ..Constraints::default()
    };
    let counter = for_name("o200k_base").unwrap();
    let prompt = prompt_of(&[&text], constraints);
    for most in [60, 120] {
        let got = tokens(&prompt, most).unwrap();
        assert!(got.prompt.starts_with(whole.trim_end()), "{}", got.prompt);
        let of_half = |range: &Range<usize>| {
            let section = whole.len() + 1..whole.len() + 1 + half.len();
            text[range.start.clamp(section.start, section.end)..range.end.clamp(section.start, section.end)]
                .to_owned()
        };
        let kept: String = got.documents[0].kept.iter().map(of_half).collect();
        assert!((15..=21).contains(&counter.count(&kept)), "{} {kept}", counter.count(&kept));
    }
    // The rate of a section holds where all would fit.
    let got = tokens(&prompt, 10_000).unwrap();
    assert!(got.compressed_tokens < got.original_tokens && got.prompt.ends_with(&free));
}

#[test]
fn reference_mode_refuses_what_the_reference_has_not() {
    let cancel = Cancel::never();
    let counter = for_name("o200k_base").unwrap();
    let tools = Tools {
        scorer: Some(&FakeScorer { piece: 3 }),
        ..Tools::bare(counter.as_ref(), &PROTECTOR, &cancel)
    };
    let prompt = prompt_of(&["a b c"], Constraints { numbers: true, ..Constraints::default() });
    let got = compress(&prompt, Target::Rate(0.5), Method::LlmLingua, Mode::Reference, &tools);
    assert!(matches!(got, Err(CompressError::Unsupported(message)) if message.contains("context_budget")));
}

#[test]
fn phrases_and_sentences_are_kept_or_dropped_whole() {
    let text =
        "The town council met on Monday. It discussed the budget, which was long. Nobody came to see it.";
    for granularity in [Granularity::Phrase, Granularity::Sentence] {
        let constraints = Constraints { granularity: Some(granularity), ..Constraints::default() };
        let counter = for_name("o200k_base").unwrap();
        let got = run(&prompt_of(&[text], constraints), Target::Tokens(12), 5, counter.as_ref()).unwrap();
        let parts = crate::text::coarsened(text, units(text, &PROTECTOR.spans(text)), granularity);
        let words = &got.documents[0].words;
        assert_eq!(words.len(), parts.len());
        assert!(words.iter().any(|word| word.kept) && words.iter().all(|word| word.score.is_some()));
        for word in words {
            let inside = got.documents[0]
                .kept
                .iter()
                .any(|kept| kept.start <= word.range.start && word.range.end <= kept.end);
            assert_eq!(inside, word.kept, "{:?} of {:?}", &text[word.range.clone()], got.prompt);
        }
    }
}
