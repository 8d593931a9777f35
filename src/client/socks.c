/* SOCKS 5 with no authentication or user name and password (RFC 1928, RFC 1929). The name of the
 * broker goes to the proxy unresolved. */
#include <sys/socket.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client/client_priv.h"

enum {
    SOCKS_VERSION = 5,
    SOCKS_AUTH_VERSION = 1,
    SOCKS_METHOD_NONE = 0,
    SOCKS_METHOD_PASSWORD = 2,
    SOCKS_CONNECT = 1,
    SOCKS_IPV4 = 1,
    SOCKS_NAME = 3,
    SOCKS_IPV6 = 4
};

struct proxy {
    int fd;
    uint64_t until_ms;
    struct nj_net_error *error;
};

static enum nj_err await(const struct proxy *proxy, short events)
{
    uint64_t now_ms = nj_clock_mono_ms();
    int wait_ms = proxy->until_ms > now_ms ? (int)(proxy->until_ms - now_ms) : 0;
    struct pollfd pfd = {proxy->fd, events, 0};
    int rc = poll(&pfd, 1, wait_ms);
    if (rc == 0) {
        nj_net_error_set(proxy->error, "the proxy did not answer in time");
        return NJ_ETIMEDOUT;
    }
    return rc > 0 || errno == EINTR ? NJ_OK : NJ_ESYS;
}

static enum nj_err send_all(const struct proxy *proxy, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(proxy->fd, data, len, MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) {
            nj_net_error_set(proxy->error, "cannot write to the proxy: %s", strerror(errno));
            return NJ_ESYS;
        }
        enum nj_err err = await(proxy, POLLOUT);
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}

static enum nj_err read_all(const struct proxy *proxy, uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(proxy->fd, data, len, 0);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            nj_net_error_set(proxy->error, "the proxy closed the connection");
            return NJ_EPROTOCOL;
        }
        enum nj_err err = await(proxy, POLLIN);
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}

static enum nj_err log_in(const struct proxy *proxy, const struct nj_client_proxy *config)
{
    struct nj_bytes user = nj_bytes_of(config->username);
    struct nj_bytes password = nj_bytes_of(config->password != NULL ? config->password : "");
    uint8_t packet[3 + 255 + 255];
    uint8_t answer[2];
    if (user.len == 0 || user.len > 255 || password.len > 255) {
        nj_net_error_set(proxy->error,
                         "user name (1 to 255 bytes) or password (up to 255) for the proxy");
        return NJ_EINVAL;
    }
    size_t len = 0;
    packet[len++] = SOCKS_AUTH_VERSION;
    packet[len++] = (uint8_t)user.len;
    memcpy(packet + len, user.ptr, user.len);
    len += user.len;
    packet[len++] = (uint8_t)password.len;
    memcpy(packet + len, password.ptr, password.len);
    len += password.len;
    enum nj_err err = send_all(proxy, packet, len);
    nj_wipe(packet, sizeof(packet));
    if (err == NJ_OK) {
        err = read_all(proxy, answer, sizeof(answer));
    }
    if (err == NJ_OK && answer[1] != 0) {
        nj_net_error_set(proxy->error, "the proxy refused the user name and password");
        return NJ_EPROTOCOL;
    }
    return err;
}

static enum nj_err greet(const struct proxy *proxy, const struct nj_client_proxy *config)
{
    bool has_login = config->username != NULL;
    const uint8_t hello[4] = {SOCKS_VERSION, has_login ? 2 : 1, SOCKS_METHOD_NONE,
                              SOCKS_METHOD_PASSWORD};
    uint8_t answer[2];
    enum nj_err err = send_all(proxy, hello, has_login ? 4 : 3);
    if (err == NJ_OK) {
        err = read_all(proxy, answer, sizeof(answer));
    }
    if (err != NJ_OK) {
        return err;
    }
    if (answer[0] == SOCKS_VERSION && answer[1] == SOCKS_METHOD_NONE) {
        return NJ_OK;
    }
    if (answer[0] == SOCKS_VERSION && answer[1] == SOCKS_METHOD_PASSWORD && has_login) {
        return log_in(proxy, config);
    }
    nj_net_error_set(proxy->error, answer[0] == SOCKS_VERSION
                                       ? "the proxy wants a login that was not given"
                                       : "the proxy does not speak SOCKS 5");
    return NJ_EPROTOCOL;
}

static const char *reply_text(uint8_t code)
{
    static const char *const TEXTS[] = {
        "success",
        "general failure",
        "not allowed by its rules",
        "network unreachable",
        "host unreachable",
        "connection refused",
        "time to live expired",
        "command not supported",
        "address type not supported",
    };
    return code < sizeof(TEXTS) / sizeof(TEXTS[0]) ? TEXTS[code] : "unknown reason";
}

/* The rest of the reply: an address that nobody needs. */
static enum nj_err skip_address(const struct proxy *proxy, uint8_t type)
{
    uint8_t rest[256 + 2];
    uint8_t len = 0;
    if (type == SOCKS_NAME) {
        enum nj_err err = read_all(proxy, &len, 1);
        return err == NJ_OK ? read_all(proxy, rest, (size_t)len + 2) : err;
    }
    if (type != SOCKS_IPV4 && type != SOCKS_IPV6) {
        nj_net_error_set(proxy->error, "the proxy does not speak SOCKS 5");
        return NJ_EPROTOCOL;
    }
    return read_all(proxy, rest, (type == SOCKS_IPV4 ? 4 : 16) + 2);
}

enum nj_err nj_client_socks_connect(int fd, const struct nj_client_config *config,
                                    uint64_t until_ms, struct nj_net_error *error)
{
    const struct proxy proxy = {fd, until_ms, error};
    size_t host_len = strlen(config->host);
    if (host_len == 0 || host_len > 255) {
        nj_net_error_set(error, "host name is too long for a proxy");
        return NJ_EINVAL;
    }
    enum nj_err err = greet(&proxy, &config->proxy);
    if (err != NJ_OK) {
        return err;
    }
    uint8_t packet[5 + 255 + 2] = {SOCKS_VERSION, SOCKS_CONNECT, 0, SOCKS_NAME, (uint8_t)host_len};
    memcpy(packet + 5, config->host, host_len);
    packet[5 + host_len] = (uint8_t)(config->port >> 8);
    packet[6 + host_len] = (uint8_t)config->port;
    uint8_t answer[4];
    err = send_all(&proxy, packet, 7 + host_len);
    if (err == NJ_OK) {
        err = read_all(&proxy, answer, sizeof(answer));
    }
    if (err != NJ_OK) {
        return err;
    }
    if (answer[0] != SOCKS_VERSION || answer[1] != 0) {
        nj_net_error_set(error, "the proxy cannot connect to %s: %s", config->host,
                         reply_text(answer[1]));
        return NJ_EPROTOCOL;
    }
    return skip_address(&proxy, answer[3]);
}
