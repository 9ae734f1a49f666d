//! Questions with choices, and others to learn from.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use crate::engine::EngineError;
use crate::engine::examples::{Choice, Example};
use crate::eval::dataset::{self, Files};
use crate::random::Random;

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The requested name.
    pub name: String,
    /// The examples to learn from.
    pub bank: Vec<Example>,
    /// The questions to ask.
    pub questions: Vec<Example>,
}

impl Task {
    /// `medqa`, `bbh/TASK` with the choices of one of its tasks, or a JSONL file whose lines have `question`,
    /// `options` (an object of labels and texts), `answer` (a label) and perhaps `id`. What is learned from is in
    /// `bank`, another such file; else it is every second line.
    ///
    /// # Errors
    /// There is no such task, its data are not here, or they have no choices.
    pub fn load(name: &str, bank: Option<&Path>, files: &Files) -> anyhow::Result<Self> {
        let whole = |(bank, questions)| Self { name: name.to_owned(), bank, questions };
        if let Some(task) = name.strip_prefix("bbh/") {
            let manifest = dataset::by_name("bbh")?;
            let path = format!("bbh/tasks/{task}.json");
            if !manifest.files.iter().any(|file| file.path == path) {
                return Err(unknown(name));
            }
            let text = files.read(&manifest, &path)?;
            return Ok(whole(halves(hard(task, &text)?)));
        }
        if name == "medqa" {
            let manifest = dataset::by_name("medqa")?;
            let read = |path| lines(&files.read(&manifest, path)?).context(path);
            return Ok(whole((read("medqa/bank.jsonl")?, read("medqa/dev.jsonl")?)));
        }
        if Path::new(name).extension().is_some_and(|extension| extension == "jsonl") {
            let read = |path: &Path| {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                lines(&text).with_context(|| path.display().to_string())
            };
            let all = read(Path::new(name))?;
            return Ok(match bank {
                Some(bank) => whole((read(bank)?, all)),
                None => whole(halves(all)),
            });
        }
        Err(unknown(name))
    }

    /// Draws the questions, and what is learned from, down to so many of each.
    #[must_use]
    pub fn drawn(mut self, bank: usize, questions: usize, seed: u64) -> Self {
        for (list, most) in [(&mut self.bank, bank), (&mut self.questions, questions)] {
            if most < list.len() {
                Random::new(seed).shuffle(list);
                list.truncate(most);
            }
        }
        self
    }
}

fn unknown(name: &str) -> anyhow::Error {
    let message = format!(
        "unknown task `{name}`: there are medqa, bbh/TASK (such as bbh/logical_deduction_five_objects) and .jsonl \
         files of your own"
    );
    EngineError::invalid("unknown_task", "task", message).into()
}

/// Every second one to learn from, the others to ask.
fn halves(all: Vec<Example>) -> (Vec<Example>, Vec<Example>) {
    let (bank, questions): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let plain = |list: Vec<(usize, Example)>| list.into_iter().map(|(_, example)| example).collect();
    (plain(bank), plain(questions))
}

fn lines(text: &str) -> anyhow::Result<Vec<Example>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(i, line)| read_line(i, line).with_context(|| format!("line {}", i + 1))).collect()
}

fn read_line(number: usize, line: &str) -> anyhow::Result<Example> {
    let row: Map<String, Value> = serde_json::from_str(line)?;
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let options = row
        .get("options")
        .and_then(Value::as_object)
        .context("`options` must be an object of labels and texts")?;
    let choice = |(label, text): (&String, &Value)| {
        let text = text.as_str().context("an option must be a text")?.to_owned();
        anyhow::Ok(Choice { label: label.clone(), text })
    };
    let example = Example {
        id: text("id").unwrap_or_else(|| number.to_string()),
        question: text("question").context("there is no `question`")?,
        answer: text("answer").context("there is no `answer`")?,
        choices: options.iter().map(choice).collect::<anyhow::Result<_>>()?,
        ..Example::default()
    };
    checked(example)
}

