/* The HTTP upgrade of WebSocket (RFC 6455 4), both sides, on whole heads in memory.
 *
 * Strict on purpose: what two parsers could read in two ways is refused (bare LF, folded lines,
 * space before the colon, control characters, repeated single headers, a body). */
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "base/rand.h"
#include "net/ws_priv.h"

#define HEADERS_MAX 100

enum nj_err nj_ws_head_find(const uint8_t *data, size_t len, size_t seen, size_t *head_len)
{
    if (len > 0 && (data[0] < 'A' || data[0] > 'Z')) {
        return NJ_EMALFORMED;
    }
    for (size_t i = seen; i < len; i++) {
        if (data[i] == '\0') {
            return NJ_EMALFORMED;
        }
        if (data[i] != '\n') {
            continue;
        }
        if (i == 0 || data[i - 1] != '\r') {
            return NJ_EMALFORMED;
        }
        if (i >= 3 && data[i - 2] == '\n') {
            *head_len = i + 1;
            return NJ_OK;
        }
    }
    return NJ_EAGAIN;
}

/* ---- lines and tokens ---- */

/* The next line of a head without its CRLF; false at the empty line. */
static bool next_line(struct nj_bytes *rest, struct nj_bytes *line)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    if (end == NULL || end == rest->ptr) {
        return false;
    }
    size_t len = (size_t)(end - rest->ptr) - 1;
    *line = nj_bytes(rest->ptr, len);
    *rest = nj_bytes(end + 1, rest->len - len - 2);
    return len > 0;
}

static bool is_name_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static struct nj_bytes trim(struct nj_bytes text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* Splits `Name: value`; false when the line is not exactly that. */
static bool split_header(struct nj_bytes line, struct nj_bytes *name, struct nj_bytes *value)
{
    size_t at = 0;
    while (at < line.len && is_name_char(line.ptr[at])) {
        at++;
    }
    if (at == 0 || at == line.len || line.ptr[at] != ':') {
        return false;
    }
    *name = nj_bytes(line.ptr, at);
    *value = trim(nj_bytes(line.ptr + at + 1, line.len - at - 1));
    for (size_t i = 0; i < value->len; i++) {
        if ((value->ptr[i] < 0x20 && value->ptr[i] != '\t') || value->ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_text(struct nj_bytes bytes, const char *text)
{
    return nj_bytes_equal(bytes, nj_bytes_of(text));
}

static bool is_text_nocase(struct nj_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && strncasecmp((const char *)bytes.ptr, text, bytes.len) == 0;
}

/* The next member of a comma list; false at its end. */
static bool next_member(struct nj_bytes *list, struct nj_bytes *member)
{
    while (list->len > 0) {
        const uint8_t *comma = memchr(list->ptr, ',', list->len);
        size_t len = comma != NULL ? (size_t)(comma - list->ptr) : list->len;
        *member = trim(nj_bytes(list->ptr, len));
        size_t step = comma != NULL ? len + 1 : len;
        *list = nj_bytes(list->ptr + step, list->len - step);
        if (member->len > 0) {
            return true;
        }
    }
    return false;
}

static bool has_member_nocase(struct nj_bytes list, const char *wanted)
{
    struct nj_bytes member;
    while (next_member(&list, &member)) {
        if (is_text_nocase(member, wanted)) {
            return true;
        }
    }
    return false;
}

/* ---- the request, as a server sees it ---- */

struct request {
    struct nj_bytes key;
    struct nj_bytes version;
    struct nj_bytes origin;
    unsigned hosts;
    unsigned keys;
    unsigned versions;
    unsigned origins;
    bool wants_upgrade;
    bool wants_websocket;
    bool offers_mqtt;
    bool offers_mqttv31;
    bool has_body;
};

static void note_protocols(struct request *request, struct nj_bytes list)
{
    struct nj_bytes member;
    while (next_member(&list, &member)) {
        request->offers_mqtt = request->offers_mqtt || is_text(member, "mqtt");
        request->offers_mqttv31 = request->offers_mqttv31 || is_text(member, "mqttv3.1");
    }
}

static void note_header(struct request *request, struct nj_bytes name, struct nj_bytes value)
{
    if (is_text_nocase(name, "Host")) {
        request->hosts++;
    } else if (is_text_nocase(name, "Upgrade")) {
        request->wants_websocket =
            request->wants_websocket || has_member_nocase(value, "websocket");
    } else if (is_text_nocase(name, "Connection")) {
        request->wants_upgrade = request->wants_upgrade || has_member_nocase(value, "upgrade");
    } else if (is_text_nocase(name, "Sec-WebSocket-Key")) {
        request->keys++;
        request->key = value;
    } else if (is_text_nocase(name, "Sec-WebSocket-Version")) {
        request->versions++;
        request->version = value;
    } else if (is_text_nocase(name, "Sec-WebSocket-Protocol")) {
        note_protocols(request, value);
    } else if (is_text_nocase(name, "Origin")) {
        request->origins++;
        request->origin = value;
    } else if (is_text_nocase(name, "Transfer-Encoding") ||
               (is_text_nocase(name, "Content-Length") && !is_text(value, "0"))) {
        request->has_body = true;
    }
}

/* An absolute path without tricks: nothing on it could be meant as another path. */
static bool is_plain_path(struct nj_bytes path)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '#') {
            return false;
        }
        if (c == '%' && (i + 2 >= path.len || memcmp(path.ptr + i, "%00", 3) == 0)) {
            return false;
        }
        bool starts_dots =
            c == '/' && i + 2 < path.len && path.ptr[i + 1] == '.' && path.ptr[i + 2] == '.';
        if (starts_dots && (i + 3 == path.len || strchr("/?", path.ptr[i + 3]) != NULL)) {
            return false;
        }
    }
    return true;
}

static const char *request_line_fault(struct nj_bytes line)
{
    static const struct nj_bytes method = {(const uint8_t *)"GET ", 4};
    static const struct nj_bytes tail = {(const uint8_t *)" HTTP/1.1", 9};
    if (!nj_bytes_starts_with(line, method)) {
        return "the method is not GET";
    }
    if (line.len < method.len + tail.len ||
        memcmp(line.ptr + line.len - tail.len, tail.ptr, tail.len) != 0) {
        return "not HTTP/1.1";
    }
    struct nj_bytes path = nj_bytes(line.ptr + method.len, line.len - method.len - tail.len);
    return is_plain_path(path) ? NULL : "the path is not a plain one";
}

/* Base64 of exactly 16 bytes. */
static bool is_key(struct nj_bytes key)
{
    if (key.len != NJ_WS_KEY_CHARS || memcmp(key.ptr + 22, "==", 2) != 0) {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        uint8_t c = key.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '+' || c == '/')) {
            return false;
        }
    }
    return true;
}

