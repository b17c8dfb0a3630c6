//! Making a pod's namespaces in a worker and pinning them as bind-mounted files, so that they outlive the worker and the
//! shim, and any OCI runtime can join them by path.

use super::init;
use crate::durable::{self, SANDBOX_FILE};
use crate::worker::{Outcome, Reporter};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::cri::{NamespaceMode, PodSandboxConfig};
use plimsoll_proto::shim::extension::SandboxOptions;
use plimsoll_sys::process::Namespaces;
use plimsoll_sys::{SingleThread, ns};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A host name's length in Linux.
const HOSTNAME_LIMIT: usize = 64;

/// A kind of namespace that a pod's containers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PodNamespace {
    Ipc,
    Uts,
    Pid,
}

impl PodNamespace {
    /// The name under `/proc/<pid>/ns`, and of the pin.
    fn name(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Pid => "pid",
        }
    }

    fn flag(self) -> Namespaces {
        match self {
            Self::Ipc => Namespaces::IPC,
            Self::Uts => Namespaces::UTS,
            Self::Pid => Namespaces::PID,
        }
    }
}

/// What is asked, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    kinds: Vec<PodNamespace>,
    /// Where they are pinned; without it the pod's PID 1 holds all of them, the network's too: its pid is what the daemon knows.
    folder: Option<PathBuf>,
    hostname: String,
    /// Path below /proc/sys and value.
    sysctls: BTreeMap<PathBuf, String>,
    netns: Option<PathBuf>,
    /// Where PID 1 is written down.
    record: PathBuf,
}

impl Plan {
    pub(crate) fn new(options: SandboxOptions, netns: &str, bundle: &str) -> Result<Self, Fault> {
        let folder = PathBuf::from(&options.ns_dir);
        if !options.namespaces.is_empty() && !folder.is_absolute() {
            return Err(Fault::invalid("sandbox", format!("ns_dir {:?} is not an absolute path", options.ns_dir)));
        }
        Self::checked(options, Some(folder), netns, bundle)
    }

    fn checked(options: SandboxOptions, folder: Option<PathBuf>, netns: &str, bundle: &str) -> Result<Self, Fault> {
        let kinds: Vec<PodNamespace> = options.namespaces.iter().map(|name| kind(name)).collect::<Result<_, _>>()?;
        let netns = (!netns.is_empty()).then(|| PathBuf::from(netns));
        let has = |wanted| kinds.contains(&wanted);
        if has(PodNamespace::Pid) && !Path::new(bundle).is_absolute() {
            return Err(Fault::invalid("sandbox", format!("bundle_path {bundle:?} is not an absolute path")));
        }
        if !options.hostname.is_empty() && !has(PodNamespace::Uts) {
            return Err(Fault::invalid("sandbox", "a hostname needs a uts namespace of the pod"));
        }
        if options.hostname.len() > HOSTNAME_LIMIT {
            return Err(Fault::invalid("sandbox", format!("hostname {:?} is over 64 bytes", options.hostname)));
        }
        let mut sysctls = BTreeMap::new();
        for (name, value) in options.sysctls {
            sysctls.insert(sysctl_path(&name, has(PodNamespace::Ipc), netns.is_some())?, value);
        }
        let record = Path::new(bundle).join(SANDBOX_FILE);
        Ok(Self { kinds, folder, hostname: options.hostname, sysctls, netns, record })
    }

    /// What the CRI asks of a runtime that keeps the sandbox itself. With the host's network a pod has the host's name.
    pub(crate) fn of_cri(config: PodSandboxConfig, netns: &str, bundle: &str) -> Result<Self, Fault> {
        let linux = config.linux.unwrap_or_default();
        let shared = linux.security_context.and_then(|context| context.namespace_options).unwrap_or_default();
        if shared.userns_options.as_ref().is_some_and(|users| users.mode() != NamespaceMode::Node) {
            // As our own daemon answers it; containerd sends its network namespace already made in the user's.
            let what = "linux.security_context.namespace_options.userns_options: user namespaces are not there yet";
            return Err(Fault::invalid("sandbox", what).kind(Kind::Unimplemented));
        }
        let own_ipc = (shared.ipc() != NamespaceMode::Node).then_some("ipc");
        let own_uts = (shared.network() != NamespaceMode::Node).then_some("uts");
        let options = SandboxOptions {
            namespaces: own_ipc.into_iter().chain(own_uts).chain(["pid"]).map(str::to_owned).collect(),
            hostname: if own_uts.is_some() { config.hostname } else { String::new() },
            sysctls: linux.sysctls.into_iter().collect(),
            ns_dir: String::new(),
        };
        Self::checked(options, None, netns, bundle)
    }

