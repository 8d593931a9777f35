/* From an ACL file's text to its compiled form. See acl.h; the grammar is mosquitto.conf's. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"
#include "security/acl.h"
#include "security/acl_priv.h"

#define FILE_MAX      (256u * 1024u * 1024u)
#define WARNINGS_MAX  20
#define FIRST_BUCKETS 64

enum access {
    ACCESS_READ = 1,
    ACCESS_WRITE = 2,
    ACCESS_DENY = 4,
};

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

/* ---- nodes */

uint32_t nj_acl_level_hash(uint32_t parent, struct nj_bytes level)
{
    uint32_t hash = (uint32_t)nj_hash_seeded(level, parent);
    return hash ? hash : 1; /* 0 marks a node that is no text */
}

uint32_t nj_acl_child(const struct nj_acl *acl, uint32_t parent, struct nj_bytes level)
{
    uint32_t hash = nj_acl_level_hash(parent, level);
    uint32_t at = acl->node_buckets[hash & acl->node_mask];
    while (at) {
        const struct nj_acl_node *node = &acl->nodes[at];
        if (node->level_hash == hash && node->parent == parent &&
            nj_bytes_equal(nj_acl_level(acl, node), level)) {
            return at;
        }
        at = node->bucket_next;
    }
    return 0;
}

static uint32_t node_new(struct nj_acl *acl)
{
    if (acl->node_count + 1 >= acl->node_cap) {
        acl->node_cap = acl->node_cap ? acl->node_cap * 2 : 64;
        acl->nodes = nj_realloc(acl->nodes, acl->node_cap * sizeof(*acl->nodes));
    }
    acl->nodes[++acl->node_count] = (struct nj_acl_node){0};
    return acl->node_count;
}

static void grow_buckets(struct nj_acl *acl)
{
    if (acl->node_buckets && acl->node_count <= acl->node_mask) {
        return;
    }
    uint32_t size = acl->node_buckets ? (acl->node_mask + 1) * 2 : FIRST_BUCKETS;
    nj_free(acl->node_buckets);
    acl->node_buckets = nj_zalloc(size * sizeof(uint32_t));
    acl->node_mask = size - 1;
    for (uint32_t i = 1; i <= acl->node_count; i++) {
        struct nj_acl_node *node = &acl->nodes[i];
        if (node->level_hash) {
            node->bucket_next = acl->node_buckets[node->level_hash & acl->node_mask];
            acl->node_buckets[node->level_hash & acl->node_mask] = i;
        }
    }
}

static uint32_t text_child(struct nj_acl *acl, uint32_t parent, struct nj_bytes level)
{
    uint32_t at = nj_acl_child(acl, parent, level);
    if (at) {
        return at;
    }
    at = node_new(acl);
    struct nj_acl_node *node = &acl->nodes[at];
    node->parent = parent;
    node->level_hash = nj_acl_level_hash(parent, level);
    node->level_at = (uint32_t)(level.ptr - acl->text.data);
    node->level_len = (uint32_t)level.len;
    node->next_sibling = acl->nodes[parent].first_child;
    acl->nodes[parent].first_child = at;
    node->bucket_next = acl->node_buckets[node->level_hash & acl->node_mask];
    acl->node_buckets[node->level_hash & acl->node_mask] = at;
    grow_buckets(acl);
    return at;
}

/* The child that is no text; its number stands in the parent's field at `offset`. */
static uint32_t special_child(struct nj_acl *acl, uint32_t parent, size_t offset)
{
    uint32_t *field = (uint32_t *)(void *)((char *)&acl->nodes[parent] + offset);
    if (*field) {
        return *field;
    }
    uint32_t at = node_new(acl); /* moves nodes: the field is found again */
    acl->nodes[at].parent = parent;
    field = (uint32_t *)(void *)((char *)&acl->nodes[parent] + offset);
    *field = at;
    return at;
}

static uint32_t step(struct nj_acl *acl, uint32_t node, struct nj_bytes level, bool is_pattern)
{
    if (nj_mqtt_level_is(level, '+')) {
        return special_child(acl, node, offsetof(struct nj_acl_node, plus));
    }
    if (nj_mqtt_level_is(level, '#')) {
        return special_child(acl, node, offsetof(struct nj_acl_node, hash));
    }
    if (is_pattern && nj_bytes_equal(level, NJ_BYTES_LIT("%u"))) {
        return special_child(acl, node, offsetof(struct nj_acl_node, user));
    }
    if (is_pattern && nj_bytes_equal(level, NJ_BYTES_LIT("%c"))) {
        return special_child(acl, node, offsetof(struct nj_acl_node, client));
    }
    return text_child(acl, node, level);
}

/* ---- rules */

