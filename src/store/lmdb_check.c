/* See lmdb_check.h. The form of LMDB's file, version 1, as its 64-bit little-endian programs write
 * it:
 *
 *   page:  number (8) │ pad (2) │ flags (2) │ lower (2) │ upper (2) │ pointers … → ← … nodes
 *                                           │ pages of an overflow (4)
 *   node:  low (2) │ high (2) │ flags (2) │ key length (2) │ key │ data
 *          in a leaf low and high are the length of the data; in a branch they and the flags are
 *          the number of the child
 *   pages 0 and 1: two states, the one with the higher transaction counts; each with the roots of
 *          the list of free pages and of the table of tables
 *
 * Read with pread, never mapped: a file that somebody truncates must not end the process. */
#include "store/lmdb_check.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

#define MAGIC     0xbeefc0deu
#define VERSION   1u
#define PAGE_HEAD 16u
#define NODE_HEAD 8u
#define DB_BYTES  48u
#define DEPTH_MAX 32u
#define KEY_MAX   511u
#define PAGE_MIN  512u
#define PAGE_MAX  65536u
/* As many as LMDB changes in one transaction. */
#define UNWRITTEN_MAX (1u << 17)
#define PAGE_USUAL    4096u
#define NO_ROOT       UINT64_MAX
#define META_AT       16u /* in its page */
#define META_DBS      (META_AT + 24u)
#define META_LAST     (META_DBS + 2 * DB_BYTES)
#define META_BYTES    (META_LAST + 16u)
#define FREE_KEY_LEN  8u

enum {
    BRANCH = 1,
    LEAF = 2,
    OVERFLOW_PAGE = 4,
    META = 8
};
enum {
    NODE_BIG = 1,
    NODE_TABLE = 2
};

struct db {
    uint64_t root;
    uint64_t entries;
    uint16_t depth;
};

struct checker {
    int fd;
    uint32_t page_bytes;
    uint64_t last_page;
    uint64_t file_size;
    uint64_t file_pages;
    uint8_t *reached; /* a bit for each page */
    uint8_t *free;
    struct nj_lmdb_check *result;
    nj_lmdb_record_fn each;
    void *arg;
};

/* A tree that is walked. */
struct tree {
    struct checker *checker;
    struct nj_bytes table; /* its name */
    uint64_t entries;      /* seen */
    bool is_free_list;
    bool is_main;
};

/* ---- bytes */

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t number = 0;
    for (int i = 7; i >= 0; i--) {
        number = number << 8 | at[i];
    }
    return number;
}

static bool get_bit(const uint8_t *bits, uint64_t at)
{
    return bits[at / 8] >> (at % 8) & 1;
}

static void set_bit(uint8_t *bits, uint64_t at)
{
    bits[at / 8] |= (uint8_t)(1u << (at % 8));
}

NJ_PRINTF(2, 3)
static void complain(struct checker *checker, const char *fmt, ...)
{
    checker->result->damaged++;
    if (!checker->result->text[0]) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(checker->result->text, sizeof(checker->result->text), fmt, args);
        va_end(args);
    }
}

static bool read_at(struct checker *checker, uint64_t page, uint8_t *into, size_t len)
{
    off_t at = (off_t)(page * checker->page_bytes);
    while (len) {
        ssize_t got =
            nj_fault_hit(NJ_FAULT_READ) ? (errno = EIO, -1) : pread(checker->fd, into, len, at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            complain(checker, "page %" PRIu64 " cannot be read", page);
            return false;
        }
        into += got;
        at += got;
        len -= (size_t)got;
    }
    return true;
}

/* ---- the two states */

static struct db get_db(const uint8_t *at)
{
    return (struct db){.depth = get16(at + 6), .entries = get64(at + 32), .root = get64(at + 40)};
}

static bool read_meta(struct checker *checker, uint64_t page, uint8_t *meta)
{
    if (!read_at(checker, page, meta, META_BYTES)) {
        return false;
    }
    return get16(meta + 10) == META && get64(meta + META_AT) == ((uint64_t)VERSION << 32 | MAGIC);
}

