//! Names of models in a configuration: names of the manifest, paths, and several of them at once.

use std::path::Path;

/// Returns whether the name of a model in a configuration is the path of its file or folder.
#[must_use]
pub fn is_path(name: &str) -> bool {
    name.contains(['/', '\\'])
        || Path::new(name).extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"))
}

/// The name that a model is shown under: its own, or the last part of its path without `.gguf`.
#[must_use]
pub fn display_name(name: &str) -> &str {
    let path = Path::new(name);
    let last = if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf")) {
        path.file_stem()
    } else {
        path.file_name()
    };
    last.and_then(|last| last.to_str()).filter(|_| is_path(name)).unwrap_or(name)
}

/// The names of models in the name that a configuration has for several, `A+B`; a path is one model.
pub fn parts_of(name: &str) -> impl Iterator<Item = &str> {
    let separator = if is_path(name) { None } else { Some('+') };
    name.split(move |c| Some(c) == separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_several_names_are_told_from_one() {
        for (name, is, shown) in [
            ("smollm2", false, "smollm2"),
            ("m.gguf", true, "m"),
            ("/srv/models/Qwen3.Q8_0.GGUF", true, "Qwen3.Q8_0"),
            ("models/encoder", true, "encoder"),
        ] {
            assert_eq!((is_path(name), display_name(name)), (is, shown));
        }
        for (name, parts) in [("a", vec!["a"]), ("a+b", vec!["a", "b"]), ("/c++/m.gguf", vec!["/c++/m.gguf"])]
        {
            assert_eq!(parts_of(name).collect::<Vec<_>>(), parts);
        }
    }
}
