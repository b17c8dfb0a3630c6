/* The physical floor of `run /bin/true`: one process that makes, with bare system calls and nothing checked twice, what an OCI
 * runtime must make for the bundle that the benchmark runs. No JSON, no state, no safe path resolution, no loopback interface.
 * What stands against it is a runtime's own share of a start.
 *
 *   floor ROOTFS CGROUP[,CGROUP...] [devices] [FILTER]
 *
 * CGROUP is a cgroup v2 folder that does not exist yet, or there is one of each v1 hierarchy, whose last folder but one is the
 * hierarchy's mount. `devices` limits devices: on v2 by a program. FILTER is a file of classic BPF that is loaded before the exec.
 *
 * Sealing is included: like any runtime that enters a container, it runs itself once more from a read-only copy of its mount. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(long got, const char *what)
{
    if (got < 0) {
        perror(what);
        _exit(2);
    }
}

/* A program that runs from a read-only mount cannot be written through /proc/PID/exe (CVE-2019-5736). */
static void seal(char **argv, char **envp)
{
    struct statvfs at;
    must(statvfs("/proc/self/exe", &at), "statvfs");
    if (at.f_flag & ST_RDONLY)
        return;
    int tree = syscall(SYS_open_tree, AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    must(tree, "open_tree");
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
    must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr), "mount_setattr");
    must(syscall(SYS_execveat, tree, "", argv, envp, AT_EMPTY_PATH), "execveat");
}

/* What is made of the machine's cgroup layout: one folder on v2, one of each hierarchy on v1. */
static struct { const char *path, *tree; int tasks; } groups[16];
static unsigned count;

static int is_v1(void)
{
    return count > 1;
}

static void put(const char *folder, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int to = open(path, O_WRONLY | O_CLOEXEC);
    must(to, path);
    must(write(to, text, strlen(text)), path);
    close(to);
}

/* A new cpuset has no processor and no memory node: until it does nobody can be in it. */
static void fill_cpuset(const char *folder)
{
    static const char *files[] = { "cpuset.cpus", "cpuset.mems" };
    for (unsigned i = 0; i < 2; i++) {
        char path[256], text[256];
        snprintf(path, sizeof path, "%s/../%s", folder, files[i]);
        int from = open(path, O_RDONLY | O_CLOEXEC);
        must(from, path);
        long length = read(from, text, sizeof text - 1);
        must(length, path);
        text[length] = 0;
        close(from);
        put(folder, files[i], text);
    }
}

static void make_groups(char *list)
{
    for (char *path = strtok(list, ","); path; path = strtok(NULL, ","), count++) {
        char *end = strrchr(path, '/');
        *end = 0;
        groups[count].tree = strdup(strrchr(path, '/') + 1);
        *end = '/';
        groups[count].path = path;
        must(mkdir(path, 0755), path);
    }
    for (unsigned i = 0; i < count && is_v1(); i++) {
        char path[256];
        if (strcmp(groups[i].tree, "cpuset") == 0)
            fill_cpuset(groups[i].path);
        snprintf(path, sizeof path, "%s/tasks", groups[i].path);
        groups[i].tasks = open(path, O_WRONLY | O_CLOEXEC);
        must(groups[i].tasks, path);
    }
}

/* A thread that writes its own number, of a process that has no other, waits for nothing. */
static void enter_groups(void)
{
    for (unsigned i = 0; i < count; i++)
        must(write(groups[i].tasks, "0", 1), groups[i].path);
}

static void limit_devices_v1(void)
{
    static const char *rules[] = { "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:8 rwm", "c 1:7 rwm", "c 5:0 rwm", "c 1:5 rwm", "c 1:9 rwm", "c 136:* rwm",
        "c 5:2 rwm" };
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(groups[i].tree, "devices") != 0)
            continue;
        put(groups[i].path, "devices.deny", "a");
        for (unsigned k = 0; k < sizeof rules / sizeof *rules; k++)
            put(groups[i].path, "devices.allow", rules[k]);
    }
}

static struct bpf_insn code[256];
static unsigned length;

static void put_insn(uint8_t op, uint8_t to, uint8_t from, int16_t at, int32_t value)
{
    code[length++] = (struct bpf_insn){ .code = op, .dst_reg = to, .src_reg = from, .off = at, .imm = value };
}

