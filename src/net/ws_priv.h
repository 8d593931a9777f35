/* WebSocket (RFC 6455), the parts without a socket: the HTTP upgrade and the frame codec. */
#ifndef NJ_NET_WS_PRIV_H
#define NJ_NET_WS_PRIV_H

#include "base/buf.h"
#include "net/stream.h"

#define NJ_WS_HEADER_MAX_DEFAULT 8192
#define NJ_WS_KEY_CHARS          24
#define NJ_WS_ACCEPT_CHARS       28
/* Longest frame that is accepted: the longest MQTT packet and room for its neighbours. */
#define NJ_WS_FRAME_BYTES_MAX   ((uint64_t)512 * 1024 * 1024)
#define NJ_WS_HEAD_BYTES_MAX    14
#define NJ_WS_CONTROL_BYTES_MAX 125

enum nj_ws_opcode {
    NJ_WS_CONTINUATION = 0,
    NJ_WS_TEXT = 1,
    NJ_WS_BINARY = 2,
    NJ_WS_CLOSE = 8,
    NJ_WS_PING = 9,
    NJ_WS_PONG = 10
};

/* RFC 6455 7.4.1 */
enum nj_ws_code {
    NJ_WS_NORMAL = 1000,
    NJ_WS_PROTOCOL_ERROR = 1002,
    NJ_WS_NOT_BINARY = 1003,
    NJ_WS_BAD_TEXT = 1007,
    NJ_WS_POLICY = 1008,
    NJ_WS_TOO_BIG = 1009
};

/* ---- ws_http.c ---- */

/* Looks for the end of an HTTP head in the first `len` bytes, of which `seen` were looked at
 * before. NJ_OK: *head_len is its length with the empty line. NJ_EAGAIN: not there yet.
 * NJ_EMALFORMED: this can never become a head (bare LF, NUL, no letter first). */
enum nj_err nj_ws_head_find(const uint8_t *data, size_t len, size_t seen, size_t *head_len)
    NJ_NODISCARD;

struct nj_ws_upgrade {
    int status;           /* 101, or the refusal */
    const char *why;      /* for the log */
    const char *protocol; /* "mqtt" or "mqttv3.1" */
    char accept[NJ_WS_ACCEPT_CHARS + 1];
};
/* Judges a client's request, a whole head. */
void nj_ws_request_judge(struct nj_bytes head, const struct nj_ws_server_config *config,
                         struct nj_ws_upgrade *out);
/* The answer, byte for byte as the original sends it when status is 101. */
enum nj_err nj_ws_response_build(const struct nj_ws_upgrade *upgrade, struct nj_buf *out)
    NJ_NODISCARD;

/* The value that answers a key. False: OpenSSL failed. */
bool nj_ws_accept_of(const char key[NJ_WS_KEY_CHARS], char out[NJ_WS_ACCEPT_CHARS + 1]);

/* The client's side. `key` gets a fresh random key. NJ_EINVAL: a space or control character in the
 * configuration. */
enum nj_err nj_ws_request_build(const struct nj_ws_client_config *config,
                                char key[NJ_WS_KEY_CHARS + 1], struct nj_buf *out) NJ_NODISCARD;
/* NULL when a server's response accepts `key` and `protocol`, else why not. */
const char *nj_ws_response_fault(struct nj_bytes head, const char *key, const char *protocol);

/* ---- ws_frame.c ---- */

/* The reading side of one connection. Feed it bytes; it says what they are. */
struct nj_ws_in {
    uint64_t left; /* payload bytes of the current frame still to come */
    uint8_t head[NJ_WS_HEAD_BYTES_MAX];
    uint8_t head_len;
    uint8_t mask[4];
    uint8_t mask_at;
    uint8_t opcode;
    bool expects_mask; /* true on a server */
    bool is_masked;    /* the current frame */
    bool in_payload;   /* the head of the current frame is complete */
    bool in_message;   /* a message has begun and not ended */
};

struct nj_ws_fault {
    uint16_t code;
    const char *text;
};

/* Takes one byte of a frame's head. NJ_EAGAIN: more to come. NJ_OK: the head is complete and good,
 * `left` and `opcode` are set, in_payload is true. NJ_EPROTOCOL with the fault. */
enum nj_err nj_ws_in_head(struct nj_ws_in *in, uint8_t byte, struct nj_ws_fault *fault)
    NJ_NODISCARD;
/* Moves `len` payload bytes from `src` to `dst` (same place or before it) and unmasks them. */
void nj_ws_in_payload(struct nj_ws_in *in, uint8_t *dst, const uint8_t *src, size_t len);

/* Applies a mask from position `at` of the payload on; returns the next position modulo 4. */
uint8_t nj_ws_mask(uint8_t *data, size_t len, const uint8_t mask[4], uint8_t at);
/* Writes the head of a final frame; `mask` NULL on a server. Returns its length. */
size_t nj_ws_head_write(uint8_t out[NJ_WS_HEAD_BYTES_MAX], enum nj_ws_opcode opcode, uint64_t len,
                        const uint8_t *mask);
/* Is the payload of a received close frame in order? 0 = yes, else the code to answer. */
uint16_t nj_ws_close_fault(const uint8_t *payload, size_t len);

#endif
