/* Values of the store with a right checksum and any content: decoding must not read past them, and
 * what was decoded must encode to something that decodes the same. The first byte chooses the
 * table, the next sixteen are the key. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "store/record.h"

#define KEY_BYTES 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again_row(const struct nj_record_row *row)
{
    struct nj_buf out;
    struct nj_record_row other;
    struct nj_record_key key = nj_record_key_u64(row->seq);
    nj_buf_init(&out);
    if (nj_record_put_row(&out, &key, row) == NJ_OK) {
        NJ_ASSERT(nj_record_get_row(nj_bytes(key.bytes, key.len), nj_buf_bytes(&out), &other) ==
                  NJ_OK);
        NJ_ASSERT(other.seq == row->seq && other.owner == row->owner && other.body == row->body &&
                  other.state == row->state && other.packet_id == row->packet_id &&
                  other.deadline_ms == row->deadline_ms && other.bytes == row->bytes);
    }
    nj_buf_fini(&out);
}

static void decode(enum nj_record_table table, struct nj_bytes key, struct nj_bytes value)
{
    static struct nj_record_row rows[NJ_RECORD_PAGE_ROWS];
    struct nj_record_session session;
    struct nj_record_sub sub;
    struct nj_record_message message;
    struct nj_record_origin origin;
    struct nj_record_page page;
    struct nj_record_blob blob;
    uint64_t number;
    uint32_t count;
    bool has_origin;
    switch (table) {
    case NJ_TABLE_SESSION:
        (void)!nj_record_get_session(key, value, &session);
        break;
    case NJ_TABLE_SUB:
        (void)!nj_record_get_sub(key, value, &sub);
        break;
    case NJ_TABLE_WILL:
        (void)!nj_record_get_will(key, value, &message, &number);
        break;
    case NJ_TABLE_ROW:
        if (nj_record_get_row(nj_bytes(key.ptr, 8), value, &rows[0]) == NJ_OK) {
            again_row(&rows[0]);
        }
        break;
    case NJ_TABLE_PAGE:
        (void)!nj_record_get_page_head(key, value, &page);
        if (nj_record_get_page(key, value, rows, &count) == NJ_OK) {
            NJ_ASSERT(count > 0 && count <= NJ_RECORD_PAGE_ROWS);
            again_row(&rows[count - 1]);
        }
        break;
    case NJ_TABLE_RETAINED:
        (void)!nj_record_get_retained(key, value, &message, &origin, &has_origin);
        break;
    case NJ_TABLE_BLOB:
        (void)!nj_record_get_blob(key, value, &blob);
        break;
    case NJ_TABLE_INCOMING:
    case NJ_TABLE_BODY:
        (void)!nj_record_get_message(table, key, value, &message);
        break;
    default:
        (void)!nj_record_get_number(table, key, value, &number);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char TABLES[] = "msfwibcqpxrlg";
    struct nj_buf value;
    if (size < 1 + KEY_BYTES) {
        return 0;
    }
    enum nj_record_table table = (enum nj_record_table)TABLES[data[0] % (sizeof(TABLES) - 1)];
    struct nj_bytes key = nj_bytes(data + 1, table == NJ_TABLE_ROW ? 8 : KEY_BYTES);
    nj_buf_init(&value);
    if (nj_record_seal(&value, table, key, nj_bytes(data + 1 + KEY_BYTES, size - 1 - KEY_BYTES)) ==
        NJ_OK) {
        decode(table, key, nj_buf_bytes(&value));
    }
    /* And as it came: mostly a wrong checksum. */
    decode(table, key, nj_bytes(data + 1 + KEY_BYTES, size - 1 - KEY_BYTES));
    nj_buf_fini(&value);
    return 0;
}