static bool is_origin_allowed(const struct request *request,
                              const struct nj_ws_server_config *config)
{
    if (config->origins_count == 0) {
        return true;
    }
    for (size_t i = 0; request->origins == 1 && i < config->origins_count; i++) {
        if (is_text_nocase(request->origin, config->origins[i])) {
            return true;
        }
    }
    return false;
}

static void refuse(struct nj_ws_upgrade *out, int status, const char *why)
{
    out->status = status;
    out->why = why;
}

/* All headers are read: is it an upgrade that we take? */
static void judge_headers(const struct request *request, const struct nj_ws_server_config *config,
                          struct nj_ws_upgrade *out)
{
    if (request->hosts != 1) {
        refuse(out, 400, "not exactly one Host header");
    } else if (request->has_body) {
        refuse(out, 400, "a body");
    } else if (!request->wants_upgrade || !request->wants_websocket) {
        refuse(out, 400, "no WebSocket upgrade");
    } else if (request->versions != 1) {
        refuse(out, 400, "not exactly one Sec-WebSocket-Version");
    } else if (!is_text(request->version, "13")) {
        refuse(out, 426, "unknown WebSocket version");
    } else if (request->keys != 1 || !is_key(request->key)) {
        refuse(out, 400, "bad Sec-WebSocket-Key");
    } else if (!is_origin_allowed(request, config)) {
        refuse(out, 403, "origin not allowed");
    } else if (!request->offers_mqtt && !request->offers_mqttv31) {
        refuse(out, 400, "no subprotocol \"mqtt\" offered");
    } else if (!nj_ws_accept_of((const char *)request->key.ptr, out->accept)) {
        refuse(out, 500, "out of memory");
    } else {
        out->status = 101;
        out->protocol = request->offers_mqtt ? "mqtt" : "mqttv3.1";
    }
}

void nj_ws_request_judge(struct nj_bytes head, const struct nj_ws_server_config *config,
                         struct nj_ws_upgrade *out)
{
    *out = (struct nj_ws_upgrade){.status = 400, .why = "empty request"};
    struct request request = {0};
    struct nj_bytes line;
    if (!next_line(&head, &line)) {
        return;
    }
    const char *fault = request_line_fault(line);
    if (fault != NULL) {
        refuse(out, 400, fault);
        return;
    }
    for (unsigned count = 0; next_line(&head, &line); count++) {
        struct nj_bytes name;
        struct nj_bytes value;
        if (count == HEADERS_MAX) {
            refuse(out, 431, "too many headers");
            return;
        }
        if (!split_header(line, &name, &value)) {
            refuse(out, 400, "malformed header");
            return;
        }
        note_header(&request, name, value);
    }
    judge_headers(&request, config, out);
}

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {400, "Bad Request"},
        {403, "Forbidden"},
        {426, "Upgrade Required"},
        {431, "Request Header Fields Too Large"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "Internal Server Error";
}

