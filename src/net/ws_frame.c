/* The frame codec of WebSocket (RFC 6455 5): no sockets, no memory. */
#include <string.h>

#include "net/text_priv.h"
#include "net/ws_priv.h"

static enum nj_err bad(struct nj_ws_fault *fault, uint16_t code, const char *text)
{
    *fault = (struct nj_ws_fault){code, text};
    return NJ_EPROTOCOL;
}

/* The first two bytes: everything that can be wrong before the length is known. */
static enum nj_err check_start(struct nj_ws_in *in, struct nj_ws_fault *fault)
{
    bool is_final = in->head[0] & 0x80;
    uint8_t opcode = in->head[0] & 0x0f;
    if (in->head[0] & 0x70) {
        return bad(fault, NJ_WS_PROTOCOL_ERROR, "WebSocket: reserved bit set");
    }
    in->is_masked = in->head[1] & 0x80;
    if (in->is_masked != in->expects_mask) {
        return bad(fault, NJ_WS_PROTOCOL_ERROR,
                   in->expects_mask ? "WebSocket: frame without mask"
                                    : "WebSocket: masked frame from a server");
    }
    switch (opcode) {
    case NJ_WS_CONTINUATION:
        if (!in->in_message) {
            return bad(fault, NJ_WS_PROTOCOL_ERROR, "WebSocket: continuation without a start");
        }
        in->in_message = !is_final;
        break;
    case NJ_WS_BINARY:
        if (in->in_message) {
            return bad(fault, NJ_WS_PROTOCOL_ERROR, "WebSocket: new message inside a message");
        }
        in->in_message = !is_final;
        break;
    case NJ_WS_TEXT:
        return bad(fault, NJ_WS_NOT_BINARY, "WebSocket: text frame");
    case NJ_WS_CLOSE:
    case NJ_WS_PING:
    case NJ_WS_PONG:
        if (!is_final || (in->head[1] & 0x7f) > NJ_WS_CONTROL_BYTES_MAX) {
            return bad(fault, NJ_WS_PROTOCOL_ERROR,
                       "WebSocket: fragmented or too long control frame");
        }
        break;
    default:
        return bad(fault, NJ_WS_PROTOCOL_ERROR, "WebSocket: unknown opcode");
    }
    in->opcode = opcode;
    return NJ_OK;
}

static unsigned length_bytes(uint8_t second)
{
    unsigned low = second & 0x7f;
    return low == 126 ? 2 : low == 127 ? 8 : 0;
}

/* The length is complete: is it one that we take, in its shortest form? */
static enum nj_err check_length(struct nj_ws_in *in, unsigned bytes, struct nj_ws_fault *fault)
{
    uint64_t len = in->head[1] & 0x7f;
    if (bytes > 0) {
        len = 0;
        for (unsigned i = 0; i < bytes; i++) {
            len = len << 8 | in->head[2 + i];
        }
    }
    if (len > NJ_WS_FRAME_BYTES_MAX) {
        return bad(fault, NJ_WS_TOO_BIG, "WebSocket: frame too large");
    }
    if ((bytes == 2 && len < 126) || (bytes == 8 && len < 65536)) {
        return bad(fault, NJ_WS_PROTOCOL_ERROR, "WebSocket: length not in its shortest form");
    }
    in->left = len;
    return NJ_OK;
}

enum nj_err nj_ws_in_head(struct nj_ws_in *in, uint8_t byte, struct nj_ws_fault *fault)
{
    in->head[in->head_len++] = byte;
    if (in->head_len < 2) {
        return NJ_EAGAIN;
    }
    enum nj_err err = NJ_OK;
    if (in->head_len == 2) {
        err = check_start(in, fault);
    }
    unsigned bytes = length_bytes(in->head[1]);
    if (err == NJ_OK && in->head_len == 2 + bytes) {
        err = check_length(in, bytes, fault);
    }
    if (err != NJ_OK) {
        return err;
    }
    if (in->head_len < 2 + bytes + (in->is_masked ? 4 : 0)) {
        return NJ_EAGAIN;
    }
    if (in->is_masked) {
        memcpy(in->mask, in->head + 2 + bytes, 4);
    }
    in->mask_at = 0;
    in->head_len = 0;
    in->in_payload = true;
    return NJ_OK;
}

void nj_ws_in_payload(struct nj_ws_in *in, uint8_t *dst, const uint8_t *src, size_t len)
{
    if (dst != src) {
        memmove(dst, src, len);
    }
    if (in->is_masked) {
        in->mask_at = nj_ws_mask(dst, len, in->mask, in->mask_at);
    }
    in->left -= len;
}

uint8_t nj_ws_mask(uint8_t *data, size_t len, const uint8_t mask[4], uint8_t at)
{
    uint8_t turned[8];
    for (unsigned i = 0; i < 8; i++) {
        turned[i] = mask[(at + i) & 3];
    }
    uint64_t wide;
    memcpy(&wide, turned, sizeof(wide));
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, sizeof(word));
        word ^= wide;
        memcpy(data + i, &word, sizeof(word));
    }
    for (; i < len; i++) {
        data[i] ^= turned[i & 7];
    }
    return (uint8_t)((at + len) & 3);
}

size_t nj_ws_head_write(uint8_t out[NJ_WS_HEAD_BYTES_MAX], enum nj_ws_opcode opcode, uint64_t len,
                        const uint8_t *mask)
{
    size_t at = 2;
    out[0] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        out[1] = (uint8_t)len;
    } else {
        unsigned bytes = len <= 0xffff ? 2 : 8;
        out[1] = bytes == 2 ? 126 : 127;
        for (unsigned i = 0; i < bytes; i++) {
            out[at++] = (uint8_t)(len >> (8 * (bytes - 1 - i)));
        }
    }
    if (mask != NULL) {
        out[1] |= 0x80;
        memcpy(out + at, mask, 4);
        at += 4;
    }
    return at;
}

/* RFC 6455 7.4: which codes may travel. */
static bool is_wire_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

uint16_t nj_ws_close_fault(const uint8_t *payload, size_t len)
{
    if (len == 0) {
        return 0;
    }
    if (len == 1 || !is_wire_code((unsigned)payload[0] << 8 | payload[1])) {
        return NJ_WS_PROTOCOL_ERROR;
    }
    for (size_t at = 2; at < len;) {
        uint32_t code = 0;
        size_t step = nj_utf8_char(payload + at, len - at, &code);
        if (step == 0) {
            return NJ_WS_BAD_TEXT;
        }
        at += step;
    }
    return 0;
}