static uint32_t rule_new(struct parser *parser, struct nj_bytes line)
{
    struct nj_acl *acl = parser->acl;
    if (acl->rule_count + 1 >= acl->rule_cap) {
        acl->rule_cap = acl->rule_cap ? acl->rule_cap * 2 : 64;
        acl->rules = nj_realloc(acl->rules, acl->rule_cap * sizeof(*acl->rules));
    }
    acl->rules[++acl->rule_count] = (struct nj_acl_rule){
        .line = parser->line,
        .text_at = (uint32_t)(line.ptr - acl->text.data),
        .text_len = (uint32_t)line.len,
    };
    return acl->rule_count;
}

static void set_first(uint32_t *field, uint32_t rule)
{
    if (!*field) {
        *field = rule;
    }
}

static void add_rule(struct parser *parser, uint32_t root, unsigned access, struct nj_bytes topic,
                     uint32_t rule)
{
    struct nj_acl *acl = parser->acl;
    bool is_pattern = root == acl->pattern_root;
    uint32_t node = root;
    struct nj_bytes level;
    while (nj_mqtt_next_level(&topic, &level)) {
        node = step(acl, node, level, is_pattern);
    }
    if (access & ACCESS_DENY) {
        set_first(&acl->nodes[node].deny, rule);
    }
    if (access & ACCESS_READ) {
        set_first(&acl->nodes[node].read, rule);
    }
    if (access & ACCESS_WRITE) {
        set_first(&acl->nodes[node].write, rule);
    }
}

/* ---- users */

static uint32_t user_bucket(const struct nj_acl *acl, struct nj_bytes name)
{
    return (uint32_t)nj_hash_bytes(name) & acl->user_mask;
}

static struct nj_acl_user *find_user(const struct nj_acl *acl, struct nj_bytes name)
{
    uint32_t at = acl->user_buckets[user_bucket(acl, name)];
    while (at) {
        struct nj_acl_user *user = &acl->users[at];
        if (nj_bytes_equal(nj_bytes(acl->text.data + user->name_at, user->name_len), name)) {
            return user;
        }
        at = user->bucket_next;
    }
    return NULL;
}

uint32_t nj_acl_user_list(const struct nj_acl *acl, struct nj_bytes name)
{
    const struct nj_acl_user *user = name.ptr ? find_user(acl, name) : NULL;
    return user ? user->root : NJ_ACL_NO_LIST;
}

static void grow_users(struct nj_acl *acl)
{
    if (acl->user_buckets && acl->user_count <= acl->user_mask) {
        return;
    }
    uint32_t size = acl->user_buckets ? (acl->user_mask + 1) * 2 : FIRST_BUCKETS;
    nj_free(acl->user_buckets);
    acl->user_buckets = nj_zalloc(size * sizeof(uint32_t));
    acl->user_mask = size - 1;
    for (uint32_t i = 1; i <= acl->user_count; i++) {
        struct nj_acl_user *user = &acl->users[i];
        uint32_t bucket =
            user_bucket(acl, nj_bytes(acl->text.data + user->name_at, user->name_len));
        user->bucket_next = acl->user_buckets[bucket];
        acl->user_buckets[bucket] = i;
    }
}

/* Blocks of the same user are one list. */
static uint32_t demand_user(struct nj_acl *acl, struct nj_bytes name)
{
    struct nj_acl_user *user = find_user(acl, name);
    if (user) {
        return user->root;
    }
    if (acl->user_count + 1 >= acl->user_cap) {
        acl->user_cap = acl->user_cap ? acl->user_cap * 2 : 16;
        acl->users = nj_realloc(acl->users, acl->user_cap * sizeof(*acl->users));
    }
    uint32_t bucket = user_bucket(acl, name);
    acl->users[++acl->user_count] = (struct nj_acl_user){
        .name_at = (uint32_t)(name.ptr - acl->text.data),
        .name_len = (uint32_t)name.len,
        .root = node_new(acl),
        .bucket_next = acl->user_buckets[bucket],
    };
    acl->user_buckets[bucket] = acl->user_count;
    uint32_t root = acl->users[acl->user_count].root;
    grow_users(acl);
    return root;
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
    for (size_t i = 0; i < len; i++) {
        if (tolower(word.ptr[i]) != keyword[i]) {
            return false;
        }
    }
    if (parser->options->any_case_keywords) {
        warn(parser, "keyword with capital letters; Mosquitto reads lower case only");
    }
    return parser->options->any_case_keywords;
}