enum nj_err nj_ws_response_build(const struct nj_ws_upgrade *upgrade, struct nj_buf *out)
{
    if (upgrade->status == 101) {
        /* Order and case are part of the contract with the original's tests and clients. */
        return nj_buf_printf(out,
                             "HTTP/1.1 101 Switching Protocols\r\n"
                             "Upgrade: WebSocket\r\n"
                             "Connection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: %s\r\n"
                             "Sec-WebSocket-Protocol: %s\r\n\r\n",
                             upgrade->accept, upgrade->protocol);
    }
    return nj_buf_printf(out,
                         "HTTP/1.1 %d %s\r\n"
                         "%s"
                         "Content-Length: 0\r\n"
                         "Connection: close\r\n\r\n",
                         upgrade->status, status_text(upgrade->status),
                         upgrade->status == 426 ? "Sec-WebSocket-Version: 13\r\n" : "");
}

bool nj_ws_accept_of(const char key[NJ_WS_KEY_CHARS], char out[NJ_WS_ACCEPT_CHARS + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[NJ_WS_KEY_CHARS + sizeof(guid) - 1];
    memcpy(text, key, NJ_WS_KEY_CHARS);
    memcpy(text + NJ_WS_KEY_CHARS, guid, sizeof(guid) - 1);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(text, sizeof(text), digest, &len, EVP_sha1(), NULL) != 1 || len != 20) {
        return false;
    }
    (void)EVP_EncodeBlock((unsigned char *)out, digest, 20);
    return true;
}

/* ---- the client's side ---- */

static bool is_header_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

enum nj_err nj_ws_request_build(const struct nj_ws_client_config *config,
                                char key[NJ_WS_KEY_CHARS + 1], struct nj_buf *out)
{
    const char *path = config->path != NULL ? config->path : "/mqtt";
    const char *protocol = config->protocol != NULL ? config->protocol : "mqtt";
    const char *origin = config->origin;
    if (!is_header_text(config->host) || !is_header_text(path) || !is_header_text(protocol) ||
        (origin != NULL && !is_header_text(origin))) {
        return NJ_EINVAL;
    }
    uint8_t random[16];
    nj_rand_bytes(random, sizeof(random));
    (void)EVP_EncodeBlock((unsigned char *)key, random, sizeof(random));
    return nj_buf_printf(out,
                         "GET %s%s HTTP/1.1\r\n"
                         "Host: %s\r\n"
                         "Upgrade: websocket\r\n"
                         "Connection: Upgrade\r\n"
                         "Sec-WebSocket-Key: %s\r\n"
                         "Sec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Protocol: %s\r\n"
                         "%s%s%s\r\n",
                         path[0] == '/' ? "" : "/", path, config->host, key, protocol,
                         origin != NULL ? "Origin: " : "", origin != NULL ? origin : "",
                         origin != NULL ? "\r\n" : "");
}

struct response {
    struct nj_bytes accept;
    struct nj_bytes protocol;
    unsigned accepts;
    bool has_upgrade;
    bool has_websocket;
    bool has_extensions;
};

static void note_response_header(struct response *response, struct nj_bytes name,
                                 struct nj_bytes value)
{
    if (is_text_nocase(name, "Upgrade")) {
        response->has_websocket = is_text_nocase(value, "websocket");
    } else if (is_text_nocase(name, "Connection")) {
        response->has_upgrade = has_member_nocase(value, "upgrade");
    } else if (is_text_nocase(name, "Sec-WebSocket-Accept")) {
        response->accepts++;
        response->accept = value;
    } else if (is_text_nocase(name, "Sec-WebSocket-Protocol")) {
        response->protocol = value;
    } else if (is_text_nocase(name, "Sec-WebSocket-Extensions")) {
        response->has_extensions = true;
    }
}

const char *nj_ws_response_fault(struct nj_bytes head, const char *key, const char *protocol)
{
    static const struct nj_bytes good = {(const uint8_t *)"HTTP/1.1 101", 12};
    struct response response = {0};
    struct nj_bytes line;
    if (!next_line(&head, &line) || !nj_bytes_starts_with(line, good)) {
        return "the server refuses the WebSocket upgrade";
    }
    for (unsigned count = 0; next_line(&head, &line); count++) {
        struct nj_bytes name;
        struct nj_bytes value;
        if (count == HEADERS_MAX || !split_header(line, &name, &value)) {
            return "malformed WebSocket response";
        }
        note_response_header(&response, name, value);
    }
    char accept[NJ_WS_ACCEPT_CHARS + 1];
    if (!response.has_upgrade || !response.has_websocket || response.has_extensions) {
        return "malformed WebSocket response";
    }
    if (response.accepts != 1 || !nj_ws_accept_of(key, accept) ||
        !is_text(response.accept, accept)) {
        return "the server's Sec-WebSocket-Accept is wrong";
    }
    return is_text(response.protocol, protocol) ? NULL : "the server does not take the subprotocol";
}
