/* Reads an ACL file; acl_build.c makes the compiled form. See acl.h; the grammar is
 * mosquitto.conf's. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/file.h"
#include "base/mem.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"
#include "security/acl.h"
#include "security/acl_priv.h"
#include "security/file_error_priv.h"

#define FILE_MAX     ((size_t)256 << 20)
#define WARNINGS_MAX 20

struct parser {
    struct nj_acl *acl;
    const struct nj_acl_options *options;
    uint32_t line;
    uint32_t list; /* root of the list that `topic` lines go to */
    char *error;
    size_t error_size;
};

static enum nj_err fail(struct parser *parser, const char *what)
{
    (void)snprintf(parser->error, parser->error_size, "%s in ACL file %s, line %u", what,
                   parser->acl->path, parser->line);
    return NJ_EMALFORMED;
}

static void warn(struct parser *parser, const char *what)
{
    struct nj_acl *acl = parser->acl;
    if (acl->warning_count == WARNINGS_MAX) {
        return;
    }
    acl->warnings = nj_realloc(acl->warnings, (acl->warning_count + 1) * sizeof(char *));
    struct nj_buf text;
    nj_buf_init(&text);
    if (nj_buf_printf(&text, "%s:%u: %s", acl->path, parser->line, what) == NJ_OK) {
        acl->warnings[acl->warning_count++] = nj_bytes_dup(nj_buf_bytes(&text));
    }
    nj_buf_fini(&text);
}

/* ---- lines */

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct nj_bytes trim(struct nj_bytes text)
{
    while (text.len && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && (is_blank(text.ptr[text.len - 1]) || text.ptr[text.len - 1] == '\r')) {
        text.len--;
    }
    return text;
}

/* Takes the first word off *rest, and the blanks behind it. */
static struct nj_bytes take_word(struct nj_bytes *rest)
{
    size_t len = 0;
    while (len < rest->len && !is_blank(rest->ptr[len])) {
        len++;
    }
    struct nj_bytes word = nj_bytes(rest->ptr, len);
    *rest = trim(nj_bytes(rest->ptr + len, rest->len - len));
    return word;
}

static bool is_word(struct parser *parser, struct nj_bytes word, const char *keyword)
{
    size_t len = strlen(keyword);
    if (word.len != len) {
        return false;
    }
    if (memcmp(word.ptr, keyword, len) == 0) {
        return true;
    }
    if (strncasecmp((const char *)word.ptr, keyword, len) != 0) {
        return false;
    }
    if (parser->options->any_case_keywords) {
        warn(parser, "keyword with capital letters; Mosquitto reads lower case only");
    }
    return parser->options->any_case_keywords;
}

/* 0 = not a word of access. */
static unsigned access_of(struct parser *parser, struct nj_bytes word)
{
    static const struct {
        const char *word;
        unsigned access;
    } table[] = {
        {"read", NJ_ACL_READ},
        {"write", NJ_ACL_WRITE},
        {"readwrite", NJ_ACL_READ | NJ_ACL_WRITE},
        {"deny", NJ_ACL_DENY},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (is_word(parser, word, table[i].word)) {
            return table[i].access;
        }
    }
    return 0;
}

/* Takes the access off *rest. One word alone is the topic. With a second one the first has to be an
 * access: `dney secret/#` must not become a right to a topic of that name. */
static enum nj_err take_access(struct parser *parser, struct nj_bytes *rest, unsigned *access)
{
    struct nj_bytes topic = *rest;
    struct nj_bytes word = take_word(&topic);
    *access = NJ_ACL_READ | NJ_ACL_WRITE;
    if (topic.len) {
        *access = access_of(parser, word);
        *rest = topic;
        return *access ? NJ_OK
                       : fail(parser, "Invalid access (want read, write, readwrite or deny)");
    }
    /* `topic read`: as likely as not the topic was forgotten. */
    if (access_of(parser, word)) {
        if (!parser->options->doubtful_as_text) {
            return fail(parser, "Empty topic");
        }
        warn(parser, "the word of access stands for the topic here");
    }
    return NJ_OK;
}

