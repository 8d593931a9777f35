/* Accepting, addresses and socket options: see socket.h. Listening is in listen.c, connecting in
 * connect.c. */
#include "net/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/socket_priv.h"

void nj_addr_unmap(struct nj_addr *addr)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    if (addr->family == AF_INET6 && memcmp(addr->ip, prefix, sizeof(prefix)) == 0) {
        memmove(addr->ip, addr->ip + 12, 4);
        memset(addr->ip + 4, 0, 12);
        addr->family = AF_INET;
    }
}

void nj_addr_from_sockaddr(const struct sockaddr_storage *from, struct nj_addr *out)
{
    memset(out, 0, sizeof(*out));
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const void *)from;
        out->family = AF_INET;
        out->port = ntohs(in4->sin_port);
        memcpy(out->ip, &in4->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)from;
        out->family = AF_INET6;
        out->port = ntohs(in6->sin6_port);
        out->scope = in6->sin6_scope_id;
        memcpy(out->ip, &in6->sin6_addr, 16);
        nj_addr_unmap(out);
    } else if (from->ss_family == AF_UNIX) {
        out->family = AF_UNIX;
    }
}

socklen_t nj_addr_to_sockaddr(const struct nj_addr *from, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (from->family == AF_INET) {
        struct sockaddr_in *in4 = (void *)out;
        in4->sin_family = AF_INET;
        in4->sin_port = htons(from->port);
        memcpy(&in4->sin_addr, from->ip, 4);
        return sizeof(*in4);
    }
    if (from->family == AF_INET6) {
        struct sockaddr_in6 *in6 = (void *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(from->port);
        in6->sin6_scope_id = from->scope;
        memcpy(&in6->sin6_addr, from->ip, 16);
        return sizeof(*in6);
    }
    return 0;
}

const char *nj_addr_text(const struct nj_addr *addr, char out[NJ_ADDR_TEXT_MAX])
{
    if (addr->family == AF_UNIX) {
        (void)snprintf(out, NJ_ADDR_TEXT_MAX, "unix");
        return out;
    }
    if ((addr->family != AF_INET && addr->family != AF_INET6) ||
        inet_ntop(addr->family, addr->ip, out, NJ_ADDR_TEXT_MAX) == NULL) {
        (void)snprintf(out, NJ_ADDR_TEXT_MAX, "unknown");
        return out;
    }
    if (addr->scope != 0) {
        size_t len = strlen(out);
        (void)snprintf(out + len, NJ_ADDR_TEXT_MAX - len, "%%%u", addr->scope);
    }
    return out;
}

bool nj_addr_is_loopback(const struct nj_addr *addr)
{
    static const uint8_t v6[16] = {[15] = 1};
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    switch (addr->family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return addr->ip[0] == 127;
    case AF_INET6:
        return memcmp(addr->ip, v6, sizeof(v6)) == 0 ||
               memcmp(addr->ip, mapped, sizeof(mapped)) == 0;
    default:
        return false;
    }
}

void nj_fd_reserve_init(struct nj_fd_reserve *reserve)
{
    reserve->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void nj_fd_reserve_fini(struct nj_fd_reserve *reserve)
{
    if (reserve->fd >= 0) {
        (void)close(reserve->fd);
        reserve->fd = -1;
    }
}

static int accept_one(int listen_fd, struct sockaddr_storage *from)
{
    socklen_t len = sizeof(*from);
    from->ss_family = AF_UNSPEC;
    return accept4(listen_fd, (struct sockaddr *)from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* Out of descriptors: gives up the spare one, takes the connection with it and closes it. */
static enum nj_err shed(int listen_fd, struct nj_fd_reserve *reserve)
{
    if (reserve->fd < 0) {
        /* Perhaps it was lost to another thread last time. */
        nj_fd_reserve_init(reserve);
        if (reserve->fd < 0) {
            return NJ_EBUSY;
        }
    }
    nj_fd_reserve_fini(reserve);
    struct sockaddr_storage from;
    int fd = accept_one(listen_fd, &from);
    int cause = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    nj_fd_reserve_init(reserve);
    if (fd >= 0) {
        return NJ_ELIMIT;
    }
    return cause == EAGAIN || cause == EWOULDBLOCK ? NJ_EAGAIN : NJ_EBUSY;
}

enum nj_err nj_accept(int listen_fd, struct nj_fd_reserve *reserve, int *fd, struct nj_addr *peer)
{
    /* A connection that died in the backlog is not worth a word; their number is bounded, too. */
    for (int tries = 0; tries < NJ_ACCEPT_BATCH; tries++) {
        struct sockaddr_storage from;
        int new_fd = accept_one(listen_fd, &from);
        if (new_fd >= 0) {
            if (from.ss_family != AF_UNIX) {
                nj_socket_set_nodelay(new_fd);
            }
            nj_addr_from_sockaddr(&from, peer);
            *fd = new_fd;
            return NJ_OK;
        }
        switch (errno) {
        case EAGAIN:
#if EWOULDBLOCK != EAGAIN
        case EWOULDBLOCK:
#endif
            return NJ_EAGAIN;
        case EMFILE:
        case ENFILE:
            return shed(listen_fd, reserve);
        case ENOBUFS:
        case ENOMEM:
            return NJ_EBUSY;
        case EBADF:
        case EINVAL:
        case ENOTSOCK:
        case EOPNOTSUPP:
        case EFAULT:
            return NJ_ESYS;
        default: /* ECONNABORTED, EINTR, EPERM (firewall), and network errors of the new socket */
            break;
        }
    }
    return NJ_EAGAIN;
}

void nj_socket_set_nodelay(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void nj_socket_set_user_timeout(int fd, unsigned timeout_ms)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

void nj_socket_set_keepalive(int fd, unsigned idle_s)
{
    int on = idle_s != 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (on) {
        int idle = idle_s > 32767 ? 32767 : (int)idle_s;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    }
}

enum nj_err nj_socket_peer(int fd, struct nj_addr *out)
{
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);
    if (getpeername(fd, (struct sockaddr *)&from, &len) != 0) {
        return NJ_ESYS;
    }
    nj_addr_from_sockaddr(&from, out);
    return NJ_OK;
}

enum nj_err nj_socket_local(int fd, struct nj_addr *out)
{
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);
    if (getsockname(fd, (struct sockaddr *)&from, &len) != 0) {
        return NJ_ESYS;
    }
    nj_addr_from_sockaddr(&from, out);
    return NJ_OK;
}

uint16_t nj_listener_port(int fd)
{
    struct nj_addr local;
    return nj_socket_local(fd, &local) == NJ_OK ? local.port : 0;
}
