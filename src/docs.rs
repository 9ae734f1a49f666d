//! The guides: one page a subject, written once in Markdown.
//!
//! The files are in `src/docs/`. The same text is the documentation of a module here, what `whittle help NAME` prints
//! and what the service answers at `GET /docs/NAME`. `tests/guides/run` runs the commands in them.

/// One guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guide {
    /// The name in `whittle help NAME` and `/docs/NAME`. No command has the same name.
    pub name: &'static str,
    /// The subject of the guide, as one line without a full stop.
    pub summary: &'static str,
    /// The file as it is: Markdown with comments for `tests/guides/run` and link definitions at its end.
    source: &'static str,
}

impl Guide {
    /// Returns the guide called `name`.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        GUIDES.iter().find(|guide| guide.name == name)
    }

    /// Returns the text for a reader of plain Markdown: without comments and without the link definitions at the end,
    /// which name files.
    #[must_use]
    pub fn markdown(&self) -> String {
        let definition = |line: &&str| line.starts_with('[') && line.contains("]: ");
        let comment = |line: &&str| line.starts_with("<!--");
        let lines = self.source.lines().filter(|line| !definition(line) && !comment(line));
        let text = lines.collect::<Vec<_>>().join("\n");
        text.trim_end().to_owned() + "\n"
    }

    /// Returns the text as Markdown whose links name other guides by their path below `base`, for rendering.
    #[must_use]
    pub fn linked(&self, base: &str) -> String {
        let links = GUIDES.iter().map(|guide| format!("[{}]: {base}/{}\n", guide.name, guide.name));
        format!("{}\n{}", self.markdown(), links.collect::<String>())
    }
}

/// Declares each guide twice from the same file: as a module with that documentation, and as an entry of [`GUIDES`].
macro_rules! guides {
    ($($name:ident: $summary:literal,)*) => {
        /// All guides, in the order in which they are listed.
        pub const GUIDES: &[Guide] = &[$(Guide {
            name: stringify!($name),
            summary: $summary,
            source: include_str!(concat!("docs/", stringify!($name), ".md")),
        }),*];

        $(
            // The first definition of a link holds, so that links between guides lead to modules here and to files
            // where the file is read by itself.
            #[doc = concat!(
                "[compressing]: self::compressing\n",
                "[proxy]: self::proxy\n",
                "[agents]: self::agents\n",
                "[retrieval]: self::retrieval\n",
                "[evaluation]: self::evaluation\n",
                "[inference]: self::inference\n",
                "[models]: self::models\n",
                "[operations]: self::operations\n",
                "[security]: self::security\n",
                "[figures]: self::figures\n",
                "[contributing]: self::contributing\n",
                "[changelog]: self::changelog\n\n",
                include_str!(concat!("docs/", stringify!($name), ".md")),
            )]
            pub mod $name {}
        )*
    };
}

guides! {
    compressing: "Make texts smaller: budget, methods, forms of input, what is protected",
    proxy: "Put whittle in front of an LLM API, and answer without one",
    agents: "Agents and their tool results behind the proxy",
    retrieval: "Collections, search, prompts with citations, banks of examples",
    evaluation: "Measure what compression costs on public sets and on your own data",
    inference: "The models, where they compute, and what is cached",
    models: "Which model files load as scorers, rerankers and pruners, and which are refused",
    operations: "Configuration, keys, usage, traces, limits, deployment",
    security: "What the service promises, and what it does not",
    figures: "What was measured, on which machine, by which command",
    contributing: "How to build, test and change whittle",
    changelog: "What changed from version to version",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guide_has_a_title_and_links_only_to_guides_and_sections_that_exist() {
        for guide in GUIDES {
            assert!(guide.source.starts_with("# "), "{}", guide.name);
            for line in guide.source.lines().filter(|line| line.starts_with('[') && line.contains("]: ")) {
                let (label, file) = line[1..].split_once("]: ").expect("the line was chosen for it");
                assert_eq!(file, format!("{label}.md"), "{}", guide.name);
                assert!(Guide::find(label).is_some(), "{}: {label}", guide.name);
            }
        }
    }

    #[test]
    fn every_file_is_a_guide() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs");
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("a folder stays while it is read").path();
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            assert!(Guide::find(&name).is_some(), "{name}");
        }
    }

    #[test]
    fn readers_of_markdown_see_neither_comments_nor_link_definitions() {
        let source = "# A\n\n<!-- output -->\nSee [proxy] and `x[0]: y`.\n\n[proxy]: proxy.md\n";
        let guide = Guide { name: "a", summary: "", source };
        assert_eq!(guide.markdown(), "# A\n\nSee [proxy] and `x[0]: y`.\n");
        assert!(guide.linked("/docs").contains("\n[proxy]: /docs/proxy\n"));
    }
}
