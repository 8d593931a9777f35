/* See lines_priv.h. */
#include "security/lines_priv.h"

struct nj_bytes nj_lines_without_bom(struct nj_bytes text)
{
    return nj_bytes_starts_with(text, NJ_BYTES_LIT("\xef\xbb\xbf"))
               ? nj_bytes(text.ptr + 3, text.len - 3)
               : text;
}

bool nj_lines_take(struct nj_bytes *rest, struct nj_bytes *line)
{
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    *line = nj_bytes(rest->ptr, len);
    size_t used = len + (end ? 1 : 0);
    *rest = nj_bytes(rest->ptr + used, rest->len - used);
    if (line->len && line->ptr[line->len - 1] == '\r') {
        line->len--;
    }
    return true;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

struct nj_bytes nj_lines_trim(struct nj_bytes text)
{
    while (text.len && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

bool nj_lines_split(struct nj_bytes line, struct nj_bytes *name, struct nj_bytes *value)
{
    const uint8_t *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
    if (!colon) {
        return false;
    }
    size_t len = (size_t)(colon - line.ptr);
    *name = nj_lines_trim(nj_bytes(line.ptr, len));
    *value = nj_lines_trim(nj_bytes(colon + 1, line.len - len - 1));
    return true;
}
