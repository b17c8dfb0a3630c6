//! The command line by hand: runc's spellings (`-x`, `--x`, `--x=v`, `--x v`), flags before operands. clap would cost 0.35 ms.

use crate::log::{Format, Log};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_runtime::Root;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// What stands before the verb.
#[derive(Clone, Debug)]
pub(crate) struct Global {
    pub root: PathBuf,
    /// Below the user's runtime folder, whose files nobody else keeps.
    pub sticky: bool,
    pub log: Log,
    pub systemd_cgroup: bool,
}

impl Global {
    pub(crate) fn root(&self) -> Result<Root, Fault> {
        let log = self.log.clone();
        let root = Root::open(&self.root)?.with_warnings(move |text| log.warn(text));
        if self.sticky {
            // XDG base directories: what is not to be cleaned up after some hours carries the sticky bit.
            let kept = std::fs::Permissions::from_mode(0o1700);
            std::fs::set_permissions(&self.root, kept)
                .map_err(|e| usage(format!("cannot keep {}", self.root.display())).because(&e))?;
        }
        Ok(root)
    }
}

/// One flag a verb knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flag {
    /// On or off.
    Switch(&'static str),
    /// Takes a value.
    Value(&'static str),
    /// Takes a value; the first name is the long one, which the parsed flag is known by.
    Short(&'static str, &'static str),
    ShortSwitch(&'static str, &'static str),
}

impl Flag {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Switch(long) | Self::Value(long) => *long == name,
            Self::Short(long, short) | Self::ShortSwitch(long, short) => *long == name || *short == name,
        }
    }

    fn long(&self) -> &'static str {
        match self {
            Self::Switch(long) | Self::Value(long) | Self::Short(long, _) | Self::ShortSwitch(long, _) => long,
        }
    }

    fn takes_value(&self) -> bool {
        matches!(self, Self::Value(_) | Self::Short(..))
    }
}

/// A verb's words, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsed {
    flags: Vec<(&'static str, String)>,
    pub operands: Vec<String>,
}

impl Parsed {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|(name, value)| *name == flag && value != "false")
    }

    /// The last value given.
    pub(crate) fn value(&self, flag: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(name, _)| *name == flag).map(|(_, value)| value.as_str())
    }

    pub(crate) fn values<'a>(&'a self, flag: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(name, _)| *name == flag).map(|(_, value)| value.as_str())
    }

    /// A number, or the default.
    pub(crate) fn number(&self, flag: &str, default: u32) -> Result<u32, Fault> {
        match self.value(flag) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| usage(format!("--{flag}: {text:?} is not a number"))),
        }
    }

    /// The first operand: the container's id.
    pub(crate) fn id(&self) -> Result<&str, Fault> {
        self.operands.first().map(String::as_str).ok_or_else(|| usage("a container id is needed"))
    }

    /// The container's id, with nothing behind it.
    pub(crate) fn only_id(&self) -> Result<&str, Fault> {
        self.at_most(1)?;
        self.id()
    }

    pub(crate) fn at_most(&self, operands: usize) -> Result<(), Fault> {
        match self.operands.get(operands) {
            Some(extra) => Err(usage(format!("unexpected argument {extra:?}"))),
            None => Ok(()),
        }
    }
}

pub(crate) fn usage(problem: impl Into<String>) -> Fault {
    Fault::new(Layer::Caller, "parse", problem).kind(Kind::InvalidArgument)
}

const GLOBAL: [Flag; 10] = [
    Flag::Value("root"),
    Flag::Value("log"),
    Flag::Value("log-format"),
    Flag::Value("rootless"),
    Flag::Value("criu"),
    Flag::Switch("debug"),
    Flag::Switch("systemd-cgroup"),
    Flag::ShortSwitch("help", "h"),
    Flag::ShortSwitch("version", "v"),
    Flag::Value("cgroup-manager"),
];

