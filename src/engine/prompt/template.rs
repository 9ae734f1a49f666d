//! Templates: what a prompt looks like around its documents.

use std::path::Path;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::engine::EngineError;
use crate::engine::examples::{Choice, Example};

/// Between the parts of a prompt as text.
const JOIN: &str = "\n\n";

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

/// What a template may name.
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
    /// What citations call it, from 1.
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
    /// Both parts as one text.
    pub(super) fn text(&self) -> String {
        if self.system.is_empty() { self.user.clone() } else { format!("{}{JOIN}{}", self.system, self.user) }
    }
}

/// A template that can be rendered.
pub(super) struct Template(Environment<'static>);

impl Template {
    /// The template called `name`: one that is compiled in or, where `files` may be read, the path of a file, which is
    /// the user's part.
    pub(super) fn of(name: &str, files: bool) -> Result<Self, EngineError> {
        if let Some(built_in) = BUILT_IN.iter().find(|template| template.name == name) {
            return Self::parsed(built_in.system.to_owned(), built_in.user.to_owned());
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
        Self::parsed(String::new(), text)
    }

    fn parsed(system: String, user: String) -> Result<Self, EngineError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.add_template_owned("system", system).map_err(|error| broken(&error))?;
        environment.add_template_owned("user", user).map_err(|error| broken(&error))?;
        Ok(Self(environment))
    }

    /// Renders both parts, without white space around them.
    pub(super) fn render(&self, variables: &Variables<'_>) -> Result<Rendered, EngineError> {
        let part = |name: &str| -> Result<String, minijinja::Error> {
            Ok(self.0.get_template(name)?.render(minijinja::value::Serde(variables))?.trim().to_owned())
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
        let manifest: toml::Table = include_str!("../../../prompts/manifest.toml").parse().unwrap();
        assert_eq!(manifest.len(), BUILT_IN.len());
        for template in BUILT_IN {
            let entry = &manifest[template.name];
            assert!(entry["version"].as_integer().unwrap() >= 1 && entry["description"].is_str());
            let Template(environment) = Template::of(template.name, false).unwrap();
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
