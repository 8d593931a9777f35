/* The PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt): what a proxy says, in
 * front of everything else on a connection, of the client that it connects for.
 *
 * Strict: what is not exactly as the protocol says, is refused. Whether the peer may say such
 * things at all is the caller's business, and so is what the TLS information means.
 *
 * A header that is not whole yet stays in the socket's buffer: waiting for it costs no memory, and
 * what comes behind it (TLS, an HTTP upgrade, MQTT) is left for the stream. */
#ifndef NJ_NET_PROXY_H
#define NJ_NET_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "net/socket.h"

/* Longest headers that are accepted: a version 1 line with its CRLF, and a version 2 header with
 * all its TLVs (the protocol allows 65551, which no proxy needs). */
#define NJ_PROXY_V1_MAX 107
#define NJ_PROXY_V2_MAX 8192
/* More TLVs than this are nobody's header. */
#define NJ_PROXY_TLVS_MAX 64

/* Views point into the bytes that were parsed. */
struct nj_proxy_header {
    bool is_local;         /* the proxy speaks for itself (LOCAL), or does not know (UNKNOWN):
                            * the addresses of the connection count, and the rest is empty */
    struct nj_addr source; /* IPv4 that was written as IPv6 is IPv4 here */
    struct nj_addr destination;
    bool has_tls;                /* the client spoke TLS with the proxy */
    bool has_certificate;        /* and presented a certificate that the proxy verified */
    struct nj_bytes common_name; /* of that certificate: UTF-8 without control characters, 1 to 64
                                  * characters; empty when there is none */
    struct nj_bytes tls_version; /* "TLSv1.3", or empty; printable ASCII, as the next ones */
    struct nj_bytes tls_cipher;
    struct nj_bytes authority; /* the host name that the client asked for (SNI), or empty */
};

/* Parses the header at the beginning of `data`. `version` is 1 or 2; the other one is refused.
 * NJ_OK         *header is set, and *used to the length of the header
 * NJ_EAGAIN     so far it is right, but more has to come
 * NJ_EMALFORMED no header, or a bad one; *why (a static text) says what is wrong */
enum nj_err nj_proxy_parse(int version, const uint8_t *data, size_t len,
                           struct nj_proxy_header *header, size_t *used, const char **why)
    NJ_NODISCARD;

/* The same from a socket: takes the header out of it, and not a byte more. `room` has to hold
 * NJ_PROXY_V2_MAX bytes; the views of *header point into it. Does not block. NJ_EAGAIN: call again
 * after the next event; NJ_ECLOSED: the peer is gone; NJ_ESYS; NJ_EMALFORMED as above. */
enum nj_err nj_proxy_read(int fd, int version, uint8_t *room, struct nj_proxy_header *header,
                          const char **why) NJ_NODISCARD;

#endif
