/* See record.h. */
#include "store/record.h"

#include <openssl/sha.h>

#include "base/crc32c.h"

enum {
    KEY_AS_IT_IS = 0,
    KEY_IS_HASH = 1
};

/* ---- numbers */

static void store_be64(uint8_t *at, uint64_t number)
{
    for (int i = 7; i >= 0; i--) {
        at[i] = (uint8_t)number;
        number >>= 8;
    }
}

static uint64_t load_be64(const uint8_t *at)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) {
        number = number << 8 | at[i];
    }
    return number;
}

static void store_le32(uint8_t *at, uint32_t number)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(number >> 8 * i);
    }
}

static uint32_t load_le32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* ---- keys */

struct nj_record_key nj_record_key_text(const char *name)
{
    struct nj_record_key key = {.len = (uint32_t)strlen(name)};
    memcpy(key.bytes, name, key.len);
    return key;
}

struct nj_record_key nj_record_key_u64(uint64_t number)
{
    struct nj_record_key key;
    key.len = 8;
    store_be64(key.bytes, number);
    return key;
}

struct nj_record_key nj_record_key_pair(uint64_t first, uint64_t second)
{
    struct nj_record_key key;
    key.len = 16;
    store_be64(key.bytes, first);
    store_be64(key.bytes + 8, second);
    return key;
}

struct nj_record_key nj_record_key_incoming(uint64_t owner, uint16_t packet_id)
{
    struct nj_record_key key;
    key.len = 10;
    store_be64(key.bytes, owner);
    key.bytes[8] = (uint8_t)(packet_id >> 8);
    key.bytes[9] = (uint8_t)packet_id;
    return key;
}

/* Keys are bounded; a text that is too long stands in the value and its hash in the key. */
static void append_text(struct nj_record_key *key, struct nj_bytes text)
{
    if (text.len <= NJ_RECORD_TEXT_KEY) {
        key->bytes[key->len++] = KEY_AS_IT_IS;
        if (text.len) {
            memcpy(key->bytes + key->len, text.ptr, text.len);
        }
        key->len += (uint32_t)text.len;
        return;
    }
    key->bytes[key->len++] = KEY_IS_HASH;
    (void)SHA256(text.ptr, text.len, key->bytes + key->len);
    key->len += SHA256_DIGEST_LENGTH;
}

struct nj_record_key nj_record_key_sub(uint64_t owner, struct nj_bytes filter)
{
    struct nj_record_key key = nj_record_key_u64(owner);
    append_text(&key, filter);
    return key;
}

struct nj_record_key nj_record_key_topic(struct nj_bytes topic)
{
    struct nj_record_key key;
    key.len = 0;
    append_text(&key, topic);
    return key;
}

enum nj_err nj_record_key_read_u64(struct nj_bytes key, uint64_t *number)
{
    if (key.len != 8) {
        return NJ_EMALFORMED;
    }
    *number = load_be64(key.ptr);
    return NJ_OK;
}

enum nj_err nj_record_key_read_pair(struct nj_bytes key, uint64_t *first, uint64_t *second)
{
    if (key.len != 16) {
        return NJ_EMALFORMED;
    }
    *first = load_be64(key.ptr);
    *second = load_be64(key.ptr + 8);
    return NJ_OK;
}

enum nj_err nj_record_key_read_incoming(struct nj_bytes key, uint64_t *owner, uint16_t *packet_id)
{
    if (key.len != 10) {
        return NJ_EMALFORMED;
    }
    *owner = load_be64(key.ptr);
    *packet_id = (uint16_t)(key.ptr[8] << 8 | key.ptr[9]);
    return NJ_OK;
}

/* ---- writing a value: errors stick, and seal returns them */

struct writer {
    struct nj_buf *buf;
    enum nj_err err;
};

static struct writer start(struct nj_buf *out)
{
    struct writer writer = {.buf = out};
    out->len = 0;
    writer.err = nj_buf_reserve(out, 64);
    if (writer.err == NJ_OK) {
        out->data[0] = NJ_RECORD_VERSION;
        out->len = NJ_RECORD_HEAD;
    }
    return writer;
}

