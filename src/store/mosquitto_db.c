/* See mosquitto_db.h.
 *
 *   file:   magic (15) │ checksum, unused (4) │ version (4) │ chunk …
 *   chunk:  kind (4) │ length (4) │ fixed part │ texts │ properties
 *
 * Lengths and identifiers are big endian, ids of messages and times of the host. A chunk may be
 * longer than what it says it holds: the rest is passed over. */
#include "store/mosquitto_db.h"

#include <stddef.h>

#define MAGIC      "\x00\xb5\x00mosquitto db"
#define MAGIC_LEN  15u
#define HEAD_LEN   (MAGIC_LEN + 8u)
#define CHUNK_HEAD 8u

enum {
    CHUNK_CFG = 1,
    CHUNK_MESSAGE,
    CHUNK_CLIENT_MESSAGE,
    CHUNK_RETAIN,
    CHUNK_SUB,
    CHUNK_CLIENT
};

/* What Mosquitto calls the states of a message. */
enum {
    RAW_PUBLISH_QOS0 = 1,
    RAW_PUBLISH_QOS1,
    RAW_WAIT_PUBACK,
    RAW_PUBLISH_QOS2,
    RAW_WAIT_PUBREC,
    RAW_RESEND_PUBREL,
    RAW_WAIT_PUBREL,
    RAW_RESEND_PUBCOMP,
    RAW_WAIT_PUBCOMP,
    RAW_SEND_PUBREC,
    RAW_QUEUED,
};

enum {
    PROP_SUB_ID = 0x0b
};

/* ---- a chunk's bytes; whatever is missing sticks */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

static struct nj_bytes take(struct cursor *cursor, size_t len)
{
    if (cursor->is_bad || len > (size_t)(cursor->end - cursor->at)) {
        cursor->is_bad = true;
        return nj_bytes(NULL, 0);
    }
    struct nj_bytes bytes = nj_bytes(cursor->at, len);
    cursor->at += len;
    return bytes;
}

static uint64_t big(struct cursor *cursor, unsigned len)
{
    struct nj_bytes bytes = take(cursor, len);
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        number = number << 8 | bytes.ptr[i];
    }
    return number;
}

static uint64_t host64(struct cursor *cursor)
{
    struct nj_bytes bytes = take(cursor, 8);
    uint64_t number = 0;
    for (size_t i = bytes.len; i-- > 0;) {
        number = number << 8 | bytes.ptr[i];
    }
    return number;
}

static uint32_t varint(struct cursor *cursor)
{
    uint32_t number = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t byte = (uint8_t)big(cursor, 1);
        number |= (uint32_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return number;
        }
    }
    cursor->is_bad = true;
    return 0;
}

/* Behind the texts; older files and MQTT 3 messages have none. */
static struct nj_bytes properties(struct cursor *cursor)
{
    if (cursor->is_bad || cursor->at == cursor->end) {
        return nj_bytes(NULL, 0);
    }
    return take(cursor, varint(cursor));
}

/* ---- chunks */

struct job {
    const struct nj_mosquitto_reader *reader;
    uint32_t crc;
    uint32_t version;
};

static enum nj_err read_cfg(struct job *job, struct cursor *cursor)
{
    struct nj_mosquitto_head head = {.crc = job->crc, .version = job->version};
    head.last_id = host64(cursor);
    head.is_clean = big(cursor, 1) != 0;
    head.id_bytes = (uint8_t)big(cursor, 1);
    if (cursor->is_bad || head.id_bytes != 8) {
        return cursor->is_bad ? NJ_EMALFORMED : NJ_ENOTSUP;
    }
    return job->reader->head ? job->reader->head(job->reader->arg, &head) : NJ_OK;
}

static enum nj_err read_message(struct job *job, struct cursor *cursor)
{
    struct nj_mosquitto_message message = {
        .chunk_bytes = (uint32_t)(cursor->end - cursor->at),
    };
    message.id = host64(cursor);
    message.expires_s = (int64_t)host64(cursor);
    size_t payload_len = (size_t)big(cursor, 4);
    message.source_mid = (uint16_t)big(cursor, 2);
    size_t id_len = (size_t)big(cursor, 2);
    size_t user_len = (size_t)big(cursor, 2);
    size_t topic_len = (size_t)big(cursor, 2);
    message.source_port = (uint16_t)big(cursor, 2);
    message.qos = (uint8_t)big(cursor, 1);
    message.is_retain = big(cursor, 1) != 0;
    message.source_id = take(cursor, id_len);
    message.source_user = take(cursor, user_len);
    if (!user_len) {
        message.source_user.ptr = NULL;
    }
    message.topic = take(cursor, topic_len);
    message.payload = take(cursor, payload_len);
    message.props = properties(cursor);
    if (cursor->is_bad || message.qos > 2) {
        return NJ_EMALFORMED;
    }
    return job->reader->message ? job->reader->message(job->reader->arg, &message) : NJ_OK;
}

static enum nj_mosquitto_state state_of(uint8_t raw, uint8_t direction)
{
    switch (raw) {
    case RAW_WAIT_PUBACK:
    case RAW_WAIT_PUBREC:
        return NJ_MOSQUITTO_SENT;
    case RAW_RESEND_PUBREL:
    case RAW_WAIT_PUBCOMP:
        return NJ_MOSQUITTO_RELEASED;
    case RAW_WAIT_PUBREL:
    case RAW_SEND_PUBREC:
        return NJ_MOSQUITTO_INCOMING;
    case RAW_PUBLISH_QOS0:
    case RAW_PUBLISH_QOS1:
    case RAW_PUBLISH_QOS2:
    case RAW_QUEUED:
        /* Incoming ones queue, too, when more are in flight than may be. */
        return direction == 0 ? NJ_MOSQUITTO_INCOMING : NJ_MOSQUITTO_QUEUED;
    default:
        return NJ_MOSQUITTO_DONE;
    }
}

