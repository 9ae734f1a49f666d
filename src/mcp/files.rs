//! Files that tools may read: those below the configured folders, and no others, whatever links say.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::collections::files::{self, FileKind};
use crate::engine::{EngineError, ErrorKind, shortened};
use crate::model::Cancel;
use crate::text::Layout;

/// The folders whose files may be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Roots(Arc<[PathBuf]>);

impl Roots {
    pub(super) fn new(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(folders.into_iter().collect())
    }

    /// Returns the text of a file of at most `most` bytes.
    ///
    /// # Errors
    /// The file is not below a root, is too large or holds no text.
    pub(super) fn read(&self, path: &str, most: usize, cancel: &Cancel) -> Result<String, EngineError> {
        let file = self.resolve(path)?;
        let unreadable = |error: std::io::Error| {
            let message = format!("cannot read {}: {error}", shortened(path));
            EngineError { kind: ErrorKind::Infeasible, code: "unreadable_file", param: Some("path"), message }
        };
        // What is no file, such as a pipe, might be waited for without end.
        if !fs::metadata(&file).map_err(unreadable)?.is_file() {
            let message = format!("{} is no file: name a file", shortened(path));
            return Err(EngineError::invalid("not_a_file", "path", message));
        }
        let mut bytes = Vec::new();
        File::open(&file)
            .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() > most {
            let message =
                format!("{} is larger than the limit of {most} bytes (`limits.body_bytes`)", shortened(path));
            return Err(EngineError {
                kind: ErrorKind::TooLarge,
                code: "file_too_large",
                param: Some("path"),
                message,
            });
        }
        Ok(files::document(kind(&file), false, &bytes, cancel)?.text)
    }

    /// Returns the real path of a file below a root. What is outside is not found, whether it exists or not.
    fn resolve(&self, path: &str) -> Result<PathBuf, EngineError> {
        if self.0.is_empty() {
            let message = "no files may be read: name the folders that may be in `mcp.roots` of the configuration, or by \
                           `whittle mcp --root DIR`";
            return Err(EngineError {
                kind: ErrorKind::Invalid,
                code: "no_roots",
                param: Some("path"),
                message: message.into(),
            });
        }
        let roots: Vec<PathBuf> = self.0.iter().filter_map(|root| root.canonicalize().ok()).collect();
        // An absolute path takes the place of the root that it is joined to.
        let found = roots.iter().filter_map(|root| root.join(path).canonicalize().ok());
        let mut inside = found.filter(|file| roots.iter().any(|root| file.starts_with(root)));
        inside.next().ok_or_else(|| {
            let folders = self.0.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ");
            let message =
                format!("no file {} below the folders that may be read: {folders}", shortened(path));
            EngineError { kind: ErrorKind::NotFound, code: "file_not_found", param: Some("path"), message }
        })
    }
}

/// What a file is by its name; text where that says nothing.
fn kind(file: &Path) -> FileKind {
    FileKind::of_path(file).unwrap_or(FileKind::Text(Layout::Plain))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn code(roots: &Roots, path: &str) -> &'static str {
        roots.read(path, 100, &Cancel::never()).map_or_else(|error| error.code, |_| "read")
    }

    #[test]
    fn files_below_a_root_are_read_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("root/sub")).unwrap();
        fs::create_dir_all(at("rootless")).unwrap();
        for name in ["root/a.txt", "root/sub/b.rs", "secret.txt", "rootless/c.txt"] {
            fs::write(at(name), "some text").unwrap();
        }
        fs::write(at("root/large.txt"), "x".repeat(101)).unwrap();
        symlink(at("secret.txt"), at("root/link.txt")).unwrap();
        symlink(at("root/a.txt"), at("root/sub/inside.txt")).unwrap();
        symlink(folder.path(), at("root/up")).unwrap();
        let roots = Roots::new(vec![at("root")]);
        let absolute = at("root/a.txt");
        for (path, expected) in [
            ("a.txt", "read"),
            ("sub/b.rs", "read"),
            ("sub/../a.txt", "read"),
            ("sub/inside.txt", "read"),
            (absolute.to_str().unwrap(), "read"),
            ("../secret.txt", "file_not_found"),
            (at("secret.txt").to_str().unwrap(), "file_not_found"),
            (at("rootless/c.txt").to_str().unwrap(), "file_not_found"),
            ("link.txt", "file_not_found"),
            ("up/secret.txt", "file_not_found"),
            ("missing.txt", "file_not_found"),
            ("/etc/passwd", "file_not_found"),
            ("", "not_a_file"),
            ("sub", "not_a_file"),
            ("large.txt", "file_too_large"),
        ] {
            assert_eq!(code(&roots, path), expected, "{path}");
        }
        assert_eq!(code(&Roots::default(), "a.txt"), "no_roots");
        assert_eq!(roots.read("a.txt", 100, &Cancel::never()).unwrap(), "some text");
    }
}
