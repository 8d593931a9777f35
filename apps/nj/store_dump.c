/* `nj store dump`: every record as one line of JSON. What cannot be decoded is a line, too. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "json.h"
#include "mqtt/utf8.h"
#include "store.h"
#include "store/store.h"
#include "store/tool.h"

static const char *name_of(enum nj_record_table table)
{
    switch (table) {
    case NJ_TABLE_META:
        return "meta";
    case NJ_TABLE_SESSION:
        return "session";
    case NJ_TABLE_SUB:
        return "subscription";
    case NJ_TABLE_WILL:
        return "will";
    case NJ_TABLE_INCOMING:
        return "incoming";
    case NJ_TABLE_BODY:
        return "message";
    case NJ_TABLE_REFS:
        return "refs";
    case NJ_TABLE_ROW:
        return "row";
    case NJ_TABLE_PAGE:
        return "page";
    case NJ_TABLE_EXPIRY:
        return "expiry";
    case NJ_TABLE_RETAINED:
        return "retained";
    case NJ_TABLE_BLOB:
        return "blob";
    case NJ_TABLE_GRAVE:
        return "grave";
    }
    return "unknown";
}

/* ---- a line, in pieces; memory that runs short sticks */

struct line {
    struct nj_buf buf;
    enum nj_err err;
};

static void add_number(struct line *line, const char *name, uint64_t number)
{
    if (line->err == NJ_OK) {
        line->err = nj_buf_printf(&line->buf, ",\"%s\":%" PRIu64, name, number);
    }
}

static void add_bool(struct line *line, const char *name, bool is_set)
{
    if (line->err == NJ_OK && is_set) {
        line->err = nj_buf_printf(&line->buf, ",\"%s\":true", name);
    }
}

static void add_hex(struct line *line, const char *name, struct nj_bytes bytes)
{
    if (line->err == NJ_OK) {
        line->err = nj_buf_printf(&line->buf, ",\"%sHex\":\"", name);
    }
    for (size_t i = 0; i < bytes.len && line->err == NJ_OK; i++) {
        line->err = nj_buf_printf(&line->buf, "%02x", bytes.ptr[i]);
    }
    if (line->err == NJ_OK) {
        line->err = nj_buf_append(&line->buf, "\"", 1);
    }
}

static void add_text(struct line *line, const char *name, struct nj_bytes text)
{
    const struct nj_json_style style = {.layout = NJ_JSON_COMPACT};
    if (!nj_mqtt_utf8_is_well_formed(text)) {
        add_hex(line, name, text);
        return;
    }
    if (line->err == NJ_OK) {
        line->err = nj_buf_printf(&line->buf, ",\"%s\":", name);
    }
    if (line->err == NJ_OK) {
        line->err = nj_json_quote(&line->buf, text, &style);
    }
}

static void add_origin(struct line *line, const struct nj_record_origin *origin)
{
    add_text(line, "clientId", origin->client_id);
    if (origin->user.ptr) {
        add_text(line, "username", origin->user);
    }
    add_number(line, "scope", origin->scope);
    add_bool(line, "byCertificate", origin->by_certificate);
}

static void add_message(struct line *line, const struct nj_record_message *message)
{
    add_text(line, "topic", message->topic);
    add_number(line, "qos", message->qos);
    add_bool(line, "retain", message->is_retain);
    if (message->expires_ms) {
        add_number(line, "expiresMs", message->expires_ms);
    }
    if (message->props.len) {
        add_hex(line, "properties", message->props);
    }
    add_number(line, "payloadBytes", message->payload.len);
    if (message->blob) {
        add_number(line, "blob", message->blob);
    } else {
        add_text(line, "payload", message->payload);
    }
}

static void add_row(struct line *line, const struct nj_record_row *row)
{
    static const char *const STATES[] = {"queued", "sent", "released", "incoming"};
    add_number(line, "seq", row->seq);
    add_number(line, "owner", row->owner);
    add_number(line, "message", row->body);
    add_text(line, "state", nj_bytes_of(STATES[row->state & 3]));
    add_number(line, "qos", row->qos);
    add_bool(line, "retain", row->is_retain);
    if (row->packet_id) {
        add_number(line, "packetId", row->packet_id);
    }
    if (row->sub_id) {
        add_number(line, "subscriptionId", row->sub_id);
    }
    if (row->share) {
        add_number(line, "share", row->share);
    }
    if (row->deadline_ms) {
        add_number(line, "expiresMs", row->deadline_ms);
    }
}

/* ---- records */

static enum nj_err add_session(struct line *line, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_session session;
    uint64_t owner = 0;
    enum nj_err err = nj_record_get_session(key, value, &session);
    if (err == NJ_OK) {
        err = nj_record_key_read_u64(key, &owner);
    }
    if (err == NJ_OK) {
        add_number(line, "owner", owner);
        add_origin(line, &session.origin);
        add_number(line, "expiryS", session.expiry_s);
        add_number(line, "version", session.version);
        if (session.away_ms) {
            add_number(line, "awaySinceMs", session.away_ms);
        }
        add_bool(line, "hasLogin", session.has_login);
        add_bool(line, "isEnding", session.is_ending);
    }
    return err;
}

static enum nj_err add_sub(struct line *line, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_sub sub;
    uint64_t owner;
    enum nj_err err = nj_record_get_sub(key, value, &sub);
    if (err == NJ_OK && nj_record_key_read_u64(nj_bytes(key.ptr, 8), &owner) == NJ_OK) {
        add_number(line, "owner", owner);
        add_text(line, "filter", sub.filter);
        add_number(line, "qos", sub.value & 3);
        add_bool(line, "noLocal", sub.value >> 2 & 1);
        add_bool(line, "retainAsPublished", sub.value >> 3 & 1);
        if (sub.value >> 8) {
            add_number(line, "subscriptionId", sub.value >> 8);
        }
    }
    return err;
}

