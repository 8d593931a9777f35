/* What the socket files share. */
#ifndef NJ_NET_SOCKET_PRIV_H
#define NJ_NET_SOCKET_PRIV_H

#include <sys/socket.h>

#include "net/socket.h"

void nj_addr_from_sockaddr(const struct sockaddr_storage *from, struct nj_addr *out);
/* An IPv4 address that is written as an IPv6 one (::ffff:192.0.2.1) becomes IPv4: sockets for both
 * and proxies write it so, and it is the same host. */
void nj_addr_unmap(struct nj_addr *addr);
/* The length of the address; 0 when it is none that can be connected to. */
socklen_t nj_addr_to_sockaddr(const struct nj_addr *from, struct sockaddr_storage *out);
void nj_socket_set_nodelay(int fd);
/* getaddrinfo for a stream socket; NJ_ENOENT with a text when the name means nothing. The list is
 * freed with freeaddrinfo. Blocks. */
struct addrinfo;
enum nj_err nj_resolve(const char *host, uint16_t port, enum nj_socket_domain domain,
                       bool is_passive, struct addrinfo **out, struct nj_net_error *error);

#endif
