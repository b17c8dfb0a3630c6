/* Writes the newest seccomp filter of a process (classic BPF) to stdout.
 * usage: filter_of PID; needs CAP_SYS_ADMIN and CONFIG_CHECKPOINT_RESTORE, and no filter on itself. */
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

int main(int argc, char **argv)
{
    static struct sock_filter program[4096];
    pid_t pid = argc == 2 ? atoi(argv[1]) : 0;
    if (pid <= 0 || ptrace(PTRACE_ATTACH, pid, 0, 0) < 0) {
        perror("attach");
        return 2;
    }
    waitpid(pid, NULL, __WALL);
    long length = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, (void *)0, program);
    if (length < 0)
        perror("PTRACE_SECCOMP_GET_FILTER");
    ptrace(PTRACE_DETACH, pid, 0, 0);
    if (length < 0)
        return 2;
    return fwrite(program, sizeof *program, length, stdout) == (size_t)length ? 0 : 2;
}
