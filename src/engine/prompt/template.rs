//! Templates: what a prompt looks like around its documents.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use super::api::TemplateInfo;
use crate::engine::EngineError;
use crate::engine::examples::{Choice, Example};

/// The separator of the parts of a prompt as text.
const JOIN: &str = "\n\n";

/// The manifest of the templates that are compiled in.
const MANIFEST: &str = include_str!("../../../prompts/manifest.toml");

/// An entry of the manifest, by the name of its template. The rest of it is for people and tests.
#[derive(Deserialize)]
struct Entry {
    version: u32,
    description: String,
}

/// Reads the manifest of the templates that are compiled in.
fn manifest() -> Result<BTreeMap<String, Entry>, EngineError> {
    toml::from_str(MANIFEST)
        .map_err(|error| EngineError::internal(format!("the manifest of templates is broken: {error}")))
}

/// Returns the name and the description of each template that is compiled in.
pub(super) fn built_in() -> Result<Vec<(String, String)>, EngineError> {
    Ok(manifest()?.into_iter().map(|(name, entry)| (name, entry.description)).collect())
}

/// A template that is compiled in.
struct BuiltIn {
    name: &'static str,
    system: &'static str,
    user: &'static str,
}

const BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        name: "answer",
        system: include_str!("../../../prompts/answer/system.j2"),
        user: include_str!("../../../prompts/answer/user.j2"),
    },
    BuiltIn {
        name: "context",
        system: include_str!("../../../prompts/context/system.j2"),
        user: include_str!("../../../prompts/context/user.j2"),
    },
];

impl BuiltIn {
    /// Returns the template's version in the manifest.
    fn version(&self) -> Result<u32, EngineError> {
        let manifest = manifest()?;
        let entry = manifest.get(self.name);
        let none = || EngineError::internal(format!("the manifest has no template `{}`", self.name));
        Ok(entry.ok_or_else(none)?.version)
    }
}

/// The variables that a template may read.
#[derive(Debug, Serialize)]
pub(super) struct Variables<'a> {
    /// May be empty.
    pub(super) instruction: &'a str,
    pub(super) question: &'a str,
    /// Whether the answer is to come from documents, found or not.
    pub(super) searched: bool,
    /// The most similar one last.
    pub(super) examples: Vec<Shown<'a>>,
    pub(super) documents: Vec<Passage<'a>>,
}

/// A document as templates see it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Passage<'a> {
    /// The number that citations use, from 1.
    pub(super) number: usize,
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

/// An example as templates see it: with all members, for templates are strict.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Shown<'a> {
    question: &'a str,
    /// Each with `label` and `text`.
    choices: &'a [Choice],
    thought: &'a str,
    answer: &'a str,
}

impl<'a> From<&'a Example> for Shown<'a> {
    fn from(Example { question, thought, answer, choices, .. }: &'a Example) -> Self {
        Self { question, choices, thought: thought.as_deref().unwrap_or_default(), answer }
    }
}

/// A prompt in its two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    /// Empty where the template has no such part.
    pub(super) system: String,
    pub(super) user: String,
}

impl Rendered {
    /// Returns both parts as one text.
    pub(super) fn text(&self) -> String {
        if self.system.is_empty() { self.user.clone() } else { format!("{}{JOIN}{}", self.system, self.user) }
    }
}

/// A template that can be rendered.
pub(super) struct Template {
    environment: Environment<'static>,
    pub(super) info: TemplateInfo,
}

impl Template {
    /// The template called `name`: one that is compiled in or, where `files` may be read, the path of a file, which is
    /// the user's part.
    pub(super) fn of(name: &str, files: bool) -> Result<Self, EngineError> {
        if let Some(built_in) = BUILT_IN.iter().find(|template| template.name == name) {
            let info = TemplateInfo { name: name.to_owned(), version: Some(built_in.version()?) };
            return Self::parsed(info, built_in.system.to_owned(), built_in.user.to_owned());
        }
        let path = Path::new(name);
        if !files || path.extension().is_none() {
            let known = BUILT_IN.each_ref().map(|template| template.name).join("`, `");
            let what = if files { "; a file's name has an extension, such as .j2" } else { "" };
            let name: String = name.chars().take(80).collect();
            let message = format!("unknown template `{name}`: known is `{known}`{what}");
            return Err(EngineError::invalid("unknown_template", "template", message));
        }
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read the template {}: {error}", path.display());
            EngineError::invalid("unreadable_template", "template", message)
        })?;
        Self::parsed(TemplateInfo { name: name.to_owned(), version: None }, String::new(), text)
    }

    fn parsed(info: TemplateInfo, system: String, user: String) -> Result<Self, EngineError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.add_template_owned("system", system).map_err(|error| broken(&error))?;
        environment.add_template_owned("user", user).map_err(|error| broken(&error))?;
        Ok(Self { environment, info })
    }

    /// Renders both parts, without white space around them.
    pub(super) fn render(&self, variables: &Variables<'_>) -> Result<Rendered, EngineError> {
        let part = |name: &str| -> Result<String, minijinja::Error> {
            Ok(self
                .environment
                .get_template(name)?
                .render(minijinja::value::Serde(variables))?
                .trim()
                .to_owned())
        };
        Ok(Rendered {
            system: part("system").map_err(|error| broken(&error))?,
            user: part("user").map_err(|error| broken(&error))?,
        })
    }
}

