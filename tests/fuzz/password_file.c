/* Fuzzes the reading and editing of password files.
 *
 * Oracle: an error has a text that begins as the original's; what is accepted holds only hashes
 * that are valid on their own, keeps its meaning when a user is added and when it is removed
 * again, and never has a user without a name. */
#include "security/password_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "security/password.h"

#define HASH                                                                                       \
    "$6$AAECAwQFBgcICQoL$JqsxEv/ucyxjA5DKsQ+Y8CDWaQDNQI9FpAkmfwAqWfwZLk/"                          \
    "JEGgM0EpylrJHAZKKyFQjJeZ3nFaHjPzOzPPmPw=="

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct nj_passwords *parse(struct nj_bytes text)
{
    static const char start[] = "Error: Unable to decode line in password file";
    struct nj_passwords *passwords = NULL;
    char error[200] = "";
    enum nj_err err = nj_passwords_parse(text, "f", &passwords, error, sizeof(error));
    need((err == NJ_OK) == (passwords != NULL));
    need(err == NJ_OK || strncmp(error, start, sizeof(start) - 1) == 0);
    return passwords;
}

/* The names of a file are found by cutting it as simply as possible. */
static void check_entries(const struct nj_passwords *passwords, struct nj_bytes text)
{
    size_t found = 0;
    for (size_t at = 0; at < text.len;) {
        const uint8_t *line = text.ptr + at;
        const uint8_t *end = memchr(line, '\n', text.len - at);
        size_t len = end ? (size_t)(end - line) : text.len - at;
        at += len + 1;
        const uint8_t *colon = len ? memchr(line, ':', len) : NULL;
        if (!colon || line[0] == '#') {
            continue;
        }
        struct nj_bytes name = nj_bytes(line, (size_t)(colon - line));
        while (name.len && (name.ptr[0] == ' ' || name.ptr[0] == '\t')) {
            name = nj_bytes(name.ptr + 1, name.len - 1);
        }
        while (name.len && (name.ptr[name.len - 1] == ' ' || name.ptr[name.len - 1] == '\t')) {
            name.len--;
        }
        const struct nj_password_entry *entry = nj_passwords_find(passwords, name);
        need(entry && name.len > 0 && nj_password_hash_is_valid(entry->hash) && entry->id != 0);
        found++;
    }
    need(found == nj_passwords_count(passwords));
}

static void check_edits(const struct nj_passwords *passwords, struct nj_bytes text)
{
    struct nj_bytes user = NJ_BYTES_LIT("added");
    struct nj_buf more;
    struct nj_buf less;
    bool was_there;
    nj_buf_init(&more);
    nj_buf_init(&less);
    need(nj_password_text_set(text, user, NJ_BYTES_LIT(HASH), &more, &was_there) == NJ_OK);
    need(was_there == (nj_passwords_find(passwords, user) != NULL));
    struct nj_passwords *edited = parse(nj_buf_bytes(&more));
    need(edited && nj_bytes_equal(nj_passwords_find(edited, user)->hash, NJ_BYTES_LIT(HASH)));
    need(nj_passwords_count(edited) == nj_passwords_count(passwords) + !was_there);
    nj_passwords_free(edited);
    need(nj_password_text_remove(nj_buf_bytes(&more), user, &less, &was_there) == NJ_OK);
    need(was_there);
    edited = parse(nj_buf_bytes(&less));
    need(edited && !nj_passwords_find(edited, user));
    nj_passwords_free(edited);
    nj_buf_fini(&more);
    nj_buf_fini(&less);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nj_bytes text = nj_bytes(data, size);
    struct nj_passwords *passwords = parse(text);
    if (passwords) {
        if (!nj_bytes_starts_with(text, NJ_BYTES_LIT("\xef\xbb\xbf"))) {
            check_entries(passwords, text);
        }
        check_edits(passwords, text);
        nj_passwords_free(passwords);
    }
    return 0;
}