static void put_raw(struct writer *writer, const void *data, size_t len)
{
    if (writer->err == NJ_OK && len) {
        writer->err = nj_buf_append(writer->buf, data, len);
    }
}

static void put_u8(struct writer *writer, uint8_t byte)
{
    put_raw(writer, &byte, 1);
}

static void put_varint(struct writer *writer, uint64_t number)
{
    uint8_t bytes[10];
    size_t len = 0;
    while (number >= 0x80) {
        bytes[len++] = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    bytes[len++] = (uint8_t)number;
    put_raw(writer, bytes, len);
}

static void put_bytes(struct writer *writer, struct nj_bytes bytes)
{
    put_varint(writer, bytes.len);
    put_raw(writer, bytes.ptr, bytes.len);
}

static uint32_t checksum(enum nj_record_table table, struct nj_bytes key, const uint8_t *value,
                         size_t len)
{
    const uint8_t head[2] = {(uint8_t)table, value[0]};
    uint32_t crc = nj_crc32c(0, head, sizeof(head));
    crc = nj_crc32c(crc, key.ptr, key.len);
    return nj_crc32c(crc, value + NJ_RECORD_HEAD, len - NJ_RECORD_HEAD);
}

static enum nj_err seal(struct writer *writer, enum nj_record_table table,
                        const struct nj_record_key *key)
{
    if (writer->err == NJ_OK) {
        uint8_t *value = writer->buf->data;
        store_le32(value + 1,
                   checksum(table, nj_bytes(key->bytes, key->len), value, writer->buf->len));
    }
    return writer->err;
}

enum nj_err nj_record_seal(struct nj_buf *out, enum nj_record_table table, struct nj_bytes key,
                           struct nj_bytes fields)
{
    struct nj_record_key copy = {.len = (uint32_t)key.len};
    struct writer writer = start(out);
    if (key.len > sizeof(copy.bytes)) {
        return NJ_EINVAL;
    }
    memcpy(copy.bytes, key.ptr, key.len);
    put_raw(&writer, fields.ptr, fields.len);
    return seal(&writer, table, &copy);
}

/* ---- reading a value: whatever is wrong sticks, and the reads give zeros from then on */

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

static enum nj_err open_value(struct reader *reader, enum nj_record_table table,
                              struct nj_bytes key, struct nj_bytes value)
{
    if (value.len < NJ_RECORD_HEAD ||
        load_le32(value.ptr + 1) != checksum(table, key, value.ptr, value.len)) {
        return NJ_EMALFORMED;
    }
    if (value.ptr[0] != NJ_RECORD_VERSION) {
        return NJ_ENOTSUP;
    }
    *reader = (struct reader){.at = value.ptr + NJ_RECORD_HEAD, .end = value.ptr + value.len};
    return NJ_OK;
}

enum nj_err nj_record_check(enum nj_record_table table, struct nj_bytes key, struct nj_bytes value)
{
    struct reader reader;
    return open_value(&reader, table, key, value);
}

static uint8_t get_u8(struct reader *reader)
{
    if (reader->is_bad || reader->at == reader->end) {
        reader->is_bad = true;
        return 0;
    }
    return *reader->at++;
}

static uint64_t get_varint(struct reader *reader)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = get_u8(reader);
        if (shift == 63 && byte > 1) {
            break;
        }
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return number;
        }
    }
    reader->is_bad = true;
    return 0;
}

static uint32_t get_varint32(struct reader *reader)
{
    uint64_t number = get_varint(reader);
    reader->is_bad |= number > UINT32_MAX;
    return (uint32_t)number;
}

static struct nj_bytes get_raw(struct reader *reader, size_t len)
{
    if (reader->is_bad || len > (size_t)(reader->end - reader->at)) {
        reader->is_bad = true;
        return nj_bytes(NULL, 0);
    }
    struct nj_bytes bytes = nj_bytes(reader->at, len);
    reader->at += len;
    return bytes;
}

