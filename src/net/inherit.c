/* See inherit.h. */
#include "net/inherit.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket_priv.h"

#define FIRST_FD 3 /* of the protocol */

static struct {
    size_t count;
    struct {
        int fd; /* -1 = taken */
        char name[NJ_INHERIT_NAME_MAX];
    } sockets[NJ_INHERIT_MAX];
} inherited;

/* A number from the environment; -1 when there is none. */
static long number_of(const char *variable)
{
    const char *text = getenv(variable); /* NOLINT(concurrency-mt-unsafe): before threads */
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return -1;
    }
    long value = strtol(text, &end, 10);
    return *end == '\0' ? value : -1;
}

static bool is_listening(int fd)
{
    int is_on = 0;
    int type = 0;
    socklen_t len = sizeof(is_on);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_on, &len) == 0 && is_on != 0 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static bool make_ours(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* Copies the name up to the next colon and returns what is behind it. */
static const char *next_name(const char *names, char out[NJ_INHERIT_NAME_MAX])
{
    size_t len = strcspn(names, ":");
    size_t kept = len < NJ_INHERIT_NAME_MAX ? len : NJ_INHERIT_NAME_MAX - 1;
    memcpy(out, names, kept);
    out[kept] = '\0';
    return names[len] == ':' ? names + len + 1 : names + len;
}

static void forget_environment(void)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): before threads */
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    /* NOLINTEND(concurrency-mt-unsafe) */
}

size_t nj_inherit_open(bool may_be_parents)
{
    long pid = number_of("LISTEN_PID");
    long count = number_of("LISTEN_FDS");
    bool is_for_us = pid == (long)getpid() || (may_be_parents && pid == (long)getppid());
    const char *names = getenv("LISTEN_FDNAMES"); /* NOLINT(concurrency-mt-unsafe) */
    names = names != NULL ? names : "";
    for (long i = 0; is_for_us && i < count && i < NJ_INHERIT_MAX; i++) {
        int fd = FIRST_FD + (int)i;
        names = next_name(names, inherited.sockets[inherited.count].name);
        if (!is_listening(fd) || !make_ours(fd)) {
            (void)close(fd);
            continue;
        }
        inherited.sockets[inherited.count++].fd = fd;
    }
    forget_environment();
    return inherited.count;
}

size_t nj_inherit_count(void)
{
    return inherited.count;
}

static bool is_any_address(const struct nj_addr *addr)
{
    static const uint8_t zeros[16];
    return memcmp(addr->ip, zeros, sizeof(zeros)) == 0;
}

static bool takes_ipv4_too(int fd)
{
    int is_v6_only = 1;
    socklen_t len = sizeof(is_v6_only);
    return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_v6_only, &len) == 0 && !is_v6_only;
}

static bool is_at_path(int fd, const char *path)
{
    struct sockaddr_un at = {0};
    socklen_t len = sizeof(at);
    return getsockname(fd, (struct sockaddr *)&at, &len) == 0 && at.sun_family == AF_UNIX &&
           strncmp(at.sun_path, path, sizeof(at.sun_path)) == 0;
}

static bool is_in(const struct addrinfo *list, const struct nj_addr *addr)
{
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        struct sockaddr_storage at = {0};
        struct nj_addr one;
        memcpy(&at, ai->ai_addr, ai->ai_addrlen);
        nj_addr_from_sockaddr(&at, &one);
        if (one.family == addr->family && memcmp(one.ip, addr->ip, sizeof(one.ip)) == 0) {
            return true;
        }
    }
    return false;
}

/* `list`: the addresses of options->host. */
static bool is_meant(int fd, const struct nj_listen_options *options, const struct addrinfo *list)
{
    struct nj_addr addr;
    if (options->unix_path != NULL) {
        return is_at_path(fd, options->unix_path);
    }
    if (nj_socket_local(fd, &addr) != NJ_OK || addr.family == AF_UNIX ||
        addr.port != options->port) {
        return false;
    }
    if (options->host != NULL) {
        return is_in(list, &addr);
    }
    bool has_family = options->domain == NJ_SOCKET_ANY ||
                      (options->domain == NJ_SOCKET_IPV4) == (addr.family == AF_INET);
    bool is_wider = options->domain == NJ_SOCKET_IPV6 && takes_ipv4_too(fd);
    return is_any_address(&addr) && has_family && !is_wider;
}

size_t nj_inherit_take(const struct nj_listen_options *options, const char *name,
                       int fds[NJ_LISTEN_FDS_MAX])
{
    struct addrinfo *list = NULL;
    struct nj_net_error unwanted;
    size_t count = 0;
    if (inherited.count == 0) {
        return 0;
    }
    if (name == NULL && options->unix_path == NULL && options->host != NULL &&
        nj_resolve(options->host, options->port, options->domain, true, &list, &unwanted) !=
            NJ_OK) {
        return 0;
    }
    for (size_t i = 0; i < inherited.count && count < NJ_LISTEN_FDS_MAX; i++) {
        int fd = inherited.sockets[i].fd;
        bool is_it = fd >= 0 && (name != NULL ? strcmp(name, inherited.sockets[i].name) == 0
                                              : is_meant(fd, options, list));
        if (is_it) {
            fds[count++] = fd;
            inherited.sockets[i].fd = -1;
        }
    }
    if (list != NULL) {
        freeaddrinfo(list);
    }
    return count;
}

void nj_inherit_close(nj_inherit_fn fn, void *arg)
{
    for (size_t i = 0; i < inherited.count; i++) {
        int fd = inherited.sockets[i].fd;
        if (fd < 0) {
            continue;
        }
        char ip[NJ_ADDR_TEXT_MAX];
        char where[NJ_ADDR_TEXT_MAX + 16];
        struct nj_addr addr = {0};
        (void)!nj_socket_local(fd, &addr);
        (void)snprintf(where, sizeof(where), addr.family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                       nj_addr_text(&addr, ip), addr.port);
        fn(arg, where);
        (void)close(fd);
    }
    inherited.count = 0;
}
