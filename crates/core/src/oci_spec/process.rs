//! `process`: arguments, variables, working directory, user, terminal. Merges request and image as the kubelet expects.

use super::{Builder, Inputs, Origin};
use plimsoll_fault::{Fault, Kind, Layer, Result};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn set(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    args(spec, inputs)?;
    env(spec, inputs)?;
    cwd(spec, inputs)?;
    user(spec, inputs)?;
    spec.set("/process/terminal", inputs.config.tty, Origin::request("container.tty"))?;
    let security = &inputs.config.security;
    spec.set("/process/noNewPrivileges", security.no_new_privs, Origin::request("container.security.no_new_privs"))
}

/// A command replaces the image's entrypoint and command; arguments alone replace only its command.
fn args(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let (config, image) = (inputs.config, inputs.image);
    let parts = if !config.command.is_empty() {
        [(&config.command, Origin::request("container.command")), (&config.args, Origin::request("container.args"))]
    } else if !config.args.is_empty() {
        [(&image.entrypoint, Origin::image("Entrypoint")), (&config.args, Origin::request("container.args"))]
    } else {
        [(&image.entrypoint, Origin::image("Entrypoint")), (&image.cmd, Origin::image("Cmd"))]
    };
    let mut index = 0;
    for (words, origin) in parts {
        for word in words {
            no_nul("/process/args", word)?;
            spec.put("/process/args", &index.to_string(), word, origin.clone())?;
            index += 1;
        }
    }
    if index == 0 {
        return Err(Fault::new(
            Layer::Spec,
            "assemble",
            "nothing to run: neither the request nor the image has a command",
        )
        .kind(Kind::InvalidArgument)
        .detail(|d| d.pointer = Some("/process/args".into())));
    }
    Ok(())
}

fn env(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    variable(spec, "PATH", PATH, Origin::default("PATH"))?;
    for (name, value) in inputs.default_env {
        variable(spec, name, value, Origin::handler("daemon", "default_env"))?;
    }
    if !inputs.hostname.is_empty() {
        variable(spec, "HOSTNAME", inputs.hostname, Origin::request("sandbox.hostname"))?;
    }
    if inputs.config.tty {
        variable(spec, "TERM", "xterm", Origin::default("TERM of a terminal"))?;
    }
    for pair in &inputs.image.env {
        // An image's variable without a value has nothing to set.
        if let Some((name, value)) = pair.split_once('=') {
            variable(spec, name, value, Origin::image("Env"))?;
        }
    }
    for var in &inputs.config.envs {
        let value = std::str::from_utf8(&var.value).map_err(|e| {
            Fault::new(Layer::Spec, "assemble", format!("environment variable {:?} is not UTF-8", var.key))
                .kind(Kind::InvalidArgument)
                .because(&e)
                .hint("an OCI config.json cannot carry it")
                .detail(|d| d.pointer = Some("/process/env".into()))
        })?;
        variable(spec, &var.key, value, Origin::request(format!("container.envs[{}]", var.key)))?;
    }
    Ok(())
}

fn variable(spec: &mut Builder, name: &str, value: &str, origin: Origin) -> Result<()> {
    if name.is_empty() || name.contains('=') {
        return Err(invalid("/process/env", format!("{name:?} is no name of an environment variable")));
    }
    no_nul("/process/env", name)?;
    no_nul("/process/env", value)?;
    spec.put("/process/env", name, format!("{name}={value}"), origin)
}

fn cwd(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let (path, origin) = if !inputs.config.working_dir.is_empty() {
        (inputs.config.working_dir.as_str(), Origin::request("container.working_dir"))
    } else if !inputs.image.working_dir.is_empty() {
        (inputs.image.working_dir.as_str(), Origin::image("WorkingDir"))
    } else {
        ("/", Origin::default("cwd"))
    };
    no_nul("/process/cwd", path)?;
    if !path.starts_with('/') {
        return Err(invalid("/process/cwd", format!("working directory {path:?} is not absolute")));
    }
    spec.set("/process/cwd", path, origin)
}

fn user(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let user = inputs.user;
    spec.set("/process/user/uid", user.user.uid, user.uid_origin.clone())?;
    spec.set("/process/user/gid", user.user.gid, user.gid_origin.clone())?;
    if !user.user.groups.is_empty() {
        spec.set("/process/user/additionalGids", &user.user.groups, user.groups_origin.clone())?;
    }
    Ok(())
}

fn no_nul(pointer: &str, text: &str) -> Result<()> {
    match text.contains('\0') {
        true => Err(invalid(pointer, format!("{text:?} contains a zero byte"))),
        false => Ok(()),
    }
}

fn invalid(pointer: &str, what: String) -> Fault {
    Fault::new(Layer::Spec, "assemble", what)
        .kind(Kind::InvalidArgument)
        .detail(|d| d.pointer = Some(pointer.to_owned()))
}
