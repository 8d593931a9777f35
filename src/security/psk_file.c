/* See psk_file.h. The identities point into the text of the file, the keys into a block of their
 * own; both are wiped at the end. */
#include "security/psk_file.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "mqtt/utf8.h"
#include "security/file_error_priv.h"
#include "security/lines_priv.h"

#define FILE_MAX ((size_t)256 << 20)

struct entry {
    struct nj_bytes identity;
    size_t key_at; /* in `keys` */
    uint32_t key_len;
    uint32_t next; /* in the same bucket; 1-based, 0 = end */
};

struct nj_psks {
    _Atomic uint32_t refs;
    struct nj_buf text;
    uint8_t *keys;
    size_t keys_cap;
    size_t keys_len;
    struct entry *entries; /* from 1 on */
    uint32_t *buckets;
    uint32_t mask;
    uint32_t count;
    uint32_t cap;
    uint32_t short_count;
};

static int digit_of(uint8_t byte)
{
    return byte >= '0' && byte <= '9'   ? byte - '0'
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
           : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                        : -1;
}

bool nj_psk_decode_key(struct nj_bytes hex, uint8_t *out, size_t cap, size_t *len)
{
    size_t size = (hex.len + 1) / 2;
    if (size == 0 || size > cap) {
        return false;
    }
    memset(out, 0, size);
    for (size_t i = 0; i < hex.len; i++) {
        int digit = digit_of(hex.ptr[hex.len - 1 - i]);
        if (digit < 0) {
            return false;
        }
        out[size - 1 - i / 2] |= (uint8_t)(digit << (i % 2 ? 4 : 0));
    }
    *len = size;
    return true;
}

static uint32_t find(const struct nj_psks *psks, struct nj_bytes identity)
{
    if (!psks->buckets) {
        return 0;
    }
    uint32_t at = psks->buckets[(uint32_t)nj_hash_bytes(identity) & psks->mask];
    while (at && !nj_bytes_equal(psks->entries[at].identity, identity)) {
        at = psks->entries[at].next;
    }
    return at;
}

static void grow(struct nj_psks *psks)
{
    uint32_t cap = psks->cap ? psks->cap * 2 : 64;
    psks->entries = nj_realloc(psks->entries, cap * sizeof(*psks->entries));
    nj_free(psks->buckets);
    psks->buckets = nj_zalloc(cap * sizeof(uint32_t));
    psks->cap = cap;
    psks->mask = cap - 1;
    for (uint32_t i = 1; i <= psks->count; i++) {
        uint32_t bucket = (uint32_t)nj_hash_bytes(psks->entries[i].identity) & psks->mask;
        psks->entries[i].next = psks->buckets[bucket];
        psks->buckets[bucket] = i;
    }
}

static void add(struct nj_psks *psks, struct nj_bytes identity, size_t key_len)
{
    if (psks->count + 1 >= psks->cap) {
        grow(psks);
    }
    uint32_t at = ++psks->count;
    uint32_t bucket = (uint32_t)nj_hash_bytes(identity) & psks->mask;
    psks->entries[at] = (struct entry){.identity = identity,
                                       .key_at = psks->keys_len,
                                       .key_len = (uint32_t)key_len,
                                       .next = psks->buckets[bucket]};
    psks->buckets[bucket] = at;
    psks->keys_len += key_len;
    psks->short_count += key_len < NJ_PSK_KEY_SHORT;
}

/* Adds the line, or says why it cannot be one. */
static const char *take_line(struct nj_psks *psks, struct nj_bytes line)
{
    struct nj_bytes identity;
    struct nj_bytes hex;
    size_t len = 0;
    if (memchr(line.ptr, 0, line.len) || !nj_lines_split(line, &identity, &hex)) {
        return "no colon between identity and key";
    }
    if (identity.len == 0 || identity.len > NJ_PSK_IDENTITY_MAX ||
        !nj_mqtt_utf8_is_valid(identity) || nj_mqtt_utf8_has_control(identity)) {
        return "empty, too long or invalid identity";
    }
    if (find(psks, identity)) {
        return "duplicate identity";
    }
    size_t cap = psks->keys_cap - psks->keys_len;
    cap = cap < NJ_PSK_KEY_MAX ? cap : NJ_PSK_KEY_MAX;
    if (!nj_psk_decode_key(hex, psks->keys + psks->keys_len, cap, &len)) {
        return "the key is empty, too long or not hexadecimal";
    }
    add(psks, identity, len);
    return NULL;
}

