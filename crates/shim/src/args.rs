//! The command line of shim v2, as Go's flag package writes it: `-name value`, `-name=value`, one or two dashes, flags
//! before the verb.

use plimsoll_fault::Fault;
use std::path::PathBuf;

/// Where sockets live when the daemon does not say.
const SOCKET_FOLDER: &str = "/run/plimsoll/s";

/// Where containerd takes events over ttrpc.
pub(crate) const EVENTS_ADDRESS: &str = "TTRPC_ADDRESS";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Delete,
    Info,
    Version,
    /// A `binary://` logger of another shim, for the CRI log that the next word names.
    CriLog,
    /// Internal: the server itself, with the listening socket as standard input.
    Serve,
}

#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) verb: Verb,
    pub(crate) namespace: String,
    pub(crate) id: String,
    /// The daemon's socket.
    pub(crate) address: String,
    /// Where the daemon takes events over ttrpc.
    pub(crate) events: Option<String>,
    pub(crate) bundle: Option<PathBuf>,
    pub(crate) socket_dir: PathBuf,
    pub(crate) socket: PathBuf,
    /// For `delete`: where the runtime keeps its state, should the bundle not say it.
    pub(crate) runtime_root: Option<PathBuf>,
    /// For `cri-log`.
    pub(crate) log: PathBuf,
}

pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Args, Fault> {
    let mut args = Args {
        verb: Verb::Serve,
        namespace: String::new(),
        id: String::new(),
        address: String::new(),
        events: std::env::var(EVENTS_ADDRESS).ok().filter(|address| !address.is_empty()),
        bundle: None,
        socket_dir: PathBuf::from(SOCKET_FOLDER),
        socket: PathBuf::new(),
        runtime_root: None,
        log: PathBuf::new(),
    };
    let mut verb = None;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix('-') else {
            verb = Some(verb_of(&word)?);
            if verb == Some(Verb::CriLog) {
                args.log = words.next().map(PathBuf::from).unwrap_or_default();
            }
            continue;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        match name {
            "v" => verb = Some(Verb::Version),
            "info" => verb = Some(Verb::Info),
            // What it would turn on is always on, or not there.
            "debug" => {}
            _ => {
                let value = value.or_else(|| words.next());
                set(&mut args, name, value.ok_or_else(|| Fault::invalid("args", format!("-{name} needs a value")))?)?;
            }
        }
    }
    args.verb = verb.ok_or_else(|| Fault::invalid("args", "no verb: start or delete"))?;
    check(args)
}

fn verb_of(word: &str) -> Result<Verb, Fault> {
    match word {
        "start" => Ok(Verb::Start),
        "delete" => Ok(Verb::Delete),
        "serve" => Ok(Verb::Serve),
        "cri-log" => Ok(Verb::CriLog),
        _ => Err(Fault::invalid("args", format!("unknown verb {word:?}: start or delete"))),
    }
}

fn set(args: &mut Args, name: &str, value: String) -> Result<(), Fault> {
    match name {
        "namespace" => args.namespace = value,
        "id" => args.id = value,
        "address" => args.address = value,
        "bundle" => args.bundle = Some(PathBuf::from(value)),
        "socket-dir" => args.socket_dir = PathBuf::from(value),
        "socket" => args.socket = PathBuf::from(value),
        "runtime-root" => args.runtime_root = Some(PathBuf::from(value)),
        // Events go over ttrpc, not by running a program for each.
        "publish-binary" => {}
        _ => return Err(Fault::invalid("args", format!("unknown flag -{name}"))),
    }
    Ok(())
}

fn check(args: Args) -> Result<Args, Fault> {
    let needed = matches!(args.verb, Verb::Start | Verb::Delete);
    for (name, value) in [("namespace", &args.namespace), ("id", &args.id)] {
        // Both become parts of paths.
        if (needed && value.is_empty()) || value.contains('/') || value == "." || value == ".." {
            return Err(Fault::invalid("args", format!("-{name} {value:?} is not a name")));
        }
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Args, Fault> {
        parse(text.split(' ').map(str::to_owned))
    }

    #[test]
    fn containerds_call_is_read() {
        let args =
            words("-namespace default -address /run/c.sock --publish-binary=/bin/c -id x -debug start").expect("ok");
        assert_eq!((args.verb, args.namespace.as_str(), args.id.as_str()), (Verb::Start, "default", "x"));
        assert_eq!(words("-info").expect("ok").verb, Verb::Info);
    }

    #[test]
    fn what_is_unknown_or_escapes_is_refused() {
        for bad in ["start", "-namespace a -id ../b start", "-namespace a -id b stop", "-what x start", "-id"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
