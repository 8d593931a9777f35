/* Listening sockets: see socket.h. */
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/socket_priv.h"

static enum nj_err err_of_errno(void)
{
    switch (errno) {
    case EADDRINUSE:
        return NJ_EEXIST;
    case EACCES:
    case EPERM:
        return NJ_EACCES;
    case EINVAL:
    case EADDRNOTAVAIL:
    case ENODEV:
        return NJ_EINVAL;
    default:
        return NJ_ESYS;
    }
}

/* Closes `fd` with errno, and so the returned error, kept. */
static enum nj_err fail_fd(int fd, const char *what, const char *where, struct nj_net_error *error)
{
    int cause = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    nj_net_error_set(error, "%s %s: %s", what, where, nj_net_errno_text(cause));
    errno = cause;
    return err_of_errno();
}

/* The same for bind(), with what is usually behind it. */
static enum nj_err fail_bind(int fd, const char *where, struct nj_net_error *error)
{
    int cause = errno;
    const char *hint = cause == EADDRINUSE      ? "; another program listens there"
                       : cause == EADDRNOTAVAIL ? "; no interface of this machine has that address"
                       : cause == EACCES ? "; a port below 1024 takes root or CAP_NET_BIND_SERVICE"
                                         : "";
    enum nj_err err = fail_fd(fd, "cannot bind to", where, error);
    nj_net_error_set(error, "cannot bind to %s: %s%s", where, nj_net_errno_text(cause), hint);
    errno = cause;
    return err;
}

static void where_text(const struct sockaddr_storage *at, char *out, size_t len)
{
    struct nj_addr addr;
    char ip[NJ_ADDR_TEXT_MAX];
    nj_addr_from_sockaddr(at, &addr);
    (void)snprintf(out, len, addr.family == AF_INET6 ? "[%s]:%u" : "%s:%u", nj_addr_text(&addr, ip),
                   addr.port);
}

static void set_port(struct sockaddr_storage *at, uint16_t port)
{
    if (at->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)at)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)(void *)at)->sin_port = htons(port);
    }
}

/* Binds to an interface by name when the kernel lets us; NJ_EDECLINED when it does not. */
static enum nj_err bind_device(int fd, const char *interface)
{
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) == 0) {
        return NJ_OK;
    }
    return errno == EPERM ? NJ_EDECLINED : NJ_ESYS;
}

static enum nj_err listen_at(const struct sockaddr_storage *at, socklen_t len,
                             const char *interface, int *out, struct nj_net_error *error)
{
    char where[NJ_ADDR_TEXT_MAX + 16];
    where_text(at, where, sizeof(where));
    int fd = socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_fd(fd, "cannot open a socket for", where, error);
    }
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) {
        return fail_fd(fd, "cannot set IPV6_V6ONLY for", where, error);
    }
    if (interface != NULL && bind_device(fd, interface) != NJ_OK) {
        return fail_fd(fd, "cannot bind to interface", interface, error);
    }
    if (bind(fd, (const struct sockaddr *)at, len) != 0) {
        return fail_bind(fd, where, error);
    }
    if (listen(fd, NJ_BACKLOG) != 0) {
        return fail_fd(fd, "cannot listen on", where, error);
    }
    *out = fd;
    return NJ_OK;
}

struct opening {
    int *fds;
    size_t count;
    uint16_t port; /* what the first socket got, when 0 was asked for */
    struct nj_net_error *error;
};

/* Opens one more address. A family that the kernel lacks is passed over when others may do. */
static enum nj_err opening_add(struct opening *opening, struct sockaddr_storage *at, socklen_t len,
                               const char *interface, bool may_skip)
{
    if (opening->count == NJ_LISTEN_FDS_MAX) {
        nj_net_error_set(opening->error, "more than %d addresses for one listener",
                         NJ_LISTEN_FDS_MAX);
        return NJ_ELIMIT;
    }
    if (opening->port != 0) {
        set_port(at, opening->port);
    }
    int fd = -1;
    enum nj_err err = listen_at(at, len, interface, &fd, opening->error);
    if (err != NJ_OK) {
        if (may_skip && at->ss_family == AF_INET6 &&
            (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
            return NJ_OK;
        }
        return err;
    }
    opening->fds[opening->count++] = fd;
    if (opening->port == 0) {
        opening->port = nj_listener_port(fd);
    }
    return NJ_OK;
}

static enum nj_err listen_names(const struct nj_listen_options *options, struct opening *opening,
                                const char *interface)
{
    struct addrinfo *list = NULL;
    enum nj_err err =
        nj_resolve(options->host, options->port, options->domain, true, &list, opening->error);
    for (const struct addrinfo *ai = list; err == NJ_OK && ai != NULL; ai = ai->ai_next) {
        struct sockaddr_storage at = {0};
        memcpy(&at, ai->ai_addr, ai->ai_addrlen);
        err = opening_add(opening, &at, ai->ai_addrlen, interface,
                          options->host == NULL && options->domain == NJ_SOCKET_ANY);
    }
    if (list != NULL) {
        freeaddrinfo(list);
    }
    return err;
}

static bool domain_takes(enum nj_socket_domain domain, int family)
{
    return (family == AF_INET && domain != NJ_SOCKET_IPV6) ||
           (family == AF_INET6 && domain != NJ_SOCKET_IPV4);
}

/* Without the right to bind to a device: to each address that the interface has now. */
static enum nj_err listen_interface(const struct nj_listen_options *options,
                                    struct opening *opening)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0) {
        return fail_fd(-1, "cannot list the addresses of", options->interface, opening->error);
    }
    enum nj_err err = NJ_OK;
    for (const struct ifaddrs *ifa = list; err == NJ_OK && ifa != NULL; ifa = ifa->ifa_next) {
        if (ifa->ifa_addr == NULL || strcmp(ifa->ifa_name, options->interface) != 0 ||
            !domain_takes(options->domain, ifa->ifa_addr->sa_family)) {
            continue;
        }
        struct sockaddr_storage at = {0};
        socklen_t len = ifa->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                            : sizeof(struct sockaddr_in6);
        memcpy(&at, ifa->ifa_addr, len);
        set_port(&at, options->port);
        err = opening_add(opening, &at, len, NULL, false);
    }
    freeifaddrs(list);
    if (err == NJ_OK && opening->count == 0) {
        nj_net_error_set(opening->error, "interface %s has no address to listen on",
                         options->interface);
        err = NJ_EINVAL;
    }
    return err;
}

