/* Fuzzes answers of a name server to the question where a domain's broker is.
 *
 * Oracle: a host is a name in printable ASCII that ends within its room, the port is one; and
 * nothing is written when there is none. */
#include "fuzz/fuzz.h"
#include "srv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char host[NJ_SRV_HOST_MAX];
    int port = -1;
    if (size > 65535) {
        return 0;
    }
    memset(host, 0x7f, sizeof(host));
    enum nj_err err = nj_srv_read(data, (int)size, host, &port);
    need(err == NJ_OK || err == NJ_EMALFORMED || err == NJ_ENOENT);
    if (err != NJ_OK) {
        need(port == -1 && host[0] == 0x7f);
        return 0;
    }
    size_t len = strnlen(host, sizeof(host));
    need(port > 0 && port <= 65535 && len > 0 && len < sizeof(host) && strcmp(host, ".") != 0);
    for (size_t i = 0; i < len; i++) {
        need(host[i] > 0x20 && host[i] < 0x7f);
    }
    return 0;
}
