//! Names of what `plim run` makes: given and free, or made from the image's name.

use crate::client::Client;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::fs::File;
use std::io::Read;

/// A name becomes a hostname and a file's name: the same letters as in a DNS label, upper case and `_` and `.` besides.
pub(super) fn check(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fine =
        name.len() <= 63 && name.bytes().all(good) && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if fine {
        return Ok(());
    }
    let what = format!("name {name:?}: want at most 63 letters, digits, - _ and ., beginning with a letter or digit");
    Err(Fault::invalid("read flags", what))
}

/// The given name if no pod has it, else `<image>-<six hex digits>`.
pub(super) async fn choose(client: &Client, given: Option<&str>, image: &str) -> Result<String> {
    let Some(name) = given else {
        return Ok(format!("{}-{}", base(image), &hex::<3>()?));
    };
    let pods = client.pods(None).await?;
    let taken = pods.iter().find(|pod| pod.metadata.as_ref().is_some_and(|metadata| metadata.name == name));
    match taken {
        None => Ok(name.to_owned()),
        Some(pod) => Err(Fault::invalid("name", format!("a pod called {name} exists already ({})", pod.id))
            .kind(Kind::AlreadyExists)
            .hint(format!("choose another name, or plim rm -f {name}"))),
    }
}

/// The last part of the repository, made fit for a hostname.
fn base(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    let repository = last.split(['@', ':']).next().unwrap_or_default();
    let fit: String = repository.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let fit = fit.trim_start_matches('-');
    if fit.is_empty() { "pod".to_owned() } else { fit.to_owned() }
}

/// A random (version 4) UUID.
pub(super) fn uuid() -> Result<String> {
    let mut bytes = random::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = to_hex(&bytes);
    Ok([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
}

fn hex<const N: usize>() -> Result<String> {
    Ok(to_hex(&random::<N>()?))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Fault::new(Layer::Kernel, "name", "cannot read /dev/urandom").because(&error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_fit_for_hostnames() {
        for (image, name) in [
            ("localhost:5000/a/busy_box:1", "busybox"),
            ("busybox", "busybox"),
            ("x/y@sha256:00", "y"),
            ("x/__:1", "pod"),
        ] {
            assert_eq!(base(image), name, "{image}");
        }
    }

    #[test]
    fn uuids_are_version_4_and_differ() {
        let (one, two) = (uuid().expect("random"), uuid().expect("random"));
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
        assert_ne!(one, two);
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "-a", "a/b", "a b", "..", &"x".repeat(64)] {
            assert!(check(name).is_err(), "{name:?}");
        }
        assert!(check("Web_1.2-x").is_ok());
    }
}
