/* Sockets: listening, accepting, connecting, and what a peer's address looks like.
 * All descriptors are non-blocking and close-on-exec. */
#ifndef NJ_NET_SOCKET_H
#define NJ_NET_SOCKET_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/error.h"

#define NJ_LISTEN_FDS_MAX 16
#define NJ_BACKLOG        4096
/* How many connections to accept from one listener before looking at other events. */
#define NJ_ACCEPT_BATCH 16
/* Longest nj_addr_text with its NUL: an IPv6 address with a scope. */
#define NJ_ADDR_TEXT_MAX 64

enum nj_socket_domain {
    NJ_SOCKET_ANY,
    NJ_SOCKET_IPV4,
    NJ_SOCKET_IPV6
};

/* An address by value; compare `ip` and `family` for "same host". */
struct nj_addr {
    uint8_t ip[16]; /* IPv4 in the first 4 bytes, the rest 0 */
    uint32_t scope;
    uint16_t port;
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX, or 0 when unknown */
};

/* "192.0.2.1", "2001:db8::1", "fe80::1%2"; "unix" for a unix socket. Returns `out`. */
const char *nj_addr_text(const struct nj_addr *addr, char out[NJ_ADDR_TEXT_MAX]);
/* 127.0.0.0/8, ::1 and unix sockets. */
bool nj_addr_is_loopback(const struct nj_addr *addr);

struct nj_listen_options {
    const char *host; /* address or name; NULL = every address */
    uint16_t port;    /* 0 = the kernel chooses, see nj_listener_port */
    enum nj_socket_domain domain;
    const char *interface; /* bind_interface: SO_BINDTODEVICE, or its addresses when not allowed */
    const char *unix_path; /* when set, a unix socket and nothing of the above */
    mode_t unix_mode;      /* 0 = 0660 */
};

/* Opens every address that the options stand for, all on the same port; on an error none stays
 * open. A unix path that holds a dead socket is taken over; one that is alive, or anything that is
 * no socket, is refused. Blocks (resolves names): start-up and reload only. NJ_ESYS, NJ_EINVAL,
 * NJ_EEXIST (in use), NJ_EACCES. */
enum nj_err nj_listen(const struct nj_listen_options *options, int fds[NJ_LISTEN_FDS_MAX],
                      size_t *count, struct nj_net_error *error) NJ_NODISCARD;
/* The port that a listening socket really has; 0 for a unix socket. */
uint16_t nj_listener_port(int fd);

/* One spare descriptor per worker: with it, a connection that no descriptor is left for can still
 * be taken and closed, instead of waking the loop for ever (F-026). */
struct nj_fd_reserve {
    int fd;
};
void nj_fd_reserve_init(struct nj_fd_reserve *reserve);
void nj_fd_reserve_fini(struct nj_fd_reserve *reserve);

/* Takes one connection, with NODELAY set. Does not block.
 * NJ_OK      *fd and *peer are set
 * NJ_EAGAIN  nothing (more) to accept
 * NJ_ELIMIT  no descriptor left: one connection was accepted and closed at once; go on
 * NJ_EBUSY   no descriptor or memory, and nothing could be shed: remove the listener from the loop
 *            for a moment (100 ms), or the loop spins
 * NJ_ESYS    the listener itself is broken; errno holds the cause */
enum nj_err nj_accept(int listen_fd, struct nj_fd_reserve *reserve, int *fd, struct nj_addr *peer)
    NJ_NODISCARD;

/* How long sent bytes may stay unacknowledged before the kernel gives the peer up; 0 = default. */
void nj_socket_set_user_timeout(int fd, unsigned timeout_ms);
/* TCP keep-alive probes after idle_s seconds of silence; 0 = off. */
void nj_socket_set_keepalive(int fd, unsigned idle_s);

struct nj_connect_options {
    const char *host;
    uint16_t port;
    enum nj_socket_domain domain;
    const char *bind_address; /* or NULL */
    const char *unix_path;    /* when set, nothing of the above */
    int timeout_ms;           /* for each address; 0 = the kernel's */
};

/* Resolves and connects, address by address, until one answers. Blocks: for tools, never on a
 * worker. The descriptor is non-blocking afterwards. NJ_ENOENT (name), NJ_ECLOSED (refused),
 * NJ_ETIMEDOUT, NJ_ESYS; errno holds the cause of the last two. */
enum nj_err nj_connect(const struct nj_connect_options *options, int *fd,
                       struct nj_net_error *error) NJ_NODISCARD;
/* The non-blocking half: starts connecting to an address. NJ_OK = connected already, NJ_EAGAIN =
 * wait until *fd is writable, then ask nj_connect_finish. */
enum nj_err nj_connect_start(const struct nj_addr *addr, int *fd) NJ_NODISCARD;
enum nj_err nj_connect_finish(int fd) NJ_NODISCARD;

/* The two ends of an established connection. */
enum nj_err nj_socket_peer(int fd, struct nj_addr *out) NJ_NODISCARD;
enum nj_err nj_socket_local(int fd, struct nj_addr *out) NJ_NODISCARD;

#endif