/* The only property that a queued message has of its own. */
static uint32_t sub_id_of(struct nj_bytes props)
{
    if (props.len < 2) {
        return 0;
    }
    struct cursor cursor = {.at = props.ptr, .end = props.ptr + props.len};
    if (big(&cursor, 1) != PROP_SUB_ID) {
        return 0;
    }
    uint32_t number = varint(&cursor);
    return cursor.is_bad ? 0 : number;
}

static enum nj_err read_client_message(struct job *job, struct cursor *cursor)
{
    struct nj_mosquitto_client_message message = {
        .chunk_bytes = (uint32_t)(cursor->end - cursor->at),
    };
    message.message = host64(cursor);
    message.mid = (uint16_t)big(cursor, 2);
    size_t id_len = (size_t)big(cursor, 2);
    message.qos = (uint8_t)big(cursor, 1);
    message.raw_state = (uint8_t)big(cursor, 1);
    uint8_t flags = (uint8_t)big(cursor, 1);
    message.is_retain = flags >> 4;
    message.is_dup = flags & 0x0f;
    message.direction = (uint8_t)big(cursor, 1);
    message.client_id = take(cursor, id_len);
    message.sub_id = sub_id_of(properties(cursor));
    message.state = state_of(message.raw_state, message.direction);
    if (cursor->is_bad || message.qos > 2) {
        return NJ_EMALFORMED;
    }
    return job->reader->client_message ? job->reader->client_message(job->reader->arg, &message)
                                       : NJ_OK;
}

static enum nj_err read_retain(struct job *job, struct cursor *cursor)
{
    uint64_t id = host64(cursor);
    if (cursor->is_bad) {
        return NJ_EMALFORMED;
    }
    return job->reader->retained ? job->reader->retained(job->reader->arg, id) : NJ_OK;
}

static enum nj_err read_sub(struct job *job, struct cursor *cursor)
{
    struct nj_mosquitto_sub sub = {.chunk_bytes = (uint32_t)(cursor->end - cursor->at)};
    sub.sub_id = (uint32_t)big(cursor, 4);
    size_t id_len = (size_t)big(cursor, 2);
    size_t filter_len = (size_t)big(cursor, 2);
    sub.qos = (uint8_t)big(cursor, 1);
    sub.options = (uint8_t)big(cursor, 1);
    (void)take(cursor, 2);
    sub.client_id = take(cursor, id_len);
    sub.filter = take(cursor, filter_len);
    if (cursor->is_bad || sub.qos > 2) {
        return NJ_EMALFORMED;
    }
    return job->reader->sub ? job->reader->sub(job->reader->arg, &sub) : NJ_OK;
}

static enum nj_err read_client(struct job *job, struct cursor *cursor)
{
    struct nj_mosquitto_client client = {.chunk_bytes = (uint32_t)(cursor->end - cursor->at)};
    size_t user_len = 0;
    client.expires_s = (int64_t)host64(cursor);
    client.expiry_s = (uint32_t)big(cursor, 4);
    client.last_mid = (uint16_t)big(cursor, 2);
    size_t id_len = (size_t)big(cursor, 2);
    if (job->version >= 6) {
        client.port = (uint16_t)big(cursor, 2);
        user_len = (size_t)big(cursor, 2);
        (void)take(cursor, 4);
    }
    client.client_id = take(cursor, id_len);
    client.user = take(cursor, user_len);
    if (!user_len) {
        client.user.ptr = NULL;
    }
    if (cursor->is_bad) {
        return NJ_EMALFORMED;
    }
    return job->reader->client ? job->reader->client(job->reader->arg, &client) : NJ_OK;
}

static enum nj_err read_chunk(struct job *job, uint32_t kind, struct cursor *cursor)
{
    switch (kind) {
    case CHUNK_CFG:
        return read_cfg(job, cursor);
    case CHUNK_MESSAGE:
        return read_message(job, cursor);
    case CHUNK_CLIENT_MESSAGE:
        return read_client_message(job, cursor);
    case CHUNK_RETAIN:
        return read_retain(job, cursor);
    case CHUNK_SUB:
        return read_sub(job, cursor);
    case CHUNK_CLIENT:
        return read_client(job, cursor);
    default:
        return NJ_OK; /* of a later version */
    }
}

enum nj_err nj_mosquitto_db_read(struct nj_bytes file, const struct nj_mosquitto_reader *reader)
{
    struct job job = {.reader = reader};
    if (file.len < HEAD_LEN || memcmp(file.ptr, MAGIC, MAGIC_LEN) != 0) {
        return NJ_EMALFORMED;
    }
    struct cursor cursor = {.at = file.ptr, .end = file.ptr + file.len};
    (void)take(&cursor, MAGIC_LEN);
    job.crc = (uint32_t)big(&cursor, 4);
    job.version = (uint32_t)big(&cursor, 4);
    if (job.version != 5 && job.version != 6) {
        return NJ_ENOTSUP;
    }
    while (cursor.at < cursor.end) {
        uint32_t kind = (uint32_t)big(&cursor, 4);
        struct nj_bytes chunk = take(&cursor, (size_t)big(&cursor, 4));
        if (cursor.is_bad) {
            return NJ_EMALFORMED;
        }
        struct cursor inside = {.at = chunk.ptr, .end = chunk.ptr + chunk.len};
        enum nj_err err = read_chunk(&job, kind, &inside);
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}
