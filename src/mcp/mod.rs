//! A server of the Model Context Protocol: what the engine does, as tools, resources and prompts of an agent.
//!
//! It serves one client over standard input and output ([`McpServer::serve_stdio`]), or one HTTP request
//! ([`McpServer::answer`]). Each request stands alone: there are no sessions, so that nothing of a client is kept between
//! its requests, and a request is stopped when its connection closes. Blocking work goes through the same admission as
//! that of the HTTP routes.

mod files;
mod prompts;
mod recall;
mod resources;
mod schema;
mod tools;
mod transport;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, GetPromptRequestParams,
    GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::files::Roots;
use self::recall::Recall;
use self::tools::Work;
use crate::admission::{Admission, JobError, QueueFull};
use crate::config::Limits;
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::keys::Caller;
use crate::model::{Cancel, Stopped};
use crate::proxy::{Gateway, ProxyError};

/// The pause between two notifications of progress.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

const INSTRUCTIONS: &str = "Whittle makes long texts smaller without losing what a question needs, and searches \
    collections of documents. Use `read_file_compressed` or `compress` before a long text enters the conversation, \
    `search` to find passages, and `recall` where a mark such as [58 lines left out: progress; recall ID] hides \
    something that you need.";

/// The server, for one caller. Clones share what they serve.
#[derive(Clone)]
pub struct McpServer {
    host: Host,
    recall: Arc<Recall>,
    /// The sender of the requests; none where nobody needs a key.
    caller: Option<Caller>,
}

/// What tools work with.
#[derive(Clone)]
struct Host {
    engine: Arc<Engine>,
    limits: Limits,
    admission: Admission,
    roots: Roots,
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Busy(#[from] QueueFull),
    #[error("{0}")]
    Arguments(String),
    #[error("there is no {0}; the list has those that there are")]
    Unknown(&'static str),
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Deadline => EngineError::from(Stopped::Deadline).into(),
            JobError::Panicked => EngineError::internal("a request's work panicked").into(),
        }
    }
}

impl Failure {
    /// Returns the text for the client. What went wrong on this side is for the log alone.
    fn message(&self) -> String {
        let internal = match self {
            Self::Engine(error) | Self::Proxy(ProxyError::Engine(error)) => error.kind == ErrorKind::Internal,
            Self::Proxy(ProxyError::Internal(_)) => true,
            _ => false,
        };
        if internal {
            tracing::error!(error = %self, "internal error");
            return "internal error; the server's log says more".into();
        }
        match self {
            Self::Engine(error) => format!("{error} ({})", error.code),
            _ => self.to_string(),
        }
    }

    /// Returns the error of the protocol, for requests that have no result in which it could stand.
    fn protocol(&self) -> ErrorData {
        let message = self.message();
        match self {
            Self::Engine(EngineError { kind: ErrorKind::NotFound, .. }) => {
                ErrorData::resource_not_found(message, None)
            }
            Self::Unknown(_)
            | Self::Arguments(_)
            | Self::Engine(EngineError { kind: ErrorKind::Invalid, .. }) => {
                ErrorData::invalid_params(message, None)
            }
            _ => ErrorData::internal_error(message, None),
        }
    }
}

impl McpServer {
    /// Makes a server of `engine` whose work `admission` bounds, which reads no files and has no originals.
    #[must_use]
    pub fn new(engine: Arc<Engine>, limits: Limits, admission: Admission) -> Self {
        let host = Host { engine, limits, admission, roots: Roots::default() };
        Self { host, recall: Arc::default(), caller: None }
    }

    /// Has `admission` bound its work.
    #[must_use]
    pub fn with_admission(mut self, admission: Admission) -> Self {
        self.host.admission = admission;
        self
    }

    /// Lets the tool `read_file_compressed` read files below `folders`.
    #[must_use]
    pub fn with_roots(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        self.host.roots = Roots::new(folders);
        self
    }