static enum nj_err parse_lines(struct nj_psks *psks, const char *path, char *error,
                               size_t error_size)
{
    struct nj_bytes rest = nj_lines_without_bom(nj_buf_bytes(&psks->text));
    struct nj_bytes line;
    for (unsigned number = 1; nj_lines_take(&rest, &line); number++) {
        if (nj_lines_trim(line).len == 0 || line.ptr[0] == '#') {
            continue;
        }
        const char *why = take_line(psks, line);
        if (why) {
            (void)snprintf(error, error_size, "psk_file %s, line %u: %s", path, number, why);
            return NJ_EMALFORMED;
        }
    }
    return NJ_OK;
}

/* Takes the text over. */
static enum nj_err parse_owned(struct nj_buf *text, const char *path, struct nj_psks **out,
                               char *error, size_t error_size)
{
    struct nj_psks *psks = nj_zalloc(sizeof(*psks));
    atomic_init(&psks->refs, 1);
    psks->text = *text;
    nj_buf_init(text);
    /* Two digits make one byte: half of the text, and one more, holds every key in it. */
    psks->keys_cap = psks->text.len / 2 + 1;
    psks->keys = nj_alloc(psks->keys_cap);
    enum nj_err err = parse_lines(psks, path, error, error_size);
    if (err != NJ_OK) {
        nj_psks_free(psks);
        return err;
    }
    *out = psks;
    return NJ_OK;
}

enum nj_err nj_psks_parse(struct nj_bytes text, const char *path, struct nj_psks **out, char *error,
                          size_t error_size)
{
    struct nj_buf copy;
    nj_buf_init(&copy);
    enum nj_err err = nj_buf_append(&copy, text.ptr, text.len);
    if (err != NJ_OK) {
        (void)snprintf(error, error_size, "psk_file %s: %s", path, nj_err_text(err));
        return err;
    }
    return parse_owned(&copy, path, out, error, error_size);
}

enum nj_err nj_psks_load(const char *path, bool nofollow, struct nj_psks **out, char *error,
                         size_t error_size)
{
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_file_read(path, FILE_MAX, nofollow, &text);
    if (err == NJ_OK) {
        return parse_owned(&text, path, out, error, error_size);
    }
    nj_security_open_error("psk_file", path, err, error, error_size);
    if (text.data) {
        nj_wipe(text.data, text.cap);
    }
    nj_buf_fini(&text);
    return err;
}

struct nj_psks *nj_psks_ref(struct nj_psks *psks)
{
    atomic_fetch_add_explicit(&psks->refs, 1, memory_order_relaxed);
    return psks;
}

void nj_psks_free(struct nj_psks *psks)
{
    if (!psks || atomic_fetch_sub_explicit(&psks->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (psks->text.data) {
        nj_wipe(psks->text.data, psks->text.len);
    }
    nj_buf_fini(&psks->text);
    nj_free_secret(psks->keys, psks->keys_cap);
    nj_free(psks->entries);
    nj_free(psks->buckets);
    nj_free(psks);
}

struct nj_bytes nj_psks_find(const struct nj_psks *psks, struct nj_bytes identity)
{
    uint32_t at = find(psks, identity);
    return at ? nj_bytes(psks->keys + psks->entries[at].key_at, psks->entries[at].key_len)
              : nj_bytes(NULL, 0);
}

size_t nj_psks_count(const struct nj_psks *psks)
{
    return psks->count;
}

size_t nj_psks_short_count(const struct nj_psks *psks)
{
    return psks->short_count;
}
