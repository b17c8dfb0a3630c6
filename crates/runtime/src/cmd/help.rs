//! `plimrun --help`, `plimrun COMMAND --help`, `plimrun --version`

use crate::args::usage;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::OCI_VERSION;
use std::ffi::OsString;
use std::process::ExitCode;

const GLOBAL: &str = "\
global flags:
  --root DIR             where containers keep their state (/run/plimrun, $XDG_RUNTIME_DIR/plimrun)
  --log FILE             where warnings and errors go (standard error)
  --log-format FORMAT    text or json; the last JSON line of a failure carries the whole fault
  --debug                accepted
  --systemd-cgroup       cgroups are systemd scopes; cgroupsPath is slice:prefix:name (cgroup v2)
  --rootless VALUE       accepted

example: mkdir -p b/rootfs && cd b && plimrun spec && plimrun run --bundle . demo
";

/// A command: its name, its operands, what it does, its flags.
struct Page {
    name: &'static str,
    operands: &'static str,
    what: &'static str,
    flags: &'static str,
}

const fn page(name: &'static str, operands: &'static str, what: &'static str, flags: &'static str) -> Page {
    Page { name, operands, what, flags }
}

const CREATE: &str = "\
  --bundle, -b DIR       folder with config.json (.)
  --console-socket PATH  unix socket that gets the terminal's master, for process.terminal
  --pidfd-socket PATH    unix socket that gets the init's pidfd
  --pid-file FILE        gets the init's pid
  --no-pivot             no pivot_root, for a rootfs on the initial ramfs
  --no-new-keyring       keep the caller's session keyring
  --preserve-fds N       keep N descriptors of the caller from 3 up (and those of LISTEN_FDS)
";

const RUN: &str = "\
  --detach, -d           do not wait
  --keep                 do not delete what has ended
  --no-subreaper         accepted
and those of create
";

const EXEC: &str = "\
  --process, -p FILE     the whole process as JSON, in place of COMMAND and the flags about it
  --cwd DIR              working folder
  --env, -e NAME=VALUE   one more variable (again and again)
  --user, -u UID[:GID]   numbers
  --additional-gids, -g GID           one more group (again and again)
  --tty, -t              with a terminal
  --cap, -c CAPABILITY   one more capability (again and again)
  --no-new-privs         set no_new_privs
  --apparmor PROFILE     AppArmor profile
  --process-label LABEL  SELinux label
  --cgroup [CONTROLLER[,...]:]PATH    groups below the container's
  --ignore-paused        in a paused container too
  --detach, -d           do not wait
and --console-socket, --pidfd-socket, --pid-file, --preserve-fds as of create
";

const UPDATE: &str = "\
  --resources, -r FILE   linux.resources as JSON (-: standard input), in place of all other flags
  --memory, --memory-reservation, --memory-swap BYTES     -1: no limit; units k, m, g
  --cpu-quota, --cpu-period, --cpu-burst MICROSECONDS
  --cpu-rt-runtime, --cpu-rt-period MICROSECONDS          cgroup v1
  --cpu-share N, --cpu-idle 0|1, --cpuset-cpus LIST, --cpuset-mems LIST
  --pids-limit N, --blkio-weight N
  --l3-cache-schema, --mem-bw-schema TEXT                 lines for the container's resctrl group
";

const EVENTS: &str = "\
  --stats                once, then end
  --interval DURATION    between two figures (5s)
";

const PAGES: [Page; 16] = [
    page("create", "[flags] ID", "make a container from a bundle; its process waits for start", CREATE),
    page("start", "ID", "execute the program of a created container", ""),
    page("run", "[flags] ID", "create and start; in the foreground wait, give its exit code, delete", RUN),
    page(
        "exec",
        "[flags] ID COMMAND [ARG...] | --process FILE ID",
        "run one more process in a running container",
        EXEC,
    ),
    page("state", "ID", "print the OCI state JSON", ""),
    page(
        "list",
        "[flags]",
        "list containers",
        "  --format, -f FORMAT    table or json\n  --quiet, -q            ids alone\n",
    ),
    page(
        "kill",
        "[flags] ID [SIGNAL]",
        "send a signal (SIGTERM)",
        "  --all, -a              to every process of the container\n",
    ),
    page("pause", "ID", "stop every process", ""),
    page("resume", "ID", "let a paused container go on", ""),
    page("update", "[flags] ID", "change limits", UPDATE),
    page("events", "[flags] ID", "print usage and out-of-memory events as JSON", EVENTS),
    page("ps", "[flags] ID [ps options]", "print the processes", "  --format, -f FORMAT    table or json\n"),
    page(
        "delete",
        "[flags] ID",
        "remove a stopped container",
        "  --force, -f            kill it first; none is no failure\n",
    ),
    page("spec", "[flags]", "write a config.json to start from", "  --bundle, -b DIR       where (.)\n"),
    page("features", "", "print what this runtime can do", ""),
    page("version", "", "print the version", ""),
];

/// Whether the words of a verb ask for its page. After the first operand of `exec` they are the command's.
pub(super) fn is_wanted(verb: &str, words: &[OsString]) -> bool {
    let flags = words.iter().take_while(|word| verb != "exec" || word.as_encoded_bytes().starts_with(b"-"));
    flags.into_iter().any(|word| word == "--help" || word == "-h")
}

pub(super) fn help() -> Result<ExitCode, Fault> {
    println!("plimrun: OCI runtime, command line as runc's\n");
    println!("usage: plimrun [global flags] COMMAND [flags] ID ...\n\ncommands:");
    for page in &PAGES {
        println!("  {:<9} {}", page.name, page.what);
    }
    print!("\n{GLOBAL}");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn of(verb: &str) -> Result<ExitCode, Fault> {
    let page = PAGES.iter().find(|page| page.name == verb);
    let page = page.ok_or_else(|| usage(format!("unknown command {verb:?}")))?;
    println!("plimrun {}: {}\n", page.name, page.what);
    println!("usage: plimrun [global flags] {} {}", page.name, page.operands);
    if !page.flags.is_empty() {
        print!("\nflags:\n{}", page.flags);
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines in the manner of runc's, which engines take apart: `version` by its last word, `commit:` and `spec:` by their names.
pub(super) fn version() -> Result<ExitCode, Fault> {
    println!("plimrun version {}", env!("CARGO_PKG_VERSION"));
    if let Some(commit) = option_env!("PLIMSOLL_COMMIT") {
        println!("commit: {commit}");
    }
    println!("spec: {OCI_VERSION}");
    println!("seccomp: own");
    Ok(ExitCode::SUCCESS)
}
