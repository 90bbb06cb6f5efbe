//! The whole life of a request, top to bottom.
//!
//! route → token → policy (`Permit`) → audit → handler → tokens and wrapping → audit → answer.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::acl::Acl;
use crate::answer::Answer;
use crate::audit::Event;
use crate::call::{Call, Op};
use crate::endpoint::Access;
use crate::engine::RouteHandle;
use crate::error::{ApiError, ErrorKind};
use crate::mount::Mount;
use crate::node::{Core, Node};
use crate::permit::Permit;
use crate::reply::{Response, address_allowed};
use crate::request::{Request, access_request};
use crate::route::{Captures, Found};
use crate::token::Token;
use crate::wrap;

/// Storage conflicts are two requests at one counter; the loser runs again. Of many requests with
/// one counted token the last meets a conflict for each of the others.
const MAX_ATTEMPTS: usize = 256;

/// How far a request has come, over all its attempts.
#[derive(Debug, Default)]
struct Progress {
    attempts: usize,
    needs_token: bool,
    /// The audit log has the request; further attempts do not write it again.
    is_logged: bool,
    /// The caller's counted token whose use an earlier run has written: it is not to pay twice.
    used: Option<Arc<Token>>,
    /// What the server itself may do, where it is the caller.
    own: Option<Arc<Acl>>,
}

impl Progress {
    fn runs_again_after(&self, error: &ApiError) -> bool {
        error.kind() == ErrorKind::Conflict && self.attempts < MAX_ATTEMPTS
    }
}

impl Node {
    /// Answers one request.
    pub async fn handle(self: &Arc<Self>, call: Call) -> Response {
        self.handle_for(call, None).await
    }

    /// Answers a request that the server makes of itself because its configuration says so. It has no token and may do
    /// what `acl` allows; otherwise it is limited, logged and answered as any other.
    pub async fn handle_own(self: &Arc<Self>, call: Call, acl: Arc<Acl>) -> Response {
        self.handle_for(call, Some(acl)).await
    }

    async fn handle_for(self: &Arc<Self>, call: Call, own: Option<Arc<Acl>>) -> Response {
        let call = Arc::new(call);
        let _counted = self.in_flight.enter(&call, self.now());
        let began = Instant::now();
        let mut rate_headers = Vec::new();
        let mut response = match self.admit(&call, &mut rate_headers).await {
            Ok(()) => self.attempts(&call, own).await,
            Err(error) => Response::error(&error, false),
        };
        response.headers.append(&mut rate_headers);
        self.metrics.request_handled(began.elapsed());
        response
    }

