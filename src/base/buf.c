/* See buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define FIRST_CAP 64

void nj_buf_fini(struct nj_buf *buf)
{
    nj_free(buf->data);
    nj_buf_init(buf);
}

enum nj_err nj_buf_reserve(struct nj_buf *buf, size_t more)
{
    if (buf->cap - buf->len >= more) {
        return NJ_OK;
    }
    if (more > SIZE_MAX / 2 - buf->len) {
        return NJ_ENOMEM;
    }
    size_t cap = buf->cap ? buf->cap : FIRST_CAP;
    while (cap < buf->len + more) {
        cap *= 2;
    }
    uint8_t *data = nj_try_realloc(buf->data, cap);
    if (!data) {
        return NJ_ENOMEM;
    }
    buf->data = data;
    buf->cap = cap;
    return NJ_OK;
}

enum nj_err nj_buf_append(struct nj_buf *buf, const void *data, size_t len)
{
    enum nj_err err = nj_buf_reserve(buf, len);
    if (err == NJ_OK && len) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
    return err;
}

enum nj_err nj_buf_printf(struct nj_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (need < 0) {
        return NJ_EINVAL;
    }
    enum nj_err err = nj_buf_reserve(buf, (size_t)need + 1);
    if (err != NJ_OK) {
        return err;
    }
    va_start(args, fmt);
    (void)vsnprintf((char *)buf->data + buf->len, (size_t)need + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)need;
    return NJ_OK;
}

void nj_buf_consume(struct nj_buf *buf, size_t len)
{
    NJ_ASSERT(len <= buf->len);
    buf->len -= len;
    if (buf->len && len) {
        memmove(buf->data, buf->data + len, buf->len);
    }
}
