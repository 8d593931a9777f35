/* See dynsec_journal.h. */
#include "security/dynsec_journal.h"

#include <sys/stat.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#define HEAD_MAX 160
#define MODE     0600
#define ROOM     ((size_t)64 * 1024) /* the file grows by so much */

/* Against damage, not against an enemy: who can write here can write the file, too. */
#define SUM_KEY_0 0x6e69676874000001ull
#define SUM_KEY_1 0x6a6172206a726e6cull

bool nj_dynsec_digest_of(struct nj_bytes text, struct nj_dynsec_digest *out)
{
    unsigned len = 0;
    return EVP_Digest(text.ptr, text.len, out->bytes, &len, EVP_sha256(), NULL) == 1 &&
           len == NJ_DYNSEC_DIGEST;
}

bool nj_dynsec_digest_equal(const struct nj_dynsec_digest *a, const struct nj_dynsec_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- reading */

/* The record's head without its sum, and its lines, under one sum. */
static uint64_t sum_of(struct nj_bytes head, struct nj_bytes lines)
{
    uint64_t first = nj_siphash13(head, SUM_KEY_0, SUM_KEY_1);
    return nj_siphash13(lines, SUM_KEY_0 ^ first, SUM_KEY_1);
}

static int hex_digit(char letter)
{
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static bool read_digest(const char *hex, struct nj_dynsec_digest *out)
{
    for (int i = 0; i < NJ_DYNSEC_DIGEST; i++) {
        int high = hex_digit(hex[0]);
        int low = high < 0 ? -1 : hex_digit(hex[1]);
        hex += 2;
        if (low < 0) {
            return false;
        }
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* The next word of a line; NULL when there is none. */
static char *next_word(char **at)
{
    char *word = *at;
    char *blank = strchr(word, ' ');
    if (!*word) {
        return NULL;
    }
    if (blank) {
        *blank = '\0';
    }
    *at = blank ? blank + 1 : word + strlen(word);
    return word;
}

static bool read_number(char **at, int base, uint64_t *out)
{
    char *end;
    const char *word = next_word(at);
    if (!word || hex_digit(*word) < 0) {
        return false; /* strtoull would take signs and blanks, too */
    }
    errno = 0;
    unsigned long long value = strtoull(word, &end, base);
    *out = value;
    return errno == 0 && *end == '\0';
}

/* `text` is one line without its end; it is taken apart. */
static bool read_head(char *text, struct nj_dynsec_record *out, uint64_t *lines_len, uint64_t *sum)
{
    char *at = text;
    const char *mark = next_word(&at);
    const char *kind = mark ? next_word(&at) : NULL;
    *lines_len = 0;
    if (!kind || strcmp(mark, "nj1") != 0) {
        return false;
    }
    if (strcmp(kind, "change") == 0) {
        out->kind = NJ_DYNSEC_RECORD_CHANGE;
        return read_number(&at, 10, &out->from) && read_number(&at, 10, &out->index) &&
               read_number(&at, 10, lines_len) && read_number(&at, 16, sum) && !*at;
    }
    out->kind = strcmp(kind, "base") == 0 ? NJ_DYNSEC_RECORD_BASE : NJ_DYNSEC_RECORD_SAVE;
    if (out->kind != NJ_DYNSEC_RECORD_BASE && strcmp(kind, "save") != 0) {
        return false;
    }
    const char *digest = read_number(&at, 10, &out->index) ? next_word(&at) : NULL;
    return digest && strlen(digest) == (size_t)2 * NJ_DYNSEC_DIGEST &&
           read_digest(digest, &out->digest) && read_number(&at, 16, sum) && !*at;
}

static enum nj_err parse(struct nj_bytes rest, struct nj_dynsec_record *out)
{
    char text[HEAD_MAX];
    uint64_t lines_len;
    uint64_t sum;
    const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
    if (!end) {
        return rest.len < HEAD_MAX ? NJ_EAGAIN : NJ_EMALFORMED;
    }
    size_t len = (size_t)(end - rest.ptr);
    if (len >= sizeof(text)) {
        return NJ_EMALFORMED;
    }
    memcpy(text, rest.ptr, len);
    text[len] = '\0';
    *out = (struct nj_dynsec_record){.kind = NJ_DYNSEC_RECORD_BASE};
    if (strlen(text) != len || !read_head(text, out, &lines_len, &sum)) {
        return NJ_EMALFORMED;
    }
    if (lines_len > rest.len - len - 1) {
        return NJ_EAGAIN;
    }
    out->lines = nj_bytes(end + 1, (size_t)lines_len);
    out->whole = nj_bytes(rest.ptr, len + 1 + (size_t)lines_len);
    const uint8_t *sum_at = memrchr(rest.ptr, ' ', len);
    struct nj_bytes head = nj_bytes(rest.ptr, (size_t)(sum_at - rest.ptr));
    return sum_of(head, out->lines) == sum ? NJ_OK : NJ_EMALFORMED;
}

/* Whether a whole record stands somewhere behind a bad one. */
static bool has_more(struct nj_bytes rest)
{
    const struct nj_bytes mark = NJ_BYTES_LIT("\nnj1 ");
    const uint8_t *at;
    while (rest.len && (at = memmem(rest.ptr, rest.len, mark.ptr, mark.len))) {
        struct nj_dynsec_record record;
        rest = nj_bytes(at + 1, rest.len - (size_t)(at + 1 - rest.ptr));
        if (parse(rest, &record) == NJ_OK) {
            return true;
        }
    }
    return false;
}

static bool is_room(struct nj_bytes rest)
{
    while (rest.len && !rest.ptr[0]) {
        rest = nj_bytes(rest.ptr + 1, rest.len - 1);
    }
    return rest.len == 0;
}

enum nj_err nj_dynsec_record_next(struct nj_bytes *rest, struct nj_dynsec_record *out)
{
    if (is_room(*rest)) {
        return NJ_ENOENT;
    }
    enum nj_err err = parse(*rest, out);
    if (err != NJ_OK) {
        /* A cut record, whatever is in the blocks that never came: only the last can be one. */
        return has_more(*rest) ? NJ_EMALFORMED : NJ_EAGAIN;
    }
    rest->ptr += out->whole.len;
    rest->len -= out->whole.len;
    return NJ_OK;
}

/* ---- writing */

static enum nj_err put_record(struct nj_buf *buf, const char *head, struct nj_bytes lines)
{
    uint64_t sum = sum_of(nj_bytes_of(head), lines);
    size_t before = buf->len;
    enum nj_err err = nj_buf_printf(buf, "%s %016" PRIx64 "\n", head, sum);
    err = err == NJ_OK ? nj_buf_append(buf, lines.ptr, lines.len) : err;
    if (err != NJ_OK) {
        buf->len = before;
    }
    return err;
}

static enum nj_err put_digest(struct nj_buf *buf, const char *kind, uint64_t index,
                              const struct nj_dynsec_digest *digest)
{
    char head[HEAD_MAX];
    int len = snprintf(head, sizeof(head), "nj1 %s %" PRIu64 " ", kind, index);
    for (int i = 0; i < NJ_DYNSEC_DIGEST; i++) {
        len += snprintf(head + len, sizeof(head) - (size_t)len, "%02x", digest->bytes[i]);
    }
    return put_record(buf, head, nj_bytes(NULL, 0));
}

void nj_dynsec_journal_init(struct nj_dynsec_journal *journal, const char *path)
{
    *journal = (struct nj_dynsec_journal){.path = nj_strdup(path), .fd = -1};
}

static void let_go(struct nj_dynsec_journal *journal)
{
    if (journal->fd >= 0) {
        (void)close(journal->fd);
        journal->fd = -1;
    }
}

void nj_dynsec_journal_fini(struct nj_dynsec_journal *journal)
{
    let_go(journal);
    nj_wipe(journal->text.data, journal->text.len);
    nj_buf_fini(&journal->text);
    nj_free(journal->path);
}

enum nj_err nj_dynsec_journal_start(struct nj_dynsec_journal *journal, uint64_t index,
                                    const struct nj_dynsec_digest *digest)
{
    let_go(journal);
    journal->text.len = 0;
    return put_digest(&journal->text, "base", index, digest);
}

enum nj_err nj_dynsec_journal_resume(struct nj_dynsec_journal *journal, struct nj_bytes text)
{
    let_go(journal);
    journal->text.len = 0;
    return nj_buf_append(&journal->text, text.ptr, text.len);
}

static size_t room_for(size_t len)
{
    return (len / ROOM + 1) * ROOM;
}

/* As a whole: old or new, never half. */
static enum nj_err write_anew(struct nj_dynsec_journal *journal)
{
    struct nj_buf *text = &journal->text;
    size_t room = room_for(text->len);
    let_go(journal);
    errno = ENOMEM;
    enum nj_err err = nj_buf_reserve(text, room - text->len);
    if (err == NJ_OK) {
        memset(text->data + text->len, 0, room - text->len);
        err = nj_file_replace(journal->path, text->data, room, MODE);
    }
    if (err != NJ_OK) {
        return err;
    }
    journal->room = room;
    journal->fd = nj_file_open_write(journal->path); /* else the next one is written anew, too */
    return NJ_OK;
}

/* What stands behind `before` goes behind it in the file. */
static enum nj_err add(struct nj_dynsec_journal *journal, size_t before)
{
    struct nj_buf *text = &journal->text;
    size_t len = text->len;
    if (len > journal->room) {
        size_t room = room_for(len);
        errno = ENOMEM;
        if (nj_buf_reserve(text, room - len) != NJ_OK) {
            return NJ_ENOMEM;
        }
        memset(text->data + len, 0, room - len);
        journal->room = room;
        len = room;
    }
    return nj_file_put(journal->fd, before, text->data + before, len - before);
}

/* Somebody took the file away: what goes into it now is nowhere. */
static bool is_gone(int fd)
{
    struct stat info;
    return fstat(fd, &info) != 0 || info.st_nlink == 0;
}

/* A record that was refused may be in the file as a whole: with a full disk it is the room behind
 * it that did not fit, and a new file fits even less. */
static void take_back(const struct nj_dynsec_journal *journal, size_t before)
{
    (void)!ftruncate(journal->fd, (off_t)before);
    (void)fdatasync(journal->fd);
}

/* What was added to the text behind `before` is put on disk, or taken back. */
static enum nj_err flush(struct nj_dynsec_journal *journal, size_t before)
{
    struct nj_buf *text = &journal->text;
    bool has_file = journal->fd >= 0 && !is_gone(journal->fd);
    enum nj_err err = has_file ? add(journal, before) : write_anew(journal);
    if (err == NJ_OK) {
        return NJ_OK;
    }
    int cause = errno;
    text->len = before;
    if (has_file) {
        take_back(journal, before);
    }
    /* The file may hold it now, or half of it, and what a failed sync left in memory is anybody's
     * guess: it is written anew, at once if that is possible, else before the next record. */
    if (write_anew(journal) != NJ_OK) {
        let_go(journal);
    }
    errno = cause;
    return err;
}

enum nj_err nj_dynsec_journal_change(struct nj_dynsec_journal *journal, uint64_t from, uint64_t to,
                                     struct nj_bytes lines)
{
    char head[HEAD_MAX];
    size_t before = journal->text.len;
    (void)snprintf(head, sizeof(head), "nj1 change %" PRIu64 " %" PRIu64 " %zu", from, to,
                   lines.len);
    errno = ENOMEM;
    enum nj_err err = put_record(&journal->text, head, lines);
    return err == NJ_OK ? flush(journal, before) : err;
}

enum nj_err nj_dynsec_journal_save(struct nj_dynsec_journal *journal, uint64_t index,
                                   const struct nj_dynsec_digest *digest)
{
    size_t before = journal->text.len;
    errno = ENOMEM;
    enum nj_err err = put_digest(&journal->text, "save", index, digest);
    return err == NJ_OK ? flush(journal, before) : err;
}

enum nj_err nj_dynsec_journal_trim(struct nj_dynsec_journal *journal, uint64_t index,
                                   const struct nj_dynsec_digest *digest)
{
    struct nj_buf rest = {NULL, 0, 0};
    struct nj_bytes text = nj_buf_bytes(&journal->text);
    struct nj_dynsec_record record;
    enum nj_err err = put_digest(&rest, "base", index, digest);
    while (err == NJ_OK && nj_dynsec_record_next(&text, &record) == NJ_OK) {
        if (record.kind == NJ_DYNSEC_RECORD_CHANGE && record.index > index) {
            err = nj_buf_append(&rest, record.whole.ptr, record.whole.len);
        }
    }
    if (err != NJ_OK) {
        nj_buf_fini(&rest);
        return err;
    }
    struct nj_buf old = journal->text;
    journal->text = rest;
    err = write_anew(journal);
    if (err != NJ_OK) {
        /* The old one, wherever it is, says the same. */
        nj_buf_fini(&journal->text);
        journal->text = old;
        let_go(journal);
        return err;
    }
    nj_wipe(old.data, old.len);
    nj_buf_fini(&old);
    return NJ_OK;
}

bool nj_dynsec_journal_has_changes(const struct nj_dynsec_journal *journal)
{
    struct nj_bytes text = nj_buf_bytes(&journal->text);
    struct nj_dynsec_record record;
    while (nj_dynsec_record_next(&text, &record) == NJ_OK) {
        if (record.kind == NJ_DYNSEC_RECORD_CHANGE) {
            return true;
        }
    }
    return false;
}

void nj_dynsec_journal_remove(struct nj_dynsec_journal *journal)
{
    let_go(journal);
    (void)unlink(journal->path);
}