static struct nj_bytes get_bytes(struct reader *reader)
{
    return get_raw(reader, get_varint32(reader));
}

static enum nj_err finish(const struct reader *reader)
{
    return reader->is_bad || reader->at != reader->end ? NJ_EMALFORMED : NJ_OK;
}

/* ---- numbers as values */

enum nj_err nj_record_put_number(struct nj_buf *out, enum nj_record_table table,
                                 const struct nj_record_key *key, uint64_t number)
{
    struct writer writer = start(out);
    put_varint(&writer, number);
    return seal(&writer, table, key);
}

enum nj_err nj_record_get_number(enum nj_record_table table, struct nj_bytes key,
                                 struct nj_bytes value, uint64_t *number)
{
    struct reader reader;
    enum nj_err err = open_value(&reader, table, key, value);
    if (err != NJ_OK) {
        return err;
    }
    uint64_t read = get_varint(&reader);
    err = finish(&reader);
    if (err == NJ_OK) {
        *number = read;
    }
    return err;
}

/* ---- origins, sessions, subscriptions */

enum {
    ORIGIN_HAS_USER = 1,
    ORIGIN_IS_THERE = 2,
    ORIGIN_BY_CERTIFICATE = 4,
};

static void put_origin(struct writer *writer, const struct nj_record_origin *origin)
{
    if (!origin) {
        put_u8(writer, 0);
        return;
    }
    put_u8(writer, (uint8_t)(ORIGIN_IS_THERE | (origin->user.ptr ? ORIGIN_HAS_USER : 0) |
                             (origin->by_certificate ? ORIGIN_BY_CERTIFICATE : 0)));
    if (origin->user.ptr) {
        put_bytes(writer, origin->user);
    }
    put_bytes(writer, origin->client_id);
    put_varint(writer, origin->scope);
}

static bool get_origin(struct reader *reader, struct nj_record_origin *origin)
{
    uint8_t flags = get_u8(reader);
    *origin = (struct nj_record_origin){0};
    if (!(flags & ORIGIN_IS_THERE)) {
        reader->is_bad |= flags != 0;
        return false;
    }
    reader->is_bad |= flags >= 2 * ORIGIN_BY_CERTIFICATE;
    origin->by_certificate = flags & ORIGIN_BY_CERTIFICATE;
    if (flags & ORIGIN_HAS_USER) {
        origin->user = get_bytes(reader);
    }
    origin->client_id = get_bytes(reader);
    origin->scope = get_varint32(reader);
    return true;
}

enum {
    SESSION_HAS_LOGIN = 1,
    SESSION_IS_ENDING = 2,
    SESSION_IS_BRIDGE = 4
};

enum nj_err nj_record_put_session(struct nj_buf *out, const struct nj_record_key *key,
                                  const struct nj_record_session *session)
{
    struct writer writer = start(out);
    put_u8(&writer, (uint8_t)((session->has_login ? SESSION_HAS_LOGIN : 0) |
                              (session->is_ending ? SESSION_IS_ENDING : 0) |
                              (session->is_bridge ? SESSION_IS_BRIDGE : 0)));
    put_u8(&writer, session->version);
    put_varint(&writer, session->expiry_s);
    put_varint(&writer, session->away_ms);
    put_origin(&writer, &session->origin);
    return seal(&writer, NJ_TABLE_SESSION, key);
}

enum nj_err nj_record_get_session(struct nj_bytes key, struct nj_bytes value,
                                  struct nj_record_session *session)
{
    struct reader reader;
    enum nj_err err = open_value(&reader, NJ_TABLE_SESSION, key, value);
    if (err != NJ_OK) {
        return err;
    }
    uint8_t flags = get_u8(&reader);
    *session = (struct nj_record_session){
        .has_login = flags & SESSION_HAS_LOGIN,
        .is_ending = flags & SESSION_IS_ENDING,
        .is_bridge = flags & SESSION_IS_BRIDGE,
    };
    session->version = get_u8(&reader);
    session->expiry_s = get_varint32(&reader);
    session->away_ms = get_varint(&reader);
    bool is_there = get_origin(&reader, &session->origin);
    err = finish(&reader);
    return err == NJ_OK && !is_there ? NJ_EMALFORMED : err;
}