    /// Asks the rate limits; a refused request goes no further.
    async fn admit(
        self: &Arc<Self>,
        call: &Arc<Call>,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Result<(), ApiError> {
        let Some(core) = self.core() else {
            return Ok(());
        };
        let verdict = core.quotas.admit(call, self.now()).await?;
        *headers = verdict.headers;
        let Some(refusal) = verdict.refusal else {
            return Ok(());
        };
        self.metrics.rate_limit_violated(&refusal.quota);
        if refusal.audited {
            let mount = crate::sys::sealed_mount();
            let request = self.request(call.clone(), mount, Some(core.clone()));
            let mut progress = Progress::default();
            self.audit_refusal(&core, &request, &refusal.error, &mut progress)
                .await?;
        }
        Err(refusal.error)
    }

    async fn attempts(self: &Arc<Self>, call: &Arc<Call>, own: Option<Arc<Acl>>) -> Response {
        let mut progress = Progress {
            own,
            ..Progress::default()
        };
        loop {
            progress.attempts += 1;
            progress.needs_token = true;
            match self.attempt(call, &mut progress).await {
                Ok(response) => return response,
                Err(error) if progress.runs_again_after(&error) => {}
                Err(error) => return Response::error(&error, progress.needs_token),
            }
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        call: &Arc<Call>,
        progress: &mut Progress,
    ) -> Result<Response, ApiError> {
        let core = self.core();
        let Some(core) = core else {
            return self.attempt_sealed(call, progress).await;
        };
        let path = call.path.as_str();
        let Some((mount, relative)) = core.mounts.route(path) else {
            return Err(self.refuse_unknown_mount(&core, call, progress).await);
        };
        let engine_path = engine_path(call, relative);
        let found = mount.engine.find(call.op, engine_path);
        progress.needs_token = mount.engine.needs_token(call.op, engine_path, &found);
        let mut request = self.request(call.clone(), mount, Some(core.clone()));
        if call.op == Op::Help {
            progress.needs_token = true;
            let acl = self.authenticate(&core, &mut request, progress).await?;
            settle_token_use(&mut request, progress).await?;
            let permit = Permit::to_read_help(&acl);
            let answer = self.answer_help(&core, &permit, &request, relative).await;
            self.revoke_if_used_up(&request).await;
            return answer;
        }
        if !progress.needs_token {
            let is_open = is_open(&found);
            let (handle, captures) = match route(found) {
                Ok(found) => found,
                Err(refusal) if is_open => return Err(refusal),
                Err(refusal) => {
                    self.audit_refusal(&core, &request, &refusal, progress)
                        .await?;
                    return Err(refusal);
                }
            };
            let permit = Permit::without_token(handle.route.access)?;
            return self.run(permit, request, handle, captures, progress).await;
        }
        if progress.used.is_none()
            && let Err(refusal) = wrap::check_token(&core, call, request.now).await
        {
            self.audit_refusal(&core, &request, &refusal, progress)
                .await?;
            return Err(refusal);
        }
        let acl = self.authenticate(&core, &mut request, progress).await?;
        let refusal = match route(found) {
            Ok((handle, captures)) => {
                match self.authorize(&request, &acl, &handle, &captures).await {
                    Ok(permit) => {
                        if !handle.one_commit {
                            settle_token_use(&mut request, progress).await?;
                        }
                        return self.run(permit, request, handle, captures, progress).await;
                    }
                    Err(error) => error,
                }
            }
            // Whoever may not use the path does not learn that it does not exist.
            Err(error) => {
                let access = access_request(call, true, false);
                let allowed = Permit::authorize(&acl, &access);
                allowed.err().unwrap_or(error)
            }
        };
        settle_token_use(&mut request, progress).await?;
        self.audit_refusal(&core, &request, &refusal, progress)
            .await?;
        self.revoke_if_used_up(&request).await;
        Err(refusal)
    }

    async fn answer_help(
        &self,
        core: &Arc<Core>,
        permit: &Permit,
        request: &Request,
        relative: &str,
    ) -> Result<Response, ApiError> {
        let answer = help(request, relative);
        if core.audit.is_enabled() {
            let event = Event {
                request,
                permit: Some(permit),
                error: answer.as_ref().err(),
            };
            core.audit.request(&event).await?;
            core.audit.response(&event, None).await?;
        }
        answer
    }

    /// While sealed only the open endpoints of `sys/` answer.
    async fn attempt_sealed(
        self: &Arc<Self>,
        call: &Arc<Call>,
        progress: &mut Progress,
    ) -> Result<Response, ApiError> {
        let mount = crate::sys::sealed_mount();
        let Some(relative) = call.path.strip_prefix("sys/") else {
            return Err(ApiError::sealed());
        };
        let found = mount.engine.find(call.op, engine_path(call, relative));
        progress.needs_token = false;
        let open = match &found {
            Found::Route(handle, _) | Found::WrongOperation(handle) => {
                // Sealing a sealed server needs nobody's leave.
                handle.route.access == Access::Open || relative == "seal"
            }
            Found::NoPath => false,
        };
        if !open || call.op == Op::Help {
            return Err(ApiError::sealed());
        }
        let (handle, captures) = route(found)?;
        let request = self.request(call.clone(), mount, None);
        self.run(Permit::while_sealed(), request, handle, captures, progress)
            .await
    }

    fn request(
        self: &Arc<Self>,
        call: Arc<Call>,
        mount: Arc<Mount>,
        core: Option<Arc<Core>>,
    ) -> Request {
        Request {
            node: self.clone(),
            core,
            call,
            mount,
            now: self.now(),
            token: None,
            acl: None,
            token_use: Mutex::new(None),
        }
    }

    async fn refuse_unknown_mount(
        self: &Arc<Self>,
        core: &Arc<Core>,
        call: &Arc<Call>,
        progress: &mut Progress,
    ) -> ApiError {
        progress.needs_token = true;
        let mount = crate::sys::sealed_mount();
        let mut request = self.request(call.clone(), mount, Some(core.clone()));
        let acl = match self.authenticate(core, &mut request, progress).await {
            Ok(acl) => acl,
            Err(error) => return error,
        };
        let text = format!(
            "no handler for route {:?}. route entry not found.",
            call.path
        );
        let refusal = Permit::authorize(&acl, &access_request(call, true, false))
            .err()
            .unwrap_or_else(|| ApiError::plain(ErrorKind::UnsupportedPath, text));
        // A use that was not written is not the last one.
        if let Err(error) = settle_token_use(&mut request, progress).await {
            return error;
        }
        let audited = self.audit_refusal(core, &request, &refusal, progress).await;
        self.revoke_if_used_up(&request).await;
        audited.err().unwrap_or(refusal)
    }

    /// Finds the caller's token and takes one use of it.
    async fn authenticate(
        &self,
        core: &Arc<Core>,
        request: &mut Request,
        progress: &mut Progress,
    ) -> Result<Arc<Acl>, ApiError> {
        if let Some(acl) = &progress.own {
            request.acl = Some(acl.clone());
            return Ok(acl.clone());
        }
        let found = match (&progress.used, &request.call.token) {
            (Some(used), _) => core.tokens.lookup_used(&used.hash, request.now).await?,
            (None, Some(secret)) => core.tokens.lookup(secret, request.now).await?,
            (None, None) => None,
        };
        let allowed = found
            .filter(|token| address_allowed(&token.bound_cidrs, request.call.peer.address.ip()));
        let Some(token) = allowed else {
            let denied = ApiError::permission_denied();
            self.audit_refusal(core, request, &denied, progress).await?;
            return Err(denied);
        };
        let (token, token_use) = match progress.used {
            Some(_) => (token, None),
            None => core.tokens.take_use(token)?,
        };
        *request.token_use.get_mut() = token_use;
        let acl = core.policies.acl(&token, request.now).await?;
        request.token = Some(token);
        request.acl = Some(acl.clone());
        Ok(acl)
    }

    /// Asks the caller's policies; the one way to a `Permit` on a path with a token.
    async fn authorize(
        &self,
        request: &Request,
        acl: &Acl,
        handle: &RouteHandle,
        captures: &Captures,
    ) -> Result<Permit, ApiError> {
        let call = &request.call;
        let exists = if handle.creates && call.op == Op::Write {
            request
                .mount
                .engine
                .exists(*handle, request, captures)
                .await?
        } else {
            true
        };
        let needs_sudo = handle.route.access == Access::Sudo;
        Permit::authorize(acl, &access_request(call, exists, needs_sudo))
    }

    async fn audit_refusal(
        &self,
        core: &Arc<Core>,
        request: &Request,
        refusal: &ApiError,
        progress: &mut Progress,
    ) -> Result<(), ApiError> {
        if core.audit.is_enabled() {
            let event = Event {
                request,
                permit: None,
                error: Some(refusal),
            };
            if !progress.is_logged {
                core.audit.request(&event).await?;
                progress.is_logged = true;
            }
            core.audit.response(&event, None).await?;
        }
        Ok(())
    }

    /// Runs a handler and makes its answer complete.
    async fn run(
        self: &Arc<Self>,
        permit: Permit,
        request: Request,
        handle: RouteHandle,
        captures: Captures,
        progress: &mut Progress,
    ) -> Result<Response, ApiError> {
        let core = request.core.clone();
        let audit = core.filter(|_| handle.route.access != Access::Open);
        if let Some(core) = &audit
            && core.audit.is_enabled()
            && !progress.is_logged
        {
            let event = Event {
                request: &request,
                permit: Some(&permit),
                error: None,
            };
            core.audit.request(&event).await?;
            progress.is_logged = true;
        }
        let result = self.answer(&request, handle, captures).await;
        let will_run_again = result
            .as_ref()
            .err()
            .is_some_and(|error| progress.runs_again_after(error));
        // Asked anew: the request may have enabled the first device.
        if let Some(core) = &audit
            && core.audit.is_enabled()
            && !will_run_again
        {
            let event = Event {
                request: &request,
                permit: Some(&permit),
                error: result.as_ref().err(),
            };
            let envelope = result.as_ref().ok().map(|answer| &answer.envelope);
            core.audit.response(&event, envelope).await?;
        }
        if !will_run_again {
            self.revoke_if_used_up(&request).await;
        }
        match result {
            Ok(answer) => Ok(answer.into_response(handle.route.op)),
            Err(error) => Err(error),
        }
    }

    async fn answer(
        self: &Arc<Self>,
        request: &Request,
        handle: RouteHandle,
        captures: Captures,
    ) -> Result<Answer, ApiError> {
        let call = &request.call;
        if call.wrap.is_some() {
            wrap::check_format(call)?;
        }
        let ran = request
            .mount
            .engine
            .run(handle, request, call.data.clone(), captures)
            .await;
        if let Err(error) = &ran
            && error.kind() == ErrorKind::Conflict
        {
            return Err(error.clone());
        }
        let unwritten_use = request.token_use.lock().take();
        if let Some(batch) = unwritten_use {
            request.core()?.store.commit(batch).await?;
        }
        let reply = ran?;
        let answer = Answer::new(request, reply).await?;
        match call.wrap {
            Some(wrapping) => wrap::wrap_answer(request, answer, wrapping.ttl_secs).await,
            None => Ok(answer),
        }
    }

    /// A counted token goes with its last use, after that use was answered.
    async fn revoke_if_used_up(&self, request: &Request) {
        if let (Some(core), Some(token)) = (&request.core, &request.token)
            && token.is_used_up()
            && let Err(error) = core
                .tokens
                .revoke_tree(core, &token.hash, request.now)
                .await
        {
            // It is of no use any more; the sweep takes away what is left.
            tracing::warn!(%error, "used up token cannot be removed");
        }
    }
}

/// Writes the use of a counted token.
async fn settle_token_use(request: &mut Request, progress: &mut Progress) -> Result<(), ApiError> {
    let Some(batch) = request.token_use.get_mut().take() else {
        return Ok(());
    };
    let version = request.core()?.store.commit(batch).await?;
    if let Some(token) = &mut request.token {
        Arc::make_mut(token).version = Some(version);
    }
    progress.used.clone_from(&request.token);
    Ok(())
}

fn help(request: &Request, relative: &str) -> Result<Response, ApiError> {
    let relative = relative.trim_end_matches('/');
    let engine = &request.mount.engine;
    let text = engine
        .help(relative)
        .ok_or_else(ApiError::unsupported_path)?;
    let version = &request.node.settings.version;
    let openapi = crate::help::openapi(engine.as_ref(), relative, version);
    Ok(Response::json(
        200,
        &serde_json::json!({ "help": text, "see_also": null, "openapi": openapi }),
    ))
}

/// A path that needs neither a token nor an unsealed server.
fn is_open(found: &Found<RouteHandle>) -> bool {
    match found {
        Found::Route(handle, _) | Found::WrongOperation(handle) => {
            handle.route.access == Access::Open
        }
        Found::NoPath => false,
    }
}

fn route(found: Found<RouteHandle>) -> Result<(RouteHandle, Captures), ApiError> {
    match found {
        Found::Route(handle, captures) => Ok((handle, captures)),
        Found::WrongOperation(handle) if handle.route.access == Access::Open => {
            Err(ApiError::plain(ErrorKind::UnsupportedOperation, ""))
        }
        Found::WrongOperation(_) => Err(ApiError::unsupported_operation()),
        Found::NoPath => Err(ApiError::unsupported_path()),
    }
}

/// The path an engine routes by: a list has no trailing slash there.
fn engine_path<'c>(call: &Call, relative: &'c str) -> &'c str {
    if call.op == Op::List {
        relative.strip_suffix('/').unwrap_or(relative)
    } else {
        relative
    }
}