/// Takes the words up to and with the verb. `--help` and `--version` are verbs too.
pub(crate) fn global(words: &mut impl Iterator<Item = OsString>) -> Result<(Global, String), Fault> {
    let mut parsed = Parsed::default();
    let verb = loop {
        let Some(word) = words.next() else { break "help".to_owned() };
        let word = text(word)?;
        match flag(&word) {
            None => break word,
            Some((name, value)) => take(&GLOBAL, name, value, words, &mut parsed)?,
        }
    };
    let verb = ["help", "version"].into_iter().find(|v| parsed.has(v)).map_or(verb, str::to_owned);
    let format = match parsed.value("log-format") {
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => return Err(usage(format!("--log-format: unknown format {other:?}"))),
    };
    let given = parsed.value("root").map(PathBuf::from);
    let own = if given.is_none() { own_root() } else { None };
    let global = Global {
        sticky: own.is_some(),
        root: given.or(own).unwrap_or_else(|| PathBuf::from("/run/plimrun")),
        log: Log { file: parsed.value("log").filter(|p| !p.is_empty()).map(PathBuf::from), format },
        systemd_cgroup: parsed.has("systemd-cgroup") || parsed.value("cgroup-manager") == Some("systemd"),
    };
    Ok((global, verb))
}

/// `/run` is root's. Others, and a root that is one in a user namespace only, have a folder of their own.
fn own_root() -> Option<PathBuf> {
    let dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty())?;
    plimsoll_runtime::is_rootless().then(|| PathBuf::from(dir).join("plimrun"))
}

/// Sorts a verb's words. The first operand ends the flags when `until_operands` operands were seen (`exec ID cmd -x`).
pub(crate) fn parse(known: &[Flag], words: Vec<OsString>, until_operands: usize) -> Result<Parsed, Fault> {
    let mut parsed = Parsed::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let word = text(word)?;
        if word == "--" || parsed.operands.len() >= until_operands {
            if word != "--" || parsed.operands.len() > until_operands {
                parsed.operands.push(word);
            }
            for rest in words.by_ref() {
                parsed.operands.push(text(rest)?);
            }
            break;
        }
        match flag(&word) {
            None => parsed.operands.push(word),
            Some((name, value)) => take(known, name, value, &mut words, &mut parsed)?,
        }
    }
    Ok(parsed)
}

/// `--name=value` apart. A single `-` is an operand.
fn flag(word: &str) -> Option<(&str, Option<&str>)> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|n| !n.is_empty())?;
    Some(name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value))))
}

fn take(
    known: &[Flag],
    name: &str,
    value: Option<&str>,
    words: &mut impl Iterator<Item = OsString>,
    parsed: &mut Parsed,
) -> Result<(), Fault> {
    let flag = known.iter().find(|flag| flag.is(name)).ok_or_else(|| usage(format!("unknown flag --{name}")))?;
    let value = match (value, flag.takes_value()) {
        (Some(value), _) => value.to_owned(),
        (None, false) => "true".to_owned(),
        (None, true) => text(words.next().ok_or_else(|| usage(format!("--{name} needs a value")))?)?,
    };
    parsed.flags.push((flag.long(), value));
    Ok(())
}

fn text(word: OsString) -> Result<String, Fault> {
    word.into_string().map_err(|word| usage(format!("{} is not UTF-8", word.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<OsString> {
        list.iter().map(OsString::from).collect()
    }

    #[test]
    fn globals_stop_at_the_verb() {
        let mut all =
            words(&["--root", "/r", "--log=/l", "--log-format", "json", "create", "--bundle", "b", "id"]).into_iter();
        let (global, verb) = super::global(&mut all).expect("parses");
        assert_eq!((global.root.to_str(), verb.as_str()), (Some("/r"), "create"));
        assert_eq!(global.log.format, Format::Json);
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_command_after_the_id_is_left_alone() {
        let known = [Flag::Short("env", "e"), Flag::ShortSwitch("tty", "t")];
        let got =
            parse(&known, words(&["-e", "A=1", "--env=B=2", "-t", "id", "ls", "-l", "--", "x"]), 1).expect("parses");
        assert_eq!(got.values("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert!(got.has("tty"));
        assert_eq!(got.operands, ["id", "ls", "-l", "--", "x"]);
    }

    #[test]
    fn flags_may_follow_operands_where_there_is_no_command() {
        let got = parse(&[Flag::ShortSwitch("force", "f")], words(&["id", "-f"]), usize::MAX).expect("parses");
        assert!(got.has("force"));
        assert!(parse(&[], words(&["--nope"]), 1).is_err());
    }
}
