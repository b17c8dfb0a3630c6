//! Standard streams, terminals, descriptors, pid files.

use super::{Case, Subject};
use serde_json::json;
use std::fs::File;
use std::process::Stdio;

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::run("stdout", "runc(8) run", super::as_it_is, "echo out; echo err >&2", "out\n"),
        Case::life("stderr", "runc(8) run", |s| { s.script("echo out; echo err >&2"); s.run().stderr }, "err\n"),
        Case::life("stdin", "runc(8) run", |s| with_input(s, "cat; echo end", "some\ninput\n"), "some\ninput\nend\n"),
        Case::life("stdin-of-exec", "runc(8) exec", |s| {
            s.sleeping();
            let mut command = s.runtime.command(&s.scratch);
            command.args(["exec", &s.id, "cat"]);
            piped(command, "through exec\n")
        }, "through exec\n"),
        Case::run("stdin-at-its-end", "runc(8) run", super::as_it_is, "cat | wc -c", "0\n"),
        Case::run("a-megabyte", "runc(8) run", super::as_it_is, "head -c 1048576 /dev/zero | tr '\\0' x | wc -c; head -c 100000 /dev/zero | tr '\\0' y | tail -c 3", "1048576\nyyy"),
        Case::run("no-descriptor-but-three", "runc(8) run", |b| { b.args(&["ls", "/proc/self/fd"]); }, "", "0\n1\n2\n3\n"),
        Case::life("preserve-fds", "runc(8) run --preserve-fds", |s| preserved(s, &["--preserve-fds", "1"]), "kept\n"),
        Case::life("preserve-fds-past-a-start-container-hook", "runc(8) run --preserve-fds", |s| {
            s.bundle.set("/hooks", json!({ "startContainer": [{ "path": "/bin/true" }] }));
            preserved(s, &["--preserve-fds", "1"])
        }, "kept\n"),
        Case::life("preserve-fds-none", "runc(8) run", |s| preserved(s, &[]), "lost\n"),
        Case::life("preserve-fds-of-exec", "runc(8) exec --preserve-fds", |s| {
            s.sleeping();
            let file = s.scratch.file("kept", "kept\n");
            let mut command = s.runtime.command(&s.scratch);
            command.args(["exec", "--preserve-fds", "1", &s.id, "sh", "-c", "cat <&3"]);
            crate::run(&mut opened_as_three(s, &command, &file)).stdout
        }, "kept\n"),
        Case::life("pid-file-of-exec-that-cannot-be", "runc(8) exec --pid-file", |s| {
            s.sleeping();
            let code = s.verb(&["exec", "--detach", "--pid-file", "/no/such/folder/pid", &s.id, "sleep", "77"]).code;
            let left = s.exec(&[], "ps | grep -c '[s]leep 77'").stdout;
            format!("{} {left}", code != 0)
        }, "true 0\n"),
        Case::life("pid-file-of-create", "runc(8) create --pid-file", |s| { let file = s.scratch.join("pid"); let path = file.to_string_lossy().into_owned(); s.bundle.args(&["sleep", "1000"]); s.with_bundle("create", &["--pid-file", &path]).ok(); let text = std::fs::read_to_string(file).unwrap_or_default(); text.parse::<i64>().is_ok_and(|pid| s.state()["pid"] == pid).to_string() }, "true"),
        Case::life("pid-file-of-run", "runc(8) run --pid-file", |s| { let file = s.scratch.join("pid"); let path = file.to_string_lossy().into_owned(); s.bundle.args(&["sleep", "1000"]); s.with_bundle("run", &["--detach", "--pid-file", &path]).ok(); let text = std::fs::read_to_string(file).unwrap_or_default(); text.parse::<i64>().is_ok_and(|pid| s.state()["pid"] == pid).to_string() }, "true"),
        Case::life("pid-file-of-exec", "runc(8) exec --pid-file", |s| { s.sleeping(); let file = s.scratch.join("pid"); let path = file.to_string_lossy().into_owned(); s.verb(&["exec", "--detach", "--pid-file", &path, &s.id, "sleep", "77"]).ok(); let pid = s.appears(&file); let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default(); line.replace('\0', " ") }, "sleep 77 "),
        Case::life("terminal-of-run", "config.md#process", |s| { s.bundle.set("/process/terminal", json!(true)); s.script("tty; sleep 0.3; stty size; test -c /dev/console && echo console; exit 7"); let bundle = s.bundle_path(); let got = s.on_terminal(&["run", "--bundle", &bundle, &s.id]); format!("{}{}", got.stdout, got.code) }, "/dev/pts/0\n33 77\nconsole\n7"),
        Case::life("terminal-is-the-users", "config.md#process", |s| { s.bundle.set("/process/terminal", json!(true)).set("/process/user", json!({ "uid": 1000, "gid": 1000 })); s.script("stat -c '%u %a' /dev/pts/0"); let bundle = s.bundle_path(); s.on_terminal(&["run", "--bundle", &bundle, &s.id]).stdout }, "1000 620\n"),
        Case::life("terminal-of-exec", "runc(8) exec --tty", |s| { s.sleeping(); let got = s.on_terminal(&["exec", "--tty", &s.id, "sh", "-c", "tty; exit 5"]); format!("{}{}", got.stdout, got.code) }, "/dev/pts/0\n5"),
        Case::life("terminal-of-create-needs-a-socket", "runc(8) create --console-socket", |s| { s.bundle.set("/process/terminal", json!(true)); let got = s.create(); format!("{} {}", got.code != 0, s.status()) }, "true none"),
        Case::life("console-socket-without-terminal", "runc(8) create --console-socket", |s| { let path = s.scratch.join("console").to_string_lossy().into_owned(); let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket"); let got = s.with_bundle("create", &["--console-socket", &path]); format!("{} {}", got.code != 0, s.status()) }, "true none")
            .argued("A caller that waits at the socket would wait for ever. crun ignores the flag."),
        Case::life("log-file-of-a-success-is-empty", "runc(8) --log", |s| { let log = s.scratch.join("log"); let path = log.to_string_lossy().into_owned(); let bundle = s.bundle_path(); s.verb(&["--log", &path, "run", "--bundle", &bundle, &s.id]).ok(); std::fs::read_to_string(log).unwrap_or_default() }, ""),
    ]
}

fn with_input(subject: &mut Subject, script: &str, input: &str) -> String {
    subject.script(script);
    let mut command = subject.runtime.command(&subject.scratch);
    command.arg("run").arg("--bundle").arg(&subject.bundle.path).arg(&subject.id);
    piped(command, input)
}

fn piped(mut command: std::process::Command, input: &str) -> String {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("writes");
    drop(stdin);
    String::from_utf8_lossy(&child.wait_with_output().expect("ends").stdout).into_owned()
}

/// The same command by a shell that opens a file as descriptor 3.
fn opened_as_three(
    subject: &Subject,
    command: &std::process::Command,
    file: &std::path::Path,
) -> std::process::Command {
    let mut shell = subject.scratch.command("sh");
    shell
        .args(["-c", &format!("exec \"$@\" 3<{}", file.display()), "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    shell
}

fn preserved(subject: &mut Subject, flags: &[&str]) -> String {
    let file = subject.scratch.file("kept", "kept\n");
    drop(File::open(&file).expect("the file"));
    subject.script("cat <&3 2>/dev/null || echo lost");
    let mut command = subject.runtime.command(&subject.scratch);
    command.arg("run").args(flags).arg("--bundle").arg(&subject.bundle.path).arg(&subject.id);
    crate::run(&mut opened_as_three(subject, &command, &file)).stdout
}
