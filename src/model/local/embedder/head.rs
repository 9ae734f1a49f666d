//! The head of an embedder, as the files of sentence-transformers beside an encoder state it: how the vectors of a text's
//! tokens are pooled, what is read before a text, and how much is read together.

use std::path::Path;

use serde_json::Value;

use super::EmbedderOptions;
use crate::model::local::encoder::{EncoderError, EncoderFiles, NoFile};
use crate::model::store::ModelFiles;

/// The paths of an embedder's files.
#[derive(Debug, Clone, Copy)]
pub struct EmbedderFiles<'a> {
    /// The encoder's files.
    pub encoder: EncoderFiles<'a>,
    /// `modules.json`. Without it, vectors are means, and nothing is read before a text.
    pub modules: Option<&'a Path>,
    /// `1_Pooling/config.json`.
    pub pooling: Option<&'a Path>,
    /// `config_sentence_transformers.json`.
    pub prompts: Option<&'a Path>,
    /// `sentence_bert_config.json`.
    pub window: Option<&'a Path>,
}

impl<'a> From<EncoderFiles<'a>> for EmbedderFiles<'a> {
    fn from(encoder: EncoderFiles<'a>) -> Self {
        Self { encoder, modules: None, pooling: None, prompts: None, window: None }
    }
}

impl<'a> EmbedderFiles<'a> {
    /// Picks the parts out of a model's files.
    ///
    /// # Errors
    /// A file of the encoder is not there.
    pub fn of(files: &'a ModelFiles) -> Result<Self, NoFile> {
        Ok(Self {
            encoder: EncoderFiles::of(files)?,
            modules: files.named("modules.json"),
            pooling: files.named("1_Pooling/config.json"),
            prompts: files.named("config_sentence_transformers.json"),
            window: files.named("sentence_bert_config.json"),
        })
    }
}

/// The tokens whose vectors make that of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pooling {
    /// All: their mean.
    #[default]
    Mean,
    /// The one that opens the text.
    First,
    /// The one that closes it.
    Last,
}

/// The keys and names of the kinds of pooling.
const KINDS: [(&str, &str, Pooling); 3] = [
    ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
    ("pooling_mode_cls_token", "cls", Pooling::First),
    ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
];

/// The prompts that the model was trained to read before a text, by the text's use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Prefixes {
    pub(super) query: String,
    pub(super) passage: String,
}

impl Prefixes {
    /// Puts those of the options in the place of what the model's files say.
    pub(super) fn replaced(self, options: &EmbedderOptions) -> Self {
        Self {
            query: options.query_prefix.clone().unwrap_or(self.query),
            passage: options.text_prefix.clone().unwrap_or(self.passage),
        }
    }
}

/// The pooling of a text's tokens, and what is read with it.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) pooling: Pooling,
    pub(super) prefixes: Prefixes,
    /// Most tokens that are read together, where the files say it.
    pub(super) window: Option<usize>,
}

impl Head {
    /// Reads the files beside the encoder; none where there is no `modules.json`.
    pub(super) fn read(files: &EmbedderFiles<'_>) -> Result<Option<Self>, EncoderError> {
        let Some(path) = files.modules else { return Ok(None) };
        let names = modules(path)?;
        let Some(pooling) = files.pooling.filter(|_| names.iter().any(|name| name == "Pooling")) else {
            return Err(EncoderError::file(path, "it names no `Pooling` with its `1_Pooling/config.json`"));
        };
        let is_normed = names.iter().any(|name| name == "Normalize");
        Ok(Some(Self {
            pooling: pooling_of(pooling)?,
            prefixes: files.prompts.map(|path| prefixes(path, is_normed)).transpose()?.unwrap_or_default(),
            window: files.window.map(window).transpose()?.flatten(),
        }))
    }
}