fn checked(example: Example) -> anyhow::Result<Example> {
    if !example.choices.iter().any(|choice| choice.label == example.answer) {
        bail!("`answer` is `{}`, which is none of the labels", example.answer);
    }
    Ok(example)
}

/// The examples of a task of BIG-Bench Hard, whose inputs end in their options.
fn hard(task: &str, text: &str) -> anyhow::Result<Vec<Example>> {
    #[derive(serde::Deserialize)]
    struct Tasks {
        examples: Vec<Row>,
    }
    #[derive(serde::Deserialize)]
    struct Row {
        input: String,
        target: String,
    }
    let rows: Tasks = serde_json::from_str(text)?;
    let example = |(i, Row { input, target }): (usize, Row)| {
        let (question, options) = input
            .rsplit_once("Options:\n")
            .with_context(|| format!("the task `{task}` has no choices: take another one"))?;
        let choices: Vec<Choice> =
            options.lines().zip('A'..='Z').map(|(line, letter)| choice(line, letter)).collect();
        let target = target.trim();
        let right = choices
            .iter()
            .find(|choice| format!("({})", choice.label) == target || choice.text == target)
            .with_context(|| format!("example {i}: `{target}` is none of its options"))?;
        let answer = right.label.clone();
        anyhow::Ok(Example {
            id: format!("{task}/{i}"),
            question: question.trim().to_owned(),
            answer,
            choices,
            ..Example::default()
        })
    };
    rows.examples.into_iter().enumerate().map(example).collect()
}

/// `(A) text`, or `- text`, which has no label of its own.
fn choice(line: &str, letter: char) -> Choice {
    let label = letter.to_string();
    let text = line.strip_prefix(&format!("({label})")).or_else(|| line.strip_prefix('-')).unwrap_or(line);
    Choice { label, text: text.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProcessEnv;

    #[test]
    fn options_of_both_forms_are_read() {
        let text = r#"{"examples": [
            {"input": "Which?\nOptions:\n(A) one\n(B) two", "target": "(B)"},
            {"input": "Valid?\nOptions:\n- valid \n- invalid", "target": "invalid"}]}"#;
        let read = hard("t", text).unwrap();
        assert_eq!((&*read[0].question, &*read[0].answer, &*read[0].choices[1].text), ("Which?", "B", "two"));
        assert_eq!((&*read[1].answer, &*read[1].choices[0].text), ("B", "valid"));
        let open = r#"{"examples": [{"input": "What is 1 + 1?", "target": "2"}]}"#;
        assert!(format!("{:#}", hard("sums", open).unwrap_err()).contains("`sums` has no choices"));
    }

    #[test]
    fn rows_of_ones_own_are_halved_and_their_mistakes_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.jsonl");
        let line = |i: usize| {
            format!("{{\"question\":\"q{i}\",\"options\":{{\"A\":\"x\",\"B\":\"y\"}},\"answer\":\"B\"}}\n")
        };
        std::fs::write(&file, (0..5).map(line).collect::<String>()).unwrap();
        let load = || Task::load(&file.to_string_lossy(), None, &Files::new(None, &ProcessEnv));
        let task = load().unwrap();
        assert_eq!((task.bank.len(), task.questions.len(), &*task.questions[0].id), (3, 2, "1"));
        assert_eq!(task.drawn(2, 1, 1).bank.len(), 2);
        for (wrong, said) in [
            ("{\"question\":\"q\",\"options\":{\"A\":\"x\"},\"answer\":\"C\"}", "none of the labels"),
            ("{\"question\":\"q\",\"answer\":\"C\"}", "`options`"),
            ("{", "line 2"),
        ] {
            std::fs::write(&file, line(0) + wrong).unwrap();
            assert!(format!("{:#}", load().unwrap_err()).contains(said), "{wrong}");
        }
        assert!(
            format!("{:#}", Task::load("chess", None, &Files::new(None, &ProcessEnv)).unwrap_err())
                .contains("medqa")
        );
    }
}
