//! Where the runtime is: the search order, and the channel to it.

use hyper_util::rt::TokioIo;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// Where a node's plimsolld listens.
pub(crate) const DEFAULT: &str = "/run/plimsoll/plimsolld.sock";
pub(crate) const VARIABLE: &str = "PLIM_ENDPOINT";

/// What the user said, before anything was tried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// By flag or environment: this one and no other.
    Given(PathBuf),
    /// Nothing was said. Other runtimes' sockets are never searched: on a node they belong to somebody.
    Search,
}

impl Choice {
    /// `flag` beats `environment`; an empty one counts as not given.
    pub(crate) fn from(flag: Option<&str>, environment: Option<&str>) -> Result<Self> {
        match flag.or(environment).filter(|text| !text.is_empty()) {
            Some(text) => Ok(Self::Given(path_of(text)?)),
            None => Ok(Self::Search),
        }
    }
}

fn path_of(text: &str) -> Result<PathBuf> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.contains("://") {
        return Err(Fault::invalid("endpoint", format!("endpoint {text:?}: only unix sockets are spoken to")));
    }
    if !path.starts_with('/') {
        return Err(Fault::invalid("endpoint", format!("endpoint {text:?} is not an absolute path or unix:///path")));
    }
    Ok(PathBuf::from(path))
}

/// True when something accepts connections on `path`.
pub(crate) async fn listens(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

/// A channel to the socket at `path`. Fails at once, naming the path, when nobody listens.
pub(crate) async fn connect(path: &Path) -> Result<Channel> {
    let refused = |error: &(dyn std::error::Error + 'static)| {
        Fault::new(Layer::Daemon, "connect", format!("no runtime answers on {}", path.display()))
            .kind(Kind::Unavailable)
            .because(error)
    };
    UnixStream::connect(path).await.map_err(|error| refused(&error))?;
    let socket = path.to_owned();
    // The address is never used: it only gives requests an :authority that every server takes.
    Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .map_err(|error| refused(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_environment_and_empty_is_nothing() {
        let given = |path: &str| Choice::Given(PathBuf::from(path));
        assert_eq!(Choice::from(Some("/a"), Some("/b")).expect("ok"), given("/a"));
        assert_eq!(Choice::from(None, Some("unix:///b")).expect("ok"), given("/b"));
        assert_eq!(Choice::from(None, Some("")).expect("ok"), Choice::Search);
        assert_eq!(Choice::from(None, None).expect("ok"), Choice::Search);
    }

    #[test]
    fn tcp_and_relative_paths_are_refused_by_name() {
        for text in ["tcp://1.2.3.4:5", "run/x.sock"] {
            let fault = Choice::from(Some(text), None).expect_err(text);
            assert!(fault.to_string().contains(text), "{fault}");
        }
    }
}