/* Both states, the newer one first; returns how many are sound. LMDB wants both. */
static unsigned find_states(struct checker *checker, uint8_t states[2][META_BYTES])
{
    unsigned count = 0;
    checker->page_bytes = PAGE_MIN;
    if (read_meta(checker, 0, states[0])) {
        uint32_t bytes = (uint32_t)(get64(states[0] + META_DBS) & UINT32_MAX);
        if (bytes >= PAGE_MIN && bytes <= PAGE_MAX && !(bytes & (bytes - 1))) {
            checker->page_bytes = bytes;
            count = 1;
        }
    }
    if (!count) {
        /* What all systems that we know use. */
        checker->page_bytes = PAGE_USUAL;
        complain(checker, "it is no LMDB database, or its first page is damaged");
    }
    if (read_meta(checker, 1, states[count])) {
        count++;
    } else {
        complain(checker, "it is no LMDB database, or its second page is damaged");
    }
    if (count == 2 && get64(states[1] + META_LAST + 8) > get64(states[0] + META_LAST + 8)) {
        uint8_t newer[META_BYTES];
        memcpy(newer, states[1], META_BYTES);
        memcpy(states[1], states[0], META_BYTES);
        memcpy(states[0], newer, META_BYTES);
    }
    return count;
}

/* ---- pages */

/* Claims pages for one use; two uses of a page would destroy each other. */
static bool claim(struct checker *checker, uint64_t page, uint64_t count)
{
    if (page < 2 || count == 0 || page > checker->last_page ||
        count > checker->last_page - page + 1 || page + count > checker->file_pages) {
        complain(checker, "page %" PRIu64 " is named and does not exist", page);
        return false;
    }
    for (uint64_t i = page; i < page + count; i++) {
        if (get_bit(checker->reached, i)) {
            complain(checker, "page %" PRIu64 " is used twice", i);
            return false;
        }
        set_bit(checker->reached, i);
    }
    checker->result->pages += count;
    return true;
}

static uint32_t node_count(const uint8_t *page)
{
    return (get16(page + 12) - PAGE_HEAD) / 2;
}

static uint32_t node_place(const uint8_t *page, uint32_t index)
{
    return get16(page + PAGE_HEAD + (size_t)index * 2);
}

/* Header and the places of all nodes. */
static bool is_page_sound(const struct checker *checker, const uint8_t *page, uint64_t number)
{
    uint16_t flags = get16(page + 10);
    uint32_t lower = get16(page + 12);
    uint32_t upper = get16(page + 14);
    if (get64(page) != number || (flags != BRANCH && flags != LEAF) || lower < PAGE_HEAD ||
        lower % 2 || lower > upper || upper > checker->page_bytes) {
        return false;
    }
    for (uint32_t i = 0; i < node_count(page); i++) {
        uint32_t at = node_place(page, i);
        if (at < upper || at + NODE_HEAD > checker->page_bytes) {
            return false;
        }
        const uint8_t *node = page + at;
        uint64_t size = get16(node + 6);
        if (flags == LEAF) {
            uint64_t data = get16(node) | (uint32_t)get16(node + 2) << 16;
            size += get16(node + 4) & NODE_BIG ? 8 : data;
        }
        if (get16(node + 6) > KEY_MAX || at + NODE_HEAD + size > checker->page_bytes) {
            return false;
        }
    }
    return flags == LEAF || node_count(page) >= 2;
}

static struct nj_bytes node_key(const uint8_t *page, uint32_t index)
{
    const uint8_t *node = page + node_place(page, index);
    return nj_bytes(node + NODE_HEAD, get16(node + 6));
}

static int compare_keys(const struct tree *tree, struct nj_bytes a, struct nj_bytes b)
{
    if (tree->is_free_list && a.len == FREE_KEY_LEN && b.len == FREE_KEY_LEN) {
        uint64_t left = get64(a.ptr);
        uint64_t right = get64(b.ptr);
        return (left > right) - (left < right);
    }
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool are_keys_rising(const struct tree *tree, const uint8_t *page)
{
    /* The first key of a branch stands for everything below the second. */
    uint32_t first = get16(page + 10) == BRANCH ? 2 : 1;
    for (uint32_t i = first; i < node_count(page); i++) {
        if (compare_keys(tree, node_key(page, i - 1), node_key(page, i)) >= 0) {
            return false;
        }
    }
    return true;
}

/* ---- leaves */

static void walk_db(struct checker *checker, const struct db *db, struct tree *tree);

/* The value of a node; one on pages of its own is read into *big, which the caller frees. */
static bool get_value(struct tree *tree, const uint8_t *node, struct nj_bytes *value, uint8_t **big)
{
    struct checker *checker = tree->checker;
    const uint8_t *data = node + NODE_HEAD + get16(node + 6);
    uint64_t len = get16(node) | (uint32_t)get16(node + 2) << 16;
    if (!(get16(node + 4) & NODE_BIG)) {
        *value = nj_bytes(data, len);
        return true;
    }
    uint64_t number = get64(data);
    uint64_t count = (PAGE_HEAD - 1 + len) / checker->page_bytes + 1;
    uint8_t head[PAGE_HEAD] = {0};
    if (number > checker->last_page || !read_at(checker, number, head, sizeof(head))) {
        complain(checker, "a record is on pages that do not exist");
        return false;
    }
    /* A shorter value may have taken the place of a longer one. */
    uint64_t pages = get16(head + 12) | (uint64_t)get16(head + 14) << 16;
    if (get64(head) != number || get16(head + 10) != OVERFLOW_PAGE || pages < count) {
        complain(checker, "page %" PRIu64 " is no overflow page", number);
        return false;
    }
    if (!claim(checker, number, pages)) {
        return false;
    }
    if (!checker->each && !tree->is_free_list) {
        *value = nj_bytes(NULL, len);
        return true;
    }
    *big = nj_try_alloc(count * checker->page_bytes);
    if (!*big || !read_at(checker, number, *big, count * checker->page_bytes)) {
        return false;
    }
    *value = nj_bytes(*big + PAGE_HEAD, len);
    return true;
}

static void note_free_pages(struct checker *checker, struct nj_bytes list)
{
    uint64_t count = list.len >= 8 ? get64(list.ptr) : UINT64_MAX;
    if (count > list.len / 8 - 1 || list.len < 8) {
        complain(checker, "the list of free pages is damaged");
        return;
    }
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t page = get64(list.ptr + 8 * i);
        if (page < 2 || page > checker->last_page || get_bit(checker->free, page)) {
            complain(checker, "the list of free pages names page %" PRIu64 " wrongly", page);
            return;
        }
        set_bit(checker->free, page);
        checker->result->free++;
    }
}

