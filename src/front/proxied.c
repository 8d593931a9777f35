/* See proxied.h. */
#include "front/proxied.h"

#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "front/front.h"
#include "front/worker.h"
#include "net/proxy.h"
#include "net/stream.h"

_Static_assert(NJ_PROXY_V2_MAX <= NJ_READ_BYTES, "a header has to fit into the worker's buffer");

bool nj_proxied_is_trusted(const struct nj_listener_settings *listener, const struct nj_addr *peer,
                           bool needs_listed)
{
    if (peer->family == AF_UNIX) {
        return true;
    }
    if (listener->proxy_trusted_count == 0) {
        return !needs_listed;
    }
    for (size_t i = 0; i < listener->proxy_trusted_count; i++) {
        if (nj_cidr_has(&listener->proxy_trusted[i], peer->family, peer->ip)) {
            return true;
        }
    }
    return false;
}

static void reject(struct nj_conn *conn, const char *what)
{
    char address[NJ_ADDR_TEXT_MAX + 8];
    nj_log(NJ_LOG_NOTICE, "Connection from %s rejected, client did not %s.",
           nj_conn_address(conn, address), what);
    nj_conn_close(conn, NJ_RC_SUCCESS, NULL);
}

/* Too long a text is cut: it is for the log only. */
static void copy_text(char *out, size_t size, struct nj_bytes text)
{
    size_t len = text.len < size ? text.len : size - 1;
    if (len > 0) {
        memcpy(out, text.ptr, len);
    }
    out[len] = '\0';
}

static bool keep(struct nj_conn *conn, const struct nj_proxy_header *header)
{
    size_t size = header->common_name.len + 1;
    struct nj_proxied *proxied = nj_try_zalloc(sizeof(*proxied) + size);
    if (!proxied) {
        nj_conn_close(conn, NJ_RC_SUCCESS, "out of memory");
        return false;
    }
    proxied->proxy = conn->peer;
    proxied->local = header->destination;
    proxied->has_tls = header->has_tls;
    proxied->has_certificate = header->has_certificate;
    copy_text(proxied->tls_version, sizeof(proxied->tls_version), header->tls_version);
    copy_text(proxied->tls_cipher, sizeof(proxied->tls_cipher), header->tls_cipher);
    copy_text(proxied->common_name, size, header->common_name);
    if (!header->is_local) {
        conn->peer = header->source;
    }
    conn->proxied = proxied;
    return true;
}

static void log_header(const struct nj_conn *conn)
{
    char client[NJ_ADDR_TEXT_MAX + 8];
    char proxy[NJ_ADDR_TEXT_MAX];
    char local[NJ_ADDR_TEXT_MAX];
    const struct nj_proxied *proxied = conn->proxied;
    if (nj_log_wants(NJ_LOG_DEBUG)) {
        nj_log(NJ_LOG_DEBUG, "Proxy %s connects for %s to %s port %u%s%s.",
               nj_addr_text(&proxied->proxy, proxy), nj_conn_address(conn, client),
               proxied->local.family ? nj_addr_text(&proxied->local, local) : "(unknown)",
               proxied->local.port, proxied->has_tls ? ", TLS" : "",
               proxied->has_certificate ? ", certificate verified" : "");
    }
}

bool nj_proxied_take(struct nj_conn *conn)
{
    const struct nj_listener_settings *listener = conn->listener->settings;
    struct nj_proxy_header header;
    const char *why = "the connection is closed";
    enum nj_err err = nj_proxy_read(nj_stream_fd(conn->stream), listener->proxy_protocol,
                                    conn->worker->read_buf, &header, &why);
    if (err == NJ_EAGAIN && !conn->has_hung_up) {
        return false;
    }
    if (err == NJ_EMALFORMED) {
        NJ_STAT_ADD(conn->link.shard, bad_packets, 1);
        nj_log(NJ_LOG_NOTICE, "Connection rejected, corrupt PROXY header.");
    }
    if (err != NJ_OK) {
        nj_conn_close(conn, NJ_RC_SUCCESS, why);
        return false;
    }
    if (!keep(conn, &header)) {
        return false;
    }
    log_header(conn);
    bool is_own_tls = nj_stream_tls(conn->stream) != NULL;
    if (listener->proxy_requires_tls && listener->proxy_protocol == 2 && !header.has_tls) {
        reject(conn, "connect using TLS");
        return false;
    }
    if (listener->require_certificate && !is_own_tls && !header.has_certificate) {
        reject(conn, "provide a certificate");
        return false;
    }
    return true;
}

/* A name that is put into topic patterns must not be able to widen them. */
static bool has_wildcard(const char *name)
{
    return strpbrk(name, "#+") != NULL;
}

const char *nj_proxied_identity(const struct nj_conn *conn, struct nj_bytes *out)
{
    const struct nj_proxied *proxied = conn->proxied;
    if (!proxied || !proxied->has_certificate) {
        return "no client certificate";
    }
    if (proxied->common_name[0] == '\0') {
        return "the certificate has no common name";
    }
    if (has_wildcard(proxied->common_name)) {
        return "the common name has a wildcard in it";
    }
    *out = nj_bytes_of(proxied->common_name);
    return NULL;
}
