//! Environment variables as an input: whoever wants them read says so, by handing over an [`Env`].

use std::ffi::OsString;
use std::path::PathBuf;

/// A source of environment variables, so that nothing depends on the process's own unless its caller gives them.
pub trait Env {
    /// The value of the variable `name` as the system has it, if it is set.
    fn value(&self, name: &str) -> Option<OsString>;

    /// The names of all variables, where they are known. A source that names none has no unknown ones.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The value of the variable `name` as text, if it is set. What is not Unicode shows as U+FFFD and then fails where
    /// it is parsed.
    fn get(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// The path that the variable `name` holds. An empty one counts as unset: that is how container tools leave one out.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn value(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}