static unsigned read_access(struct parser *parser, struct nj_bytes *rest)
{
    static const struct {
        const char *word;
        unsigned access;
    } table[] = {
        {"read", ACCESS_READ},
        {"write", ACCESS_WRITE},
        {"readwrite", ACCESS_READ | ACCESS_WRITE},
        {"deny", ACCESS_DENY},
    };
    struct nj_bytes after = *rest;
    struct nj_bytes word = take_word(&after);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (after.len && is_word(parser, word, table[i].word)) {
            *rest = after;
            return table[i].access;
        }
    }
    return ACCESS_READ | ACCESS_WRITE;
}

/* A %u or %c that does not fill its level would be a text that looks like a placeholder: refused,
 * because whoever wrote it meant something else. */
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

static enum nj_err parse_rule(struct parser *parser, struct nj_bytes line, struct nj_bytes rest,
                              uint32_t root)
{
    if (!rest.len) {
        return fail(parser, "Empty topic");
    }
    unsigned access = read_access(parser, &rest);
    /* `topic read` without a topic: the word stands where a topic should, as likely as not by
     * mistake. */
    bool is_lone_word = nj_bytes_equal(rest, NJ_BYTES_LIT("read")) ||
                        nj_bytes_equal(rest, NJ_BYTES_LIT("write")) ||
                        nj_bytes_equal(rest, NJ_BYTES_LIT("readwrite")) ||
                        nj_bytes_equal(rest, NJ_BYTES_LIT("deny"));
    if (is_lone_word) {
        return fail(parser, "Empty topic");
    }
    if (!nj_mqtt_utf8_is_valid(rest) || !nj_mqtt_filter_is_valid(rest, 0)) {
        return fail(parser, "Invalid topic");
    }
    bool is_pattern = root == parser->acl->pattern_root;
    if (is_pattern && has_inner_placeholder(rest)) {
        return fail(parser, "Invalid pattern: %u and %c have to fill a whole level");
    }
    add_rule(parser, root, access, rest, rule_new(parser, line));
    return NJ_OK;
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
        acl->has_leading |= parser->list == acl->leading_root;
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
        parser->list = demand_user(acl, rest);
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

enum nj_err nj_acl_parse(struct nj_bytes text, const char *path,
                         const struct nj_acl_options *options, struct nj_acl **out, char *error,
                         size_t error_size)
{
    struct nj_acl *acl = nj_zalloc(sizeof(*acl));
    struct parser parser = {
        .acl = acl, .options = options, .error = error, .error_size = error_size};
    acl->path = nj_strdup(path);
    acl->leading_for_all = options->leading_for_all;
    nj_buf_init(&acl->text);
    enum nj_err err = nj_buf_append(&acl->text, text.ptr, text.len);
    if (err != NJ_OK) {
        (void)snprintf(error, error_size, "Out of memory reading ACL file %s", path);
        nj_acl_free(acl);
        return err;
    }
    grow_buckets(acl);
    grow_users(acl);
    acl->leading_root = node_new(acl);
    acl->pattern_root = node_new(acl);
    parser.list = acl->leading_root;
    err = parse_lines(&parser);
    if (err != NJ_OK) {
        nj_acl_free(acl);
        return err;
    }
    if (acl->has_leading && !options->leading_for_all) {
        parser.line = 1;
        warn(&parser, "'topic' lines before the first 'user' apply to anonymous clients only");
    }
    *out = acl;
    return NJ_OK;
}

enum nj_err nj_acl_load(const char *path, const struct nj_acl_options *options, struct nj_acl **out,
                        char *error, size_t error_size)
{
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_file_read(path, FILE_MAX, options->nofollow, &text);
    if (err != NJ_OK) {
        (void)snprintf(error, error_size, "Unable to open acl_file \"%s\": %s", path,
                       nj_err_text(err));
    } else {
        err = nj_acl_parse(nj_buf_bytes(&text), path, options, out, error, error_size);
    }
    nj_buf_fini(&text);
    return err;
}

void nj_acl_free(struct nj_acl *acl)
{
    if (!acl) {
        return;
    }
    for (uint32_t i = 0; i < acl->warning_count; i++) {
        nj_free(acl->warnings[i]);
    }
    nj_free(acl->warnings);
    nj_buf_fini(&acl->text);
    nj_free(acl->nodes);
    nj_free(acl->node_buckets);
    nj_free(acl->users);
    nj_free(acl->user_buckets);
    nj_free(acl->rules);
    nj_free(acl->path);
    nj_free(acl);
}

const char *nj_acl_rule_text(const struct nj_acl *acl, uint32_t rule_id, char *buf, size_t size)
{
    if (rule_id == 0 || rule_id > acl->rule_count) {
        (void)snprintf(buf, size, "no rule");
        return buf;
    }
    const struct nj_acl_rule *rule = &acl->rules[rule_id];
    (void)snprintf(buf, size, "%s:%u: %.*s", acl->path, rule->line, (int)rule->text_len,
                   (const char *)acl->text.data + rule->text_at);
    return buf;
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
