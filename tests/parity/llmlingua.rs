//! `reference` mode against llmlingua 0.2.2 on the same weights.

use std::collections::HashMap;

use serde::Deserialize;
use whittle::compress::reference::{ContextBudget, Reorder, Settings, compress};
use whittle::compress::{
    CompressError, Compressed, Document, Method, Mode, Prompt, Target, Tools, compress as exact,
};
use whittle::model::cached::CachedScorer;
use whittle::model::{Cancel, ScoreJob, TokenScorer};
use whittle::text::{MarkStyle, Protector, TokenCounter, for_model};

use super::{F32, INT8, golden};

#[derive(Deserialize)]
struct Case {
    kind: String,
    contexts: Vec<String>,
    instruction: String,
    question: String,
    params: Params,
    first_context_token_ids: Vec<u32>,
    first_context_nll: Vec<f32>,
    rank_llmlingua: Option<Vec<(usize, f64)>>,
    rank_longllmlingua: Option<Vec<(usize, f64)>>,
    reference: Reference,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Params {
    rate: f64,
    target_token: Option<usize>,
    iterative_size: Option<usize>,
    context_budget: Option<String>,
    rank_method: Option<String>,
    condition_in_question: Option<String>,
    condition_compare: bool,
    reorder_context: Option<String>,
    dynamic_context_compression_ratio: f64,
}

#[derive(Deserialize)]
struct Reference {
    compressed_prompt: String,
}

impl Case {
    fn question_aware(&self) -> bool {
        let expected = [None, Some("after_condition")];
        assert!(expected.contains(&self.params.condition_in_question.as_deref()));
        self.params.rank_method.as_deref() == Some("longllmlingua")
    }

    fn settings(&self) -> Settings {
        let params = &self.params;
        Settings {
            iterative_size: params.iterative_size.unwrap_or(200),
            context_budget: match params.context_budget.as_deref().unwrap_or("+100") {
                "+100" => ContextBudget::Add(100.0),
                "*1.5" => ContextBudget::Multiply(1.5),
                other => panic!("a budget that no case had: {other}"),
            },
            rank_by_question: self.question_aware(),
            condition_compare: params.condition_compare,
            reorder: match params.reorder_context.as_deref() {
                Some("sort") => Reorder::Sort,
                None | Some("original") => Reorder::Original,
                Some(other) => panic!("an order that no case had: {other}"),
            },
            dynamic_ratio: params.dynamic_context_compression_ratio,
        }
    }

    fn prompt(&self) -> Prompt {
        let documents = self.contexts.iter().enumerate();
        let documents =
            documents.map(|(i, text)| Document { id: i.to_string(), title: None, text: text.clone() });
        Prompt {
            instruction: self.instruction.clone(),
            documents: documents.collect(),
            question: self.question.clone(),
            ..Prompt::default()
        }
    }

    fn run(&self) -> Compressed {
        let target = self.params.target_token.map_or(Target::Rate(self.params.rate), Target::Tokens);
        let (counter, protector, cancel) = (for_model("gpt-4"), Protector::default(), Cancel::never());
        let tools = Tools { scorer: Some(&*F32), ..Tools::bare(counter.as_ref(), &protector, &cancel) };
        compress(&self.prompt(), target, &self.settings(), &tools).unwrap()
    }
}

#[test]
fn output_and_ranking_equal_the_references() {
    let Some(cases) = golden("reference/llmlingua-0.2.2.jsonl") else { return };
    let mut overlaps: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for line in cases.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let result = case.run();
        let want = if case.question_aware() { &case.rank_longllmlingua } else { &case.rank_llmlingua };
        let off = want.as_ref().map_or(0.0, |want| compare_ranking(&case, &result, want));
        let overlap = jaccard(&result.prompt, &case.reference.compressed_prompt);
        println!(
            "{} question-aware {}: overlap {overlap:.4}, ranking scores within {off:.5}",
            case.kind,
            case.question_aware()
        );
        overlaps[usize::from(case.question_aware())].push(overlap);
        compare_first_context(&case);
    }
    for (overlaps, mean_wanted, worst_wanted) in [(&overlaps[0], 0.97, 0.90), (&overlaps[1], 0.95, 0.90)] {
        let mean = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
        let worst = overlaps.iter().copied().fold(1.0, f64::min);
        println!("{} cases: overlap {mean:.4} on average, {worst:.4} at worst", overlaps.len());
        assert!(mean >= mean_wanted && worst >= worst_wanted);
    }
}

