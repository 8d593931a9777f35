/* Fuzzes the answers of a SOCKS 5 proxy. The first byte says what is configured: bit 0 = with user
 * name and password. The rest is what the proxy sends before it ends the connection.
 *
 * Oracle: a naive reading of the same bytes comes to the same end; after success exactly the
 * proxy's answers were taken, and everything behind them is the broker's; the password is sent only
 * to a proxy that asked for it. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/client_priv.h"
#include "fuzz/fuzz.h"

#define INPUT_MAX 1024
#define PASSWORD  "not-for-everybody"

/* How many bytes a successful dialogue takes; 0 = there is none. *asks: the password is asked for.
 */
static size_t read_naively(const uint8_t *at, size_t size, bool has_login, bool *asks)
{
    size_t used = 2;
    *asks = size >= 2 && at[0] == 5 && at[1] == 2 && has_login;
    if (size < 2 || at[0] != 5 || (at[1] != 0 && !*asks)) {
        return 0;
    }
    if (*asks) {
        if (size < 4 || at[3] != 0) {
            return 0;
        }
        used = 4;
    }
    if (size < used + 5 || at[used] != 5 || at[used + 1] != 0) {
        return 0;
    }
    uint8_t type = at[used + 3];
    size_t address = type == 1 ? 4 : type == 4 ? 16 : type == 3 ? 1 + (size_t)at[used + 4] : 0;
    size_t whole = used + 4 + address + 2;
    return address > 0 && whole <= size ? whole : 0;
}

static bool was_sent(const uint8_t *sent, size_t len, const char *text)
{
    return len > 0 && memmem(sent, len, text, strlen(text)) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct nj_clock_fake clock = {.mono_ns = 1000000000, .wall_ns = 1};
    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    nj_clock_set_fake(&clock);
    bool has_login = data[0] & 1;
    const struct nj_client_config config = {
        .host = "broker.example",
        .port = 1883,
        .proxy = {.host = "proxy.example",
                  .username = has_login ? "somebody" : NULL,
                  .password = has_login ? PASSWORD : NULL},
    };
    int fds[2];
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    data++;
    size--;
    need(size == 0 || send(fds[1], data, size, MSG_NOSIGNAL) == (ssize_t)size);
    need(shutdown(fds[1], SHUT_WR) == 0);
    struct nj_net_error error = {0};
    enum nj_err err = nj_client_socks_connect(fds[0], &config, nj_clock_mono_ms() + 1000, &error);
    bool asks = false;
    size_t used = read_naively(data, size, has_login, &asks);
    need((err == NJ_OK) == (used > 0));
    need(err == NJ_OK || (err == NJ_EPROTOCOL && error.text[0] != '\0'));
    uint8_t buf[INPUT_MAX];
    ssize_t rest = recv(fds[0], buf, sizeof(buf), 0);
    if (err == NJ_OK) {
        need(rest == (ssize_t)(size - used) && memcmp(buf, data + used, size - used) == 0);
    }
    ssize_t sent = recv(fds[1], buf, sizeof(buf), 0);
    need(sent >= 3 && buf[0] == 5 && was_sent(buf, (size_t)sent, PASSWORD) == asks);
    need(err != NJ_OK || was_sent(buf, (size_t)sent, "broker.example"));
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}
