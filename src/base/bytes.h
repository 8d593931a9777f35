/* A view of bytes that somebody else owns. Value type; ptr may be NULL when len is 0. */
#ifndef NJ_BASE_BYTES_H
#define NJ_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct nj_bytes {
    const uint8_t *ptr;
    size_t len;
};

#define NJ_BYTES_LIT(text) ((struct nj_bytes){(const uint8_t *)(text), sizeof(text) - 1})

static inline struct nj_bytes nj_bytes(const void *ptr, size_t len)
{
    return (struct nj_bytes){ptr, len};
}

static inline struct nj_bytes nj_bytes_of(const char *text)
{
    return (struct nj_bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

/* Not for secrets: it stops at the first difference. */
static inline bool nj_bytes_equal(struct nj_bytes a, struct nj_bytes b)
{
    return a.len == b.len && (a.len == 0 || a.ptr == b.ptr || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool nj_bytes_starts_with(struct nj_bytes a, struct nj_bytes prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

#endif
