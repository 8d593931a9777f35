/* See password.h. */
#include "security/password.h"

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rand.h"

#define DIGEST_BYTES       64
#define SALT_BYTES_NEW     64
#define SALT_BYTES_OLD     12
#define ITERATIONS_MAX     10000000u
#define ITERATIONS_DEFAULT 210000u
/* OWASP's recommendation for argon2id: 19 MiB, two passes, one lane. */
#define ARGON2_MEMORY_KIB     19456u
#define ARGON2_PASSES         2u
#define ARGON2_SALT_BYTES     16u
#define ARGON2_TAG_BYTES      32u
#define ARGON2_MEMORY_MAX_KIB (1u << 20)
#define ARGON2_PASSES_MAX     1000u
#define ARGON2_WORK_MAX_KIB   ((uint64_t)4 << 20) /* memory times passes */
#define ARGON2_LANES_MAX      16u
#define ARGON2_SALT_MIN       8u
#define BASE64_MAX            ((size_t)96) /* bytes that a field may decode to */

/* A $6$ or $7$ hash taken apart. */
struct parts {
    uint32_t iterations;
    size_t salt_len;
    uint8_t salt[SALT_BYTES_NEW];
    uint8_t digest[DIGEST_BYTES];
};

static bool is_argon2(struct nj_bytes hash)
{
    return nj_bytes_starts_with(hash, NJ_BYTES_LIT("$argon2id$"));
}

/* Strict padded base64 of at most `max` bytes: there is one text for one value, so what comes out
 * has to give the same text again. */
static bool decode_base64(struct nj_bytes text, uint8_t *out, size_t max, size_t *len)
{
    uint8_t bytes[BASE64_MAX] = {0};
    unsigned char again[BASE64_MAX / 3 * 4 + 1];
    size_t groups = text.len / 4;
    if (text.len == 0 || text.len % 4 || groups * 3 > sizeof(bytes) ||
        EVP_DecodeBlock(bytes, text.ptr, (int)text.len) < 0) {
        return false;
    }
    size_t pad = (text.ptr[text.len - 1] == '=') + (size_t)(text.ptr[text.len - 2] == '=');
    *len = groups * 3 - pad;
    if (*len > max || EVP_EncodeBlock(again, bytes, (int)*len) != (int)text.len ||
        memcmp(again, text.ptr, text.len) != 0) {
        return false;
    }
    memcpy(out, bytes, *len);
    return true;
}

/* The same without padding, as PHC strings have it. */
static bool decode_unpadded(struct nj_bytes text, uint8_t *out, size_t max, size_t *len)
{
    uint8_t padded[BASE64_MAX / 3 * 4 + 4];
    size_t pad = (4 - text.len % 4) % 4;
    if (text.len == 0 || text.len + pad > BASE64_MAX / 3 * 4 || memchr(text.ptr, '=', text.len)) {
        return false;
    }
    memcpy(padded, text.ptr, text.len);
    memset(padded + text.len, '=', pad);
    return decode_base64(nj_bytes(padded, text.len + pad), out, max, len);
}

static bool take_field(struct nj_bytes *rest, struct nj_bytes *field)
{
    const uint8_t *dollar = rest->len ? memchr(rest->ptr, '$', rest->len) : NULL;
    if (!dollar) {
        return false;
    }
    *field = nj_bytes(rest->ptr, (size_t)(dollar - rest->ptr));
    *rest = nj_bytes(dollar + 1, rest->len - field->len - 1);
    return true;
}

static bool parse_number(struct nj_bytes text, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 10) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = (uint32_t)value;
    return value >= 1 && value <= max;
}

