//! `plimrun exec [flags] ID COMMAND…` or `exec --process FILE ID`

use super::create::{connect, preserved};
use super::foreground::{Foreground, exit_code};
use crate::args::{Flag, Global, Parsed, parse, usage};
use plimsoll_fault::Fault;
use plimsoll_runtime::{ExecRequest, Root, Stdio, container_process};
use plimsoll_spec::runtime::{Capabilities, Process, parse_process};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

const FLAGS: [Flag; 19] = [
    Flag::Value("console-socket"),
    Flag::Value("pidfd-socket"),
    Flag::Value("cwd"),
    Flag::Short("env", "e"),
    Flag::ShortSwitch("tty", "t"),
    Flag::Short("user", "u"),
    Flag::Short("additional-gids", "g"),
    Flag::Short("process", "p"),
    Flag::ShortSwitch("detach", "d"),
    Flag::Value("pid-file"),
    Flag::Value("process-label"),
    Flag::Value("apparmor"),
    Flag::Switch("no-new-privs"),
    Flag::Short("cap", "c"),
    Flag::Value("preserve-fds"),
    Flag::Value("cgroup"),
    Flag::Switch("ignore-paused"),
    Flag::Switch("no-subreaper"),
    Flag::Switch("keep"),
];

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&FLAGS, words, 1)?;
    let preserve_fds = preserved(&parsed)?;
    let token = crate::sealed()?;
    let root = global.root()?;
    let id = parsed.id()?;
    let process = process(&root, &parsed)?;
    let detach = parsed.has("detach");
    let mut foreground = (!detach).then(|| Foreground::begin(&global.log)).transpose()?;
    let stdio = match (process.terminal, parsed.value("console-socket"), &mut foreground) {
        (true, Some(socket), _) => Stdio::Console { socket: connect("console", socket)?, size: None },
        (true, None, Some(foreground)) => foreground.terminal()?,
        (true, None, None) => return Err(usage("--tty with --detach needs --console-socket")),
        (false, ..) => Stdio::Inherit,
    };
    let created = plimsoll_runtime::exec(
        &token,
        &root,
        ExecRequest {
            stdio,
            pid_file: parsed.value("pid-file").map(Path::new),
            pidfd_socket: parsed.value("pidfd-socket").map(|path| connect("pidfd", path)).transpose()?,
            sub_cgroups: sub_cgroups(&parsed.values("cgroup").collect::<Vec<_>>())?,
            preserve_fds,
            ignore_paused: parsed.has("ignore-paused"),
            ..ExecRequest::new(id, process)
        },
    )?;
    match foreground {
        None => Ok(ExitCode::SUCCESS),
        Some(foreground) => Ok(exit_code(foreground.wait(&created, None)?)),
    }
}

/// From `--process`, or the container's own with what the flags change.
fn process(root: &Root, parsed: &Parsed) -> Result<Process, Fault> {
    if let Some(file) = parsed.value("process") {
        let text = std::fs::read(file).map_err(|e| usage(format!("cannot read {file}")).because(&e))?;
        return parse_process(&text).map_err(|e| usage(format!("{file}: {e}")));
    }
    let mut process = container_process(root, parsed.id()?)?;
    process.args = parsed.operands.iter().skip(1).cloned().collect();
    if process.args.is_empty() {
        return Err(usage("a command is needed"));
    }
    process.terminal = parsed.has("tty");
    if let Some(cwd) = parsed.value("cwd") {
        process.cwd = cwd.to_owned();
    }
    process.env.extend(parsed.values("env").map(str::to_owned));
    if let Some(user) = parsed.value("user") {
        (process.user.uid, process.user.gid) = user_and_group(user, process.user.gid)?;
    }
    for gid in parsed.values("additional-gids") {
        let gid = gid.parse().map_err(|_| usage(format!("--additional-gids: {gid:?} is not a number")))?;
        process.user.additional_gids.push(gid);
    }
    if let Some(value) = parsed.value("no-new-privs") {
        process.no_new_privileges = value != "false";
    }
    if let Some(profile) = parsed.value("apparmor").filter(|profile| !profile.is_empty()) {
        process.apparmor_profile = Some(profile.to_owned());
    }
    if let Some(label) = parsed.value("process-label").filter(|label| !label.is_empty()) {
        process.selinux_label = Some(label.to_owned());
    }
    add_capabilities(&mut process, parsed);
    Ok(process)
}

/// `PATH` alone, or `CONTROLLER[,CONTROLLER…]:PATH` any number of times.
fn sub_cgroups(given: &[&str]) -> Result<Vec<(String, String)>, Fault> {
    let mut out: Vec<(String, String)> = Vec::new();
    for text in given {
        let Some((controllers, path)) = text.split_once(':') else {
            if given.len() > 1 {
                return Err(usage(format!("--cgroup: {text:?} names no controller")));
            }
            return Ok(vec![(String::new(), (*text).to_owned())]);
        };
        for controller in controllers.split(',') {
            if controller.is_empty() || out.iter().any(|(known, _)| known == controller) {
                return Err(usage(format!("--cgroup: {text:?} names a controller twice, or an empty one")));
            }
            out.push((controller.to_owned(), path.to_owned()));
        }
    }
    Ok(out)
}

fn user_and_group(text: &str, gid: u32) -> Result<(u32, u32), Fault> {
    let parsed = plimsoll_runtime::parse_user(text);
    let (uid, given) = parsed.ok_or_else(|| usage(format!("--user: {text:?} is not UID[:GID]")))?;
    Ok((uid, given.unwrap_or(gid)))
}

/// `--cap` adds to bounding, effective and permitted, never to inheritable (CVE-2022-29162), so to ambient only what is
/// inheritable already.
fn add_capabilities(process: &mut Process, parsed: &Parsed) {
    for cap in parsed.values("cap") {
        let caps = process.capabilities.get_or_insert_with(Capabilities::default);
        for set in [&mut caps.bounding, &mut caps.effective, &mut caps.permitted] {
            set.push(cap.to_owned());
        }
        if caps.inheritable.iter().any(|inherited| inherited == cap) {
            caps.ambient.push(cap.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sub_cgroups;

    #[test]
    fn sub_cgroups_are_one_path_or_one_for_each_controller() {
        let got = |list: &[&str]| sub_cgroups(list).map_err(|fault| fault.what().to_owned());
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(got(&[]), Ok(vec![]));
        assert_eq!(got(&["a/b"]), Ok(vec![pair("", "a/b")]));
        assert_eq!(
            got(&["cpu,memory:x", "pids:y"]),
            Ok(vec![pair("cpu", "x"), pair("memory", "x"), pair("pids", "y")])
        );
        for bad in [&["a", "b"][..], &["cpu:a", "b"], &["cpu:a", "cpu:b"], &[":a"], &["cpu,:a"]] {
            assert!(got(bad).is_err(), "{bad:?}");
        }
    }
}