static void walk_node(struct tree *tree, const uint8_t *node)
{
    struct checker *checker = tree->checker;
    struct nj_bytes key = nj_bytes(node + NODE_HEAD, get16(node + 6));
    uint16_t flags = get16(node + 4);
    struct nj_bytes value;
    uint8_t *big = NULL;
    tree->entries++;
    if (flags & ~(tree->is_main ? NODE_TABLE : NODE_BIG)) {
        complain(checker, "a record has unknown properties");
        return;
    }
    if (get_value(tree, node, &value, &big)) {
        if (tree->is_free_list) {
            note_free_pages(checker, value);
        } else if (!tree->is_main) {
            if (checker->each) {
                checker->each(checker->arg, tree->table, key, value);
            }
        } else if (value.len != DB_BYTES || !value.ptr) {
            complain(checker, "the table of tables is damaged");
        } else {
            struct db db = get_db(value.ptr);
            struct tree below = {.checker = checker, .table = key};
            walk_db(checker, &db, &below);
        }
    }
    nj_free(big);
}

/* ---- trees */

static void walk_page(struct tree *tree, uint64_t number, unsigned depth_left);

static void walk_sound_page(struct tree *tree, const uint8_t *page, unsigned depth_left)
{
    bool is_branch = get16(page + 10) == BRANCH;
    for (uint32_t i = 0; i < node_count(page); i++) {
        const uint8_t *node = page + node_place(page, i);
        if (is_branch) {
            uint64_t child =
                get16(node) | (uint64_t)get16(node + 2) << 16 | (uint64_t)get16(node + 4) << 32;
            walk_page(tree, child, depth_left - 1);
        } else {
            walk_node(tree, node);
        }
    }
}

static void walk_page(struct tree *tree, uint64_t number, unsigned depth_left)
{
    struct checker *checker = tree->checker;
    if (!claim(checker, number, 1)) {
        return;
    }
    uint8_t *page = nj_try_alloc(checker->page_bytes);
    if (page && read_at(checker, number, page, checker->page_bytes)) {
        bool is_leaf = get16(page + 10) == LEAF;
        if (!is_page_sound(checker, page, number) || is_leaf != (depth_left == 1) ||
            !are_keys_rising(tree, page)) {
            complain(checker, "page %" PRIu64 " is damaged", number);
        } else {
            walk_sound_page(tree, page, depth_left);
        }
    }
    nj_free(page);
}

static void walk_db(struct checker *checker, const struct db *db, struct tree *tree)
{
    if (db->root == NO_ROOT) {
        return;
    }
    if (db->depth == 0 || db->depth > DEPTH_MAX) {
        complain(checker, "the depth of a table is damaged");
        return;
    }
    uint64_t before = checker->result->damaged;
    walk_page(tree, db->root, db->depth);
    if (checker->result->damaged == before && tree->entries != db->entries) {
        complain(checker, "a table has %" PRIu64 " records and says %" PRIu64, tree->entries,
                 db->entries);
    }
}

/* ---- what is below damaged pages */

