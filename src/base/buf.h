/* A growing byte buffer that its owner fills and drains. init/fini, not thread safe. */
#ifndef NJ_BASE_BUF_H
#define NJ_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

static inline void nj_buf_init(struct nj_buf *buf)
{
    *buf = (struct nj_buf){NULL, 0, 0};
}
void nj_buf_fini(struct nj_buf *buf);
/* Room for `more` bytes behind len. NJ_ENOMEM leaves the buffer as it was. */
enum nj_err nj_buf_reserve(struct nj_buf *buf, size_t more) NJ_NODISCARD;
enum nj_err nj_buf_append(struct nj_buf *buf, const void *data, size_t len) NJ_NODISCARD;
enum nj_err nj_buf_printf(struct nj_buf *buf, const char *fmt, ...) NJ_NODISCARD NJ_PRINTF(2, 3);
/* Drops the first `len` bytes. */
void nj_buf_consume(struct nj_buf *buf, size_t len);

static inline struct nj_bytes nj_buf_bytes(const struct nj_buf *buf)
{
    return nj_bytes(buf->data, buf->len);
}

#endif
