//! Image references, images and credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plimsoll_core::container::ImageSpec;
use plimsoll_fault::Fault;
use plimsoll_image::{Auth, Image};
use plimsoll_proto::cri;

pub(crate) fn spec(from: cri::ImageSpec) -> ImageSpec {
    ImageSpec {
        image: from.image,
        user_specified: from.user_specified_image,
        handler: from.runtime_handler,
        annotations: from.annotations.into_iter().collect(),
    }
}

pub(crate) fn spec_message(from: ImageSpec) -> cri::ImageSpec {
    cri::ImageSpec {
        image: from.image,
        annotations: from.annotations.into_iter().collect(),
        user_specified_image: from.user_specified,
        runtime_handler: from.handler,
        image_ref: String::new(),
    }
}

pub(crate) fn message(from: Image) -> cri::Image {
    let (uid, username) = user_of(&from.config.config.user);
    cri::Image {
        id: from.id.to_string(),
        repo_tags: from.tags,
        repo_digests: from.repo_digests,
        size: from.size,
        uid,
        username,
        spec: None,
        pinned: from.pinned,
    }
}

/// The image's `USER` without its group: a number or a name. Neither: root.
fn user_of(user: &str) -> (Option<cri::Int64Value>, String) {
    let user = user.split(':').next().unwrap_or_default();
    match user.parse() {
        Ok(value) => (Some(cri::Int64Value { value }), String::new()),
        Err(_) if user.is_empty() => (Some(cri::Int64Value { value: 0 }), String::new()),
        Err(_) => (None, user.to_owned()),
    }
}

/// Credentials for `host`. Those given for another server are not sent to this one; none at all is anonymous.
pub(crate) fn auth(from: cri::AuthConfig, host: &str) -> Result<Option<Auth>, Fault> {
    if !from.server_address.is_empty() && host_of(&from.server_address) != host {
        tracing::debug!(given_for = host_of(&from.server_address), host, "credentials are for another registry");
        return Ok(None);
    }
    if !from.username.is_empty() {
        return Ok(Some(Auth::Basic { username: from.username, password: from.password }));
    }
    if !from.identity_token.is_empty() {
        return Ok(Some(Auth::IdentityToken(from.identity_token)));
    }
    if !from.auth.is_empty() {
        return basic(&from.auth).map(Some);
    }
    Ok((!from.registry_token.is_empty()).then_some(Auth::RegistryToken(from.registry_token)))
}

/// The host of `https://host:port/path`, or of `host:port`.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// `auth` of docker's config: base64 of `user:password`.
fn basic(text: &str) -> Result<Auth, Fault> {
    // Neither the value nor the decoder's complaint is repeated: both could show the secret.
    let wrong = || Fault::invalid("request", "auth.auth is not base64 of user:password");
    let bytes = STANDARD.decode(text.trim_end_matches('\0')).map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let (username, password) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Auth::Basic { username: username.to_owned(), password: password.trim_end_matches('\0').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(config: cri::AuthConfig) -> Option<Auth> {
        auth(config, "r.example:5000").expect("accepted")
    }

    #[test]
    fn credentials_go_only_to_their_server() {
        let config = |server: &str| cri::AuthConfig {
            auth: "dTpwOng=".into(),
            server_address: server.into(),
            ..Default::default()
        };
        let user = Auth::Basic { username: "u".into(), password: "p:x".into() };
        assert!(given(config("https://r.example:5000/v2/")) == Some(user.clone()));
        assert!(given(config("")) == Some(user));
        assert!(given(config("other.example")).is_none());
        assert!(given(cri::AuthConfig::default()).is_none());
    }

    #[test]
    fn a_broken_secret_is_refused_without_showing_it() {
        let config = cri::AuthConfig { auth: "c2VjcmV0".into(), ..Default::default() };
        let Err(fault) = auth(config, "r") else { panic!("must be refused") };
        assert_eq!(fault.to_string(), "caller: auth.auth is not base64 of user:password");
    }

    #[test]
    fn the_image_user_is_a_number_or_a_name() {
        assert_eq!(user_of("1000:50").0.map(|id| id.value), Some(1000));
        assert_eq!(user_of("www-data:www").1, "www-data");
        assert_eq!(user_of("").0.map(|id| id.value), Some(0));
    }
}
