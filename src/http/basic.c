/* See basic.h. */
#include "http/basic.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "mqtt/utf8.h"

/* Of the decoded user name, colon and password. */
#define CREDENTIALS_MAX 8192

static bool is_base64(const char *text, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t body = strspn(text, digits);
    return len > 0 && len % 4 == 0 && body + 2 >= len && strspn(text + body, "=") == len - body;
}

static void split(struct nj_http_credentials *out, size_t size)
{
    const uint8_t *colon = memchr(out->text, ':', size);
    if (!colon) {
        out->fault = "an Authorization header without a colon";
        return;
    }
    size_t user_len = (size_t)(colon - out->text);
    struct nj_bytes user = nj_bytes(out->text, user_len);
    if (!nj_mqtt_utf8_is_valid(user)) {
        out->fault = "a user name that is not valid UTF-8";
        return;
    }
    out->user = user;
    out->password = nj_bytes(colon + 1, size - user_len - 1);
}

static void decode(const char *text, struct nj_http_credentials *out)
{
    size_t len = strlen(text);
    if (!is_base64(text, len) || len / 4 * 3 > CREDENTIALS_MAX) {
        out->fault = "an Authorization header that is not base64, or too long";
        return;
    }
    out->size = len / 4 * 3 + 1;
    out->text = nj_try_zalloc(out->size);
    int decoded = out->text ? EVP_DecodeBlock(out->text, (const uint8_t *)text, (int)len) : -1;
    if (decoded < 0) {
        out->fault = "an Authorization header that cannot be decoded";
        return;
    }
    split(out, (size_t)decoded - (text[len - 1] == '=') - (text[len - 2] == '='));
}

void nj_http_basic_read(const char *value, struct nj_http_credentials *out)
{
    if (strncasecmp(value, "Basic ", 6) != 0) {
        out->fault = "an Authorization header that is not HTTP Basic";
        return;
    }
    value += 6;
    value += strspn(value, " ");
    decode(value, out);
}

void nj_http_credentials_fini(struct nj_http_credentials *credentials)
{
    if (credentials->text) {
        nj_free_secret(credentials->text, credentials->size);
    }
    *credentials = (struct nj_http_credentials){0};
}
