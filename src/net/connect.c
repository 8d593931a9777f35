/* Resolving and connecting: see socket.h. */
#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket_priv.h"

enum nj_err nj_resolve(const char *host, uint16_t port, enum nj_socket_domain domain,
                       bool is_passive, struct addrinfo **out, struct nj_net_error *error)
{
    static const int family_of[] = {
        [NJ_SOCKET_ANY] = AF_UNSPEC, [NJ_SOCKET_IPV4] = AF_INET, [NJ_SOCKET_IPV6] = AF_INET6};
    struct addrinfo hints = {.ai_family = family_of[domain],
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | (is_passive ? AI_PASSIVE : 0)};
    char service[8];
    (void)snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host, service, &hints, out);
    if (rc != 0) {
        nj_net_error_set(error, "cannot resolve %s: %s", host != NULL ? host : "the local host",
                         rc == EAI_SYSTEM ? nj_net_errno_text(errno) : gai_strerror(rc));
        return NJ_ENOENT;
    }
    return NJ_OK;
}

static enum nj_err err_of_connect(int cause)
{
    switch (cause) {
    case ECONNREFUSED:
    case ECONNRESET:
        return NJ_ECLOSED;
    case ETIMEDOUT:
        return NJ_ETIMEDOUT;
    case EACCES:
    case EPERM:
        return NJ_EACCES;
    default:
        return NJ_ESYS;
    }
}

enum nj_err nj_connect_finish(int fd)
{
    int cause = 0;
    socklen_t len = sizeof(cause);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &cause, &len) != 0) {
        return NJ_ESYS;
    }
    if (cause != 0) {
        errno = cause;
        return err_of_connect(cause);
    }
    return NJ_OK;
}

static enum nj_err start(int fd, const struct sockaddr *to, socklen_t len)
{
    if (to->sa_family != AF_UNIX) {
        nj_socket_set_nodelay(fd);
    }
    if (connect(fd, to, len) == 0) {
        return NJ_OK;
    }
    /* A full backlog of a unix socket is EAGAIN and no connection: to be reported, not awaited. */
    if (errno == EINPROGRESS || errno == EINTR) {
        return NJ_EAGAIN;
    }
    return err_of_connect(errno);
}

enum nj_err nj_connect_start(const struct nj_addr *addr, int *fd)
{
    struct sockaddr_storage to;
    socklen_t len = nj_addr_to_sockaddr(addr, &to);
    if (len == 0) {
        return NJ_EINVAL;
    }
    int new_fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (new_fd < 0) {
        return NJ_ESYS;
    }
    enum nj_err err = start(new_fd, (const struct sockaddr *)&to, len);
    if (err != NJ_OK && err != NJ_EAGAIN) {
        int cause = errno;
        (void)close(new_fd);
        errno = cause;
        return err;
    }
    *fd = new_fd;
    return err;
}

static enum nj_err await(int fd, int timeout_ms)
{
    uint64_t until_ms = nj_clock_mono_ms() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0);
    for (;;) {
        int wait_ms = -1;
        if (timeout_ms > 0) {
            uint64_t now_ms = nj_clock_mono_ms();
            wait_ms = now_ms < until_ms ? (int)(until_ms - now_ms) : 0;
        }
        struct pollfd pfd = {fd, POLLOUT, 0};
        int rc = poll(&pfd, 1, wait_ms);
        if (rc > 0) {
            return nj_connect_finish(fd);
        }
        if (rc == 0) {
            errno = ETIMEDOUT;
            return NJ_ETIMEDOUT;
        }
        if (errno != EINTR) {
            return NJ_ESYS;
        }
    }
}

static enum nj_err bind_local(int fd, const char *address, int family, struct nj_net_error *error)
{
    struct addrinfo *list = NULL;
    enum nj_socket_domain domain = family == AF_INET ? NJ_SOCKET_IPV4 : NJ_SOCKET_IPV6;
    enum nj_err err = nj_resolve(address, 0, domain, true, &list, error);
    if (err != NJ_OK) {
        return err;
    }
    if (bind(fd, list->ai_addr, list->ai_addrlen) != 0) {
        nj_net_error_set(error, "cannot bind to %s: %s", address, nj_net_errno_text(errno));
        err = NJ_ESYS;
    }
    freeaddrinfo(list);
    return err;
}

static enum nj_err connect_one(const struct nj_connect_options *options, const struct sockaddr *to,
                               socklen_t len, int *out, struct nj_net_error *error)
{
    const char *name = options->unix_path != NULL ? options->unix_path : options->host;
    bool is_told = false; /* `error` has a better text already */
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum nj_err err = NJ_ESYS;
    if (fd >= 0) {
        err = NJ_OK;
        if (options->bind_address != NULL && to->sa_family != AF_UNIX) {
            err = bind_local(fd, options->bind_address, to->sa_family, error);
            is_told = err != NJ_OK;
        }
        if (err == NJ_OK) {
            err = start(fd, to, len);
        }
        if (err == NJ_EAGAIN) {
            err = await(fd, options->timeout_ms);
        }
    }
    if (err == NJ_OK) {
        *out = fd;
        return NJ_OK;
    }
    int cause = errno;
    if (!is_told) {
        nj_net_error_set(error, "cannot connect to %s: %s", name, nj_net_errno_text(cause));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = cause;
    return err;
}

enum nj_err nj_connect(const struct nj_connect_options *options, int *fd,
                       struct nj_net_error *error)
{
    if (options->unix_path != NULL) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        size_t len = strlen(options->unix_path);
        if (len == 0 || len >= sizeof(to.sun_path)) {
            nj_net_error_set(error, "socket path \"%s\" is empty or longer than %zu bytes",
                             options->unix_path, sizeof(to.sun_path) - 1);
            return NJ_EINVAL;
        }
        memcpy(to.sun_path, options->unix_path, len + 1);
        return connect_one(options, (const struct sockaddr *)&to, sizeof(to), fd, error);
    }
    struct addrinfo *list = NULL;
    enum nj_err err =
        nj_resolve(options->host, options->port, options->domain, false, &list, error);
    if (err != NJ_OK) {
        return err;
    }
    err = NJ_ENOENT;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        err = connect_one(options, ai->ai_addr, ai->ai_addrlen, fd, error);
        if (err == NJ_OK) {
            break;
        }
    }
    int cause = errno;
    freeaddrinfo(list);
    errno = cause;
    return err;
}
