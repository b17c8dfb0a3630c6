//! `plimrun --help`, `plimrun --version`

use plimsoll_fault::Fault;
use plimsoll_spec::runtime::OCI_VERSION;
use std::process::ExitCode;

const HELP: &str = "\
plimrun: OCI runtime, command line as runc's

usage: plimrun [global flags] COMMAND [flags] ID …

commands:
  create    make a container from a bundle; its process waits for start
  start     execute the program of a created container
  run       create and start; in the foreground wait, give its exit code, delete
  exec      run one more process in a running container
  state     print the OCI state JSON
  list      list containers (--format table|json, --quiet)
  kill      send a signal (--all for every process of the container)
  pause     stop every process; resume lets them go on
  ps        print the processes (--format table|json)
  delete    remove a stopped container (--force: kill it first)
  spec      write a config.json to start from
  features  print what this runtime can do

global flags:
  --root DIR             where containers keep their state (/run/plimrun)
  --log FILE             where warnings and errors go (standard error)
  --log-format FORMAT    text or json; the last JSON line of a failure carries the whole fault
  --debug                accepted
  --systemd-cgroup       refused for now
  --rootless VALUE       accepted

example: mkdir -p b/rootfs && cd b && plimrun spec && plimrun run --bundle . demo
";

pub(super) fn help() -> Result<ExitCode, Fault> {
    print!("{HELP}");
    Ok(ExitCode::SUCCESS)
}

/// Three lines in the manner of runc's, which engines take apart.
pub(super) fn version() -> Result<ExitCode, Fault> {
    println!("plimrun version {}", env!("CARGO_PKG_VERSION"));
    println!("spec: {OCI_VERSION}");
    println!("seccomp: own");
    Ok(ExitCode::SUCCESS)
}
