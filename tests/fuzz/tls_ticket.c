/* Fuzzes what a session ticket says of the certificates that were sent with the first handshake.
 * Tickets are sealed, so nobody but the broker writes them; an older version of it may have.
 *
 * Oracle: a note is read whole or not at all, and then it has the frames that a naive reading
 * finds. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "fuzz/fuzz.h"
#include "net/tls_priv.h"

/* Certificates in a note by their lengths alone; -1 = they do not fill it. */
static int count_frames(const uint8_t *at, size_t left)
{
    int count = 0;
    while (left >= 3) {
        size_t len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        if (len > left - 3) {
            return -1;
        }
        at += 3 + len;
        left -= 3 + len;
        count++;
    }
    return left == 0 ? count : -1;
}

static int64_t deadline_of(const uint8_t *note)
{
    uint64_t value = 0;
    for (int i = 1; i <= 8; i++) {
        value = value * 256 + note[i];
    }
    return (int64_t)value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SSL_SESSION *session = SSL_SESSION_new();
    STACK_OF(X509) *chain = NULL;
    int64_t valid_until_s = -1;
    need(session &&
         SSL_SESSION_set1_ticket_appdata(session, size > 0 ? (const void *)data : "", size) == 1);
    bool is_read = nj_tls_ticket_read(session, &valid_until_s, &chain);
    bool has_head = size >= 9 && data[0] == 1;
    need(!is_read || has_head);
    if (is_read) {
        int count = count_frames(data + 9, size - 9);
        need(valid_until_s == deadline_of(data));
        need(count >= 0 && (chain ? sk_X509_num(chain) == count : count == 0));
        int total = 0;
        for (int i = 0; i < count; i++) {
            total += 3 + i2d_X509(sk_X509_value(chain, i), NULL);
        }
        need((size_t)total <= size);
    } else {
        need(chain == NULL && valid_until_s == -1);
        need(!has_head || size > 9);
    }
    sk_X509_pop_free(chain, X509_free);
    SSL_SESSION_free(session);
    ERR_clear_error();
    return 0;
}
