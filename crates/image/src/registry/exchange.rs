//! One HTTP exchange: connections, TLS, time limits, redirects that do not carry credentials to another host.

use crate::limits::{CONNECT_TIMEOUT, HEAD_TIMEOUT, IDLE_TIMEOUT, REDIRECTS};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, LOCATION};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::sync::Arc;

/// The connection pool of all registries.
#[derive(Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    pub(super) fn new() -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a system certificate store cannot be read");
        }
        let (_, ignored) = roots.add_parsable_certificates(found.certs);
        if ignored > 0 {
            tracing::debug!(ignored, "system certificates that cannot be parsed");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::new(Layer::Daemon, "start", "cannot set up TLS").because(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request and follows redirects. `Authorization` stays with the origin that it was meant for
    /// (CVE-2020-15157), and nothing leads from TLS to plain HTTP.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let (mut parts, body) = request.into_parts();
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(body.clone());
            *request.method_mut() = parts.method.clone();
            *request.uri_mut() = parts.uri.clone();
            *request.headers_mut() = parts.headers.clone();
            let response = self.once(request).await?;
            let Some(next) = redirect(&response, &parts.uri)? else { return Ok(response) };
            if origin(&next) != origin(&parts.uri) {
                parts.headers.remove(AUTHORIZATION);
            }
            parts.uri = next;
        }
        let what = format!("{} redirects more than {REDIRECTS} times", host_of(&parts.uri));
        Err(Fault::new(Layer::Registry, "request", what))
    }

    async fn once(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let host = host_of(request.uri());
        match tokio::time::timeout(HEAD_TIMEOUT, self.0.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let (phase, what) = match error.is_connect() {
                    true => ("connect", format!("cannot reach registry {host}")),
                    false => ("request", format!("registry {host} broke the connection")),
                };
                Err(unavailable(phase, what, &host).because(&error))
            }
            Err(_) => {
                let what = format!("registry {host} did not answer within {} s", HEAD_TIMEOUT.as_secs());
                Err(unavailable("request", what, &host))
            }
        }
    }

    /// A request whose answer is small: status, headers and at most `limit` bytes.
    pub(super) async fn bounded(
        &self,
        request: Request<Full<Bytes>>,
        limit: u64,
    ) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let host = host_of(request.uri());
        let (parts, body) = self.send(request).await?.into_parts();
        Ok((parts.status, parts.headers, collect(body, limit, &host).await?))
    }
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn collect(mut body: Incoming, limit: u64, host: &str) -> Result<Bytes> {
    let mut bytes = Vec::new();
    while let Some(piece) = next_piece(&mut body, host).await? {
        if (bytes.len() + piece.len()) as u64 > limit {
            let what = format!("answer of registry {host} exceeds {limit} bytes");
            return Err(Fault::new(Layer::Registry, "read", what).kind(Kind::ResourceExhausted));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

/// The next bytes of a body; `None` at its end.
pub(super) async fn next_piece(body: &mut Incoming, host: &str) -> Result<Option<Bytes>> {
    loop {
        match tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await {
            Err(_) => {
                let what = format!("registry {host} sent nothing for {} s", IDLE_TIMEOUT.as_secs());
                return Err(unavailable("read", what, host));
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                let what = format!("registry {host} broke off its answer");
                return Err(unavailable("read", what, host).because(&error));
            }
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn unavailable(phase: &str, what: String, host: &str) -> Fault {
    Fault::new(Layer::Registry, phase, what).kind(Kind::Unavailable).detail(|d| d.host = Some(host.to_owned()))
}

fn redirect(response: &Response<Incoming>, from: &Uri) -> Result<Option<Uri>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let host = host_of(from);
    let wrong = |what: &str| Fault::new(Layer::Registry, "redirect", format!("registry {host} redirects {what}"));
    let location =
        response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(|| wrong("nowhere"))?;
    let next = resolve(from, location).ok_or_else(|| wrong("to something that is no URL"))?;
    if from.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
        return Err(wrong("from TLS to plain HTTP"));
    }
    Ok(Some(next))
}

/// An absolute URL, or an absolute path on the same origin; nothing else is used by registries.
fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    let next: Uri = location.parse().ok()?;
    if next.authority().is_some() {
        return matches!(next.scheme_str(), Some("http" | "https")).then_some(next);
    }
    if !location.starts_with('/') {
        return None;
    }
    format!("{}://{}{location}", from.scheme_str()?, from.authority()?).parse().ok()
}

fn origin(uri: &Uri) -> (Option<&str>, Option<&str>, Option<u16>) {
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    (uri.scheme_str(), uri.host(), uri.port_u16().or(Some(default)))
}

pub(super) fn host_of(uri: &Uri) -> String {
    uri.authority().map_or_else(
        || "?".to_owned(),
        |authority| {
            let text = authority.as_str();
            text.rsplit('@').next().unwrap_or(text).to_owned()
        },
    )
}

/// For query strings: everything but unreserved characters (RFC 3986 §2.3).
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The messages of a registry's error body, or its beginning.
pub(super) fn body_text(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Answer {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => {
            let lines: Vec<String> =
                answer.errors.iter().take(3).map(|e| format!("{} {}", e.code, e.message)).collect();
            clean(lines.join("; ").trim())
        }
        Err(_) => clean(&String::from_utf8_lossy(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_resolve_against_their_origin() {
        let from: Uri = "https://a.b:444/v2/x".parse().unwrap();
        assert_eq!(resolve(&from, "/y?z").unwrap(), "https://a.b:444/y?z");
        assert_eq!(resolve(&from, "https://c/d").unwrap(), "https://c/d");
        assert!(resolve(&from, "ftp://c/d").is_none() && resolve(&from, "rel").is_none());
        let same: Uri = "https://a.b:443/".parse().unwrap();
        let bare: Uri = "https://a.b/".parse().unwrap();
        assert_eq!(origin(&same), origin(&bare));
        assert_ne!(origin(&from), origin(&bare));
    }

    #[test]
    fn error_bodies_become_text() {
        assert_eq!(body_text(br#"{"errors":[{"code":"DENIED","message":"no"}]}"#), "DENIED no");
        assert_eq!(body_text(b"<html>\n"), "<html>");
        assert_eq!(percent_encode("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
    }
}