    pub(crate) fn shares_pids(&self) -> bool {
        self.kinds.contains(&PodNamespace::Pid)
    }

    fn pin(&self, kind: PodNamespace) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(kind.name()))
    }
}

fn kind(name: &str) -> Result<PodNamespace, Fault> {
    match name {
        "ipc" => Ok(PodNamespace::Ipc),
        "uts" => Ok(PodNamespace::Uts),
        "pid" => Ok(PodNamespace::Pid),
        _ => Err(Fault::invalid("sandbox", format!("a pod cannot share a namespace of kind {name:?}"))),
    }
}

/// The file of a sysctl that belongs to one of the pod's namespaces; all others would change the host.
fn sysctl_path(name: &str, ipc: bool, net: bool) -> Result<PathBuf, Fault> {
    let refuse = |why: &str| Err(Fault::invalid("sandbox", format!("sysctl {name:?} {why}")));
    // Both separators are in use; with '/' a '.' is part of a name (a VLAN's).
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return refuse("is no sysctl name");
    }
    let of_ipc = ["kernel/shm", "kernel/msg", "kernel/sem", "fs/mqueue/"].iter().any(|p| path.starts_with(p));
    let of_net = path.starts_with("net/");
    match (of_ipc, of_net) {
        (true, _) if ipc => Ok(PathBuf::from(path)),
        (true, _) => refuse("needs an ipc namespace of the pod"),
        (_, true) if net => Ok(PathBuf::from(path)),
        (_, true) => refuse("needs a network namespace of the pod"),
        _ => refuse("belongs to no namespace of a pod"),
    }
}

/// In a worker: makes, sets up and pins. On a fault nothing stays pinned.
pub(super) fn make(token: &SingleThread, reporter: &mut Reporter, plan: &Plan) -> Result<Outcome, Fault> {
    let made = make_all(token, reporter, plan);
    match made {
        Ok(pid) => Ok(Outcome { pid, ..Outcome::default() }),
        Err(fault) => Err(match unpin(plan) {
            Ok(()) => fault,
            Err(second) => fault.why(second.to_string()),
        }),
    }
}

fn make_all(token: &SingleThread, reporter: &mut Reporter, plan: &Plan) -> Result<i32, Fault> {
    if plan.kinds.is_empty() && plan.sysctls.is_empty() {
        return Ok(0);
    }
    if !plan.kinds.is_empty() {
        reporter.stage("make the namespaces");
        let flags = plan.kinds.iter().fold(Namespaces::NONE, |sum, kind| sum.with(kind.flag()));
        ns::unshare(token, flags).map_err(|e| fault("cannot make the pod's namespaces").because(&e))?;
    }
    if !plan.hostname.is_empty() {
        reporter.stage("set the hostname");
        rustix::system::sethostname(plan.hostname.as_bytes())
            .map_err(|e| fault("cannot set the pod's hostname").because(&e))?;
    }
    reporter.stage("set sysctls");
    let (of_net, others): (Vec<_>, Vec<_>) = plan.sysctls.iter().partition(|(path, _)| path.starts_with("net"));
    others.into_iter().try_for_each(set_sysctl)?;
    // The worker is alone and ends soon: it need not come back. What is not pinned is held by the pod's init, which it makes.
    if let Some(netns) = plan.netns.as_ref().filter(|_| plan.folder.is_none() || !of_net.is_empty()) {
        enter_network(token, netns)?;
    }
    of_net.into_iter().try_for_each(set_sysctl)?;
    for &kind in plan.kinds.iter().filter(|&&kind| kind != PodNamespace::Pid) {
        let Some(target) = plan.pin(kind) else { continue };
        reporter.stage("pin a namespace");
        pin(Path::new("/proc/self/ns").join(kind.name()), &target)?;
    }
    if !plan.shares_pids() {
        return Ok(0);
    }
    reporter.stage("start the pod's init");
    init::start(token, &plan.record, |pid| {
        let target = plan.pin(PodNamespace::Pid);
        target.map_or(Ok(()), |target| pin(format!("/proc/{pid}/ns/pid").into(), &target))
    })
}

fn set_sysctl((path, value): (&PathBuf, &String)) -> Result<(), Fault> {
    let file = Path::new("/proc/sys").join(path);
    std::fs::write(&file, value).map_err(|e| {
        let text = file.to_string_lossy();
        let kind = if e.kind() == std::io::ErrorKind::NotFound { Kind::InvalidArgument } else { Kind::Internal };
        let fault = fault(&format!("cannot set sysctl {}", path.display())).because(&e).kind(kind);
        fault.syscall("write", &text, e.raw_os_error().unwrap_or(0))
    })
}