/* A %u or %c that does not fill its level. */
static bool has_inner_placeholder(struct nj_bytes topic)
{
    struct nj_bytes level;
    while (nj_mqtt_next_level(&topic, &level)) {
        for (size_t i = 0; i + 1 < level.len; i++) {
            bool is_placeholder =
                level.ptr[i] == '%' && (level.ptr[i + 1] == 'u' || level.ptr[i + 1] == 'c');
            if (is_placeholder && level.len != 2) {
                return true;
            }
        }
    }
    return false;
}

static bool has_placeholder(struct nj_bytes topic)
{
    struct nj_bytes level;
    while (nj_mqtt_next_level(&topic, &level)) {
        if (nj_bytes_equal(level, NJ_BYTES_LIT("%u")) ||
            nj_bytes_equal(level, NJ_BYTES_LIT("%c"))) {
            return true;
        }
    }
    return false;
}

/* What is allowed, but hardly meant. */
static enum nj_err check_meaning(struct parser *parser, struct nj_bytes topic, bool is_pattern)
{
    if (is_pattern && has_inner_placeholder(topic)) {
        static const char what[] = "%u and %c have to fill a whole level of a pattern";
        if (!parser->options->doubtful_as_text) {
            return fail(parser, what);
        }
        warn(parser, what);
    }
    if (!is_pattern && has_placeholder(topic)) {
        warn(parser, "%u and %c are plain text in a 'topic' line; 'pattern' fills them");
    }
    if (nj_mqtt_is_share(topic)) {
        warn(parser, "no message has a topic below $share; write the filter behind the group");
    }
    return NJ_OK;
}

static enum nj_err parse_rule(struct parser *parser, struct nj_bytes line, struct nj_bytes rest,
                              uint32_t root)
{
    struct nj_acl *acl = parser->acl;
    unsigned access;
    if (!rest.len) {
        return fail(parser, "Empty topic");
    }
    enum nj_err err = take_access(parser, &rest, &access);
    if (err == NJ_OK &&
        (!nj_mqtt_utf8_is_valid(rest) || !nj_mqtt_filter_is_valid(rest, NJ_MQTT_LEVELS_MAX))) {
        err = fail(parser, "Invalid topic");
    }
    if (err == NJ_OK) {
        err = check_meaning(parser, rest, root == acl->pattern_root);
    }
    if (err == NJ_OK) {
        nj_acl_build_add(acl, root, access, rest, nj_acl_build_rule(acl, parser->line, line));
    }
    return err;
}

static enum nj_err parse_line(struct parser *parser, struct nj_bytes line)
{
    struct nj_acl *acl = parser->acl;
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#') {
        return NJ_OK;
    }
    struct nj_bytes rest = line;
    struct nj_bytes keyword = take_word(&rest);
    if (is_word(parser, keyword, "topic")) {
        if (parser->list == acl->leading_root && !acl->has_leading) {
            acl->has_leading = true;
            acl->leading_line = parser->line;
        }
        return parse_rule(parser, line, rest, parser->list);
    }
    if (is_word(parser, keyword, "pattern")) {
        acl->has_patterns = true;
        return parse_rule(parser, line, rest, acl->pattern_root);
    }
    if (is_word(parser, keyword, "user")) {
        if (!rest.len || !nj_mqtt_utf8_is_valid(rest)) {
            return fail(parser, rest.len ? "Invalid user name" : "Missing user name");
        }
        parser->list = nj_acl_build_user(acl, rest);
        return NJ_OK;
    }
    return fail(parser, "Invalid line");
}

static enum nj_err parse_lines(struct parser *parser)
{
    struct nj_bytes text = nj_buf_bytes(&parser->acl->text);
    if (nj_bytes_starts_with(text, NJ_BYTES_LIT("\xef\xbb\xbf"))) {
        text = nj_bytes(text.ptr + 3, text.len - 3);
    }
    while (text.len) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        struct nj_bytes line = nj_bytes(text.ptr, len);
        parser->line++;
        if (len && memchr(line.ptr, 0, len)) {
            return fail(parser, "NUL byte");
        }
        enum nj_err err = parse_line(parser, line);
        if (err != NJ_OK) {
            return err;
        }
        size_t step_len = len + (end ? 1 : 0);
        text = nj_bytes(text.ptr + step_len, text.len - step_len);
    }
    return NJ_OK;
}

