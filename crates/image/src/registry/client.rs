//! Asking for manifests and blobs: each endpoint in turn, each request again while its failure may pass.

use super::auth::{TokenKey, Tokens, answer};
use super::challenge;
use super::endpoint::{Endpoint, RegistryConfig};
use super::exchange::{Http, body_text, collect, next_piece};
use crate::limits::{ANSWER_MAX, ATTEMPTS, RETRY_AFTER_MAX};
use crate::store::Auth;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, RANGE, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE,
};
use hyper::{Request, Response, StatusCode};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::digest::Digest;
use plimsoll_spec::image::{Descriptor, MANIFEST_MAX, media_type};
use plimsoll_spec::reference::Reference;
use std::time::Duration;

/// The client of all registries; shared by all pulls.
pub(crate) struct Client {
    http: Http,
    config: RegistryConfig,
    tokens: Tokens,
}

/// A manifest or index as the registry gave it, its digest verified or computed.
pub(crate) struct Resolved {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
}

/// A blob's bytes from `offset` on.
pub(crate) struct BlobBody {
    body: Incoming,
    host: String,
    skip: u64,
}

impl BlobBody {
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(mut piece) = next_piece(&mut self.body, &self.host).await? {
            let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
            self.skip -= skip as u64;
            let rest = piece.split_off(skip);
            if !rest.is_empty() {
                return Ok(Some(rest));
            }
        }
        Ok(None)
    }
}

impl Client {
    pub(crate) fn new(config: RegistryConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { http: Http::new()?, config, tokens: Tokens::default() })
    }

    /// Asks for the manifest or index that `reference` names (tag or digest).
    pub(crate) async fn resolve(&self, reference: &Reference, auth: Option<&Auth>) -> Result<Resolved> {
        self.manifest(reference, &reference.object(), reference.digest(), auth).await
    }

    /// Asks for a manifest by the digest that an index gave.
    pub(crate) async fn manifest_at(
        &self,
        reference: &Reference,
        digest: &Digest,
        auth: Option<&Auth>,
    ) -> Result<Resolved> {
        self.manifest(reference, &digest.to_string(), Some(digest), auth).await
    }

    async fn manifest(
        &self,
        reference: &Reference,
        object: &str,
        digest: Option<&Digest>,
        auth: Option<&Auth>,
    ) -> Result<Resolved> {
        let path = format!("/v2/{}/manifests/{object}", reference.path());
        let headers = [(ACCEPT, media_type::ACCEPT.to_owned())];
        let mut failed: Option<Fault> = None;
        for endpoint in self.config.endpoints(reference)? {
            let asked = self.ask(&endpoint, &path, &headers, reference, auth, |response, host| async move {
                let (parts, body) = response.into_parts();
                Ok((parts.headers, collect(body, MANIFEST_MAX, &host).await?))
            });
            match asked.await.and_then(|(headers, bytes)| check_manifest(&headers, bytes, digest, &endpoint.host)) {
                Ok(resolved) => return Ok(resolved),
                Err(fault) => failed = Some(join(failed, fault)),
            }
        }
        Err(nothing_answered(failed))
    }

    /// Asks for a blob from `offset` on.
    pub(crate) async fn blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        offset: u64,
        auth: Option<&Auth>,
    ) -> Result<BlobBody> {
        let path = format!("/v2/{}/blobs/{}", reference.path(), blob.digest);
        let headers: Vec<_> = (offset > 0).then(|| (RANGE, format!("bytes={offset}-"))).into_iter().collect();
        let mut failed: Option<Fault> = None;
        for endpoint in self.config.endpoints(reference)? {
            let asked = self.ask(&endpoint, &path, &headers, reference, auth, |response, host| async move {
                let skip = if response.status() == StatusCode::PARTIAL_CONTENT {
                    check_range(&response, offset, &host)?
                } else {
                    offset
                };
                Ok(BlobBody { body: response.into_body(), host, skip })
            });
            match asked.await {
                Ok(body) => return Ok(body),
                Err(fault) => failed = Some(join(failed, fault)),
            }
        }
        Err(nothing_answered(failed))
    }

    /// One endpoint, again while the failure may pass.
    async fn ask<T, F>(
        &self,
        endpoint: &Endpoint,
        path: &str,
        headers: &[(hyper::header::HeaderName, String)],
        reference: &Reference,
        auth: Option<&Auth>,
        take: impl Fn(Response<Incoming>, String) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let asked = match self.authorized(endpoint, path, headers, reference, auth).await {
                Ok(response) if response.status().is_success() => take(response, endpoint.host.clone()).await,
                Ok(response) => Err(self.refusal(response, endpoint, reference, auth.is_some()).await),
                Err(fault) => Err(fault),
            };
            let fault = match asked {
                Ok(taken) => return Ok(taken),
                Err(fault) => fault,
            };
            if attempt >= ATTEMPTS || !may_pass(&fault) {
                return Err(fault);
            }
            let wait = retry_after(&fault).unwrap_or(Duration::from_millis(150) * 3_u32.pow(attempt - 1));
            tracing::debug!(%fault, attempt, "asking the registry again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a request with what is known of authentication, and once more with what the answer asks for.
    async fn authorized(
        &self,
        endpoint: &Endpoint,
        path: &str,
        headers: &[(hyper::header::HeaderName, String)],
        reference: &Reference,
        auth: Option<&Auth>,
    ) -> Result<Response<Incoming>> {
        let auth = auth.filter(|_| endpoint.own).cloned();
        let key = TokenKey { base: endpoint.base.clone(), repository: reference.path().to_owned(), auth };
        let known = self.tokens.find(&key);
        let response = self.http.send(build(endpoint, path, headers, known.as_deref())?).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.tokens.forget(&key);
        let challenges: Vec<_> = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        let Some((value, life)) = answer(&self.http, &challenges, &key, &endpoint.host).await? else {
            return Ok(response);
        };
        let again = self.http.send(build(endpoint, path, headers, Some(&value))?).await?;
        if again.status() != StatusCode::UNAUTHORIZED {
            self.tokens.keep(key, value, life);
        }
        Ok(again)
    }

    async fn refusal(
        &self,
        response: Response<Incoming>,
        endpoint: &Endpoint,
        reference: &Reference,
        with_auth: bool,
    ) -> Fault {
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let host = &endpoint.host;
        let name = reference.name();
        let (kind, what) = match status {
            401 if with_auth && endpoint.own => {
                (Kind::Unauthenticated, format!("401 from {host}: the credentials for {name} were refused"))
            }
            401 => (Kind::Unauthenticated, format!("401 from {host}: no credentials for {name}")),
            403 => (Kind::PermissionDenied, format!("403 from {host}: access to {name} is denied")),
            404 => (Kind::NotFound, format!("404 from {host}: {reference} is not there")),
            429 => (Kind::Unavailable, format!("429 from {host}: too many requests for {name}")),
            500..=599 => (Kind::Unavailable, format!("{status} from {host} for {name}")),
            _ => (Kind::Internal, format!("{status} from {host} for {name}")),
        };
        // An error body that cannot be read adds nothing.
        let said = collect(body, ANSWER_MAX, host).await.map(|bytes| body_text(&bytes)).unwrap_or_default();
        let mut fault = Fault::new(Layer::Registry, "fetch", what).kind(kind).detail(|d| {
            d.host = Some(host.clone());
            d.http_status = Some(status);
        });
        if !said.is_empty() {
            fault = fault.why(said);
        }
        match parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) {
            Some(seconds) => fault.why(format!("{RETRY_PREFIX}{seconds}")),
            None => fault,
        }
    }
}