static enum nj_err add_will(struct line *line, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_message message;
    uint64_t delay_s;
    uint64_t owner;
    enum nj_err err = nj_record_get_will(key, value, &message, &delay_s);
    if (err == NJ_OK && nj_record_key_read_u64(key, &owner) == NJ_OK) {
        add_number(line, "owner", owner);
        add_number(line, "delayS", delay_s);
        add_message(line, &message);
    }
    return err;
}

static enum nj_err add_incoming(struct line *line, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_message message;
    uint64_t owner;
    uint16_t packet_id;
    enum nj_err err = nj_record_get_message(NJ_TABLE_INCOMING, key, value, &message);
    if (err == NJ_OK && nj_record_key_read_incoming(key, &owner, &packet_id) == NJ_OK) {
        add_number(line, "owner", owner);
        add_number(line, "packetId", packet_id);
        add_message(line, &message);
    }
    return err;
}

static enum nj_err add_body(struct line *line, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_message message;
    uint64_t number;
    enum nj_err err = nj_record_get_message(NJ_TABLE_BODY, key, value, &message);
    if (err == NJ_OK && nj_record_key_read_u64(key, &number) == NJ_OK) {
        add_number(line, "message", number);
        add_message(line, &message);
    }
    return err;
}

static enum nj_err add_retained(struct line *line, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_message message;
    struct nj_record_origin origin;
    bool has_origin;
    enum nj_err err = nj_record_get_retained(key, value, &message, &origin, &has_origin);
    if (err == NJ_OK) {
        if (has_origin) {
            add_origin(line, &origin);
        }
        add_message(line, &message);
    }
    return err;
}

static enum nj_err add_page(struct line *line, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_row rows[NJ_RECORD_PAGE_ROWS];
    uint32_t count = 0;
    enum nj_err err = nj_record_get_page(key, value, rows, &count);
    if (err == NJ_OK) {
        line->err = nj_buf_printf(&line->buf, ",\"rows\":[");
    }
    for (uint32_t i = 0; err == NJ_OK && i < count && line->err == NJ_OK; i++) {
        line->err = nj_buf_printf(&line->buf, "%s{\"n\":%u", i ? "," : "", i);
        add_row(line, &rows[i]);
        if (line->err == NJ_OK) {
            line->err = nj_buf_append(&line->buf, "}", 1);
        }
    }
    if (err == NJ_OK && line->err == NJ_OK) {
        line->err = nj_buf_append(&line->buf, "]", 1);
    }
    return err;
}

static enum nj_err add_other(struct line *line, enum nj_record_table table, struct nj_bytes key,
                             struct nj_bytes value)
{
    struct nj_record_row row;
    struct nj_record_blob blob;
    uint64_t number = 0;
    enum nj_err err;
    switch (table) {
    case NJ_TABLE_ROW:
        err = nj_record_get_row(key, value, &row);
        if (err == NJ_OK) {
            add_row(line, &row);
        }
        return err;
    case NJ_TABLE_BLOB:
        err = nj_record_get_blob(key, value, &blob);
        if (err == NJ_OK && nj_record_key_read_u64(key, &number) == NJ_OK) {
            add_number(line, "blob", number);
            add_number(line, "bytes", blob.bytes);
        }
        return err;
    case NJ_TABLE_META:
        add_text(line, "name", key);
        break;
    default:
        add_hex(line, "key", key);
        break;
    }
    err = nj_record_get_number(table, key, value, &number);
    if (err == NJ_OK) {
        add_number(line, "value", number);
    }
    return err;
}

static enum nj_err add_record(struct line *line, enum nj_record_table table, struct nj_bytes key,
                              struct nj_bytes value)
{
    switch (table) {
    case NJ_TABLE_SESSION:
        return add_session(line, key, value);
    case NJ_TABLE_SUB:
        return add_sub(line, key, value);
    case NJ_TABLE_WILL:
        return add_will(line, key, value);
    case NJ_TABLE_INCOMING:
        return add_incoming(line, key, value);
    case NJ_TABLE_BODY:
        return add_body(line, key, value);
    case NJ_TABLE_RETAINED:
        return add_retained(line, key, value);
    case NJ_TABLE_PAGE:
        return add_page(line, key, value);
    default:
        return add_other(line, table, key, value);
    }
}

static enum nj_err print_record(void *arg, enum nj_record_table table, struct nj_bytes key,
                                struct nj_bytes value)
{
    struct line *line = arg;
    line->buf.len = 0;
    line->err = nj_buf_printf(&line->buf, "{\"table\":\"%s\"", name_of(table));
    size_t head = line->buf.len;
    if (add_record(line, table, key, value) != NJ_OK) {
        line->buf.len = head;
        add_hex(line, "key", key);
        add_bool(line, "isDamaged", true);
    }
    if (line->err == NJ_OK) {
        line->err = nj_buf_append(&line->buf, "}\n", 2);
    }
    if (line->err == NJ_OK && fwrite(line->buf.data, 1, line->buf.len, stdout) != line->buf.len) {
        line->err = NJ_EIO;
    }
    return line->err;
}

int nj_store_dump_run(const char *path)
{
    struct line line = {.err = NJ_OK};
    enum nj_err err = nj_store_each(path, print_record, &line);
    nj_buf_fini(&line.buf);
    if (err == NJ_OK && fflush(stdout) != 0) {
        line.err = NJ_EIO;
    }
    if (line.err != NJ_OK) { /* what the store says was logged */
        fprintf(stderr, "Error: the dump is not complete: %s.\n", nj_err_text(line.err));
    }
    return err == NJ_OK && line.err == NJ_OK ? 0 : 1;
}
