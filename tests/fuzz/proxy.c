/* Fuzzes the PROXY protocol: the first byte says which version, the rest is what a peer sends.
 *
 * Oracle: nothing is read beyond the bytes that came (the input is copied into a block of exactly
 * its size); however the bytes are cut, the answer is the same, and it never changes once it is no
 * longer "more has to come"; an accepted name is one that a login may use. */
#include "net/proxy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool is_inside(struct nj_bytes view, const uint8_t *data, size_t len)
{
    return view.len == 0 || (view.ptr >= data && view.ptr + view.len <= data + len);
}

static void check_header(const struct nj_proxy_header *header, const uint8_t *data, size_t used)
{
    need(is_inside(header->common_name, data, used));
    need(is_inside(header->tls_version, data, used));
    need(is_inside(header->tls_cipher, data, used));
    need(is_inside(header->authority, data, used));
    need(header->common_name.len == 0 || (header->has_certificate && header->has_tls));
    need(header->common_name.len <= 256);
    for (size_t i = 0; i < header->common_name.len; i++) {
        need(header->common_name.ptr[i] >= 0x20 && header->common_name.ptr[i] != 0x7f);
    }
    need(!header->is_local || (!header->has_tls && header->source.family == 0));
    need(header->is_local || header->source.family != 0);
}

static enum nj_err parse(int version, const uint8_t *data, size_t len, size_t *used)
{
    struct nj_proxy_header header;
    const char *why = NULL;
    uint8_t *copy = malloc(len ? len : 1);
    need(copy != NULL);
    memcpy(copy, data, len);
    enum nj_err err = nj_proxy_parse(version, copy, len, &header, used, &why);
    need(err == NJ_OK || err == NJ_EAGAIN || (err == NJ_EMALFORMED && why != NULL));
    if (err == NJ_OK) {
        need(*used > 0 && *used <= len);
        need(*used <= (version == 1 ? NJ_PROXY_V1_MAX : NJ_PROXY_V2_MAX));
        check_header(&header, copy, *used);
    }
    free(copy);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > NJ_PROXY_V2_MAX + 64) {
        return 0;
    }
    int version = 1 + (data[0] & 1);
    size_t used = 0;
    enum nj_err whole = parse(version, data + 1, size - 1, &used);
    /* Every cut of short inputs, some of long ones. */
    size_t step = size > 512 ? size / 64 : 1;
    for (size_t len = 0; len < size - 1; len += step) {
        size_t used_now = 0;
        enum nj_err err = parse(version, data + 1, len, &used_now);
        if (err == NJ_EAGAIN) {
            continue;
        }
        need(err == whole);
        need(err != NJ_OK || used_now == used);
    }
    return 0;
}
