//! Suites: a dataset, methods and rates that are run together.

use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use serde::Deserialize;

use super::dataset::Files;
use crate::compress::Method;
use crate::engine::EngineError;

/// Suites of this build.
const BUILT_IN: [&str; 7] = [
    include_str!("../../eval/suites/smoke.toml"),
    include_str!("../../eval/suites/kinds.toml"),
    include_str!("../../eval/suites/domains.toml"),
    include_str!("../../eval/suites/nq.toml"),
    include_str!("../../eval/suites/gsm8k.toml"),
    include_str!("../../eval/suites/bbh.toml"),
    include_str!("../../eval/suites/medqa.toml"),
];

/// The suite whose sets are suites, too.
const DOMAINS: &str = "domains";

/// A suite, which is run together: `eval/suites/NAME.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Unique name.
    pub name: String,
    /// A dataset of this build, or the path of a JSONL file.
    pub dataset: String,
    /// Names of methods; `default` is the one that holds where none is named.
    pub methods: Vec<String>,
    /// Shares of the tokens to keep, above 0 and at most 1.
    pub rates: Vec<f64>,
    /// Most questions, drawn by the seed; all where none is given.
    pub limit: Option<usize>,
    /// The reader of the prompts where none is named on the command line; by default the scorer's likelihood.
    pub reader: Option<String>,
}

impl Suite {
    /// A suite of this build, or that of a `.toml` file, or the plainest one over rows in a `.jsonl` file or over one of
    /// the sets among `files`.
    ///
    /// # Errors
    /// No suite has the name, or its file is not one.
    pub fn by_name(name: &str, files: &Files) -> anyhow::Result<Self> {
        let extension = Path::new(name).extension().unwrap_or_default();
        if extension == "jsonl" {
            let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let rates = vec![0.5, 0.25, 0.1, 0.05];
            return Ok(Self {
                name: stem,
                dataset: name.to_owned(),
                methods: vec!["default".into()],
                rates,
                limit: None,
                reader: None,
            });
        }
        if extension == "toml" {
            let text =
                std::fs::read_to_string(name).with_context(|| format!("cannot read the suite {name}"))?;
            return toml::from_str(&text).with_context(|| format!("in the suite {name}"));
        }
        let all: Result<Vec<Self>, _> = BUILT_IN.iter().map(|text| toml::from_str(text)).collect();
        let all = all.context("a built-in suite")?;
        let known = all.iter().map(|suite| suite.name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(suite) = all.iter().find(|suite| suite.name == name) {
            return Ok(suite.clone());
        }
        if let Some(domains) = all.iter().find(|suite| suite.name == DOMAINS && files.has_set(name)) {
            return Ok(Self { name: name.to_owned(), dataset: name.to_owned(), ..domains.clone() });
        }
        let message = format!(
            "unknown suite `{name}`: there are {known}, or give a .toml suite, .jsonl rows or a set of `{DOMAINS}` in the \
             folder of --data"
        );
        Err(EngineError::invalid("unknown_suite", "suite", message).into())
    }

    /// The methods that the suite names.
    ///
    /// # Errors
    /// There is no such method.
    pub fn chosen(&self) -> anyhow::Result<Vec<Method>> {
        self.methods.iter().map(|name| method(name)).collect()
    }
}

/// A method by its name on the command line; `default` is the one that holds where none is named.
///
/// # Errors
/// There is no such method.
pub fn method(name: &str) -> anyhow::Result<Method> {
    if name == "default" {
        return Ok(Method::default());
    }
    Method::from_str(name, false).map_err(|_| {
        let known = Method::value_variants().iter().map(|&method| name_of(method)).collect::<Vec<_>>();
        let message = format!("unknown method `{name}`: there are default, {}", known.join(", "));
        EngineError::invalid("unknown_method", "methods", message).into()
    })
}

/// Name of a method on the command line.
#[must_use]
pub fn name_of(method: Method) -> String {
    method.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProcessEnv;
    use crate::eval::dataset;

    #[test]
    fn every_built_in_suite_names_methods_and_data_that_exist() {
        let files = Files::new(None, &ProcessEnv);
        for name in ["smoke", "kinds", "domains", "nq", "gsm8k", "bbh", "medqa"] {
            let suite = Suite::by_name(name, &files).unwrap();
            assert!(!suite.chosen().unwrap().is_empty());
            assert!(dataset::by_name(&suite.dataset).is_ok());
            assert!(suite.rates.iter().all(|&rate| rate > 0.0 && rate <= 1.0));
        }
        assert!(Suite::by_name("nothing", &files).unwrap_err().to_string().contains("smoke, "));
    }

    #[test]
    fn every_method_has_its_name() {
        for &variant in Method::value_variants() {
            assert_eq!(method(&name_of(variant)).unwrap(), variant);
        }
        assert_eq!(method("default").unwrap(), Method::default());
        assert!(method("magic").unwrap_err().to_string().contains("llmlingua"));
    }
}
