/* A seccomp agent for tests: takes listeners on a unix socket and answers every notified call with ENOSPC.
 * usage: seccomp_agent SOCKET; prints each container process state that it gets as one line. */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void answer(int listener)
{
    for (;;) {
        struct seccomp_notif call;
        struct seccomp_notif_resp reply;
        memset(&call, 0, sizeof call);
        memset(&reply, 0, sizeof reply);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
            if (errno == EINTR)
                continue;
            exit(0);
        }
        reply.id = call.id;
        reply.error = -ENOSPC;
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) < 0 && errno != ENOENT)
            exit(1);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, argv[1]);
    if (bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 8) < 0)
        return 2;
    for (;;) {
        static char text[65536];
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec part = { text, sizeof text - 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        int listener, connection = accept(server, NULL, NULL);
        ssize_t length = recvmsg(connection, &message, 0);
        struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        close(connection);
        if (!header || header->cmsg_type != SCM_RIGHTS)
            continue;
        memcpy(&listener, CMSG_DATA(header), sizeof listener);
        text[length] = 0;
        for (char *at = text; *at; at++)
            if (*at == '\n')
                *at = ' ';
        puts(text);
        fflush(stdout);
        if (fork() == 0)
            answer(listener);
        close(listener);
    }
}
