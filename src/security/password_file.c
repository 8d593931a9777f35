/* See password_file.h. */
#include "security/password_file.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "mqtt/utf8.h"
#include "security/file_error_priv.h"
#include "security/lines_priv.h"
#include "security/password.h"

#define FILE_MAX ((size_t)512 << 20)
#define USER_MAX 65535u

struct nj_passwords {
    _Atomic uint32_t refs;
    struct nj_buf text; /* what the entries point into */
    struct nj_password_entry *entries;
    uint32_t *next; /* chain of the same bucket; 1-based, 0 = end */
    uint32_t *buckets;
    uint32_t mask;
    uint32_t count;
    uint32_t cap;
};

const struct nj_password_entry *nj_passwords_find(const struct nj_passwords *passwords,
                                                  struct nj_bytes user)
{
    if (!passwords->buckets || !user.ptr) {
        return NULL;
    }
    uint32_t at = passwords->buckets[(uint32_t)nj_hash_bytes(user) & passwords->mask];
    while (at && !nj_bytes_equal(passwords->entries[at].user, user)) {
        at = passwords->next[at];
    }
    return at ? &passwords->entries[at] : NULL;
}

static void grow(struct nj_passwords *passwords)
{
    uint32_t cap = passwords->cap ? passwords->cap * 2 : 64;
    passwords->entries = nj_realloc(passwords->entries, cap * sizeof(*passwords->entries));
    passwords->next = nj_realloc(passwords->next, cap * sizeof(uint32_t));
    nj_free(passwords->buckets);
    passwords->buckets = nj_zalloc(cap * sizeof(uint32_t));
    passwords->cap = cap;
    passwords->mask = cap - 1;
    for (uint32_t i = 1; i <= passwords->count; i++) {
        uint32_t bucket = (uint32_t)nj_hash_bytes(passwords->entries[i].user) & passwords->mask;
        passwords->next[i] = passwords->buckets[bucket];
        passwords->buckets[bucket] = i;
    }
}

static void add(struct nj_passwords *passwords, struct nj_bytes user, struct nj_bytes hash)
{
    if (passwords->count + 1 >= passwords->cap) {
        grow(passwords);
    }
    uint32_t at = ++passwords->count;
    uint32_t bucket = (uint32_t)nj_hash_bytes(user) & passwords->mask;
    passwords->entries[at] =
        (struct nj_password_entry){.user = user, .hash = hash, .id = nj_hash_bytes(hash) | 1};
    passwords->next[at] = passwords->buckets[bucket];
    passwords->buckets[bucket] = at;
}

static const char *check_line(const struct nj_passwords *passwords, struct nj_bytes line,
                              struct nj_bytes *user, struct nj_bytes *hash)
{
    if (memchr(line.ptr, 0, line.len) || !nj_lines_split(line, user, hash)) {
        return "no colon between user name and hash";
    }
    if (user->len == 0 || user->len > USER_MAX || !nj_mqtt_utf8_is_valid(*user)) {
        return "empty or invalid user name";
    }
    if (!nj_password_hash_is_valid(*hash)) {
        return hash->len && hash->ptr[0] != '$'
                   ? "this is a plain password; `nj passwd -U` replaces those of a file by hashes"
                   : "this is not a password hash that can be verified";
    }
    return nj_passwords_find(passwords, *user) ? "duplicate user name" : NULL;
}

static enum nj_err parse_lines(struct nj_passwords *passwords, const char *path, char *error,
                               size_t error_size)
{
    struct nj_bytes rest = nj_lines_without_bom(nj_buf_bytes(&passwords->text));
    struct nj_bytes line;
    for (unsigned number = 1; nj_lines_take(&rest, &line); number++) {
        struct nj_bytes user;
        struct nj_bytes hash;
        if (nj_lines_trim(line).len == 0 || line.ptr[0] == '#') {
            continue;
        }
        const char *why = check_line(passwords, line, &user, &hash);
        if (why) {
            (void)snprintf(error, error_size,
                           "Error: Unable to decode line in password file %s, line %u: %s", path,
                           number, why);
            return NJ_EMALFORMED;
        }
        add(passwords, user, hash);
    }
    return NJ_OK;
}

/* Takes the text over. */
static enum nj_err parse_owned(struct nj_buf *text, const char *path, struct nj_passwords **out,
                               char *error, size_t error_size)
{
    struct nj_passwords *passwords = nj_zalloc(sizeof(*passwords));
    atomic_init(&passwords->refs, 1);
    passwords->text = *text;
    nj_buf_init(text);
    enum nj_err err = parse_lines(passwords, path, error, error_size);
    if (err != NJ_OK) {
        nj_passwords_free(passwords);
        return err;
    }
    *out = passwords;
    return NJ_OK;
}

