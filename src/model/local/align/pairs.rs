//! Files of pairs: prompts, and the answers of the model that is to read prompts.

use std::path::Path;

use serde_json::Value;

use super::AlignError;
use crate::model::local::adapter::sha256_of_bytes;

/// Names that a prompt may have.
const PROMPTS: [&str; 2] = ["prompt", "instruction"];
/// Names that an answer may have.
const ANSWERS: [&str; 4] = ["answer", "completion", "output", "response"];
/// The text between a prompt and its answer, and between the messages of a conversation.
pub(super) const BETWEEN: &str = "\n\n";

/// A prompt and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// The number of its line, from 1 on.
    pub(super) line: usize,
    pub(super) prompt: String,
    pub(super) answer: String,
}

/// The pairs of a file, and its sha256.
pub(super) struct Pairs {
    pub(super) pairs: Vec<Pair>,
    pub(super) sha256: String,
}

impl Pairs {
    /// Reads a file of JSON lines. Empty lines are skipped.
    pub(super) fn read(path: &Path) -> Result<Self, AlignError> {
        let bytes = std::fs::read(path).map_err(|source| AlignError::Io {
            action: "read the pairs in",
            path: path.to_owned(),
            source,
        })?;
        let lines = bytes.split(|&byte| byte == b'\n').zip(1..);
        let pairs = lines.filter(|(text, _)| !text.trim_ascii().is_empty()).map(|(text, line)| {
            pair(text, line).map_err(|fault| AlignError::Pair { path: path.to_owned(), line, fault })
        });
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        if pairs.len() < 2 {
            return Err(AlignError::TooFew { path: path.to_owned(), found: pairs.len() });
        }
        Ok(Self { pairs, sha256: sha256_of_bytes(&bytes) })
    }
}

fn pair(text: &[u8], line: usize) -> Result<Pair, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let (prompt, answer) = match &value["messages"] {
        Value::Null => fields(&value)?,
        messages => conversation(messages)?,
    };
    if answer.trim().is_empty() {
        return Err("its answer is empty".into());
    }
    Ok(Pair { line, prompt, answer })
}

/// Reads a prompt and an answer, and the input that some collections have beside an instruction.
fn fields(value: &Value) -> Result<(String, String), String> {
    let find = |names: &[&str]| {
        let found = names.iter().find_map(|name| Some((*name, value.get(name)?)));
        let (name, found) = found.ok_or_else(|| format!("it has no `{}`", names[0]))?;
        found.as_str().map(str::to_owned).ok_or_else(|| format!("its `{name}` is no text"))
    };
    let mut prompt = find(&PROMPTS)?;
    if let Some(input) = value["input"].as_str().filter(|input| !input.is_empty()) {
        prompt = [&prompt, BETWEEN, input].concat();
    }
    Ok((prompt, find(&ANSWERS)?))
}

/// Reads the messages of a conversation, the last of which is the answer.
fn conversation(messages: &Value) -> Result<(String, String), String> {
    let messages = messages.as_array().ok_or("its `messages` are no list")?;
    let (last, before) = messages.split_last().ok_or("its `messages` are empty")?;
    if last["role"] != "assistant" {
        return Err("the last of its `messages` is not of the role `assistant`".into());
    }
    let texts = before.iter().map(message_text).collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    Ok((texts.join(BETWEEN), message_text(last)?))
}

/// The text of a message: its content, or the texts among the parts of it.
fn message_text(message: &Value) -> Result<String, String> {
    match &message["content"] {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        Value::Array(parts) => Ok(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
        _ => Err("the `content` of a message is neither a text nor a list".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Pairs, AlignError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Pairs::read(file.path())
    }

    #[test]
    fn every_form_is_read() {
        let text = r#"{"prompt": "Who?", "answer": "Ann."}

{"instruction": "Add.", "input": "1, 2", "output": "3"}
{"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
"#;
        let text = text.trim_end().to_owned()
            + r#" {"role": "assistant", "content": "Hello."}]}
{"prompt": "", "completion": "Once"}"#;
        let pairs = read(&text).unwrap().pairs;
        let found: Vec<_> = pairs.iter().map(|p| (p.line, &*p.prompt, &*p.answer)).collect();
        assert_eq!(
            found,
            [
                (1, "Who?", "Ann."),
                (3, "Add.\n\n1, 2", "3"),
                (4, "Be short.\n\nHi", "Hello."),
                (5, "", "Once")
            ]
        );
    }

    #[test]
    fn a_fault_names_file_and_line() {
        let good = r#"{"prompt": "Who?", "answer": "Ann."}"#;
        for (bad, said) in [
            ("{", "EOF"),
            (r#"{"answer": "x"}"#, "no `prompt`"),
            (r#"{"prompt": "x"}"#, "no `answer`"),
            (r#"{"prompt": 1, "answer": "x"}"#, "`prompt` is no text"),
            (r#"{"prompt": "x", "answer": "  "}"#, "answer is empty"),
            (r#"{"messages": []}"#, "`messages` are empty"),
            (r#"{"messages": 3}"#, "no list"),
            (r#"{"messages": [{"role": "user", "content": "x"}]}"#, "`assistant`"),
            (r#"{"messages": [{"role": "assistant", "content": 3}]}"#, "neither"),
        ] {
            let error = read(&format!("{good}\n{bad}\n")).err().unwrap().to_string();
            assert!(error.contains("line 2") && error.contains(said), "{error}");
        }
        for (few, found) in [("", 0), ("\n", 0), (good, 1)] {
            assert!(matches!(read(few), Err(AlignError::TooFew { found: n, .. }) if n == found));
        }
        assert!(matches!(Pairs::read(Path::new("/none.jsonl")), Err(AlignError::Io { .. })));
    }
}
