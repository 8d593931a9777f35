/* How everything the store keeps looks on disk: tables, keys and values. Pure functions; nothing
 * here knows LMDB.
 *
 *   value:  version (1) │ CRC-32C (4) │ fields
 *
 * The checksum covers table, key, version and fields, so a value that got to another place is found
 * as well as one with a flipped bit. Numbers in fields are LEB128 varints unless said otherwise, in
 * keys they are big endian, so that keys sort by them. Deadlines are wall clock, milliseconds.
 *
 * A value of an unknown version is refused with NJ_ENOTSUP, a damaged one with NJ_EMALFORMED. Views
 * that decoding returns point into the value. */
#ifndef NJ_STORE_RECORD_H
#define NJ_STORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Letters are part of the checksum and of dumps: never change or reuse one. */
enum nj_record_table {
    NJ_TABLE_META = 'm',     /* name → text */
    NJ_TABLE_SESSION = 's',  /* owner */
    NJ_TABLE_SUB = 'f',      /* owner, filter (or its hash) */
    NJ_TABLE_WILL = 'w',     /* owner */
    NJ_TABLE_INCOMING = 'i', /* owner, packet id */
    NJ_TABLE_BODY = 'b',     /* number: that of the first row that used it */
    NJ_TABLE_REFS = 'c',     /* number of a body that several rows use → how many */
    NJ_TABLE_ROW = 'q',      /* seq */
    NJ_TABLE_PAGE = 'p',     /* owner, seq of its first row */
    NJ_TABLE_EXPIRY = 'x',   /* deadline, seq → owner */
    NJ_TABLE_RETAINED = 'r', /* topic (or its hash) */
    NJ_TABLE_BLOB = 'l',     /* number → length, checksum of a payload beside the map */
    NJ_TABLE_GRAVE = 'g',    /* owner of a deleted session whose rows are being removed */
};

#define NJ_RECORD_VERSION  1
#define NJ_RECORD_HEAD     5
#define NJ_RECORD_KEY_MAX  320
#define NJ_RECORD_TEXT_KEY 255 /* longer filters and topics are found by their hash */

struct nj_record_key {
    uint32_t len;
    uint8_t bytes[NJ_RECORD_KEY_MAX];
};

/* Names in the meta table. */
struct nj_record_key nj_record_key_text(const char *name);
struct nj_record_key nj_record_key_u64(uint64_t number);
struct nj_record_key nj_record_key_pair(uint64_t first, uint64_t second);
struct nj_record_key nj_record_key_incoming(uint64_t owner, uint16_t packet_id);
struct nj_record_key nj_record_key_sub(uint64_t owner, struct nj_bytes filter);
struct nj_record_key nj_record_key_topic(struct nj_bytes topic);
/* NJ_EMALFORMED unless `key` is of that form. */
enum nj_err nj_record_key_read_u64(struct nj_bytes key, uint64_t *number) NJ_NODISCARD;
enum nj_err nj_record_key_read_pair(struct nj_bytes key, uint64_t *first, uint64_t *second)
    NJ_NODISCARD;
enum nj_err nj_record_key_read_incoming(struct nj_bytes key, uint64_t *owner, uint16_t *packet_id)
    NJ_NODISCARD;

struct nj_record_origin {
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    uint32_t scope;
    bool by_certificate;
};

struct nj_record_session {
    struct nj_record_origin origin;
    uint64_t away_ms;
    uint32_t expiry_s;
    uint8_t version;
    bool has_login;
    bool is_ending;
    bool is_bridge;
};

struct nj_record_sub {
    struct nj_bytes filter;
    uint64_t value;
    uint32_t share;
};

/* `expires_ms` is a deadline, for wills an interval. With `blob` the payload is a file of that
 * number and `payload.len` its length, payload.ptr NULL. */
struct nj_record_message {
    struct nj_bytes topic;
    struct nj_bytes props;
    struct nj_bytes payload;
    uint64_t expires_ms;
    uint64_t blob;
    uint8_t qos;
    bool is_retain;
};

struct nj_record_row {
    uint64_t seq; /* in the key */
    uint64_t owner;
    uint64_t body;
    uint64_t deadline_ms; /* 0 = never */
    uint32_t bytes;       /* of the payload */
    uint32_t sub_id;
    uint32_t share;
    uint16_t packet_id;
    uint8_t qos;
    uint8_t state; /* enum nj_store_row_state */
    bool is_retain;
    bool is_shared; /* the body has a count of its users */
};

