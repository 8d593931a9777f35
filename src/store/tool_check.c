/* The thorough check of a store: pages, checksums, and whether what refers to something finds it.
 * See tool.h. */
#include "base/mem.h"
#include "store/lmdb_check.h"
#include "store/tool_priv.h"

/* Numbers with a count, in a table that grows. 0 is no number. */
struct counts {
    struct count {
        uint64_t number;
        uint32_t value;
    } * slots;
    uint64_t mask;
    uint64_t used;
};

static struct count *place(const struct counts *counts, uint64_t number)
{
    uint64_t at = (number * 0x9e3779b97f4a7c15ull >> 20) & counts->mask;
    while (counts->slots[at].number && counts->slots[at].number != number) {
        at = (at + 1) & counts->mask;
    }
    return &counts->slots[at];
}

static uint32_t *count_of(struct counts *counts, uint64_t number)
{
    if (!counts->slots || 2 * counts->used > counts->mask) {
        struct counts old = *counts;
        counts->mask = old.slots ? 2 * old.mask + 1 : 4095;
        counts->slots = nj_zalloc((counts->mask + 1) * sizeof(*counts->slots));
        for (uint64_t i = 0; old.slots && i <= old.mask; i++) {
            if (old.slots[i].number) {
                *place(counts, old.slots[i].number) = old.slots[i];
            }
        }
        nj_free(old.slots);
    }
    struct count *found = place(counts, number);
    counts->used += !found->number;
    found->number = number;
    return &found->value;
}

static uint32_t get_count(const struct counts *counts, uint64_t number)
{
    return counts->slots ? place(counts, number)->value : 0;
}

struct check {
    struct nj_store_check *result;
    struct counts owners; /* sessions, and what is being cleared away */
    struct counts uses;   /* of messages: rows that name them */
    struct counts refs;   /* of messages: what their count says; 1 = has none */
};

/* ---- first: what there is */

static void use_row(struct check *check, const struct nj_record_row *row)
{
    check->result->rows++;
    ++*count_of(&check->uses, row->body);
    if (!get_count(&check->owners, row->owner)) {
        check->result->without_session++;
    }
}

static enum nj_err use_page(struct check *check, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_row rows[NJ_RECORD_PAGE_ROWS];
    uint32_t count = 0;
    enum nj_err err = nj_record_get_page(key, value, rows, &count);
    for (uint32_t i = 0; err == NJ_OK && i < count; i++) {
        use_row(check, &rows[i]);
    }
    return err;
}

static enum nj_err use_owned(struct check *check, struct nj_bytes key)
{
    uint64_t owner;
    if (key.len < 8 || nj_record_key_read_u64(nj_bytes(key.ptr, 8), &owner) != NJ_OK) {
        return NJ_EMALFORMED;
    }
    check->result->without_session += !get_count(&check->owners, owner);
    return NJ_OK;
}

static enum nj_err use_number(struct check *check, struct counts *counts,
                              enum nj_record_table table, struct nj_bytes key,
                              struct nj_bytes value)
{
    uint64_t number;
    uint64_t count;
    (void)check;
    enum nj_err err = nj_record_key_read_u64(key, &number);
    if (err == NJ_OK) {
        err = nj_record_get_number(table, key, value, &count);
    }
    if (err == NJ_OK) {
        *count_of(counts, number) = (uint32_t)count;
    }
    return err;
}

static enum nj_err see(struct check *check, enum nj_record_table table, struct nj_bytes key,
                       struct nj_bytes value)
{
    struct nj_record_session session;
    struct nj_record_row row;
    uint64_t owner;
    enum nj_err err = nj_record_check(table, key, value);
    if (err != NJ_OK) {
        return err;
    }
    switch (table) {
    case NJ_TABLE_SESSION:
        err = nj_record_get_session(key, value, &session);
        if (err == NJ_OK && nj_record_key_read_u64(key, &owner) == NJ_OK) {
            *count_of(&check->owners, owner) = 1;
        }
        return err;
    case NJ_TABLE_ROW:
        err = nj_record_get_row(key, value, &row);
        if (err == NJ_OK) {
            use_row(check, &row);
        }
        return err;
    case NJ_TABLE_PAGE:
        return use_page(check, key, value);
    case NJ_TABLE_REFS:
        return use_number(check, &check->refs, table, key, value);
    case NJ_TABLE_SUB:
    case NJ_TABLE_WILL:
    case NJ_TABLE_INCOMING:
        return use_owned(check, key);
    default:
        return NJ_OK;
    }
}