/// Counts in the scorer's own tokens.
struct ScorerTokens;

impl TokenCounter for ScorerTokens {
    fn name(&self) -> &'static str {
        "scorer"
    }

    fn count(&self, text: &str) -> usize {
        INT8.encode(text).len()
    }
}

#[test]
fn exact_mode_meets_every_budget_on_the_same_prompts() {
    let Some(cases) = golden("reference/llmlingua-0.2.2.jsonl") else { return };
    // Each document is scored once for all targets.
    let scorer = CachedScorer::new(&*INT8, "int8", 64 << 20);
    let (o200k, protector, cancel) = (for_model("gpt-4o"), Protector::default(), Cancel::never());
    let mut met = 0;
    for line in cases.lines() {
        let prompt = serde_json::from_str::<Case>(line).unwrap().prompt();
        for counter in [o200k.as_ref(), &ScorerTokens as &dyn TokenCounter] {
            let tools = Tools { scorer: Some(&scorer), ..Tools::bare(counter, &protector, &cancel) };
            for tokens in [20, 60, 150, 400, 1000, 2000] {
                let run = || exact(&prompt, Target::Tokens(tokens), Method::LlmLingua, Mode::Exact, &tools);
                let result = match run() {
                    Ok(result) => result,
                    Err(CompressError::Infeasible { budget, needed }) => {
                        let fixed = counter.count(&format!("{}\n\n{}", prompt.instruction, prompt.question));
                        assert!(
                            needed > budget && fixed + 8 > budget,
                            "{needed} needed of {budget}, {fixed} fixed"
                        );
                        continue;
                    }
                    Err(other) => panic!("{other}"),
                };
                assert!(counter.count(&result.prompt) <= tokens);
                assert_eq!(run().unwrap().prompt, result.prompt);
                let style = MarkStyle::beside(prompt.documents.iter().map(|document| &*document.text));
                for (document, source) in result.documents.iter().zip(&prompt.documents) {
                    let slices: String =
                        document.kept.iter().map(|range| &source.text[range.clone()]).collect();
                    // Marks of a small budget do not count.
                    assert_eq!(slices, style.short().remove(&style.remove(&document.text)));
                }
                met += 1;
            }
        }
    }
    println!("{met} budgets met");
    assert!(met > 100);
}

/// The order must be the same; gives the largest difference of the scores.
fn compare_ranking(case: &Case, result: &Compressed, want: &[(usize, f64)]) -> f64 {
    let mut ranked: Vec<_> = result.documents.iter().collect();
    ranked.sort_by_key(|document| document.rank);
    let got: Vec<usize> = ranked.iter().map(|document| document.id.parse().unwrap()).collect();
    assert_eq!(got, want.iter().map(|&(i, _)| i).collect::<Vec<_>>(), "{}", case.question);
    let off =
        ranked.iter().zip(want).map(|(got, want)| (got.score.unwrap() - want.1).abs()).fold(0.0, f64::max);
    assert!(off <= 0.01, "{off}");
    off
}

fn compare_first_context(case: &Case) {
    let ids: Vec<u32> = F32.encode(&case.contexts[0]).into_iter().map(|token| token.id).collect();
    assert_eq!(ids, case.first_context_token_ids);
    let nll = F32.score(&[ScoreJob { prefix: [].into(), ids }], &Cancel::never()).unwrap().remove(0);
    for (got, want) in nll.iter().zip(&case.first_context_nll) {
        assert!((got - want).abs() <= 0.01, "{got} against {want}");
    }
}

/// Overlap of the multisets of tokens: shared over all.
fn jaccard(a: &str, b: &str) -> f64 {
    let mut counts: HashMap<u32, [u32; 2]> = HashMap::new();
    for (side, text) in [a, b].into_iter().enumerate() {
        for token in F32.encode(text) {
            counts.entry(token.id).or_default()[side] += 1;
        }
    }
    let shared: u32 = counts.values().map(|[a, b]| a.min(b)).sum();
    let all: u32 = counts.values().map(|[a, b]| a.max(b)).sum();
    f64::from(shared) / f64::from(all)
}
