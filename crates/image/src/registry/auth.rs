//! Credentials and tokens: the token endpoint (distribution's token protocol), and a cache that never gives one caller's
//! token to another.

use super::challenge::Challenge;
use super::exchange::{Http, body_text, percent_encode};
use crate::limits::{ANSWER_MAX, TOKENS};
use crate::store::Auth;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, Uri, header};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a token is good for, and for whom.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    pub(super) base: String,
    pub(super) repository: String,
    pub(super) auth: Option<Auth>,
}

/// `Authorization` values by what they are good for.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<TokenKey, (String, Instant)>>);

impl Tokens {
    pub(super) fn find(&self, key: &TokenKey) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
    }

    pub(super) fn keep(&self, key: TokenKey, value: String, life: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TOKENS {
            let now = Instant::now();
            known.retain(|_, (_, until)| *until > now);
        }
        if known.len() < TOKENS {
            known.insert(key, (value, Instant::now() + life));
        }
    }

    pub(super) fn forget(&self, key: &TokenKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// The `Authorization` value that answers `challenges`, with its life; `None` if there is none to give.
pub(super) async fn answer(
    http: &Http,
    challenges: &[Challenge],
    key: &TokenKey,
    host: &str,
) -> Result<Option<(String, Duration)>> {
    let forever = Duration::from_secs(3600);
    if let Some(Auth::RegistryToken(token)) = &key.auth {
        return Ok(Some((format!("Bearer {token}"), forever)));
    }
    if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
        return bearer_token(http, bearer, key, host).await.map(Some);
    }
    let basic = challenges.iter().any(|challenge| challenge.scheme == "basic");
    match &key.auth {
        Some(Auth::Basic { username, password }) if basic => Ok(Some((basic_value(username, password), forever))),
        _ => Ok(None),
    }
}

fn basic_value(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

async fn bearer_token(http: &Http, challenge: &Challenge, key: &TokenKey, host: &str) -> Result<(String, Duration)> {
    let parameter = |name: &str| challenge.parameters.get(name).map(String::as_str).unwrap_or_default();
    let realm: Uri = parameter("realm").parse().map_err(|_| refused(host, "names no token endpoint that is a URL"))?;
    // A registry reached over TLS must not have the password sent in the clear.
    let plain = realm.scheme_str() != Some("https");
    if plain && key.auth.is_some() && key.base.starts_with("https:") {
        return Err(refused(host, "names a token endpoint without TLS"));
    }
    let pull = format!("repository:{}:pull", key.repository);
    let scope = if parameter("scope").is_empty() { pull.as_str() } else { parameter("scope") };
    let request = token_request(&realm, parameter("service"), scope, key.auth.as_ref())
        .map_err(|error| refused(host, "names a token endpoint that cannot be asked").because(&error))?;
    let (status, _, body) = http.bounded(request, ANSWER_MAX).await?;
    let realm_host = realm.authority().map_or("?", |authority| authority.as_str());
    if !status.is_success() {
        let what = format!("{} from the token endpoint {realm_host} of {host}", status.as_u16());
        let kind =
            if status.as_u16() == 401 || status.as_u16() == 403 { Kind::Unauthenticated } else { Kind::Unavailable };
        let fault = Fault::new(Layer::Registry, "authenticate", what).kind(kind).why(body_text(&body));
        return Err(fault.detail(|d| {
            d.host = Some(realm_host.to_owned());
            d.http_status = Some(status.as_u16());
        }));
    }
    let answer: TokenAnswer = serde_json::from_slice(&body)
        .map_err(|error| refused(realm_host, "gave a token that cannot be read").because(&error))?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() || token.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(refused(realm_host, "gave no token"));
    }
    // The protocol's default is 60 s; a margin for the way.
    let life = Duration::from_secs(answer.expires_in.unwrap_or(60).clamp(20, 3600) - 10);
    Ok((format!("Bearer {token}"), life))
}

fn token_request(
    realm: &Uri,
    service: &str,
    scope: &str,
    auth: Option<&Auth>,
) -> std::result::Result<Request<Full<Bytes>>, hyper::http::Error> {
    let query = format!("service={}&scope={}", percent_encode(service), percent_encode(scope));
    if let Some(Auth::IdentityToken(refresh)) = auth {
        let form =
            format!("grant_type=refresh_token&client_id=plimsoll&refresh_token={}&{query}", percent_encode(refresh));
        return Request::builder()
            .method(Method::POST)
            .uri(realm)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form));
    }
    let joint = if realm.query().is_some() { '&' } else { '?' };
    let mut request = Request::builder().uri(format!("{realm}{joint}{query}"));
    if let Some(Auth::Basic { username, password }) = auth {
        request = request.header(header::AUTHORIZATION, basic_value(username, password));
    }
    request.body(Full::default())
}

fn refused(host: &str, what: &str) -> Fault {
    Fault::new(Layer::Registry, "authenticate", format!("registry {host} {what}")).kind(Kind::Unauthenticated)
}
