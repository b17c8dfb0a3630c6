//! The failure that knows which layer owns it. A `Fault` starts in whatever program sees it, crosses every line as JSON
//! (never as a sentence that somebody has to parse), and reaches people as one line, as JSON, or as a drawn stack.
//! This crate owns the type and its JSON form; it does no IO and knows no contract.

mod layer;

pub use layer::Layer;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the caller of a contract may do about a fault; each contract maps it once (gRPC status, ttrpc status, exit code).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The request itself is wrong; repeating it cannot help.
    InvalidArgument,
    NotFound,
    AlreadyExists,
    /// The object is in a state in which this cannot be done.
    FailedPrecondition,
    PermissionDenied,
    Unauthenticated,
    /// A limit was met: disk, memory, a named bound.
    ResourceExhausted,
    DeadlineExceeded,
    /// A peer could not be reached; repeating may help.
    Unavailable,
    Unimplemented,
    Cancelled,
    /// Data that was stored or fetched is not what it must be.
    DataLoss,
    #[default]
    #[serde(other)]
    Internal,
}

/// The objects that a fault is about. Each program adds what it knows; none overwrites what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subject {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The facts of the failing step, for programs. `errno` is the positive Linux number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// JSON pointer (RFC 6901) into `config.json` or the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Where the value at `pointer` came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A failure with the layer that owns it. Built with [`Fault::new`] by the first function that knows the phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fault(Box<Body>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    layer: Layer,
    phase: String,
    #[serde(default)]
    kind: Kind,
    what: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    why: Vec<String>,
    #[serde(default)]
    subject: Subject,
    #[serde(default)]
    detail: Detail,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// `phase` is the step under way ("resolve", "unpack", "mount"); `what` says what failed, naming field and value.
    pub fn new(layer: Layer, phase: impl Into<String>, what: impl Into<String>) -> Self {
        Self(Box::new(Body {
            layer,
            phase: phase.into(),
            kind: Kind::Internal,
            what: what.into(),
            why: Vec::new(),
            subject: Subject::default(),
            detail: Detail::default(),
            hint: None,
        }))
    }

    /// The caller gave something that cannot be acted on.
    pub fn invalid(phase: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Layer::Caller, phase, what).kind(Kind::InvalidArgument)
    }

    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Appends `error` and its whole source chain to the causes.
    #[must_use]
    pub fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.0.why.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Appends one cause as text.
    #[must_use]
    pub fn why(mut self, cause: impl Into<String>) -> Self {
        self.0.why.push(cause.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn detail(mut self, set: impl FnOnce(&mut Detail)) -> Self {
        set(&mut self.0.detail);
        self
    }

    /// A system call's failure: name, path (may be empty) and positive errno.
    #[must_use]
    pub fn syscall(self, name: &str, path: &str, errno: i32) -> Self {
        self.detail(|d| {
            d.syscall = Some(name.to_owned());
            d.path = (!path.is_empty()).then(|| path.to_owned());
            d.errno = Some(errno);
        })
    }

    #[must_use]
    pub fn in_pod(mut self, id: &str) -> Self {
        self.0.subject.pod.get_or_insert_with(|| id.to_owned());
        self
    }

    #[must_use]
    pub fn in_container(mut self, id: &str) -> Self {
        self.0.subject.container.get_or_insert_with(|| id.to_owned());
        self
    }

    #[must_use]
    pub fn in_exec(mut self, id: &str) -> Self {
        self.0.subject.exec.get_or_insert_with(|| id.to_owned());
        self
    }

    #[must_use]
    pub fn of_image(mut self, reference: &str) -> Self {
        self.0.subject.image.get_or_insert_with(|| reference.to_owned());
        self
    }

    pub fn layer(&self) -> &Layer {
        &self.0.layer
    }

    pub fn phase(&self) -> &str {
        &self.0.phase
    }

    pub fn class(&self) -> Kind {
        self.0.kind
    }

    pub fn what(&self) -> &str {
        &self.0.what
    }

    pub fn causes(&self) -> &[String] {
        &self.0.why
    }

    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    pub fn details(&self) -> &Detail {
        &self.0.detail
    }

    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The form in which a fault crosses a line.
    pub fn to_json(&self) -> String {
        // Strings, numbers and string-keyed structs only: serialising them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// One line: `layer: what: cause: cause (hint)`. A cause that the text before it already ends with is not repeated.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{}: {}", self.0.layer, self.0.what);
        for cause in &self.0.why {
            if !line.ends_with(cause.as_str()) {
                line.push_str(": ");
                line.push_str(cause);
            }
        }
        if let Some(hint) = &self.0.hint {
            line.push_str(&format!(" ({hint})"));
        }
        f.write_str(&line.replace('\n', " "))
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_layer_then_cause_then_hint() {
        let io = std::io::Error::from_raw_os_error(13);
        let fault = Fault::new(Layer::OciRuntime, "mount", "cannot mount proc").because(&io).hint("see dmesg");
        assert_eq!(fault.to_string(), "oci-runtime: cannot mount proc: Permission denied (os error 13) (see dmesg)");
    }

    #[test]
    fn json_keeps_unknown_layers_and_kinds() {
        let text = r#"{"layer":"builder","phase":"solve","kind":"something-new","what":"x"}"#;
        let fault = Fault::from_json(text).expect("parses");
        assert_eq!(fault.layer(), &Layer::Other("builder".into()));
        assert_eq!(fault.class(), Kind::Internal);
        assert!(fault.to_json().contains("\"layer\":\"builder\""));
    }

    #[test]
    fn the_first_program_that_names_a_subject_wins() {
        let fault = Fault::new(Layer::Shim, "start", "x").in_container("a").in_container("b");
        assert_eq!(fault.subject().container.as_deref(), Some("a"));
    }
}
