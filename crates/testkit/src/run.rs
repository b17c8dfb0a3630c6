//! Running a program to its end with a deadline, its output kept.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a program that ended left: `code` is its exit code, or 128 + signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Output {
    /// The output of a program that must have succeeded.
    ///
    /// # Panics
    /// When it did not, with all that it said.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "exit code {}\nstdout: {}\nstderr: {}", self.code, self.stdout, self.stderr);
        self.stdout
    }
}

/// What the message about a program that was killed at its deadline says.
pub(crate) const TOO_LONG: &str = "did not end in";
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `command` with no stdin (unless one was set by [`with_input`]) for at most a minute.
///
/// # Panics
/// When it cannot be started or does not end in time (it is then killed).
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    with_deadline(command, DEADLINE).unwrap_or_else(|why| panic!("{why}"))
}

/// Runs `command` with no stdin for at most `deadline`. What a background child keeps open after the program's end is not
/// waited for: output goes through files.
pub fn with_deadline(command: &mut Command, deadline: Duration) -> Result<Output, String> {
    let began = Instant::now();
    let (mut out, mut err) = (anonymous_file()?, anonymous_file()?);
    let copy = |file: &std::fs::File| file.try_clone().map(Stdio::from).map_err(|e| e.to_string());
    command.stdin(Stdio::null()).stdout(copy(&out)?).stderr(copy(&err)?);
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break status;
        }
        if began.elapsed() > deadline {
            child.kill().map_err(|e| e.to_string())?;
            child.wait().map_err(|e| e.to_string())?;
            let (stdout, stderr) = (text(&mut out)?, text(&mut err)?);
            return Err(format!("{command:?} {TOO_LONG} {deadline:?}\nstdout: {stdout}\nstderr: {stderr}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(Output { code, stdout: text(&mut out)?, stderr: text(&mut err)?, took: began.elapsed() })
}

fn anonymous_file() -> Result<std::fs::File, String> {
    let fd = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC).map_err(|e| e.to_string())?;
    Ok(std::fs::File::from(fd))
}

fn text(file: &mut std::fs::File) -> Result<String, String> {
    use std::io::Seek;
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
