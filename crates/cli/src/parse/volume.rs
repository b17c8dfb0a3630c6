//! `-v SOURCE:TARGET[:OPTION,…]`.

use plimsoll_proto::cri::{Mount, MountPropagation};
use std::path::{Component, Path};

/// A bind mount. A relative source (one that begins with a dot) is resolved by [`resolve`], which needs the working folder.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        return Err("want SOURCE:TARGET[:OPTIONS]".to_owned());
    };
    let mut mount =
        Mount { host_path: source_path(source)?, container_path: target_path(target)?, ..Default::default() };
    for option in parts.next().into_iter().flat_map(|options| options.split(',')) {
        apply(&mut mount, option)?;
    }
    if mount.recursive_read_only && mount.propagation != MountPropagation::PropagationPrivate as i32 {
        return Err("rro needs private propagation".to_owned());
    }
    Ok(mount)
}

fn source_path(text: &str) -> Result<String, String> {
    let first = text.chars().next().ok_or("the source is empty")?;
    if first != '/' && first != '.' {
        return Err(format!(
            "source {text:?} is a volume's name: only paths are there yet; write ./{text} for a folder"
        ));
    }
    Ok(text.to_owned())
}

fn target_path(text: &str) -> Result<String, String> {
    let path = Path::new(text);
    if !path.is_absolute() || path == Path::new("/") {
        return Err(format!("target {text:?} must be an absolute path other than /"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("target {text:?} must not contain .."));
    }
    Ok(text.to_owned())
}

fn apply(mount: &mut Mount, option: &str) -> Result<(), String> {
    match option {
        "rw" => mount.readonly = false,
        "ro" => mount.readonly = true,
        "rro" => {
            mount.readonly = true;
            mount.recursive_read_only = true;
        }
        "private" | "rprivate" => mount.propagation = MountPropagation::PropagationPrivate.into(),
        "slave" | "rslave" => mount.propagation = MountPropagation::PropagationHostToContainer.into(),
        "shared" | "rshared" => mount.propagation = MountPropagation::PropagationBidirectional.into(),
        "z" | "Z" => mount.selinux_relabel = true,
        _ => return Err(format!("option {option:?} is not rw, ro, rro, rprivate, rslave, rshared or z")),
    }
    Ok(())
}

/// Makes the source absolute; it must exist, since a mistyped path made into an empty folder helps nobody.
pub(crate) fn resolve(mount: &mut Mount, working_folder: &Path) -> Result<(), String> {
    let path = working_folder.join(&mount.host_path);
    let real = path.canonicalize().map_err(|error| format!("-v {}: {error}", path.display()))?;
    let text = real.to_str().ok_or_else(|| format!("-v {}: the path is not UTF-8", real.display()))?;
    text.clone_into(&mut mount.host_path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_set() {
        let mount = parse("/a:/b:rro").expect("ok");
        assert!(mount.readonly && mount.recursive_read_only);
        assert_eq!(parse("/a:/b:ro,rslave").expect("ok").propagation, 1);
        assert!(!parse("./a:/b").expect("ok").readonly);
    }

    #[test]
    fn bad_ones_name_the_bad_part() {
        for (text, part) in [
            ("/a", "SOURCE:TARGET"),
            ("data:/b", "volume's name"),
            (":/b", "empty"),
            ("/a:b", "\"b\""),
            ("/a:/", "other than /"),
            ("/a:/x/../..", ".."),
            ("/a:/b:rox", "rox"),
            ("/a:/b:rro,rshared", "private"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_missing_source_is_named() {
        let mut mount = parse("./does-not-exist:/b").expect("ok");
        let error = resolve(&mut mount, Path::new("/")).expect_err("missing");
        assert!(error.contains("/does-not-exist"), "{error}");
    }
}
