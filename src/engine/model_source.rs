//! The source of models' files, and the callers that wait for them.
//!
//! On the command line whoever needs a model waits for its download. In a service that would hold a request's turn, and
//! those of all others that need the model: there a download goes on by itself, and requests are told to come back.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{EngineError, ErrorKind};
use crate::model::is_path;
use crate::model::store::{ModelFiles, ModelStore, Progress, State, StoreError};
use crate::telemetry::chain;

/// The time that the request which begins a download waits for it, so that an immediate failure is reported at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// Code of the error of a request whose model is being fetched.
pub(crate) const MODEL_LOADING: &str = "model_loading";

/// The source of models' files.
pub(super) struct ModelSource {
    store: Arc<ModelStore>,
    progress: Arc<dyn Progress>,
    /// Downloads that nobody waits for; none where everybody does.
    downloads: Option<Arc<Downloads>>,
}

impl ModelSource {
    /// Creates a source of `store`'s files, whose downloads callers wait for.
    pub(super) fn new(store: ModelStore, progress: Box<dyn Progress>) -> Self {
        Self { store: Arc::new(store), progress: progress.into(), downloads: None }
    }

    /// Makes downloads run in the background: no caller waits for one from now on.
    pub(super) fn fetch_in_background(&mut self) {
        self.downloads = Some(Arc::default());
    }

    /// The files that this is the source of.
    pub(super) fn store(&self) -> &ModelStore {
        &self.store
    }

    /// Verified files of the model called `name`.
    ///
    /// # Errors
    /// They cannot be had, or not yet.
    pub(super) fn ensure(&self, name: &str) -> Result<ModelFiles, EngineError> {
        if let Some(downloads) = self.downloads.as_ref().filter(|_| !is_path(name)) {
            let model = self.store.manifest().model(name).map_err(|error| unavailable(&error))?;
            if self.store.state(model).map_err(|error| unavailable(&error))? != State::Verified {
                let (store, progress) = (Arc::clone(&self.store), Arc::clone(&self.progress));
                let model = name.to_owned();
                downloads.run(name, PATIENCE, move || {
                    store.ensure(&model, progress.as_ref()).map(drop).map_err(|error| unavailable(&error))
                })?;
            }
        }
        self.store.ensure(name, self.progress.as_ref()).map_err(|error| unavailable(&error))
    }
}

impl ModelSource {
    /// The path of the adapter called `name`.
    ///
    /// # Errors
    /// It has a name that no adapter can have.
    pub(super) fn adapter(&self, name: &str) -> Result<PathBuf, EngineError> {
        self.store.adapter(name).map_err(|error| unavailable(&error))
    }
}

pub(super) fn unavailable(error: &StoreError) -> EngineError {
    EngineError::unavailable(chain(error))
}

/// Downloads by the names of their models.
#[derive(Default)]
struct Downloads(Mutex<HashMap<String, Download>>);

enum Download {
    Running,
    /// The download failed: the next request gets the error, and the one after it begins anew.
    Failed(EngineError),
}

impl Downloads {
    /// Begins to `fetch` the model called `name`, unless that is going on, and waits for it so long at most.
    fn run(
        self: &Arc<Self>,
        name: &str,
        patience: Duration,
        fetch: impl FnOnce() -> Result<(), EngineError> + Send + 'static,
    ) -> Result<(), EngineError> {
        let mut running = self.running();
        match running.remove(name) {
            Some(Download::Failed(error)) => return Err(error),
            Some(Download::Running) => {
                running.insert(name.to_owned(), Download::Running);
                return Err(loading(name));
            }
            None => running.insert(name.to_owned(), Download::Running),
        };
        drop(running);
        let (downloads, model) = (Arc::clone(self), name.to_owned());
        let (done, wait) = channel();
        let spawned = std::thread::Builder::new().name("whittle-fetch".into()).spawn(move || {
            let panicked = |_| Err(EngineError::internal("fetching a model panicked"));
            let fetched = catch_unwind(AssertUnwindSafe(fetch)).unwrap_or_else(panicked);
            downloads.end(&model, &fetched);
            // Whoever began it may not wait any more.
            done.send(fetched).unwrap_or_default();
        });
        if let Err(error) = spawned {
            self.running().remove(name);
            return Err(EngineError::internal(format!("no thread to fetch a model: {error}")));
        }
        match wait.recv_timeout(patience) {
            Ok(fetched) => {
                // It is told now, and need not be told again.
                self.running().remove(name);
                fetched
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(loading(name)),
        }
    }

    fn end(&self, name: &str, fetched: &Result<(), EngineError>) {
        let mut running = self.running();
        match fetched {
            Ok(()) => running.remove(name),
            Err(error) => {
                tracing::error!(model = name, %error, "a model cannot be fetched");
                running.insert(name.to_owned(), Download::Failed(error.clone()))
            }
        };
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Download>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn loading(name: &str) -> EngineError {
    EngineError {
        kind: ErrorKind::Unavailable,
        code: MODEL_LOADING,
        param: None,
        message: format!("the model `{name}` is being fetched: try again in a while"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_download_and_all_have_it_once_it_is_over() {
        let downloads = Arc::<Downloads>::default();
        let (open, gate) = channel::<()>();
        let first = downloads.run("m", Duration::ZERO, move || {
            gate.recv().unwrap();
            Ok(())
        });
        assert_eq!(first.unwrap_err().code, MODEL_LOADING);
        let another = || downloads.run("m", Duration::ZERO, || unreachable!("one is enough"));
        assert_eq!(another().unwrap_err().code, MODEL_LOADING);
        let other = downloads.run("n", Duration::from_mins(1), || Ok(()));
        assert!(other.is_ok(), "one model's download is in no other's way");
        open.send(()).unwrap();
        while !downloads.running().is_empty() {
            std::thread::yield_now();
        }
        assert!(downloads.run("m", Duration::from_mins(1), || Ok(())).is_ok());
    }

    #[test]
    fn a_failure_is_told_once_and_the_next_request_begins_anew() {
        let downloads = Arc::<Downloads>::default();
        let long = Duration::from_mins(1);
        let fail = || Err(EngineError::unavailable("no network"));
        assert_eq!(downloads.run("m", long, fail).unwrap_err().message, "no network");
        assert!(downloads.run("m", long, || Ok(())).is_ok());
        // Also to somebody else than who began it.
        let (open, gate) = channel::<()>();
        let failing = downloads.run("m", Duration::ZERO, move || {
            gate.recv().unwrap();
            panic!("a defect");
        });
        assert_eq!(failing.unwrap_err().code, MODEL_LOADING);
        open.send(()).unwrap();
        while matches!(downloads.running().get("m"), Some(Download::Running)) {
            std::thread::yield_now();
        }
        assert_eq!(downloads.run("m", long, || Ok(())).unwrap_err().kind, ErrorKind::Internal);
        assert!(downloads.run("m", long, || Ok(())).is_ok());
    }
}
