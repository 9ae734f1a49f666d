//! The folder that data is kept in.

use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use super::{ConfigError, Env};

/// Returns the folder that data is kept in: `WHITTLE_DATA_DIR`, else `indexes/data` where the working folder is a checkout
/// of this project, else `whittle` in the platform's folder for data.
///
/// # Errors
/// [`ConfigError::NoDataFolder`] where the system names no folder for data.
pub fn data_dir(env: &dyn Env) -> Result<PathBuf, ConfigError> {
    env.path("WHITTLE_DATA_DIR").map_or_else(|| default(Path::new(""), dirs::data_dir()), Ok)
}

/// The folder where the environment says nothing.
fn default(working: &Path, platform: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    if is_checkout(working) {
        return Ok(working.join("indexes").join("data"));
    }
    platform.map(|platform| platform.join("whittle")).ok_or(ConfigError::NoDataFolder)
}

/// Whether `folder` is a checkout of this project: it has `indexes`, and the manifest of the package of this name.
fn is_checkout(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok();
    let manifest = manifest.and_then(|text| text.parse::<Table>().ok());
    let name = manifest.as_ref().and_then(|manifest| manifest.get("package")?.get("name")?.as_str());
    name == Some(env!("CARGO_PKG_NAME")) && folder.join("indexes").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_working_folder_counts_in_a_checkout_of_this_project_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = || default(folder.path(), Some("/platform".into())).unwrap();
        assert_eq!(place(), Path::new("/platform/whittle"));
        fs::create_dir(folder.path().join("indexes")).unwrap();
        assert_eq!(place(), Path::new("/platform/whittle"), "any folder may have a folder of that name");
        fs::write(folder.path().join("Cargo.toml"), "[package]\nname = 'other'").unwrap();
        assert_eq!(place(), Path::new("/platform/whittle"));
        fs::write(folder.path().join("Cargo.toml"), "[package]\nname = 'whittle'").unwrap();
        assert_eq!(place(), folder.path().join("indexes/data"));
    }

    #[test]
    fn a_system_without_a_folder_for_data_is_no_reason_to_use_the_working_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = default(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("WHITTLE_DATA_DIR"), "{error}");
    }
}