enum nj_err nj_record_put_sub(struct nj_buf *out, const struct nj_record_key *key,
                              const struct nj_record_sub *sub)
{
    struct writer writer = start(out);
    put_varint(&writer, sub->value);
    put_varint(&writer, sub->share);
    put_bytes(&writer, sub->filter);
    return seal(&writer, NJ_TABLE_SUB, key);
}

enum nj_err nj_record_get_sub(struct nj_bytes key, struct nj_bytes value, struct nj_record_sub *sub)
{
    struct reader reader;
    enum nj_err err = open_value(&reader, NJ_TABLE_SUB, key, value);
    if (err != NJ_OK) {
        return err;
    }
    sub->value = get_varint(&reader);
    sub->share = get_varint32(&reader);
    sub->filter = get_bytes(&reader);
    return finish(&reader);
}

/* ---- messages */

enum {
    MESSAGE_QOS = 3,
    MESSAGE_IS_RETAIN = 4,
    MESSAGE_EXPIRES = 8,
    MESSAGE_IS_BLOB = 16
};

static void put_message(struct writer *writer, const struct nj_record_message *message)
{
    put_u8(writer,
           (uint8_t)((message->qos & MESSAGE_QOS) | (message->is_retain ? MESSAGE_IS_RETAIN : 0) |
                     (message->expires_ms ? MESSAGE_EXPIRES : 0) |
                     (message->blob ? MESSAGE_IS_BLOB : 0)));
    if (message->expires_ms) {
        put_varint(writer, message->expires_ms);
    }
    if (message->blob) {
        put_varint(writer, message->blob);
    }
    put_bytes(writer, message->topic);
    put_bytes(writer, message->props);
    if (message->blob) {
        put_varint(writer, message->payload.len);
    } else {
        put_bytes(writer, message->payload);
    }
}

static void get_message(struct reader *reader, struct nj_record_message *message)
{
    uint8_t flags = get_u8(reader);
    *message = (struct nj_record_message){
        .qos = flags & MESSAGE_QOS,
        .is_retain = flags & MESSAGE_IS_RETAIN,
    };
    reader->is_bad |= flags >= 2 * MESSAGE_IS_BLOB || message->qos > 2;
    if (flags & MESSAGE_EXPIRES) {
        message->expires_ms = get_varint(reader);
    }
    if (flags & MESSAGE_IS_BLOB) {
        message->blob = get_varint(reader);
        reader->is_bad |= message->blob == 0;
    }
    message->topic = get_bytes(reader);
    message->props = get_bytes(reader);
    message->payload = message->blob ? nj_bytes(NULL, get_varint32(reader)) : get_bytes(reader);
}

enum nj_err nj_record_put_message(struct nj_buf *out, enum nj_record_table table,
                                  const struct nj_record_key *key,
                                  const struct nj_record_message *message)
{
    struct writer writer = start(out);
    put_message(&writer, message);
    return seal(&writer, table, key);
}

enum nj_err nj_record_get_message(enum nj_record_table table, struct nj_bytes key,
                                  struct nj_bytes value, struct nj_record_message *message)
{
    struct reader reader;
    enum nj_err err = open_value(&reader, table, key, value);
    if (err != NJ_OK) {
        return err;
    }
    get_message(&reader, message);
    return finish(&reader);
}

enum nj_err nj_record_put_will(struct nj_buf *out, const struct nj_record_key *key,
                               const struct nj_record_message *message, uint64_t delay_s)
{
    struct writer writer = start(out);
    put_varint(&writer, delay_s);
    put_message(&writer, message);
    return seal(&writer, NJ_TABLE_WILL, key);
}

