//! `whittle config`: what holds, and whether it is valid.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;

use crate::config::{self, Config, Flags, Loaded, OTHER_VARIABLES, Places, ProcessEnv};

const EXAMPLES: &str = "\
Examples:
  whittle config check
  whittle config check --config whittle.toml
  whittle config show > whittle.toml
  WHITTLE_LIMITS_QUEUE=8 whittle config show
  whittle config keys

The file overrides the defaults, and WHITTLE_* environment variables override the file. `limits.queue` in
the file is WHITTLE_LIMITS_QUEUE in the environment. Unknown keys and unknown WHITTLE_* variables are
errors. More: `whittle help operations`.";

/// Check or show the configuration
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Validate the configuration
    Check(FileArgs),
    /// Print the configuration in effect, defaults included, as a file
    Show(FileArgs),
    /// Print each key with its variable, default and meaning, the keys of upstreams and the other variables, as tables
    /// in Markdown
    Keys,
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// Configuration file [default: whittle.toml in this folder, else whittle/config.toml in the
    /// platform's configuration folder, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Check or show the configuration
pub(crate) fn run(args: ConfigArgs) -> anyhow::Result<()> {
    let text = match args.command {
        ConfigCommand::Check(file) => checked(&load(file)?),
        ConfigCommand::Keys => tables(),
        ConfigCommand::Show(file) => {
            toml::to_string_pretty(&load(file)?.config).context("cannot write the configuration as TOML")?
        }
    };
    io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}

fn load(args: FileArgs) -> anyhow::Result<Loaded> {
    let flags = Flags { file: args.config, listen: None };
    Ok(config::load(&flags, &ProcessEnv, &Places::usual())?)
}

fn checked(loaded: &Loaded) -> String {
    match &loaded.file {
        Some(file) => format!("the configuration is valid: {}\n", file.display()),
        None => "the configuration is valid: there is no file, so the defaults apply\n".into(),
    }
}

/// The tables of all keys and of the other variables.
fn tables() -> String {
    let keys = Config::keys().into_iter().map(|key| {
        let default = key.default().map_or_else(String::new, |value| format!(" `{value}`"));
        format!("| `{}` | `{}` |{default} | {} |\n", key.path, key.variable(), key.meaning())
    });
    let of_lists = Config::list_keys().into_iter().map(|(key, default)| {
        let default = default.map_or_else(String::new, |value| format!(" `{value}`"));
        format!("| `{}` |{default} | {} |\n", key.name, key.meaning())
    });
    let others = OTHER_VARIABLES.iter().map(|(name, meaning)| format!("| `{name}` | {meaning} |\n"));
    let [keys, of_lists, others]: [Vec<String>; 3] = [keys.collect(), of_lists.collect(), others.collect()];
    format!(
        "| key | variable | default | meaning |\n|---|---|---|---|\n{}\n| key in a list | default | meaning |\n\
         |---|---|---|\n{}\n| other variable | meaning |\n|---|---|\n{}",
        keys.concat(),
        of_lists.concat(),
        others.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::Guide;

    #[test]
    fn the_tables_have_a_line_for_each_key_with_its_default() {
        let text = tables();
        let line = "| `limits.queue` | `WHITTLE_LIMITS_QUEUE` | `64` | Requests that may wait for their turn, 0 to 100,000; \
                    more get 503 with `retry-after`. |";
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(
            text.contains("| `scorer.threads` | `WHITTLE_SCORER_THREADS` | | Threads that compute"),
            "{text}"
        );
        assert!(
            text.contains("| `upstreams.retries` | `2` | Further attempts after a failed one, 0 to 10."),
            "{text}"
        );
        assert!(text.contains("| `upstreams.base_url` | | The base URL"), "{text}");
        assert!(text.contains("| `upstreams.prices.input` | | Dollars per million"), "{text}");
        assert!(text.contains("| `WHITTLE_CACHE` | folder of models"), "{text}");
    }

    #[test]
    fn the_guide_shows_the_tables_as_they_are() {
        let guide = Guide::find("operations").unwrap().markdown();
        assert!(
            guide.contains(&tables()),
            "put the output of `whittle config keys` into src/docs/operations.md"
        );
    }
}