enum nj_err nj_passwords_parse(struct nj_bytes text, const char *path, struct nj_passwords **out,
                               char *error, size_t error_size)
{
    struct nj_buf copy;
    nj_buf_init(&copy);
    enum nj_err err = nj_buf_append(&copy, text.ptr, text.len);
    if (err != NJ_OK) {
        (void)snprintf(error, error_size, "Unable to read password file %s: %s", path,
                       nj_err_text(err));
        return err;
    }
    return parse_owned(&copy, path, out, error, error_size);
}

enum nj_err nj_passwords_load(const char *path, bool nofollow, struct nj_passwords **out,
                              char *error, size_t error_size)
{
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_file_read(path, FILE_MAX, nofollow, &text);
    if (err == NJ_OK) {
        return parse_owned(&text, path, out, error, error_size);
    }
    nj_security_open_error("password_file", path, err, error, error_size);
    if (text.data) {
        nj_wipe(text.data, text.cap);
    }
    nj_buf_fini(&text);
    return err;
}

struct nj_passwords *nj_passwords_ref(struct nj_passwords *passwords)
{
    atomic_fetch_add_explicit(&passwords->refs, 1, memory_order_relaxed);
    return passwords;
}

void nj_passwords_free(struct nj_passwords *passwords)
{
    if (!passwords || atomic_fetch_sub_explicit(&passwords->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (passwords->text.data) {
        nj_wipe(passwords->text.data, passwords->text.len);
    }
    nj_buf_fini(&passwords->text);
    nj_free(passwords->entries);
    nj_free(passwords->next);
    nj_free(passwords->buckets);
    nj_free(passwords);
}

size_t nj_passwords_count(const struct nj_passwords *passwords)
{
    return passwords->count;
}

/* ---- editing */

bool nj_password_user_is_valid(struct nj_bytes user)
{
    return user.len > 0 && user.len <= USER_MAX && nj_lines_trim(user).len == user.len &&
           user.ptr[0] != '#' && !memchr(user.ptr, ':', user.len) && nj_mqtt_utf8_is_valid(user) &&
           !nj_mqtt_utf8_has_control(user);
}

static enum nj_err put_entry(struct nj_buf *out, struct nj_bytes user, struct nj_bytes hash)
{
    enum nj_err err = nj_buf_append(out, user.ptr, user.len);
    err = err == NJ_OK ? nj_buf_append(out, ":", 1) : err;
    err = err == NJ_OK ? nj_buf_append(out, hash.ptr, hash.len) : err;
    return err == NJ_OK ? nj_buf_append(out, "\n", 1) : err;
}

/* Copies all lines; those of `user` are replaced by `hash`, or left out when that is empty. */
static enum nj_err edit(struct nj_bytes text, struct nj_bytes user, struct nj_bytes hash,
                        struct nj_buf *out, bool *was_there)
{
    struct nj_bytes line;
    enum nj_err err = NJ_OK;
    *was_there = false;
    /* A byte order mark stays: behind it could be another, which is part of a name. */
    struct nj_bytes rest = nj_lines_without_bom(text);
    if (rest.len < text.len) {
        err = nj_buf_append(out, text.ptr, text.len - rest.len);
    }
    while (err == NJ_OK && nj_lines_take(&rest, &line)) {
        struct nj_bytes name;
        struct nj_bytes old;
        if (line.len && line.ptr[0] != '#' && nj_lines_split(line, &name, &old) &&
            nj_bytes_equal(name, user)) {
            err = hash.len && !*was_there ? put_entry(out, user, hash) : NJ_OK;
            *was_there = true;
            continue;
        }
        err = nj_buf_append(out, line.ptr, line.len);
        err = err == NJ_OK ? nj_buf_append(out, "\n", 1) : err;
    }
    return err;
}

enum nj_err nj_password_text_set(struct nj_bytes text, struct nj_bytes user, struct nj_bytes hash,
                                 struct nj_buf *out, bool *was_there)
{
    enum nj_err err = edit(text, user, hash, out, was_there);
    return err == NJ_OK && !*was_there ? put_entry(out, user, hash) : err;
}

enum nj_err nj_password_text_remove(struct nj_bytes text, struct nj_bytes user, struct nj_buf *out,
                                    bool *was_there)
{
    return edit(text, user, nj_bytes(NULL, 0), out, was_there);
}