enum nj_err nj_record_get_will(struct nj_bytes key, struct nj_bytes value,
                               struct nj_record_message *message, uint64_t *delay_s)
{
    struct reader reader;
    enum nj_err err = open_value(&reader, NJ_TABLE_WILL, key, value);
    if (err != NJ_OK) {
        return err;
    }
    *delay_s = get_varint(&reader);
    get_message(&reader, message);
    return finish(&reader);
}

enum nj_err nj_record_put_retained(struct nj_buf *out, const struct nj_record_key *key,
                                   const struct nj_record_message *message,
                                   const struct nj_record_origin *origin)
{
    struct writer writer = start(out);
    put_origin(&writer, origin);
    put_message(&writer, message);
    return seal(&writer, NJ_TABLE_RETAINED, key);
}

enum nj_err nj_record_get_retained(struct nj_bytes key, struct nj_bytes value,
                                   struct nj_record_message *message,
                                   struct nj_record_origin *origin, bool *has_origin)
{
    struct reader reader;
    enum nj_err err = open_value(&reader, NJ_TABLE_RETAINED, key, value);
    if (err != NJ_OK) {
        return err;
    }
    *has_origin = get_origin(&reader, origin);
    get_message(&reader, message);
    return finish(&reader);
}

/* ---- rows and pages */

enum {
    ROW_QOS = 3,
    ROW_STATE = 3 << 2, /* shifted */
    ROW_STATE_SHIFT = 2,
    ROW_IS_RETAIN = 1 << 4,
    ROW_IS_SHARED = 1 << 5,
    ROW_HAS_SUB = 1 << 6, /* subscription identifier or share number */
    ROW_EXPIRES = 1 << 7,
};

/* What a row of its own and one in a page have in common. Bodies are numbered by their first row,
 * so the distance is small, mostly 0. */
static void put_row(struct writer *writer, const struct nj_record_row *row)
{
    bool has_sub = row->sub_id || row->share;
    put_u8(writer,
           (uint8_t)((row->qos & ROW_QOS) | (row->state << ROW_STATE_SHIFT & ROW_STATE) |
                     (row->is_retain ? ROW_IS_RETAIN : 0) | (row->is_shared ? ROW_IS_SHARED : 0) |
                     (has_sub ? ROW_HAS_SUB : 0) | (row->deadline_ms ? ROW_EXPIRES : 0)));
    put_varint(writer, row->seq - row->body);
    put_varint(writer, row->bytes);
    if (row->state) {
        put_varint(writer, row->packet_id);
    }
    if (has_sub) {
        put_varint(writer, row->sub_id);
        put_varint(writer, row->share);
    }
    if (row->deadline_ms) {
        put_varint(writer, row->deadline_ms);
    }
}

static void get_row(struct reader *reader, struct nj_record_row *row)
{
    uint8_t flags = get_u8(reader);
    row->qos = flags & ROW_QOS;
    row->state = (flags & ROW_STATE) >> ROW_STATE_SHIFT;
    row->is_retain = flags & ROW_IS_RETAIN;
    row->is_shared = flags & ROW_IS_SHARED;
    uint64_t distance = get_varint(reader);
    reader->is_bad |= distance > row->seq || row->qos > 2 || row->state > 2;
    row->body = row->seq - distance;
    row->bytes = get_varint32(reader);
    uint64_t packet_id = row->state ? get_varint(reader) : 0;
    reader->is_bad |= packet_id > UINT16_MAX;
    row->packet_id = (uint16_t)packet_id;
    row->sub_id = flags & ROW_HAS_SUB ? get_varint32(reader) : 0;
    row->share = flags & ROW_HAS_SUB ? get_varint32(reader) : 0;
    row->deadline_ms = flags & ROW_EXPIRES ? get_varint(reader) : 0;
}

