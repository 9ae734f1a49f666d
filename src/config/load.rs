//! Finds the layers and puts them over each other: file, then environment, then flags.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use toml::{Table, Value};

use super::variables::refuse_unknown;
use super::{Config, ConfigError, Env, Key};

/// The command-line flags that set configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The file to read. It must exist; without it the usual places are looked at.
    pub file: Option<PathBuf>,
    /// Address to listen on.
    pub listen: Option<SocketAddr>,
}

/// Folders that a configuration file is looked for in.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folders where `whittle.toml` is searched.
    pub working: PathBuf,
    /// The platform's folder for configuration, where `whittle/config.toml` is looked for next.
    pub platform: Option<PathBuf>,
}

impl Places {
    /// Returns the folders of this process and its user.
    #[must_use]
    pub fn usual() -> Self {
        Self { working: PathBuf::new(), platform: dirs::config_dir() }
    }
}

/// A valid configuration and the file that it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The effective configuration.
    pub config: Config,
    /// The file that was read; none where only defaults, environment and flags speak.
    pub file: Option<PathBuf>,
}

/// Loads the configuration: the file, then the `WHITTLE_*` variables, then the flags, later ones winning.
///
/// # Errors
/// See [`ConfigError`]: a file that cannot be read, a misspelt key or variable, a value that is out of its range.
pub fn load(flags: &Flags, env: &dyn Env, places: &Places) -> Result<Loaded, ConfigError> {
    let (file, mut table) = match &flags.file {
        Some(path) => (Some(path.clone()), parse(path, &read(path)?)?),
        None => from_places(places)?,
    };
    for key in Config::keys() {
        if let Some(value) = variable(env, &key)? {
            set(&mut table, key.path, value);
        }
    }
    if let Some(listen) = flags.listen {
        set(&mut table, "listen", listen.to_string().into());
    }
    let config = assembled(table).map_err(|source| ConfigError::Parse {
        path: file.clone().unwrap_or_default(),
        source: Box::new(source),
    })?;
    refuse_unknown(env, &config)?;
    Ok(Loaded { config: config.checked()?, file })
}

/// Refuses unknown variables, as [`load()`] does, for what needs nothing of the configuration and works where its file is
/// invalid.
///
/// # Errors
/// [`ConfigError::UnknownVariable`].
pub fn check_variables(env: &dyn Env, places: &Places) -> Result<(), ConfigError> {
    let config = from_places(places).ok().and_then(|(_, table)| assembled(table).ok());
    refuse_unknown(env, &config.unwrap_or_default())
}

/// The configuration that the layers say together. The default of `scorer.precision` goes by the device.
fn assembled(table: Table) -> Result<Config, toml::de::Error> {
    let is_precise = table.get("scorer").is_some_and(|scorer| scorer.get("precision").is_some());
    let mut config: Config = table.try_into()?;
    if !is_precise {
        config.scorer.precision = config.scorer.device.default_precision();
    }
    Ok(config)
}

/// Puts a value at its path, over what is there.
fn set(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(table.insert(path.to_owned(), value)),
        Some((section, rest)) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                set(section, rest, value);
            }
        }
    }
}

/// The value of a key's variable. An empty one counts as unset: that is how container tools leave one out.
fn variable(env: &dyn Env, key: &Key) -> Result<Option<Value>, ConfigError> {
    let name = key.variable();
    let Some(value) = env.get(&name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match key.read(value.trim()) {
        Ok(read) => Ok(Some(read)),
        Err(reason) => Err(ConfigError::Variable { name, value, reason }),
    }
}

/// The first file that exists.
fn from_places(places: &Places) -> Result<(Option<PathBuf>, Table), ConfigError> {
    let platform = places.platform.as_ref().map(|folder| folder.join("whittle").join("config.toml"));
    for path in [Some(places.working.join("whittle.toml")), platform].into_iter().flatten() {
        match read(&path) {
            Ok(text) => {
                let table = parse(&path, &text)?;
                return Ok((Some(path), table));
            }
            Err(ConfigError::Read { source, .. }) if is_absent(&source) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((None, Table::new()))
}

/// A home folder of `/dev/null`, as some services have, answers that it is no folder.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// Reads a file that is valid by itself, so that what is wrong is said with its place in the file.
fn parse(path: &Path, text: &str) -> Result<Table, ConfigError> {
    let checked = toml::from_str::<Config>(text).and_then(|_| toml::from_str(text));
    checked.map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
}