static bool parse(struct nj_bytes hash, struct parts *parts)
{
    bool is_pbkdf2 = nj_bytes_starts_with(hash, NJ_BYTES_LIT("$7$"));
    if (!is_pbkdf2 && !nj_bytes_starts_with(hash, NJ_BYTES_LIT("$6$"))) {
        return false;
    }
    struct nj_bytes rest = nj_bytes(hash.ptr + 3, hash.len - 3);
    struct nj_bytes field;
    size_t digest_len;
    parts->iterations = 0;
    if (is_pbkdf2 &&
        (!take_field(&rest, &field) || !parse_number(field, ITERATIONS_MAX, &parts->iterations))) {
        return false;
    }
    if (!take_field(&rest, &field) ||
        !decode_base64(field, parts->salt, sizeof(parts->salt), &parts->salt_len) ||
        !decode_base64(rest, parts->digest, sizeof(parts->digest), &digest_len)) {
        return false;
    }
    return digest_len == DIGEST_BYTES &&
           (parts->salt_len == SALT_BYTES_OLD || parts->salt_len == SALT_BYTES_NEW);
}

/* Takes "<name><number><end>" off *rest. */
static bool take_parameter(struct nj_bytes *rest, const char *name, char end, uint32_t max,
                           uint32_t *out)
{
    size_t name_len = strlen(name);
    if (!nj_bytes_starts_with(*rest, nj_bytes(name, name_len))) {
        return false;
    }
    struct nj_bytes text = nj_bytes(rest->ptr + name_len, rest->len - name_len);
    const uint8_t *stop = text.len ? memchr(text.ptr, end, text.len) : NULL;
    if (!stop || !parse_number(nj_bytes(text.ptr, (size_t)(stop - text.ptr)), max, out)) {
        return false;
    }
    *rest = nj_bytes(stop + 1, text.len - (size_t)(stop - text.ptr) - 1);
    return true;
}

/* Checks everything that libargon2 would stumble over, and what can be afforded. */
static bool argon2_parse(struct nj_bytes hash, uint32_t *memory_kib)
{
    uint8_t bytes[BASE64_MAX];
    uint32_t version;
    uint32_t passes;
    uint32_t lanes;
    size_t salt_len;
    size_t tag_len;
    struct nj_bytes rest = nj_bytes(hash.ptr + 10, hash.len - 10);
    struct nj_bytes salt;
    if (hash.len >= NJ_HASH_TEXT_MAX || !take_parameter(&rest, "v=", '$', 19, &version) ||
        !take_parameter(&rest, "m=", ',', ARGON2_MEMORY_MAX_KIB, memory_kib) ||
        !take_parameter(&rest, "t=", ',', ARGON2_PASSES_MAX, &passes) ||
        !take_parameter(&rest, "p=", '$', ARGON2_LANES_MAX, &lanes) || !take_field(&rest, &salt) ||
        !decode_unpadded(salt, bytes, sizeof(bytes), &salt_len) ||
        !decode_unpadded(rest, bytes, sizeof(bytes), &tag_len)) {
        return false;
    }
    /* The lengths of tags are fixed so that a text that lost its end is not taken for a whole
     * one. */
    bool is_whole =
        tag_len == DIGEST_BYTES || (tag_len == ARGON2_TAG_BYTES && salt_len < SALT_BYTES_NEW);
    return version == 19 && *memory_kib >= 8 * lanes && salt_len >= ARGON2_SALT_MIN && is_whole &&
           (uint64_t)*memory_kib * passes <= ARGON2_WORK_MAX_KIB;
}

bool nj_password_hash_is_valid(struct nj_bytes hash)
{
    struct parts parts;
    uint32_t memory_kib;
    return is_argon2(hash) ? argon2_parse(hash, &memory_kib) : parse(hash, &parts);
}

uint32_t nj_password_memory_kib(struct nj_bytes hash)
{
    uint32_t memory_kib;
    return is_argon2(hash) && argon2_parse(hash, &memory_kib) ? memory_kib : 0;
}

