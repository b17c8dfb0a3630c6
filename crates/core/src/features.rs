//! What the OCI runtime of a handler says of itself (`features` of its command line; features.md of the runtime specification).

use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::runtime::OCI_VERSION;
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// It prints and ends; nothing else.
const DEADLINE: Duration = Duration::from_secs(10);

/// A runtime of before there was `features` (runc 1.1, runtime-spec 1.1).
const OLDEST: [u32; 3] = [1, 0, 2];

/// Of a handler, as far as it decides something here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// `ociVersion` of what it is given: the newest that both sides know.
    pub oci_version: String,
    /// The mount option `rro`.
    pub recursive_read_only: bool,
    pub idmapped_mounts: bool,
}

/// What is looked at of the answer.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    oci_version_max: String,
    mount_options: Vec<String>,
    linux: Linux,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Linux {
    mount_extensions: MountExtensions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MountExtensions {
    idmap: Idmap,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Idmap {
    enabled: bool,
}

impl Features {
    /// Of the runtime that is linked into our shim.
    pub fn linked() -> Self {
        Self { oci_version: OCI_VERSION.to_owned(), recursive_read_only: true, idmapped_mounts: true }
    }

    /// Of one that does not say: what every runtime can do.
    pub fn unknown() -> Self {
        Self { oci_version: text(OLDEST), recursive_read_only: false, idmapped_mounts: false }
    }

    /// Asks the program.
    ///
    /// # Errors
    /// It cannot be run, fails (it has no such verb), takes too long or answers something else.
    pub async fn ask(program: &Path) -> Result<Self> {
        let name = program.display();
        let mut command = Command::new(program);
        command.arg("features").stdin(Stdio::null()).kill_on_drop(true);
        let late = |_| fault(format!("{name} features takes too long")).kind(Kind::DeadlineExceeded);
        let output = tokio::time::timeout(DEADLINE, command.output()).await.map_err(late)?;
        let output = output.map_err(|e| fault(format!("cannot run {name}")).because(&e))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or_default().to_owned();
            return Err(fault(format!("{name} features failed ({})", output.status)).why(last));
        }
        understand(&output.stdout)
            .map_err(|e| fault(format!("the answer of {name} features cannot be read")).because(&e))
    }
}

fn understand(answer: &[u8]) -> serde_json::Result<Features> {
    let answer: Answer = serde_json::from_slice(answer)?;
    let theirs = version(&answer.oci_version_max).unwrap_or(OLDEST);
    let ours = version(OCI_VERSION).unwrap_or(OLDEST);
    Ok(Features {
        oci_version: text(theirs.min(ours)),
        recursive_read_only: answer.mount_options.iter().any(|option| option == "rro"),
        idmapped_mounts: answer.linux.mount_extensions.idmap.enabled,
    })
}

/// Of `1.2.1+dev` and `1.0.2-dev` the numbers.
fn version(text: &str) -> Option<[u32; 3]> {
    let numbers = text.split(['+', '-']).next()?;
    let mut parts = numbers.split('.').map(str::parse);
    Some([parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?])
}

fn text(version: [u32; 3]) -> String {
    version.map(|number| number.to_string()).join(".")
}

fn fault(what: String) -> Fault {
    Fault::new(Layer::OciRuntime, "features", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_version_counts() {
        let of =
            |max: &str| understand(format!(r#"{{"ociVersionMax":"{max}"}}"#).as_bytes()).expect("read").oci_version;
        assert_eq!(of("1.0.2-dev"), "1.0.2");
        assert_eq!(of("1.2.1+dev"), "1.2.1");
        assert_eq!(of("1.3.0"), "1.3.0");
        assert_eq!(of("1.10.0"), "1.3.0", "numbers, not text");
        assert_eq!(of("what"), "1.0.2");
    }

    #[test]
    fn what_is_not_said_is_not_there() {
        assert_eq!(understand(b"{}").expect("read"), Features::unknown());
        let full = br#"{"ociVersionMax":"1.3.0","mountOptions":["ro","rro"],"linux":{"mountExtensions":{"idmap":{"enabled":true}}}}"#;
        assert_eq!(understand(full).expect("read"), Features::linked());
        understand(b"plain text").expect_err("no JSON");
    }
}
