//! From an errno to a `Fault`: the one place where a failed system call gets its phase.

use plimsoll_fault::{Fault, Kind, Layer};
use rustix::io::Errno;
use std::path::Path;

/// Puts an operating system error on a fault: system call, path and errno as detail, the text as cause, the kind by errno.
pub(crate) trait Os {
    fn os(self, syscall: &str, path: impl AsRef<Path>, error: &std::io::Error) -> Self;
}

impl Os for Fault {
    fn os(self, syscall: &str, path: impl AsRef<Path>, error: &std::io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        self.syscall(syscall, &path.as_ref().to_string_lossy(), errno).kind(kind_of(errno)).because(error)
    }
}

/// Turns the error of one system call into a fault of `phase`. `what` is evaluated only on failure.
pub(crate) trait At<T> {
    fn at(
        self,
        phase: &'static str,
        syscall: &'static str,
        path: impl AsRef<Path>,
        what: impl FnOnce() -> String,
    ) -> Result<T, Fault>;
}

impl<T, E: Into<std::io::Error>> At<T> for Result<T, E> {
    fn at(
        self,
        phase: &'static str,
        syscall: &'static str,
        path: impl AsRef<Path>,
        what: impl FnOnce() -> String,
    ) -> Result<T, Fault> {
        self.map_err(|error| {
            let what = what();
            let pointer = named_pointer(&what).map(str::to_owned);
            let fault = Fault::new(Layer::OciRuntime, phase, what).os(syscall, path, &error.into());
            fault.detail(|d| d.pointer = pointer)
        })
    }
}

/// The JSON pointer in `config.json: /process/cwd: …`: programs get it apart from the text.
fn named_pointer(what: &str) -> Option<&str> {
    let (pointer, _) = what.strip_prefix("config.json: ")?.split_once(": ")?;
    pointer.starts_with('/').then_some(pointer)
}

fn kind_of(errno: i32) -> Kind {
    match Errno::from_raw_os_error(errno) {
        Errno::NOENT => Kind::NotFound,
        Errno::ACCESS | Errno::PERM => Kind::PermissionDenied,
        Errno::EXIST => Kind::AlreadyExists,
        Errno::NOSPC | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::DQUOT => Kind::ResourceExhausted,
        _ => Kind::Internal,
    }
}

/// What is in the specification but not here: refused by name, never ignored.
pub(crate) fn unimplemented(pointer: &str, what: impl Into<String>) -> Fault {
    Fault::new(Layer::OciRuntime, "plan", format!("{pointer}: {} is not implemented", what.into()))
        .kind(Kind::Unimplemented)
        .detail(|d| d.pointer = Some(pointer.to_owned()))
}

/// The config is wrong at `pointer`.
pub(crate) fn bad_config(pointer: &str, problem: impl std::fmt::Display) -> Fault {
    Fault::invalid("plan", format!("config.json: {pointer}: {problem}"))
        .detail(|d| d.pointer = Some(pointer.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pointer_of_the_text_is_the_pointer_of_the_fault() {
        let failed = |what: &str| {
            let result: Result<(), Errno> = Err(Errno::NOTDIR);
            let fault = result.at("identity", "fchdir", "/x", || what.to_owned()).expect_err("a fault");
            fault.details().pointer.clone()
        };
        assert_eq!(failed("config.json: /process/cwd: cannot enter /x").as_deref(), Some("/process/cwd"));
        assert_eq!(failed("cannot make a channel"), None);
        assert_eq!(failed("config.json: cannot be read: /x"), None);
    }
}