static bool sha512_once(struct nj_bytes password, const struct parts *parts,
                        uint8_t out[DIGEST_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned len = 0;
    bool ok = context && EVP_DigestInit_ex(context, EVP_sha512(), NULL) == 1 &&
              EVP_DigestUpdate(context, password.ptr, password.len) == 1 &&
              EVP_DigestUpdate(context, parts->salt, parts->salt_len) == 1 &&
              EVP_DigestFinal_ex(context, out, &len) == 1;
    EVP_MD_CTX_free(context);
    return ok && len == DIGEST_BYTES;
}

static bool derive(struct nj_bytes password, const struct parts *parts, uint8_t out[DIGEST_BYTES])
{
    if (parts->iterations == 0) {
        return sha512_once(password, parts, out);
    }
    const char *bytes = password.len ? (const char *)password.ptr : "";
    return PKCS5_PBKDF2_HMAC(bytes, (int)password.len, parts->salt, (int)parts->salt_len,
                             (int)parts->iterations, EVP_sha512(), DIGEST_BYTES, out) == 1;
}

static bool argon2_matches(struct nj_bytes hash, struct nj_bytes password)
{
    char text[NJ_HASH_TEXT_MAX];
    uint32_t memory_kib;
    if (!argon2_parse(hash, &memory_kib)) {
        return false;
    }
    memcpy(text, hash.ptr, hash.len);
    text[hash.len] = '\0';
    return argon2id_verify(text, password.len ? password.ptr : (const uint8_t *)"", password.len) ==
           ARGON2_OK;
}

bool nj_password_verify(struct nj_bytes hash, struct nj_bytes password)
{
    struct parts parts;
    uint8_t digest[DIGEST_BYTES];
    if (is_argon2(hash)) {
        return argon2_matches(hash, password);
    }
    bool ok = parse(hash, &parts) && derive(password, &parts, digest) &&
              CRYPTO_memcmp(digest, parts.digest, DIGEST_BYTES) == 0;
    nj_wipe(digest, sizeof(digest));
    nj_wipe(&parts, sizeof(parts));
    return ok;
}

static enum nj_err hash_argon2(struct nj_bytes password, uint32_t passes,
                               char out[NJ_HASH_TEXT_MAX])
{
    uint8_t salt[ARGON2_SALT_BYTES];
    if ((uint64_t)passes * ARGON2_MEMORY_KIB > ARGON2_WORK_MAX_KIB) {
        return NJ_EINVAL;
    }
    nj_rand_bytes(salt, sizeof(salt));
    int result =
        argon2id_hash_encoded(passes ? passes : ARGON2_PASSES, ARGON2_MEMORY_KIB, 1,
                              password.len ? password.ptr : (const uint8_t *)"", password.len, salt,
                              sizeof(salt), ARGON2_TAG_BYTES, out, NJ_HASH_TEXT_MAX);
    return result == ARGON2_OK                        ? NJ_OK
           : result == ARGON2_MEMORY_ALLOCATION_ERROR ? NJ_ENOMEM
                                                      : NJ_ESYS;
}

enum nj_err nj_password_hash(struct nj_bytes password, const struct nj_hash_cost *cost,
                             char out[NJ_HASH_TEXT_MAX])
{
    struct parts parts = {.salt_len = SALT_BYTES_NEW};
    char salt[96];
    char digest[96];
    if (cost->kind == NJ_HASH_ARGON2ID) {
        return hash_argon2(password, cost->iterations, out);
    }
    if (cost->kind == NJ_HASH_PBKDF2) {
        parts.iterations = cost->iterations ? cost->iterations : ITERATIONS_DEFAULT;
    }
    if (parts.iterations > ITERATIONS_MAX) {
        return NJ_EINVAL;
    }
    nj_rand_bytes(parts.salt, sizeof(parts.salt));
    if (!derive(password, &parts, parts.digest)) {
        return NJ_ESYS;
    }
    (void)EVP_EncodeBlock((unsigned char *)salt, parts.salt, SALT_BYTES_NEW);
    (void)EVP_EncodeBlock((unsigned char *)digest, parts.digest, DIGEST_BYTES);
    if (cost->kind == NJ_HASH_PBKDF2) {
        (void)snprintf(out, NJ_HASH_TEXT_MAX, "$7$%u$%s$%s", parts.iterations, salt, digest);
    } else {
        (void)snprintf(out, NJ_HASH_TEXT_MAX, "$6$%s$%s", salt, digest);
    }
    nj_wipe(&parts, sizeof(parts));
    return NJ_OK;
}
