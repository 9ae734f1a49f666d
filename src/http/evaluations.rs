//! `GET /v1/evaluations`: the summaries that `whittle eval run` wrote, for the page that compares them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::PathOf;
use super::failures::Failures;
use super::proxy::Sender;
use super::state::AppState;
use super::{auth, body, job};

/// The file in a run's folder that is shown.
const SUMMARY: &str = "summary.json";
/// Most bytes of a summary: one of 20 sets at four rates by ten methods has a fifth of them.
const LARGEST: u64 = 4 << 20;
/// Most runs that are listed.
const MOST: usize = 500;

pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/v1/evaluations", get(list)).route("/v1/evaluations/{*run}", get(one))
}

/// The evaluations that were found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EvaluationList {
    /// The runs, in the order of their names.
    runs: Vec<EvaluationRun>,
    /// Whether there are more than are listed.
    more: bool,
}

/// A run of an evaluation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EvaluationRun {
    /// Its folder, as `page.evaluations` names the one that it lies in: `eval/results/nq`.
    name: String,
    /// The suite; none where the summary cannot be read.
    suite: Option<String>,
    /// Questions.
    questions: Option<u64>,
    /// The version of whittle that ran it, with the revision of the repository where there was one.
    version: Option<String>,
}

impl EvaluationRun {
    fn new(name: String, summary: Option<&Value>) -> Self {
        let text = |pointer| summary.and_then(|it| it.pointer(pointer)?.as_str()).map(str::to_owned);
        let version = text("/made_by/version").map(|version| match text("/made_by/git_revision") {
            Some(revision) => format!("{version} ({revision})"),
            None => version,
        });
        let questions = summary.and_then(|it| it["questions"].as_u64());
        Self { name, suite: text("/suite"), questions, version }
    }
}

/// Lists the evaluations below the folders of `page.evaluations`; for an administrator, where keys are needed.
#[utoipa::path(get, path = "/v1/evaluations", tag = "operations",
    responses((status = 200, body = EvaluationList, description = "Runs that have a summary."), Failures))]
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Sender,
    request: Request,
) -> Result<Response, ApiError> {
    auth::admins_only(caller.as_deref())?;
    let folders = state.evaluations.clone();
    job::run(&state, request, move |_, _, _| {
        let mut names = names(&folders);
        let more = names.len() > MOST;
        names.truncate(MOST);
        let run = |name: String| {
            let summary = read(&name);
            EvaluationRun::new(name, summary.as_ref())
        };
        body::render(&EvaluationList { runs: names.into_iter().map(run).collect(), more })
    })
    .await
}

/// Returns the summary of an evaluation as its run wrote it; for an administrator, where keys are needed.
#[utoipa::path(get, path = "/v1/evaluations/{run}", tag = "operations",
    params(("run" = String, Path, description = "Its name in the list.")),
    responses((status = 200, body = Object, description = "`summary.json` of `whittle eval run`."), Failures))]
pub(super) async fn one(
    State(state): State<Arc<AppState>>,
    caller: Sender,
    PathOf(run): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    auth::admins_only(caller.as_deref())?;
    let folders = state.evaluations.clone();
    job::run(&state, request, move |_, _, _| {
        // A name of the list and nothing else: what a caller sends is never made a path.
        let name = names(&folders).into_iter().find(|name| *name == run);
        let summary = name.and_then(|name| read(&name)).ok_or_else(|| {
            let message = "there is no such evaluation; GET /v1/evaluations lists them";
            ApiError::new(StatusCode::NOT_FOUND, "unknown_evaluation", message)
        })?;
        body::render(&summary)
    })
    .await
}

/// The folders directly below `folders` that hold a summary, in the order of their names. A folder that is not there
/// holds none.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = folders.iter().flat_map(|folder| runs_below(folder)).collect();
    names.sort_unstable();
    names
}

fn runs_below(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let runs = entries.map(|entry| entry.path()).filter(|run| run.join(SUMMARY).is_file());
    runs.filter_map(|run| run.to_str().map(str::to_owned))
}

/// The summary of the run `name`; none where it is too large or is not JSON with figures.
fn read(name: &str) -> Option<Value> {
    let path = Path::new(name).join(SUMMARY);
    if std::fs::metadata(&path).ok()?.len() > LARGEST {
        return None;
    }
    let summary: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    summary["figures"].is_array().then_some(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_with_a_summary_are_listed_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(SUMMARY), text).unwrap();
        };
        put(
            "b",
            r#"{"suite": "nq", "questions": 30, "figures": [], "made_by": {"version": "1", "git_revision": "abc+"}}"#,
        );
        put("a", "not JSON");
        std::fs::create_dir(folder.path().join("without")).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let folders = [folder.path().to_owned(), folder.path().join("missing")];
        let names = names(&folders);
        assert_eq!(names.len(), 2);
        assert!(names[0].ends_with('a') && read(&names[0]).is_none());
        let summary = read(&names[1]);
        let run = EvaluationRun::new(names[1].clone(), summary.as_ref());
        assert_eq!((run.suite.as_deref(), run.questions), (Some("nq"), Some(30)));
        assert_eq!(run.version.as_deref(), Some("1 (abc+)"));
        put("b", &format!("{{\"figures\": [], \"text\": \"{}\"}}", "x".repeat(LARGEST as usize)));
        assert!(read(&names[1]).is_none());
    }
}