/* Leaves that no list names any more: their records tell by their checksums where they belong. */
static void walk_lost_page(struct checker *checker, uint64_t number)
{
    uint8_t *page = nj_try_alloc(checker->page_bytes);
    struct tree tree = {.checker = checker};
    if (page && checker->each && read_at(checker, number, page, checker->page_bytes) &&
        is_page_sound(checker, page, number) && get16(page + 10) == LEAF) {
        set_bit(checker->reached, number);
        for (uint32_t i = 0; i < node_count(page); i++) {
            walk_node(&tree, page + node_place(page, i));
        }
    }
    nj_free(page);
}

static void look_for_lost_pages(struct checker *checker)
{
    for (uint64_t i = 2; i <= checker->last_page && i < checker->file_pages; i++) {
        bool is_free = get_bit(checker->free, i);
        if (get_bit(checker->reached, i)) {
            if (is_free) {
                complain(checker, "page %" PRIu64 " is in use and said to be free", i);
            }
            continue;
        }
        if (!is_free) {
            checker->result->lost++;
            walk_lost_page(checker, i);
        }
    }
}

/* ---- the file */

static void check_state(struct checker *checker, const uint8_t *meta)
{
    struct db free_list = get_db(meta + META_DBS);
    struct db main = get_db(meta + META_DBS + DB_BYTES);
    checker->last_page = get64(meta + META_LAST);
    checker->file_pages = checker->file_size / checker->page_bytes;
    /* LMDB does not write a page that was taken and given back in one transaction, so the file may
     * end a little early. A page that is used and lies behind the end is found below. */
    if (checker->last_page >= checker->file_pages + UNWRITTEN_MAX) {
        complain(checker, "the number of its last page is damaged");
        return;
    }
    size_t bits = checker->last_page / 8 + 1;
    checker->reached = nj_try_zalloc(bits);
    checker->free = nj_try_zalloc(bits);
    if (!checker->reached || !checker->free) {
        complain(checker, "it is too large for the memory there is");
        return;
    }
    struct tree free_tree = {.checker = checker, .is_free_list = true};
    struct tree main_tree = {.checker = checker, .is_main = true};
    walk_db(checker, &free_list, &free_tree);
    bool knows_free = checker->result->damaged == 0;
    walk_db(checker, &main, &main_tree);
    if (knows_free) {
        look_for_lost_pages(checker);
    }
}

static void free_bits(struct checker *checker)
{
    nj_free(checker->reached);
    nj_free(checker->free);
    checker->reached = NULL;
    checker->free = NULL;
}

/* Damage that one state has on its own. */
static uint64_t try_state(struct checker *checker, const uint8_t *meta)
{
    struct nj_lmdb_check result = {0};
    struct checker trial = *checker;
    trial.result = &result;
    trial.each = NULL;
    check_state(&trial, meta);
    free_bits(&trial);
    return result.damaged;
}

static void check_states(struct checker *checker)
{
    uint8_t states[2][META_BYTES];
    unsigned count = find_states(checker, states);
    unsigned best = 0;
    if (!count) {
        return;
    }
    /* To take over what there is, the older state may be the better one. */
    if (checker->each && count == 2) {
        uint64_t damage = try_state(checker, states[0]);
        if (damage && try_state(checker, states[1]) < damage) {
            complain(checker, "its newest state is damaged");
            best = 1;
        }
    }
    check_state(checker, states[best]);
    free_bits(checker);
}

/* Written for what LMDB writes here; on other machines the check passes over. */
static bool is_known_machine(void)
{
    const union {
        uint16_t number;
        uint8_t bytes[2];
    } order = {.number = 1};
    return sizeof(size_t) == 8 && order.bytes[0] == 1;
}

enum nj_err nj_lmdb_check_file(int dir_fd, const char *name, struct nj_lmdb_check *result,
                               nj_lmdb_record_fn each, void *arg)
{
    struct nj_lmdb_check own = {0};
    struct checker checker = {.result = result ? result : &own, .each = each, .arg = arg};
    struct stat info;
    *checker.result = (struct nj_lmdb_check){0};
    if (!is_known_machine()) {
        return NJ_OK;
    }
    checker.fd = nj_fault_hit(NJ_FAULT_OPEN)
                     ? (errno = EMFILE, -1)
                     : openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (checker.fd < 0) {
        return errno == ENOENT ? NJ_OK : NJ_ESYS;
    }
    if (fstat(checker.fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(checker.fd);
        return NJ_ESYS;
    }
    checker.file_size = (uint64_t)info.st_size;
    if (info.st_size) {
        check_states(&checker);
    }
    (void)close(checker.fd);
    return checker.result->damaged ? NJ_EMALFORMED : NJ_OK;
}