/// A template that is no template, or names what there is not.
fn broken(error: &minijinja::Error) -> EngineError {
    let message = format!(
        "the template cannot be used: {error}; it may name `question`, `instruction`, `searched`, `documents`, each with \
         `number`, `title` and `text`, and `examples`, each with `question`, `choices`, `thought` and `answer`"
    );
    EngineError::invalid("broken_template", "template", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables<'static> {
        let passage = |number, text| Passage { number, title: "T <b>", text };
        Variables {
            instruction: "",
            question: "Who {{ am }} I?",
            searched: true,
            examples: Vec::new(),
            documents: vec![passage(1, "One & two."), passage(2, "{% raw")],
        }
    }

    #[test]
    fn what_is_put_in_stands_there_as_it_is() {
        let rendered = Template::of("answer", false).unwrap().render(&variables()).unwrap();
        assert!(rendered.system.starts_with("Answer the question"), "{}", rendered.system);
        assert_eq!(rendered.user, "[1] T <b>\nOne & two.\n\n[2] T <b>\n{% raw\n\nQuestion: Who {{ am }} I?");
        let instructed = Variables { instruction: "Be brief.", ..variables() };
        let rendered = Template::of("answer", false).unwrap().render(&instructed).unwrap();
        assert!(rendered.text().starts_with("Be brief.\n\nAnswer the question"), "{}", rendered.text());
    }

    #[test]
    fn examples_are_shown_with_what_they_have() {
        let plain = Example { question: "Is it?".into(), answer: "Yes.".into(), ..Example::default() };
        let choice = |label: &str, text: &str| Choice { label: label.into(), text: text.into() };
        let chosen = Example {
            question: "Which?".into(),
            choices: vec![choice("A", "one"), choice("B", "two")],
            thought: Some("Two is more.".into()),
            answer: "B".into(),
            ..Example::default()
        };
        let variables = Variables {
            examples: vec![(&plain).into(), (&chosen).into()],
            documents: Vec::new(),
            ..variables()
        };
        let shown = "Question: Is it?\nAnswer: Yes.\n\nQuestion: Which?\nA. one\nB. two\nThought: Two is more.\n\
                     Answer: B\n\n";
        let rendered = Template::of("answer", false).unwrap().render(&variables).unwrap();
        assert_eq!(rendered.user, format!("{shown}Question: Who {{{{ am }}}} I?"));
        let rendered = Template::of("context", false).unwrap().render(&variables).unwrap();
        assert_eq!(
            rendered.text(),
            format!("{shown}The questions above are answered as what follows is to be answered.")
        );
    }

    #[test]
    fn the_manifest_names_the_variables_of_each_template() {
        let manifest: toml::Table = MANIFEST.parse().unwrap();
        assert_eq!(manifest.len(), BUILT_IN.len());
        for template in BUILT_IN {
            let entry = &manifest[template.name];
            assert!(template.version().unwrap() >= 1 && entry["description"].is_str());
            let Template { environment, .. } = Template::of(template.name, false).unwrap();
            let mut named: Vec<String> = ["system", "user"]
                .iter()
                .flat_map(|part| environment.get_template(part).unwrap().undeclared_variables(false))
                .collect();
            named.sort();
            named.dedup();
            let listed: Vec<&str> =
                entry["variables"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
            assert_eq!(named, listed, "{}", template.name);
        }
    }

    /// Returns the hash of a template's text at one of its versions.
    fn hash(template: &BuiltIn, version: u32) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [template.system, template.user] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        // So that a changed text cannot keep its version.
        hasher.update(&version.to_le_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }

    #[test]
    fn a_changed_text_has_a_new_version() {
        let manifest: toml::Table = MANIFEST.parse().unwrap();
        for template in &BUILT_IN {
            let version = template.version().unwrap();
            let next = hash(template, version + 1);
            assert_eq!(
                manifest[template.name]["hash"].as_str(),
                Some(&*hash(template, version)),
                "the text of `{}` has changed: in prompts/manifest.toml raise its version to {} and set its hash to {next}",
                template.name,
                version + 1
            );
        }
    }

    #[test]
    fn a_template_says_which_it_is() {
        let built_in = Template::of("answer", false).unwrap().info;
        assert_eq!(
            (built_in.name.as_str(), built_in.version),
            ("answer", Some(BUILT_IN[0].version().unwrap()))
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.j2");
        std::fs::write(&path, "{{ question }}").unwrap();
        let own = Template::of(path.to_str().unwrap(), true).unwrap().info;
        assert_eq!((own.name.as_str(), own.version), (path.to_str().unwrap(), None));
    }

    #[test]
    fn templates_that_cannot_be_used_are_told_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.j2");
        let path = path.to_str().unwrap();
        let error = |text: &str| {
            std::fs::write(path, text).unwrap();
            Template::of(path, true).and_then(|template| template.render(&variables())).unwrap_err()
        };
        assert!(error("{{ answer }}").message.contains("`question`"), "undefined variables are errors");
        assert!(error("{% for x in %}").message.contains("cannot be used"));
        std::fs::write(path, "{{ question }}").unwrap();
        assert_eq!(Template::of(path, true).unwrap().render(&variables()).unwrap().text(), "Who {{ am }} I?");
        for (name, files) in [(path, false), ("none", false), ("none", true)] {
            assert_eq!(Template::of(name, files).err().unwrap().code, "unknown_template");
        }
        assert_eq!(Template::of("/no/such.j2", true).err().unwrap().code, "unreadable_template");
    }
}
