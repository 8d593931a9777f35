/* Fuzzes the reading of files with pre-shared keys.
 *
 * Oracle: an error names the file; what is accepted has as many identities as the simplest possible
 * reading finds, and each has a key of the length that its digits say. */
#include "security/psk_file.h"

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

static struct nj_bytes trim(struct nj_bytes text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = nj_bytes(text.ptr + 1, text.len - 1);
    }
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static void check(const struct nj_psks *psks, struct nj_bytes text)
{
    size_t found = 0;
    for (size_t at = 0; at < text.len;) {
        const uint8_t *line = text.ptr + at;
        const uint8_t *end = memchr(line, '\n', text.len - at);
        size_t len = end ? (size_t)(end - line) : text.len - at;
        at += len + 1;
        len -= len && line[len - 1] == '\r';
        const uint8_t *colon = len ? memchr(line, ':', len) : NULL;
        if (!colon || line[0] == '#') {
            continue;
        }
        size_t name_len = (size_t)(colon - line);
        struct nj_bytes name = trim(nj_bytes(line, name_len));
        struct nj_bytes hex = trim(nj_bytes(colon + 1, len - name_len - 1));
        struct nj_bytes key = nj_psks_find(psks, name);
        need(name.len > 0 && key.len == (hex.len + 1) / 2 && key.len > 0);
        found++;
    }
    need(found == nj_psks_count(psks));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nj_bytes text = nj_bytes(data, size);
    struct nj_psks *psks = NULL;
    char error[200] = "";
    enum nj_err err = nj_psks_parse(text, "f", &psks, error, sizeof(error));
    need((err == NJ_OK) == (psks != NULL));
    need(err == NJ_OK || strncmp(error, "psk_file f, line ", 17) == 0);
    if (psks && !nj_bytes_starts_with(text, NJ_BYTES_LIT("\xef\xbb\xbf"))) {
        check(psks, text);
    }
    nj_psks_free(psks);
    return 0;
}