static bool may_bind_device(const char *interface)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    enum nj_err err = bind_device(fd, interface);
    (void)close(fd);
    return err != NJ_EDECLINED;
}

/* NJ_OK when nobody listens at the path: there is nothing, or a dead socket, now removed. */
static enum nj_err unix_clear(const struct sockaddr_un *at, struct nj_net_error *error)
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0) {
        if (errno == ENOENT) {
            return NJ_OK;
        }
        return fail_fd(-1, "cannot look at", at->sun_path, error);
    }
    if (!S_ISSOCK(st.st_mode)) {
        nj_net_error_set(error, "%s exists and is not a socket", at->sun_path);
        return NJ_EEXIST;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_fd(fd, "cannot open a socket for", at->sun_path, error);
    }
    int rc = connect(fd, (const struct sockaddr *)at, sizeof(*at));
    int cause = errno;
    (void)close(fd);
    if (rc == 0 || cause != ECONNREFUSED) {
        errno = EADDRINUSE;
        nj_net_error_set(error, "%s: another program listens on this socket", at->sun_path);
        return NJ_EEXIST;
    }
    if (unlink(at->sun_path) != 0 && errno != ENOENT) {
        return fail_fd(-1, "cannot remove the old socket", at->sun_path, error);
    }
    return NJ_OK;
}

static enum nj_err listen_unix(const struct nj_listen_options *options, int *out,
                               struct nj_net_error *error)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(options->unix_path);
    if (len == 0 || len >= sizeof(at.sun_path)) {
        nj_net_error_set(error, "socket path \"%s\" is empty or longer than %zu bytes",
                         options->unix_path, sizeof(at.sun_path) - 1);
        return NJ_EINVAL;
    }
    memcpy(at.sun_path, options->unix_path, len + 1);
    enum nj_err err = unix_clear(&at, error);
    if (err != NJ_OK) {
        return err;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_fd(fd, "cannot open a socket for", at.sun_path, error);
    }
    /* bind() applies the umask to the mode of the descriptor, so the socket is never wider open
     * than asked for, not even for a moment. */
    mode_t mode = options->unix_mode != 0 ? options->unix_mode : 0660;
    if (fchmod(fd, mode) != 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
        return fail_fd(fd, "cannot bind to", at.sun_path, error);
    }
    if (chmod(at.sun_path, mode) != 0 || listen(fd, NJ_BACKLOG) != 0) {
        err = fail_fd(fd, "cannot listen on", at.sun_path, error);
        (void)unlink(at.sun_path);
        return err;
    }
    *out = fd;
    return NJ_OK;
}

enum nj_err nj_listen(const struct nj_listen_options *options, int fds[NJ_LISTEN_FDS_MAX],
                      size_t *count, struct nj_net_error *error)
{
    struct nj_net_error unwanted;
    struct opening opening = {fds, 0, options->port, error != NULL ? error : &unwanted};
    enum nj_err err;
    if (options->unix_path != NULL) {
        err = listen_unix(options, &fds[0], opening.error);
        opening.count = err == NJ_OK;
    } else if (options->interface != NULL && !may_bind_device(options->interface)) {
        err = listen_interface(options, &opening);
    } else {
        err = listen_names(options, &opening, options->interface);
    }
    if (err == NJ_OK && opening.count == 0) {
        /* `error` still tells why the last address was passed over. */
        err = NJ_EINVAL;
    }
    if (err != NJ_OK) {
        int cause = errno;
        while (opening.count > 0) {
            (void)close(fds[--opening.count]);
        }
        errno = cause;
        return err;
    }
    *count = opening.count;
    return NJ_OK;
}