#define NJ_RECORD_PAGE_ROWS 256

/* What is known of a page without its rows. */
struct nj_record_page {
    uint64_t owner;
    uint64_t bytes; /* of the payloads of queued rows */
    uint32_t count;
    uint32_t queued;
};

struct nj_record_blob {
    uint64_t bytes;
    uint32_t crc;
};

/* NJ_OK when the value has its checksum for this table and key. */
enum nj_err nj_record_check(enum nj_record_table table, struct nj_bytes key, struct nj_bytes value)
    NJ_NODISCARD;

/* Any fields behind a right head: for tests of the decoding. */
enum nj_err nj_record_seal(struct nj_buf *out, enum nj_record_table table, struct nj_bytes key,
                           struct nj_bytes fields) NJ_NODISCARD;

/* Encoding: into `out`, whose old content goes. NJ_ENOMEM only. */
enum nj_err nj_record_put_number(struct nj_buf *out, enum nj_record_table table,
                                 const struct nj_record_key *key, uint64_t number) NJ_NODISCARD;
enum nj_err nj_record_put_session(struct nj_buf *out, const struct nj_record_key *key,
                                  const struct nj_record_session *session) NJ_NODISCARD;
enum nj_err nj_record_put_sub(struct nj_buf *out, const struct nj_record_key *key,
                              const struct nj_record_sub *sub) NJ_NODISCARD;
enum nj_err nj_record_put_message(struct nj_buf *out, enum nj_record_table table,
                                  const struct nj_record_key *key,
                                  const struct nj_record_message *message) NJ_NODISCARD;
enum nj_err nj_record_put_will(struct nj_buf *out, const struct nj_record_key *key,
                               const struct nj_record_message *message, uint64_t delay_s)
    NJ_NODISCARD;
/* `origin` NULL = the broker itself. */
enum nj_err nj_record_put_retained(struct nj_buf *out, const struct nj_record_key *key,
                                   const struct nj_record_message *message,
                                   const struct nj_record_origin *origin) NJ_NODISCARD;
enum nj_err nj_record_put_row(struct nj_buf *out, const struct nj_record_key *key,
                              const struct nj_record_row *row) NJ_NODISCARD;
/* Rows of one owner, rising by seq. */
enum nj_err nj_record_put_page(struct nj_buf *out, const struct nj_record_key *key,
                               const struct nj_record_row *rows, uint32_t count) NJ_NODISCARD;
enum nj_err nj_record_put_blob(struct nj_buf *out, const struct nj_record_key *key,
                               const struct nj_record_blob *blob) NJ_NODISCARD;

/* Decoding. */
enum nj_err nj_record_get_number(enum nj_record_table table, struct nj_bytes key,
                                 struct nj_bytes value, uint64_t *number) NJ_NODISCARD;
enum nj_err nj_record_get_session(struct nj_bytes key, struct nj_bytes value,
                                  struct nj_record_session *session) NJ_NODISCARD;
enum nj_err nj_record_get_sub(struct nj_bytes key, struct nj_bytes value, struct nj_record_sub *sub)
    NJ_NODISCARD;
enum nj_err nj_record_get_message(enum nj_record_table table, struct nj_bytes key,
                                  struct nj_bytes value, struct nj_record_message *message)
    NJ_NODISCARD;
enum nj_err nj_record_get_will(struct nj_bytes key, struct nj_bytes value,
                               struct nj_record_message *message, uint64_t *delay_s) NJ_NODISCARD;
/* *has_origin false = the broker itself. */
enum nj_err nj_record_get_retained(struct nj_bytes key, struct nj_bytes value,
                                   struct nj_record_message *message,
                                   struct nj_record_origin *origin, bool *has_origin) NJ_NODISCARD;
enum nj_err nj_record_get_row(struct nj_bytes key, struct nj_bytes value, struct nj_record_row *row)
    NJ_NODISCARD;
enum nj_err nj_record_get_page_head(struct nj_bytes key, struct nj_bytes value,
                                    struct nj_record_page *page) NJ_NODISCARD;
/* rows has room for NJ_RECORD_PAGE_ROWS. */
enum nj_err nj_record_get_page(struct nj_bytes key, struct nj_bytes value,
                               struct nj_record_row *rows, uint32_t *count) NJ_NODISCARD;
enum nj_err nj_record_get_blob(struct nj_bytes key, struct nj_bytes value,
                               struct nj_record_blob *blob) NJ_NODISCARD;

#endif