fn json(path: &Path) -> Result<Value, EncoderError> {
    let text = std::fs::read_to_string(path).map_err(|e| EncoderError::file(path, e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| EncoderError::file(path, e.to_string()))
}

fn unsupported(what: &'static str, value: &str, known: &str) -> EncoderError {
    EncoderError::Unsupported { what, value: value.to_owned(), known: known.to_owned() }
}

/// The kinds of the modules that a text goes through, all of which are known.
fn modules(path: &Path) -> Result<Vec<String>, EncoderError> {
    let json = json(path)?;
    let modules = json.as_array().ok_or_else(|| EncoderError::file(path, "it is no list of modules"))?;
    let name = |module: &Value| {
        let kind = module["type"].as_str().unwrap_or("none");
        let name = kind.rsplit('.').next().unwrap_or(kind);
        let place = match name {
            "Transformer" => "",
            "Pooling" => "1_Pooling",
            "Normalize" => return Ok(name.to_owned()),
            _ => return Err(unsupported("module", kind, "Transformer`, `Pooling`, `Normalize")),
        };
        match module["path"].as_str().unwrap_or_default().trim_end_matches('/') {
            found if found == place => Ok(name.to_owned()),
            found => Err(unsupported("folder of a module", found, place)),
        }
    };
    modules.iter().map(name).collect()
}

/// Reads `1_Pooling/config.json`: a key for each kind of pooling, or the name of one.
fn pooling_of(path: &Path) -> Result<Pooling, EncoderError> {
    let json = json(path)?;
    if json["include_prompt"] == false {
        return Err(unsupported("include_prompt", "false", "true"));
    }
    let keys = json.as_object().into_iter().flatten();
    let chosen = keys.filter(|(key, value)| key.starts_with("pooling_mode_") && **value == true);
    let mut chosen: Vec<&str> = chosen.map(|(key, _)| key.as_str()).collect();
    chosen.extend(json["pooling_mode"].as_str());
    let kind = KINDS.iter().find(|(key, name, _)| chosen == [*key] || chosen == [*name]);
    kind.map(|&(_, _, pooling)| pooling).ok_or_else(|| {
        unsupported("pooling", &chosen.join("+"), &KINDS.map(|(_, name, _)| name).join("`, `"))
    })
}

/// Reads `config_sentence_transformers.json`. Vectors are compared by their cosines here, which is how the model compares
/// them where it norms them.
fn prefixes(path: &Path, is_normed: bool) -> Result<Prefixes, EncoderError> {
    let json = json(path)?;
    match json["similarity_fn_name"].as_str() {
        None | Some("cosine") => {}
        Some("dot") if is_normed => {}
        Some(other) => return Err(unsupported("similarity_fn_name", other, "cosine")),
    }
    let prompt = |name: &str| match &json["prompts"][name] {
        Value::Null => Ok(None),
        Value::String(prompt) => Ok(Some(prompt.clone())),
        _ => Err(EncoderError::file(path, format!("the prompt `{name}` is no text"))),
    };
    let other = json["default_prompt_name"].as_str().unwrap_or_default();
    let first = |names: &[&str]| {
        for name in names.iter().chain([&other]) {
            if let Some(prompt) = prompt(name)? {
                return Ok::<_, EncoderError>(prompt);
            }
        }
        Ok(String::new())
    };
    Ok(Prefixes { query: first(&["query"])?, passage: first(&["document", "passage", "corpus"])? })
}

/// Reads `sentence_bert_config.json`.
fn window(path: &Path) -> Result<Option<usize>, EncoderError> {
    let json = json(path)?;
    if json["do_lower_case"] == true {
        return Err(unsupported("do_lower_case", "true", "false"));
    }
    match &json["max_seq_length"] {
        Value::Null => Ok(None),
        length => {
            let tokens = length.as_u64().filter(|&tokens| (8..1 << 22).contains(&tokens));
            let wrong = || EncoderError::file(path, format!("max_seq_length is {length}, not 8 or more"));
            tokens.map(|tokens| Some(tokens as usize)).ok_or_else(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The files of a model in a folder, of which those beside the encoder are read.
    fn read(files: &[(&str, Value)]) -> Result<Option<Head>, EncoderError> {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (i, (name, content)) in files.iter().enumerate() {
            let path = folder.path().join(format!("{i}.json"));
            std::fs::write(&path, content.to_string()).unwrap();
            paths.push((*name, path));
        }
        let path = |wanted: &str| paths.iter().find(|(name, _)| *name == wanted).map(|(_, path)| &**path);
        let none = Path::new("none");
        let encoder = EncoderFiles { config: none, tokenizer: none, weights: none };
        Head::read(&EmbedderFiles {
            encoder,
            modules: path("modules"),
            pooling: path("pooling"),
            prompts: path("prompts"),
            window: path("window"),
        })
    }

    fn modules(kinds: &[&str]) -> (&'static str, Value) {
        let module = |kind: &&str| {
            let place = if *kind == "Pooling" { "1_Pooling" } else { "" };
            json!({"path": place, "type": format!("sentence_transformers.models.{kind}")})
        };
        ("modules", kinds.iter().map(module).collect())
    }

    #[test]
    fn pooling_prompts_and_window_are_those_of_the_files() {
        assert_eq!(read(&[]).unwrap(), None);
        let all = modules(&["Transformer", "Pooling", "Normalize"]);
        let cls = json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false, "include_prompt": true});
        let prompts = json!({"prompts": {"query": "q: ", "passage": "p: "}, "similarity_fn_name": "dot"});
        let window = json!({"max_seq_length": 64, "do_lower_case": false});
        let head = read(&[all.clone(), ("pooling", cls), ("prompts", prompts), ("window", window)]);
        let head = head.unwrap().unwrap();
        assert_eq!((head.pooling, head.window), (Pooling::First, Some(64)));
        assert_eq!(head.prefixes, Prefixes { query: "q: ".into(), passage: "p: ".into() });
        let named = json!({"pooling_mode": "lasttoken"});
        let prompts = json!({"prompts": {"query": "q: ", "all": "a: "}, "default_prompt_name": "all"});
        let head = read(&[all.clone(), ("pooling", named), ("prompts", prompts)]).unwrap().unwrap();
        assert_eq!((head.pooling, head.window), (Pooling::Last, None));
        assert_eq!(head.prefixes, Prefixes { query: "q: ".into(), passage: "a: ".into() });
        let mean = json!({"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false});
        assert_eq!(read(&[all, ("pooling", mean)]).unwrap(), Some(Head::default()));
    }

    #[test]
    fn what_does_not_run_here_is_named() {
        let (both, mean) = (modules(&["Transformer", "Pooling"]), json!({"pooling_mode_mean_tokens": true}));
        let refused = |files: &[(&'static str, Value)]| read(files).unwrap_err().to_string();
        let with = |name: &'static str, content: Value| {
            let mut files = vec![both.clone(), ("pooling", mean.clone())];
            files.retain(|(other, _)| *other != name);
            files.push((name, content));
            refused(&files)
        };
        let dense = refused(&[modules(&["Transformer", "Pooling", "Dense"])]);
        assert!(dense.contains("unsupported module `sentence_transformers.models.Dense`"), "{dense}");
        assert!(refused(std::slice::from_ref(&both)).contains("it names no `Pooling`"));
        assert!(refused(&[("modules", json!({}))]).contains("no list of modules"));
        let moved = json!([{"type": "a.Pooling", "path": "2_Pooling"}]);
        assert!(refused(&[("modules", moved)]).contains("unsupported folder of a module `2_Pooling`"));
        for (name, content, said) in [
            (
                "pooling",
                json!({"pooling_mode_max_tokens": true}),
                "unsupported pooling `pooling_mode_max_tokens`",
            ),
            ("pooling", json!({}), "unsupported pooling ``"),
            (
                "pooling",
                json!({"pooling_mode": "max"}),
                "unsupported pooling `max`: this build knows `mean`, `cls`",
            ),
            (
                "pooling",
                json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}),
                "unsupported pooling `pooling_mode_cls_token+pooling_mode_mean_tokens`",
            ),
            ("pooling", json!({"pooling_mode_mean_tokens": true, "include_prompt": false}), "include_prompt"),
            ("prompts", json!({"similarity_fn_name": "dot"}), "unsupported similarity_fn_name `dot`"),
            ("prompts", json!({"prompts": {"query": 3}}), "the prompt `query` is no text"),
            ("window", json!({"do_lower_case": true}), "unsupported do_lower_case `true`"),
            ("window", json!({"max_seq_length": 2}), "max_seq_length is 2"),
            ("window", json!({"max_seq_length": 1e30}), "max_seq_length is"),
        ] {
            let error = with(name, content);
            assert!(error.contains(said), "{error}");
        }
        let none = Path::new("/no/such/file");
        let encoder = EncoderFiles { config: none, tokenizer: none, weights: none };
        let missing = Head::read(&EmbedderFiles { modules: Some(none), ..encoder.into() });
        assert!(matches!(missing, Err(EncoderError::File { .. })));
    }
}