/* One rule without a jump: a program with jumps takes the kernel twice as long to check. r6: zero if the rule is about it. */
static void allow(int kind, int major, int minor, int access)
{
    put_insn(BPF_ALU | BPF_MOV | BPF_X, 6, 2, 0, 0);
    put_insn(BPF_ALU | BPF_XOR | BPF_K, 6, 0, 0, kind);
    const int wanted[] = { major, minor };
    for (int i = 0; i < 2; i++) {
        if (wanted[i] < 0)
            continue;
        put_insn(BPF_ALU | BPF_MOV | BPF_X, 7, 4 + i, 0, 0);
        put_insn(BPF_ALU | BPF_XOR | BPF_K, 7, 0, 0, wanted[i]);
        put_insn(BPF_ALU | BPF_OR | BPF_X, 6, 7, 0, 0);
    }
    if (access != 7) {
        put_insn(BPF_ALU | BPF_MOV | BPF_X, 7, 3, 0, 0);
        put_insn(BPF_ALU | BPF_AND | BPF_K, 7, 0, 0, 7 & ~access);
        put_insn(BPF_ALU | BPF_OR | BPF_X, 6, 7, 0, 0);
    }
    put_insn(BPF_ALU64 | BPF_NEG, 6, 0, 0, 0);
    put_insn(BPF_ALU64 | BPF_RSH | BPF_K, 6, 0, 0, 63);
    put_insn(BPF_ALU | BPF_XOR | BPF_K, 6, 0, 0, 1);
    put_insn(BPF_ALU | BPF_OR | BPF_X, 0, 6, 0, 0);
}

/* Denies every device but those of runc's default list. */
static void limit_devices(int cgroup)
{
    put_insn(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0); /* access << 16 | kind */
    put_insn(BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0);
    put_insn(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
    put_insn(BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);
    put_insn(BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0); /* major */
    put_insn(BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0); /* minor */
    put_insn(BPF_ALU | BPF_MOV | BPF_K, 0, 0, 0, 0);
    allow(BPF_DEVCG_DEV_CHAR, -1, -1, BPF_DEVCG_ACC_MKNOD);
    allow(BPF_DEVCG_DEV_BLOCK, -1, -1, BPF_DEVCG_ACC_MKNOD);
    static const int minors[] = { 3, 5, 7, 8, 9 };
    for (unsigned i = 0; i < sizeof minors / sizeof *minors; i++)
        allow(BPF_DEVCG_DEV_CHAR, 1, minors[i], 7);
    for (int minor = 0; minor < 3; minor++)
        allow(BPF_DEVCG_DEV_CHAR, 5, minor, 7);
    allow(BPF_DEVCG_DEV_CHAR, 136, -1, 7);
    put_insn(BPF_ALU | BPF_AND | BPF_K, 0, 0, 0, 1);
    put_insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (uintptr_t)code, .insn_cnt = length, .license = (uintptr_t)"GPL" };
    int program = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
    must(program, "BPF_PROG_LOAD");
    union bpf_attr attach = { .target_fd = cgroup, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE, .attach_flags = BPF_F_ALLOW_MULTI };
    must(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach), "BPF_PROG_ATTACH");
    close(program);
}

static void fresh(const char *kind, const char *to, unsigned long flags, const char *data)
{
    must(mount(kind, to, kind, flags, data), to);
}

static void devices(void)
{
    static const struct { const char *path; unsigned major, minor; } nodes[] = {
        { "dev/null", 1, 3 }, { "dev/zero", 1, 5 }, { "dev/full", 1, 7 }, { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 },
    };
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++)
        must(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].path);
    must(symlink("/proc/self/fd", "dev/fd"), "dev/fd");
    must(symlink("/proc/self/fd/0", "dev/stdin"), "dev/stdin");
    must(symlink("/proc/self/fd/1", "dev/stdout"), "dev/stdout");
    must(symlink("/proc/self/fd/2", "dev/stderr"), "dev/stderr");
    must(symlink("pts/ptmx", "dev/ptmx"), "dev/ptmx");
}

/* Not a mount of cgroup2: from the initial cgroup namespace that waits for a grace period, 6 to 16 ms. */
static void show(const char *group, const char *at, unsigned long flags)
{
    must(mount(group, at, NULL, MS_BIND, NULL), at);
    must(mount(NULL, at, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags, NULL), at);
}