static enum nj_err see_each(void *arg, enum nj_record_table table, struct nj_bytes key,
                            struct nj_bytes value)
{
    struct check *check = arg;
    uint64_t owner;
    check->result->records++;
    if (table == NJ_TABLE_GRAVE && nj_record_key_read_u64(key, &owner) == NJ_OK) {
        return NJ_OK;
    }
    if (see(check, table, key, value) != NJ_OK) {
        check->result->damaged_records++;
    }
    return NJ_OK;
}

/* ---- then: whether it fits */

static enum nj_err find_graves(void *arg, enum nj_record_table table, struct nj_bytes key,
                               struct nj_bytes value)
{
    struct check *check = arg;
    uint64_t owner;
    (void)value;
    if (table == NJ_TABLE_GRAVE && nj_record_key_read_u64(key, &owner) == NJ_OK) {
        *count_of(&check->owners, owner) = 1;
    }
    return NJ_OK;
}

static enum nj_err fit_each(void *arg, enum nj_record_table table, struct nj_bytes key,
                            struct nj_bytes value)
{
    struct check *check = arg;
    uint64_t number;
    (void)value;
    if (table != NJ_TABLE_BODY || nj_record_key_read_u64(key, &number) != NJ_OK) {
        return NJ_OK;
    }
    uint32_t uses = get_count(&check->uses, number);
    uint32_t refs = get_count(&check->refs, number);
    check->result->messages_without_row += uses == 0;
    check->result->wrong_counts += uses > 0 && uses != (refs ? refs : 1);
    if (uses) {
        *count_of(&check->uses, number) = 0; /* found */
    }
    return NJ_OK;
}

static void count_rows_without_message(struct check *check)
{
    for (uint64_t i = 0; check->uses.slots && i <= check->uses.mask; i++) {
        check->result->rows_without_message += check->uses.slots[i].value;
    }
}

static enum nj_err check_blob(const struct nj_lmdb_env *env, MDB_val key, MDB_val value)
{
    struct nj_record_blob blob;
    uint64_t number;
    enum nj_err err = nj_record_key_read_u64(nj_lmdb_bytes(key), &number);
    if (err == NJ_OK) {
        err = nj_record_get_blob(nj_lmdb_bytes(key), nj_lmdb_bytes(value), &blob);
    }
    if (err != NJ_OK) {
        return err;
    }
    uint8_t *payload = nj_try_alloc(blob.bytes);
    err = payload ? nj_lmdb_blob_read(env, number, &blob, payload) : NJ_ENOMEM;
    nj_free(payload);
    /* A running broker may have let go of it meanwhile. */
    return err != NJ_OK && !nj_lmdb_blob_is_named(env, number) ? NJ_OK : err;
}

static enum nj_err check_blobs(struct nj_tool_view *view, struct check *check)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(view->txn, view->env.dbi[NJ_LMDB_BLOB], &cursor);
    if (rc != MDB_SUCCESS) {
        return nj_lmdb_error(rc);
    }
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == MDB_SUCCESS) {
        if (check_blob(&view->env, key, value) != NJ_OK) {
            check->result->damaged_blobs++;
        }
    }
    mdb_cursor_close(cursor);
    return NJ_OK;
}

/* ---- all of it */

static bool is_sound(const struct nj_store_check *result)
{
    return !result->damaged_pages && !result->damaged_records && !result->rows_without_message &&
           !result->messages_without_row && !result->wrong_counts && !result->without_session &&
           !result->damaged_blobs;
}

static enum nj_err check_records(struct nj_tool_view *view, struct check *check)
{
    enum nj_err err = nj_tool_view_each(view, NJ_LMDB_GRAVE, find_graves, check);
    for (int i = 0; i < NJ_LMDB_TABLE_COUNT && err == NJ_OK; i++) {
        err = nj_tool_view_each(view, (enum nj_lmdb_table)i, see_each, check);
    }
    if (err == NJ_OK) {
        err = nj_tool_view_each(view, NJ_LMDB_BODY, fit_each, check);
    }
    if (err == NJ_OK) {
        count_rows_without_message(check);
        err = check_blobs(view, check);
    }
    return err;
}

enum nj_err nj_store_check(const char *path, struct nj_store_check *result)
{
    struct check check = {.result = result};
    struct nj_lmdb_check pages = {0};
    struct nj_tool_view view;
    *result = (struct nj_store_check){0};
    enum nj_err err = nj_tool_view_open(&view, path, &pages);
    result->pages = pages.pages;
    result->damaged_pages = pages.damaged;
    memcpy(result->text, pages.text, sizeof(result->text));
    if (err != NJ_OK) {
        return err;
    }
    err = check_records(&view, &check);
    nj_tool_view_close(&view);
    nj_free(check.owners.slots);
    nj_free(check.uses.slots);
    nj_free(check.refs.slots);
    return err == NJ_OK && !is_sound(result) ? NJ_EMALFORMED : err;
}