enum nj_err nj_record_put_row(struct nj_buf *out, const struct nj_record_key *key,
                              const struct nj_record_row *row)
{
    struct writer writer = start(out);
    put_varint(&writer, row->owner);
    put_row(&writer, row);
    return seal(&writer, NJ_TABLE_ROW, key);
}

enum nj_err nj_record_get_row(struct nj_bytes key, struct nj_bytes value, struct nj_record_row *row)
{
    struct reader reader;
    enum nj_err err = open_value(&reader, NJ_TABLE_ROW, key, value);
    if (err == NJ_OK) {
        err = nj_record_key_read_u64(key, &row->seq);
    }
    if (err != NJ_OK) {
        return err;
    }
    row->owner = get_varint(&reader);
    get_row(&reader, row);
    return finish(&reader);
}

enum nj_err nj_record_put_page(struct nj_buf *out, const struct nj_record_key *key,
                               const struct nj_record_row *rows, uint32_t count)
{
    uint64_t bytes = 0;
    uint32_t queued = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += rows[i].state ? 0 : rows[i].bytes;
        queued += rows[i].state == 0;
    }
    struct writer writer = start(out);
    put_varint(&writer, count);
    put_varint(&writer, queued);
    put_varint(&writer, bytes);
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        put_varint(&writer, rows[i].seq - last);
        last = rows[i].seq;
        put_row(&writer, &rows[i]);
    }
    return seal(&writer, NJ_TABLE_PAGE, key);
}

static enum nj_err open_page(struct reader *reader, struct nj_bytes key, struct nj_bytes value,
                             struct nj_record_page *page)
{
    uint64_t first;
    enum nj_err err = nj_record_key_read_pair(key, &page->owner, &first);
    if (err == NJ_OK) {
        err = open_value(reader, NJ_TABLE_PAGE, key, value);
    }
    if (err != NJ_OK) {
        return err;
    }
    page->count = get_varint32(reader);
    page->queued = get_varint32(reader);
    page->bytes = get_varint(reader);
    bool is_bad = reader->is_bad || page->count == 0 || page->count > NJ_RECORD_PAGE_ROWS ||
                  page->queued > page->count;
    return is_bad ? NJ_EMALFORMED : NJ_OK;
}

enum nj_err nj_record_get_page_head(struct nj_bytes key, struct nj_bytes value,
                                    struct nj_record_page *page)
{
    struct reader reader;
    return open_page(&reader, key, value, page);
}

enum nj_err nj_record_get_page(struct nj_bytes key, struct nj_bytes value,
                               struct nj_record_row *rows, uint32_t *count)
{
    struct reader reader;
    struct nj_record_page page;
    enum nj_err err = open_page(&reader, key, value, &page);
    if (err != NJ_OK) {
        return err;
    }
    uint64_t seq = 0;
    for (uint32_t i = 0; i < page.count; i++) {
        uint64_t step = get_varint(&reader);
        if (step == 0 || step > UINT64_MAX - seq) {
            return NJ_EMALFORMED;
        }
        seq += step;
        rows[i] = (struct nj_record_row){.seq = seq, .owner = page.owner};
        get_row(&reader, &rows[i]);
    }
    err = finish(&reader);
    if (err == NJ_OK) {
        *count = page.count;
    }
    return err;
}

/* ---- payloads beside the map */

enum nj_err nj_record_put_blob(struct nj_buf *out, const struct nj_record_key *key,
                               const struct nj_record_blob *blob)
{
    struct writer writer = start(out);
    put_varint(&writer, blob->bytes);
    put_varint(&writer, blob->crc);
    return seal(&writer, NJ_TABLE_BLOB, key);
}

enum nj_err nj_record_get_blob(struct nj_bytes key, struct nj_bytes value,
                               struct nj_record_blob *blob)
{
    struct reader reader;
    enum nj_err err = open_value(&reader, NJ_TABLE_BLOB, key, value);
    if (err != NJ_OK) {
        return err;
    }
    blob->bytes = get_varint(&reader);
    blob->crc = get_varint32(&reader);
    return finish(&reader);
}