static void show_groups(unsigned long flags)
{
    if (!is_v1()) {
        show(groups[0].path, "sys/fs/cgroup", flags);
        return;
    }
    fresh("tmpfs", "sys/fs/cgroup", flags, "mode=755");
    for (unsigned i = 0; i < count; i++) {
        char at[256];
        snprintf(at, sizeof at, "sys/fs/cgroup/%s", groups[i].tree);
        must(mkdir(at, 0755), at);
        show(groups[i].path, at, flags);
    }
    must(mount(NULL, "sys/fs/cgroup", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags, NULL), "sys/fs/cgroup read-only");
}

static void mounts(const char *rootfs)
{
    const unsigned long no = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "rslave");
    must(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), "bind");
    must(chdir(rootfs), "chdir");
    fresh("proc", "proc", 0, NULL);
    fresh("tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
    must(mkdir("dev/pts", 0755), "dev/pts");
    must(mkdir("dev/shm", 0755), "dev/shm");
    must(mkdir("dev/mqueue", 0755), "dev/mqueue");
    fresh("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    fresh("tmpfs", "dev/shm", no, "mode=1777,size=65536k");
    fresh("mqueue", "dev/mqueue", no, NULL);
    fresh("sysfs", "sys", no | MS_RDONLY, NULL);
    show_groups(no);
    devices();
    must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "umount");
    must(chdir("/"), "chdir");
}

static void hide(void)
{
    static const char *readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
    static const char *masked[] = { "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi" };
    for (unsigned i = 0; i < sizeof readonly / sizeof *readonly; i++) {
        if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL) == 0)
            must(mount(NULL, readonly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), readonly[i]);
        else if (errno != ENOENT)
            must(-1, readonly[i]);
    }
    for (unsigned i = 0; i < sizeof masked / sizeof *masked; i++) {
        if (mount("/dev/null", masked[i], NULL, MS_BIND, NULL) == 0 || errno == ENOENT)
            continue;
        fresh("tmpfs", masked[i], MS_RDONLY, "nr_inodes=1,nr_blocks=1");
    }
    must(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "read-only root");
}

static void credentials(void)
{
    const uint32_t keep = 1u << CAP_AUDIT_WRITE | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE;
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (cap > 31 || !(keep >> cap & 1))
            must(prctl(PR_CAPBSET_DROP, cap), "PR_CAPBSET_DROP");
    struct rlimit files = { 1024, 1024 };
    must(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
    must(setresgid(0, 0, 0), "setresgid");
    must(setresuid(0, 0, 0), "setresuid");
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct sets[2] = { { keep, keep, 0 }, { 0, 0, 0 } };
    must(syscall(SYS_capset, &header, sets), "capset");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

static void filter(int file)
{
    static struct sock_filter code[BPF_MAXINSNS];
    long length = read(file, code, sizeof code);
    must(length, "the filter");
    struct sock_fprog program = { length / sizeof *code, code };
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

int main(int argc, char **argv, char **envp)
{
    if (argc < 3)
        return 2;
    seal(argv, envp);
    make_groups(argv[2]);
    int cgroup = is_v1() ? -1 : open(groups[0].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *profile = NULL;
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "devices") != 0)
            profile = argv[i];
        else if (is_v1())
            limit_devices_v1();
        else
            limit_devices(cgroup);
    }
    int pidfd = -1;
    struct clone_args args = { .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD,
        .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD };
    if (!is_v1()) {
        must(cgroup, argv[2]);
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup;
    }
    long child = syscall(SYS_clone3, &args, sizeof args);
    must(child, "clone3");
    if (child == 0) {
        int file = profile ? open(profile, O_RDONLY | O_CLOEXEC) : -1;
        must(setsid(), "setsid");
        if (is_v1())
            enter_groups();
        mounts(argv[1]);
        must(sethostname("floor", 5), "sethostname");
        hide();
        credentials();
        if (file >= 0)
            filter(file);
        char *command[] = { "/bin/true", NULL };
        char *environment[] = { "PATH=/bin", NULL };
        execve(command[0], command, environment);
        must(-1, "execve");
    }
    int status;
    must(waitpid(child, &status, 0), "waitpid");
    for (unsigned i = 0; i < count; i++)
        must(rmdir(groups[i].path), "rmdir");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
