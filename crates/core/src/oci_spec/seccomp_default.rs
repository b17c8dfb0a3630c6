//! Our own `RuntimeDefault` seccomp profile: what a container may ask of the kernel when the request says no more than that.
//!
//! It allows what Docker's and containerd's profiles of 2026 allow, so that images behave alike under all three. Whatever is
//! not listed gets EPERM, or ENOSYS when newer than everything listed. Left out on purpose: io_uring (a second door to most
//! calls that no filter sees through), keyrings and userfaultfd (not namespaced, staging ground of kernel exploits), kexec,
//! swap, modules, and new namespaces, unless the container holds the capability that stands for them.

use plimsoll_spec::runtime::seccomp::{Arg, Seccomp, Syscall};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

const FILES: &str = "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat \
    faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 \
    fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents \
    getdents64 ioctl lchown lchown32 link linkat listmount _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat \
    name_to_handle_at newfstatat open openat openat2 readahead readlink readlinkat rename renameat renameat2 rmdir stat \
    stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs truncate truncate64 umask unlink \
    unlinkat utime utimensat utimensat_time64 utimes cachestat";

const DATA: &str = "pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readv sendfile sendfile64 splice tee vmsplice write \
    writev io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit";

const ATTRIBUTES: &str = "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat \
    llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat";

const WAITING: &str = "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old \
    eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch _newselect pipe pipe2 poll \
    ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4";

const MEMORY: &str = "brk get_thread_area madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 \
    mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect \
    process_mrelease remap_file_pages set_thread_area";

const PROCESSES: &str = "alarm capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait \
    futex_waitv futex_wake get_robust_list getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid \
    gettid ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open \
    pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace restart_syscall rseq rt_sigaction \
    rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 \
    rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield seccomp set_robust_list set_tid_address setpgid setpriority setrlimit setsid sigaltstack \
    sigprocmask sigreturn sysinfo tgkill times tkill ugetrlimit uname uretprobe vfork wait4 waitid waitpid riscv_hwprobe";

const IDENTITY: &str = "getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 \
    getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 \
    setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32";

const TIME: &str = "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
    clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday nanosleep setitimer time timer_create timer_delete \
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime \
    timerfd_gettime64 timerfd_settime timerfd_settime64";

/// `socketcall` carries its arguments behind a pointer, which no filter can read; 32-bit x86 programs need it.
const SOCKETS: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg \
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair";

const IPC: &str = "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend \
    mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl \
    shmdt shmget";

/// What each capability adds.
const BY_CAPABILITY: [(&str, &str); 14] = [
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules \
         lsm_set_self_attr mount mount_setattr move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd \
         setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
];

/// Every family below this one, from AF_UNIX to AF_ROSE, may be asked for.
const FIRST_GAP: u64 = 12;

/// The families above the first gap. Not here: AF_ALG (38, kernel crypto: local root bugs, and nothing needs it), AF_VSOCK
/// (40, reaches the hypervisor past every network namespace), and families that kernels no longer have. The list names what is
/// allowed, not what is not: the kernel reads an int, so "not 40" would let `1 << 32 | 40` through.
const FAMILIES: [u64; 25] =
    [16, 17, 13, 14, 15, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45];

/// Linux, Linux on a 32-bit machine, both with uname 2.6, and the question what it is.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}.
const NAMESPACES: u64 = 0x7e02_0000;

/// `linux.seccomp` for a container on `machine` (as Rust names it: `x86_64`, `aarch64`) whose bounding set is `bounding`
/// (`CAP_…`). The filter is the same for every kernel that we run on.
pub fn default_profile<S: AsRef<str>>(machine: &str, bounding: &[S]) -> serde_json::Value {
    // Strings, numbers and lists only: cannot fail.
    serde_json::to_value(profile(machine, bounding)).unwrap_or_default()
}

fn profile<S: AsRef<str>>(machine: &str, bounding: &[S]) -> Seccomp {
    let holds = |capability: &str| bounding.iter().any(|held| held.as_ref() == capability);
    let (architectures, own) = of_machine(machine);
    let always = [FILES, DATA, ATTRIBUTES, WAITING, MEMORY, PROCESSES, IDENTITY, TIME, SOCKETS, IPC, own].into_iter();
    let gated = BY_CAPABILITY.iter().filter(|(capability, _)| holds(capability)).map(|(_, names)| *names);
    let names = always.chain(gated).flat_map(str::split_whitespace).map(str::to_owned).collect();

    let mut syscalls = vec![allow(names, Vec::new())];
    syscalls.push(allow_when("socket", 0, "SCMP_CMP_LT", FIRST_GAP));
    syscalls.extend(FAMILIES.map(|family| allow_when("socket", 0, "SCMP_CMP_EQ", family)));
    syscalls.extend(PERSONALITIES.map(|persona| allow_when("personality", 0, "SCMP_CMP_EQ", persona)));
    if !holds("CAP_SYS_ADMIN") {
        // s390 has the flags second.
        let flags = if machine == "s390x" { 1 } else { 0 };
        syscalls.push(allow_when("clone", flags, "SCMP_CMP_MASKED_EQ", NAMESPACES));
        // Its flags lie behind a pointer. Programs that see ENOSYS fall back to clone.
        syscalls.push(Syscall {
            names: vec!["clone3".to_owned()],
            action: "SCMP_ACT_ERRNO".to_owned(),
            errno_ret: Some(ENOSYS),
            args: Vec::new(),
        });
    }
    Seccomp {
        default_action: "SCMP_ACT_ERRNO".to_owned(),
        default_errno_ret: Some(EPERM),
        architectures: architectures.iter().map(ToString::to_string).collect(),
        syscalls,
        ..Seccomp::default()
    }
}