    /// Takes originals for the tool `recall` from what `open` returns, which is called when one is first asked for.
    #[must_use]
    pub fn with_originals(
        self,
        open: impl Fn() -> Result<Arc<Gateway>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { recall: Arc::new(Recall::of(open)), ..self }
    }

    /// Returns the same server for requests of `caller`.
    #[must_use]
    pub fn for_caller(&self, caller: Option<Caller>) -> Self {
        Self { caller, ..self.clone() }
    }

    /// Runs `work` as the HTTP routes run theirs: admitted, by the deadline, and stopped when this future is dropped.
    async fn blocking<T, W>(&self, work: W) -> Result<T, Failure>
    where
        T: Send + 'static,
        W: FnOnce(&Host, &Cancel) -> Result<T, EngineError> + Send + 'static,
    {
        let deadline = Instant::now() + self.host.limits.deadline();
        let host = self.host.clone();
        let ticket = self.host.admission.enter()?;
        Ok(ticket.run(deadline, move |cancel| work(&host, cancel)).await??)
    }

    async fn call(&self, request: CallToolRequestParams) -> Result<CallToolResult, Failure> {
        let tool = tools::find(&request.name).ok_or(Failure::Unknown("tool of that name"))?;
        let arguments = request.arguments.unwrap_or_default();
        match tool.work {
            Work::Blocking(work) => self.blocking(move |host, cancel| work(host, arguments, cancel)).await,
            Work::Recall => self.recall.answer(self.caller.as_ref(), arguments).await,
        }
    }
}

/// Waits for `work` unless the client cancels it, and meanwhile tells a client that asked how long it has taken.
async fn attended<T>(
    context: &RequestContext<RoleServer>,
    what: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let start = Instant::now();
    let mut ticks = interval_at(start + PROGRESS_PAUSE, PROGRESS_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let token = context.meta.get_progress_token();
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result,
            () = context.ct.cancelled() => return Err(EngineError::from(Stopped::Cancelled).into()),
            _ = ticks.tick() => {
                let Some(token) = token.clone() else { continue };
                let seconds = start.elapsed().as_secs_f64().round();
                let progress = ProgressNotificationParam::new(token, seconds)
                    .with_message(format!("{what}: {seconds} s"));
                // A client that cannot be told gets its result, or has left.
                context.peer.notify_progress(progress).await.ok();
            }
        }
    }
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new("whittle", env!("CARGO_PKG_VERSION"))
                    .with_description(env!("CARGO_PKG_DESCRIPTION")),
            )
            .with_instructions(INSTRUCTIONS)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::find(name).map(tools::Definition::described)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::ALL.iter().map(tools::Definition::described).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.clone();
        match attended(&context, &name, self.call(request)).await {
            Ok(result) => Ok(result.into()),
            // Only this is an error of the protocol: the model can mend all others, if it sees them.
            Err(failure @ Failure::Unknown(_)) => Err(failure.protocol()),
            Err(failure) => Ok(CallToolResult::error(vec![ContentBlock::text(failure.message())]).into()),
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let listed = self.blocking(|host, _| resources::list(&host.engine));
        let listed = attended(&context, "resources", listed).await.map_err(|failure| failure.protocol())?;
        Ok(ListResourcesResult::with_all_items(listed))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let work = async {
            let address =
                resources::Address::of(&request.uri).ok_or(Failure::Unknown("resource of that address"))?;
            let uri = request.uri.clone();
            self.blocking(move |host, _| resources::read(&host.engine, &address, &uri)).await
        };
        let read = attended(&context, "resource", work).await.map_err(|failure| failure.protocol())?;
        Ok(read.into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let listed = prompts::list(&self.host.engine).map_err(|error| Failure::from(error).protocol())?;
        Ok(ListPromptsResult::with_all_items(listed))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let work = async {
            let request = prompts::request(&request.name, request.arguments.unwrap_or_default())?;
            self.blocking(move |host, cancel| prompts::built(&host.engine, &request, cancel)).await
        };
        let built = attended(&context, "prompt", work).await.map_err(|failure| failure.protocol())?;
        Ok(built.into())
    }
}