const RETRY_PREFIX: &str = "retry after ";

fn build(
    endpoint: &Endpoint,
    path: &str,
    headers: &[(hyper::header::HeaderName, String)],
    authorization: Option<&str>,
) -> Result<Request<Full<Bytes>>> {
    let query = endpoint.namespace.as_ref().map(|ns| format!("?ns={ns}")).unwrap_or_default();
    let mut request = Request::builder().uri(format!("{}{path}{query}", endpoint.base));
    request = request.header(USER_AGENT, concat!("plimsoll/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    request
        .body(Full::default())
        .map_err(|error| Fault::invalid("request", format!("cannot ask {} for {path}", endpoint.host)).because(&error))
}

/// Failures of the moment: a broken connection, 5xx, 429. A host that does not listen stays dead for this call.
fn may_pass(fault: &Fault) -> bool {
    fault.class() == Kind::Unavailable && fault.phase() != "connect"
}

fn retry_after(fault: &Fault) -> Option<Duration> {
    let text = fault.causes().iter().find_map(|cause| cause.strip_prefix(RETRY_PREFIX))?;
    let seconds = Duration::from_secs(text.trim().parse().ok()?);
    Some(seconds.min(RETRY_AFTER_MAX))
}

fn check_manifest(headers: &HeaderMap, bytes: Bytes, wanted: Option<&Digest>, host: &str) -> Result<Resolved> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
    // What the caller asked for binds; what the registry claims of its own answer must at least be true.
    let claimed = header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
    let expected = wanted.cloned().or(claimed);
    let digest = match &expected {
        Some(digest) => Digest::of(digest.algorithm(), &bytes),
        None => Digest::sha256(&bytes),
    };
    if let Some(expected) = expected.filter(|expected| *expected != digest) {
        let what = format!("manifest from {host} has digest {digest}, not {expected}");
        return Err(Fault::new(Layer::Image, "verify", what).kind(Kind::DataLoss));
    }
    // Some registries answer with text/plain or application/json: the document says itself what it is.
    let known = media_type::is_index(&media_type) || media_type::is_manifest(&media_type);
    Ok(Resolved { bytes, media_type: if known { media_type } else { String::new() }, digest })
}

/// The bytes to skip of a partial answer: none if it starts where it was asked to.
fn check_range(response: &Response<Incoming>, offset: u64, host: &str) -> Result<u64> {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let start: Option<u64> =
        range.strip_prefix("bytes ").and_then(|rest| rest.split('-').next()).and_then(|text| text.parse().ok());
    match start {
        Some(start) if start <= offset => Ok(offset - start),
        _ => Err(Fault::new(
            Layer::Registry,
            "fetch",
            format!("registry {host} answers with range {range:?} from {offset}"),
        )),
    }
}

/// The last endpoint speaks; what the ones before said is kept as causes.
fn join(before: Option<Fault>, fault: Fault) -> Fault {
    match before {
        None => fault,
        Some(before) => fault.why(format!("before that: {before}")),
    }
}

fn nothing_answered(failed: Option<Fault>) -> Fault {
    failed.unwrap_or_else(|| Fault::new(Layer::Registry, "resolve", "no endpoint to ask"))
}
