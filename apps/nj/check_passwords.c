/* What is wrong with a password file: see check.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "check.h"
#include "security/password.h"
#include "security/password_file.h"

#define FILE_MAX ((size_t)512 << 20)
/* OWASP's figures for PBKDF2-HMAC-SHA512 and argon2id: below, guessing is cheap. */
#define PBKDF2_ITERATIONS_MIN 210000ul
#define ARGON2_KIB_PASSES_MIN 19456ul

struct look {
    struct nj_findings *findings;
    const char *path;
    unsigned line;
};

static void weak(const struct look *look, struct nj_bytes user, const char *why)
{
    const struct nj_finding_place place = {
        NJ_FINDING_WARNING, "weak-hash", look->path, look->line,
        "set the password again with `nj passwd`, which hashes with argon2id"};
    nj_findings_add(look->findings, &place, "the password of '%.*s' %s",
                    (int)(user.len < 200 ? user.len : 200), (const char *)user.ptr, why);
}

/* The number behind `key` in "$argon2id$v=19$m=…,t=…,p=…$": 0 = none. */
static unsigned long parameter(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at != NULL ? strtoul(at + strlen(key), NULL, 10) : 0;
}

const char *nj_check_hash(struct nj_bytes hash, char *buf, size_t size)
{
    char text[NJ_HASH_TEXT_MAX];
    const char *why = NULL;
    if (hash.len < 4 || hash.len >= sizeof(text)) {
        return NULL;
    }
    memcpy(text, hash.ptr, hash.len);
    text[hash.len] = '\0';
    if (strncmp(text, "$6$", 3) == 0) {
        why = "is hashed once with SHA-512 ($6$): fast to guess";
    } else if (strncmp(text, "$7$", 3) == 0) {
        unsigned long iterations = strtoul(text + 3, NULL, 10);
        if (iterations < PBKDF2_ITERATIONS_MIN) {
            (void)snprintf(buf, size, "is hashed with %lu iterations of PBKDF2, fewer than %lu",
                           iterations, PBKDF2_ITERATIONS_MIN);
            why = buf;
        }
    } else {
        unsigned long work = parameter(text, "m=") * parameter(text, "t=");
        if (work < ARGON2_KIB_PASSES_MIN) {
            (void)snprintf(buf, size, "is hashed with little memory (argon2id, %lu KiB)", work);
            why = buf;
        }
    }
    nj_wipe(text, sizeof(text));
    return why;
}

static void look_at_hash(const struct look *look, struct nj_bytes user, struct nj_bytes hash)
{
    char buf[NJ_CHECK_WHY_MAX];
    const char *why = nj_check_hash(hash, buf, sizeof(buf));
    if (why != NULL) {
        weak(look, user, why);
    }
}

/* Whether the line alone is good, and in which way it is not. */
static bool look_at_line(const struct look *look, struct nj_bytes line)
{
    struct nj_passwords *one = NULL;
    char error[512];
    if (nj_passwords_parse(line, look->path, &one, error, sizeof(error)) == NJ_OK) {
        nj_passwords_free(one);
        return true;
    }
    const char *why = strstr(error, ", line 1: ");
    const struct nj_finding_place place = {
        NJ_FINDING_ERROR, "password-invalid", look->path, look->line,
        "a line is NAME:HASH; `nj passwd -U FILE` makes hashes of plain passwords"};
    nj_findings_add(look->findings, &place, "%s", why != NULL ? why + 10 : error);
    return false;
}

static struct nj_bytes trimmed(struct nj_bytes text)
{
    while (text.len > 0 && strchr(" \t\r", text.ptr[text.len - 1]) != NULL) {
        text.len--;
    }
    while (text.len > 0 && strchr(" \t", text.ptr[0]) != NULL) {
        text.ptr++;
        text.len--;
    }
    return text;
}

static void look_at_lines(struct look *look, struct nj_bytes rest, struct nj_buf *good)
{
    if (nj_bytes_starts_with(rest, NJ_BYTES_LIT("\xef\xbb\xbf"))) {
        rest = nj_bytes(rest.ptr + 3, rest.len - 3);
    }
    for (look->line = 1; rest.len > 0; look->line++) {
        const uint8_t *newline = memchr(rest.ptr, '\n', rest.len);
        size_t len = newline != NULL ? (size_t)(newline - rest.ptr) : rest.len;
        struct nj_bytes line = nj_bytes(rest.ptr, len);
        const uint8_t *colon = len > 0 ? memchr(line.ptr, ':', len) : NULL;
        if (look_at_line(look, line) && colon != NULL && line.ptr[0] != '#') {
            size_t name_len = (size_t)(colon - line.ptr);
            look_at_hash(look, trimmed(nj_bytes(line.ptr, name_len)),
                         trimmed(nj_bytes(colon + 1, len - name_len - 1)));
            if (nj_buf_append(good, line.ptr, len) != NJ_OK ||
                nj_buf_append(good, "\n", 1) != NJ_OK) {
                return;
            }
        } else if (nj_buf_append(good, "\n", 1) != NJ_OK) { /* keeps the numbers of the lines */
            return;
        }
        size_t used = newline != NULL ? len + 1 : len;
        rest = nj_bytes(rest.ptr + used, rest.len - used);
    }
}

/* The good lines together: what is left to find are names that come twice. */
static struct nj_passwords *parse_good(const struct look *look, struct nj_bytes good)
{
    struct nj_passwords *passwords = NULL;
    char error[512];
    if (nj_passwords_parse(good, look->path, &passwords, error, sizeof(error)) == NJ_OK) {
        return passwords;
    }
    const char *line = strstr(error, ", line ");
    const char *why = line != NULL ? strstr(line, ": ") : NULL;
    const struct nj_finding_place place = {NJ_FINDING_ERROR, "password-invalid", look->path,
                                           line != NULL ? (unsigned)strtoul(line + 7, NULL, 10) : 0,
                                           "remove one of the lines"};
    nj_findings_add(look->findings, &place, "%s", why != NULL ? why + 2 : error);
    return NULL;
}

static void wipe(struct nj_buf *text)
{
    if (text->data != NULL) {
        nj_wipe(text->data, text->cap);
    }
    nj_buf_fini(text);
}

void nj_check_passwords(struct nj_findings *findings, const char *path, bool nofollow,
                        struct nj_passwords **out)
{
    struct look look = {.findings = findings, .path = path};
    struct nj_passwords *passwords = NULL;
    struct nj_buf text;
    struct nj_buf good;
    nj_buf_init(&text);
    nj_buf_init(&good);
    enum nj_err err = nj_file_read(path, FILE_MAX, nofollow, &text);
    if (err != NJ_OK) {
        const struct nj_finding_place place = {NJ_FINDING_ERROR, "file-unreadable", path, 0, NULL};
        nj_findings_add(findings, &place, "the password file cannot be read: %s", nj_file_why(err));
    } else {
        nj_check_file_mode(findings, path, true);
        look_at_lines(&look, nj_buf_bytes(&text), &good);
        passwords = parse_good(&look, nj_buf_bytes(&good));
    }
    wipe(&text);
    wipe(&good);
    if (out != NULL) {
        *out = passwords;
    } else {
        nj_passwords_free(passwords);
    }
}