fn enter_network(token: &SingleThread, netns: &Path) -> Result<(), Fault> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(netns, flags, Mode::empty())
        .map_err(|e| fault(&format!("cannot open {}", netns.display())).because(&e))?;
    ns::join(token, &file, Namespaces::NET).map_err(|e| fault("cannot enter the pod's network namespace").because(&e))
}

fn pin(source: PathBuf, target: &Path) -> Result<(), Fault> {
    let cannot = |errno: Errno| {
        fault(&format!("cannot pin a namespace at {}", target.display())).because(&errno).syscall(
            "mount",
            &target.to_string_lossy(),
            errno.raw_os_error(),
        )
    };
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    drop(rustix::fs::open(target, flags, Mode::RUSR).map_err(cannot)?);
    mount_bind(source, target).map_err(cannot)
}

/// Takes the pins away, and the record of PID 1, which the caller has killed. What is not there is no error; all are tried,
/// the first failure is told.
pub(super) fn unpin(plan: &Plan) -> Result<(), Fault> {
    let forgotten = if plan.shares_pids() { durable::remove(&plan.record) } else { Ok(()) };
    let mut first = forgotten.map_err(|e| fault("cannot remove the record of the pod's init").because(&e));
    for &kind in &plan.kinds {
        let Some(path) = plan.pin(kind) else { continue };
        let unmounted = match unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
            Err(errno) => Err(std::io::Error::from(errno)),
        };
        let removed = unmounted.and_then(|()| durable::remove(&path));
        if let Err(e) = removed {
            first = first.and(Err(fault(&format!("cannot unpin {}", path.display())).because(&e)));
        }
    }
    first
}

fn fault(what: &str) -> Fault {
    Fault::new(Layer::Shim, "sandbox", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_proto::cri::{LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceOption, UserNamespace};

    #[test]
    fn only_sysctls_of_the_pods_namespaces_are_taken() {
        let path = |name| sysctl_path(name, true, true).map(|p| p.to_string_lossy().into_owned());
        assert_eq!(path("kernel.shm_rmid_forced").expect("ipc"), "kernel/shm_rmid_forced");
        assert_eq!(path("net.ipv4.ip_forward").expect("net"), "net/ipv4/ip_forward");
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding").expect("vlan"), "net/ipv4/conf/eth0.1/forwarding");
        for bad in ["vm.swappiness", "kernel.core_pattern", "net/../kernel/core_pattern", "net..x", ""] {
            assert!(path(bad).is_err(), "{bad}");
        }
        assert!(sysctl_path("kernel.msgmax", false, true).is_err());
        assert!(sysctl_path("net.core.somaxconn", true, false).is_err());
    }

    #[test]
    fn a_pod_of_the_cri_shares_what_it_asks_for() {
        let pod = |mut options: NamespaceOption| {
            options.set_pid(NamespaceMode::Container);
            let context = LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
            let linux = LinuxPodSandboxConfig { security_context: Some(context), ..Default::default() };
            PodSandboxConfig { hostname: "pod".into(), linux: Some(linux), ..Default::default() }
        };
        let plan = Plan::of_cri(pod(NamespaceOption::default()), "/netns", "/pod").expect("own namespaces");
        assert_eq!(
            (plan.kinds, plan.hostname.as_str()),
            (vec![PodNamespace::Ipc, PodNamespace::Uts, PodNamespace::Pid], "pod")
        );
        let node = NamespaceMode::Node.into();
        let hosts = NamespaceOption { network: node, ipc: node, ..Default::default() };
        let plan = Plan::of_cri(pod(hosts), "", "/pod").expect("the host's");
        assert_eq!((plan.kinds, plan.hostname.as_str()), (vec![PodNamespace::Pid], ""));
        let users = NamespaceOption { userns_options: Some(UserNamespace::default()), ..Default::default() };
        assert_eq!(Plan::of_cri(pod(users), "", "/pod").expect_err("refused").class(), Kind::Unimplemented);
    }

    #[test]
    fn a_hostname_without_a_namespace_is_refused() {
        let options = SandboxOptions { hostname: "pod".into(), ..Default::default() };
        assert!(Plan::new(options, "", "/pod").is_err());
        let shared = SandboxOptions { namespaces: vec!["pid".into()], ns_dir: "/ns".into(), ..Default::default() };
        assert!(Plan::new(shared, "", "").is_err(), "PID 1 could not be written down");
    }
}