/// The architectures whose programs run on `machine`, and the calls that only they have.
fn of_machine(machine: &str) -> (&'static [&'static str], &'static str) {
    const ARM: &str = "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2";
    match machine {
        "x86_64" => (&["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "arch_prctl modify_ldt"),
        "aarch64" => (&["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"], ARM),
        "arm" => (&["SCMP_ARCH_ARM"], ARM),
        "s390x" => {
            (&["SCMP_ARCH_S390X", "SCMP_ARCH_S390"], "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr")
        }
        "powerpc64" => (&["SCMP_ARCH_PPC64LE"], "swapcontext sync_file_range2"),
        "riscv64" => (&["SCMP_ARCH_RISCV64"], "riscv_flush_icache"),
        "loongarch64" => (&["SCMP_ARCH_LOONGARCH64"], ""),
        // Empty means the native architecture alone.
        _ => (&[], ""),
    }
}

fn allow(names: Vec<String>, args: Vec<Arg>) -> Syscall {
    Syscall { names, action: "SCMP_ACT_ALLOW".to_owned(), errno_ret: None, args }
}

/// One rule a value: several tests of one argument in one rule would each count alone under runc.
fn allow_when(name: &str, index: u32, op: &str, value: u64) -> Syscall {
    allow(vec![name.to_owned()], vec![Arg { index, value, value_two: 0, op: op.to_owned() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn always(profile: &Seccomp) -> HashSet<&str> {
        profile.syscalls[0].names.iter().map(String::as_str).collect()
    }

    #[test]
    fn no_call_is_listed_twice() {
        let profile = profile::<&str>("x86_64", &[]);
        assert_eq!(always(&profile).len(), profile.syscalls[0].names.len());
    }

    #[test]
    fn what_must_stay_out_is_out() {
        let profile = profile::<&str>("x86_64", &[]);
        let allowed = always(&profile);
        let out = "io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key userfaultfd kexec_load \
            kexec_file_load swapon swapoff init_module finit_module delete_module mount umount2 unshare setns bpf \
            perf_event_open open_by_handle_at pivot_root reboot settimeofday clock_settime acct quotactl fsopen move_mount \
            open_tree chroot iopl ioperm syslog kcmp socket clone clone3 personality vm86 nfsservctl uselib";
        for name in out.split_whitespace() {
            assert!(!allowed.contains(name), "{name}");
        }
    }

    #[test]
    fn a_capability_opens_its_calls() {
        for (capability, names) in BY_CAPABILITY {
            let profile = profile("x86_64", &[capability]);
            let allowed = always(&profile);
            assert!(names.split_whitespace().all(|name| allowed.contains(name)), "{capability}");
        }
        let admin = profile("x86_64", &["CAP_SYS_ADMIN"]);
        assert!(!admin.syscalls[1..].iter().any(|s| s.names[0].starts_with("clone")));
    }

    #[test]
    fn without_admin_a_clone_makes_no_namespace() {
        let profile = profile::<&str>("x86_64", &[]);
        let find = |name: &str| profile.syscalls.iter().find(|s| s.names == [name]).expect("a rule");
        assert_eq!(find("clone").args[0].value, 0x7e02_0000);
        assert_eq!(find("clone3").errno_ret, Some(38));
    }

    #[test]
    fn sockets_to_kernel_crypto_and_the_hypervisor_are_closed() {
        for family in [38, 40] {
            assert!(family >= FIRST_GAP && !FAMILIES.contains(&family));
        }
        for family in [1, 2, 10] {
            assert!(family < FIRST_GAP);
        }
        assert!(FAMILIES.contains(&16) && FAMILIES.contains(&17));
    }

    #[test]
    fn it_is_the_json_of_the_spec() {
        let json = default_profile("aarch64", &["CAP_SYS_CHROOT"]);
        assert_eq!(json["defaultAction"], "SCMP_ACT_ERRNO");
        assert_eq!(json["architectures"][1], "SCMP_ARCH_ARM");
        assert_eq!(json["syscalls"][1]["args"][0]["op"], "SCMP_CMP_LT");
    }
}