/* ---- life */

/* Takes the text over. */
static enum nj_err parse_owned(struct parser *parser, struct nj_buf *text, const char *path,
                               struct nj_acl **out)
{
    struct nj_acl *acl = nj_zalloc(sizeof(*acl));
    atomic_init(&acl->refs, 1);
    acl->path = nj_strdup(path);
    acl->leading_for_all = parser->options->leading_for_all;
    acl->text = *text;
    nj_buf_init(text);
    nj_acl_build_init(acl);
    parser->acl = acl;
    parser->list = acl->leading_root;
    enum nj_err err = parse_lines(parser);
    if (err != NJ_OK) {
        nj_acl_free(acl);
        return err;
    }
    if (acl->has_leading && !acl->leading_for_all) {
        parser->line = acl->leading_line;
        warn(parser, "'topic' lines before the first 'user' apply to anonymous clients only");
    }
    nj_acl_build_finish(acl);
    *out = acl;
    return NJ_OK;
}

enum nj_err nj_acl_parse(struct nj_bytes text, const char *path,
                         const struct nj_acl_options *options, struct nj_acl **out, char *error,
                         size_t error_size)
{
    struct parser parser = {.options = options, .error = error, .error_size = error_size};
    struct nj_buf copy;
    nj_buf_init(&copy);
    enum nj_err err = text.len > FILE_MAX ? NJ_ETOOBIG : nj_buf_append(&copy, text.ptr, text.len);
    if (err != NJ_OK) {
        (void)snprintf(error, error_size, "Unable to read ACL file %s: %s", path, nj_err_text(err));
        return err;
    }
    return parse_owned(&parser, &copy, path, out);
}

enum nj_err nj_acl_load(const char *path, const struct nj_acl_options *options, struct nj_acl **out,
                        char *error, size_t error_size)
{
    struct parser parser = {.options = options, .error = error, .error_size = error_size};
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_file_read(path, FILE_MAX, options->nofollow, &text);
    if (err == NJ_OK) {
        return parse_owned(&parser, &text, path, out);
    }
    nj_security_open_error("acl_file", path, err, error, error_size);
    nj_buf_fini(&text);
    return err;
}

struct nj_acl *nj_acl_ref(struct nj_acl *acl)
{
    atomic_fetch_add_explicit(&acl->refs, 1, memory_order_relaxed);
    return acl;
}

void nj_acl_free(struct nj_acl *acl)
{
    if (!acl || atomic_fetch_sub_explicit(&acl->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < acl->warning_count; i++) {
        nj_free(acl->warnings[i]);
    }
    nj_free(acl->warnings);
    nj_buf_fini(&acl->text);
    nj_free(acl->nodes);
    nj_free(acl->specials);
    nj_free(acl->slots);
    nj_free(acl->users);
    nj_free(acl->user_buckets);
    nj_free(acl->rules);
    nj_free(acl->path);
    nj_free(acl);
}

const char *nj_acl_rule_text(const struct nj_acl *acl, uint32_t rule_id, char *buf, size_t size)
{
    if (rule_id == 0 || rule_id > acl->rule_count) {
        (void)snprintf(buf, size, rule_id == NJ_ACL_RULE_SOME ? "one of many rules" : "no rule");
        return buf;
    }
    const struct nj_acl_rule *rule = &acl->rules[rule_id];
    (void)snprintf(buf, size, "%s:%u: %.*s", acl->path, rule->line, (int)rule->text_len,
                   (const char *)acl->text.data + rule->text_at);
    return buf;
}

bool nj_acl_is_same(const struct nj_acl *a, const struct nj_acl *b)
{
    return a == b || nj_bytes_equal(nj_buf_bytes(&a->text), nj_buf_bytes(&b->text));
}

size_t nj_acl_rule_count(const struct nj_acl *acl)
{
    return acl->rule_count;
}

size_t nj_acl_warning_count(const struct nj_acl *acl)
{
    return acl->warning_count;
}

const char *nj_acl_warning(const struct nj_acl *acl, size_t index)
{
    return acl->warnings[index];
}
