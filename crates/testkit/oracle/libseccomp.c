/* Compiles a rule list with libseccomp and writes its classic BPF to stdout: the oracle of seccomp_differential.rs.
 * Lines on stdin, all numbers decimal:
 *   default ACTION | arch NAME | rule ACTION SYSCALL COUNT [INDEX OP VALUE VALUE2]... | end
 * OP is libseccomp's enum scmp_compare. A rule that libseccomp refuses ends the program with 3.
 * With an argument it prints those of the names on stdin that this libseccomp knows. */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    scmp_filter_ctx ctx = NULL;
    char word[64];
    (void)argv;
    while (argc > 1 && scanf("%63s", word) == 1)
        if (seccomp_syscall_resolve_name(word) != __NR_SCMP_ERROR)
            puts(word);
    if (argc > 1)
        return 0;
    while (scanf("%63s", word) == 1) {
        if (strcmp(word, "default") == 0) {
            uint32_t action;
            if (scanf("%" SCNu32, &action) != 1 || !(ctx = seccomp_init(action)))
                return 2;
        } else if (strcmp(word, "arch") == 0) {
            if (scanf("%63s", word) != 1)
                return 2;
            int rc = seccomp_arch_add(ctx, seccomp_arch_resolve_name(word));
            if (rc != 0 && rc != -EEXIST)
                return 2;
        } else if (strcmp(word, "rule") == 0) {
            uint32_t action;
            unsigned count;
            struct scmp_arg_cmp args[6];
            if (scanf("%" SCNu32 " %63s %u", &action, word, &count) != 3 || count > 6)
                return 2;
            for (unsigned i = 0; i < count; i++) {
                unsigned index, op;
                if (scanf("%u %u %" SCNu64 " %" SCNu64, &index, &op, &args[i].datum_a, &args[i].datum_b) != 4)
                    return 2;
                args[i].arg = index;
                args[i].op = op;
            }
            int number = seccomp_syscall_resolve_name(word);
            if (number == __NR_SCMP_ERROR)
                continue;
            if (seccomp_rule_add_array(ctx, action, number, count, args) != 0)
                return 3;
        } else {
            break;
        }
    }
    return seccomp_export_bpf(ctx, 1) == 0 ? 0 : 2;
}
