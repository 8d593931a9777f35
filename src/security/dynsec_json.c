/* See dynsec_json.h. */
#include "security/dynsec_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"

void nj_dynsec_reader_init(struct nj_dynsec_reader *reader, const struct nj_dynsec_state *state)
{
    *reader = (struct nj_dynsec_reader){.state = state};
}

void nj_dynsec_reader_fini(struct nj_dynsec_reader *reader)
{
    nj_buf_fini(&reader->refs);
    nj_buf_fini(&reader->groups);
    nj_buf_fini(&reader->acls);
    nj_wipe(reader->hash, sizeof(reader->hash));
}

/* ---- reading: values */

NJ_PRINTF(2, 3)
static enum nj_err wrong(struct nj_dynsec_reader *reader, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(reader->error, sizeof(reader->error), fmt, args);
    va_end(args);
    return NJ_EMALFORMED;
}

/* What is passed over. */
NJ_PRINTF(3, 4)
static void doubt(struct nj_dynsec_reader *reader, enum nj_dynsec_doubt what, const char *fmt, ...)
{
    char text[200];
    va_list args;
    if (!reader->doubt) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    reader->doubt(reader->doubt_arg, what, text);
}

static struct nj_bytes text_of(const json_t *value)
{
    return nj_bytes(json_string_value(value), json_string_length(value));
}

/* Absent: ptr NULL. */
static enum nj_err get_text(struct nj_dynsec_reader *reader, const json_t *object, const char *key,
                            struct nj_bytes *out)
{
    const json_t *value = json_object_get(object, key);
    *out = nj_bytes(NULL, 0);
    if (!value) {
        return NJ_OK;
    }
    if (!json_is_string(value)) {
        return wrong(reader, "\"%s\" has to be a text", key);
    }
    *out = text_of(value);
    if (out->len > NJ_DYNSEC_NAME_MAX || !nj_mqtt_utf8_is_valid(*out)) {
        return wrong(reader, "\"%s\" is too long or no text for MQTT", key);
    }
    return NJ_OK;
}

static enum nj_err get_name(struct nj_dynsec_reader *reader, const json_t *object, const char *key,
                            struct nj_bytes *out)
{
    *out = nj_bytes(NULL, 0);
    if (!json_is_object(object)) {
        return wrong(reader, "an object with \"%s\" has to stand here", key);
    }
    enum nj_err err = get_text(reader, object, key, out);
    if (err == NJ_OK && out->len == 0) {
        return wrong(reader, "\"%s\" is missing or empty", key);
    }
    return err;
}

static enum nj_err get_bool(struct nj_dynsec_reader *reader, const json_t *object, const char *key,
                            bool otherwise, bool *out)
{
    const json_t *value = json_object_get(object, key);
    if (value && !json_is_boolean(value)) {
        return wrong(reader, "\"%s\" has to be true or false", key);
    }
    *out = value ? json_is_true(value) : otherwise;
    return NJ_OK;
}

static enum nj_err get_priority(struct nj_dynsec_reader *reader, const json_t *object,
                                int32_t otherwise, int32_t *out)
{
    const json_t *value = json_object_get(object, "priority");
    *out = otherwise;
    if (!value) {
        return NJ_OK;
    }
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number > NJ_DYNSEC_PRIORITY_MAX ||
        number < -NJ_DYNSEC_PRIORITY_MAX) {
        return wrong(reader, "\"priority\" has to be a whole number from -%d to %d",
                     NJ_DYNSEC_PRIORITY_MAX, NJ_DYNSEC_PRIORITY_MAX);
    }
    *out = (int32_t)number;
    return NJ_OK;
}

/* Absent: NULL. */
static enum nj_err get_array(struct nj_dynsec_reader *reader, const json_t *object, const char *key,
                             const json_t **out)
{
    *out = json_object_get(object, key);
    if (*out && !json_is_array(*out)) {
        return wrong(reader, "\"%s\" has to be a list", key);
    }
    return NJ_OK;
}

/* `known` ends with NULL. */
static enum nj_err check_keys(struct nj_dynsec_reader *reader, const json_t *object,
                              const char *const *known)
{
    const char *key;
    json_t *value;
    if (!reader->knows_all_keys && !reader->doubt) {
        return NJ_OK;
    }
    /* jansson has no iterator over const objects. */
    json_object_foreach((json_t *)object, key, value)
    {
        const char *const *at = known;
        while (*at && strcmp(*at, key) != 0) {
            at++;
        }
        if (!*at && reader->knows_all_keys) {
            return wrong(reader, "the key \"%.60s\" is not known here", key);
        }
        if (!*at) {
            doubt(reader, NJ_DYNSEC_UNKNOWN_KEY, "the key \"%.60s\" is not known", key);
        }
    }
    return NJ_OK;
}

/* ---- reading: references and ACL entries */

static uint32_t find_id(const struct nj_dynsec_reader *reader, bool is_group, struct nj_bytes name)
{
    if (is_group) {
        const struct nj_dynsec_group *group = nj_dynsec_group(reader->state, name);
        return group ? group->id : NJ_DYNSEC_NOBODY;
    }
    const struct nj_dynsec_role *role = nj_dynsec_role(reader->state, name);
    return role ? role->id : NJ_DYNSEC_NOBODY;
}

static enum nj_err add_ref(struct nj_dynsec_reader *reader, struct nj_buf *buf,
                           struct nj_bytes name, int32_t priority)
{
    bool is_group = buf == &reader->groups;
    const struct nj_dynsec_ref ref = {find_id(reader, is_group, name), priority};
    if (ref.id == NJ_DYNSEC_NOBODY) {
        reader->unknown_refs++;
        doubt(reader, NJ_DYNSEC_UNKNOWN_NAME, "there is no %s \"%.*s\"",
              is_group ? "group" : "role", (int)(name.len < 100 ? name.len : 100),
              (const char *)name.ptr);
        return NJ_OK;
    }
    return nj_buf_append(buf, &ref, sizeof(ref));
}

static enum nj_err check_refs_twice(struct nj_dynsec_reader *reader, struct nj_buf *buf)
{
    uint32_t count = (uint32_t)(buf->len / sizeof(struct nj_dynsec_ref));
    uint32_t kept = count;
    if (count < 2) {
        return NJ_OK;
    }
    enum nj_err err = nj_dynsec_refs_unique((struct nj_dynsec_ref *)(void *)buf->data, &kept);
    return err == NJ_OK && kept < count ? wrong(reader, "the same name twice in a list") : err;
}

static enum nj_err read_refs(struct nj_dynsec_reader *reader, const json_t *object,
                             const char *list, const char *key, struct nj_buf *buf)
{
    static const char *const known[] = {"rolename", "groupname", "priority", NULL};
    const json_t *array;
    size_t i;
    json_t *entry;
    buf->len = 0;
    enum nj_err err = get_array(reader, object, list, &array);
    if (err != NJ_OK) {
        return err;
    }
    json_array_foreach(array, i, entry)
    {
        struct nj_bytes name;
        int32_t priority;
        err = get_name(reader, entry, key, &name);
        err = err == NJ_OK ? check_keys(reader, entry, known) : err;
        if (err == NJ_OK) {
            err = get_priority(reader, entry, NJ_DYNSEC_NO_PRIORITY, &priority);
        }
        if (err == NJ_OK) {
            err = add_ref(reader, buf, name, priority);
        }
        if (err != NJ_OK) {
            return err;
        }
    }
    return check_refs_twice(reader, buf);
}

static const struct nj_dynsec_ref *refs_of(const struct nj_buf *buf, uint32_t *count)
{
    *count = (uint32_t)(buf->len / sizeof(struct nj_dynsec_ref));
    return (const struct nj_dynsec_ref *)(void *)buf->data;
}

static enum nj_err read_acl(struct nj_dynsec_reader *reader, const json_t *entry,
                            struct nj_dynsec_acl *out)
{
    static const char *const known[] = {"acltype", "topic", "priority", "allow", NULL};
    struct nj_bytes type_name;
    enum nj_dynsec_acl_type type = NJ_DYNSEC_SEND;
    enum nj_err err = get_name(reader, entry, "acltype", &type_name);
    if (err == NJ_OK && !nj_dynsec_acl_type_find((const char *)type_name.ptr, &type)) {
        err = wrong(reader, "\"%.60s\" is no acltype", (const char *)type_name.ptr);
    }
    out->type = (uint8_t)type;
    err = err == NJ_OK ? get_name(reader, entry, "topic", &out->topic) : err;
    if (err == NJ_OK && !nj_mqtt_filter_is_valid(out->topic, NJ_MQTT_LEVELS_MAX)) {
        err = wrong(reader, "\"topic\" is no topic filter");
    }
    err = err == NJ_OK ? get_priority(reader, entry, 0, &out->priority) : err;
    err = err == NJ_OK ? get_bool(reader, entry, "allow", false, &out->allow) : err;
    return err == NJ_OK ? check_keys(reader, entry, known) : err;
}

static int compare_acl_keys(const void *a, const void *b)
{
    const struct nj_dynsec_acl *x = *(const struct nj_dynsec_acl *const *)a;
    const struct nj_dynsec_acl *y = *(const struct nj_dynsec_acl *const *)b;
    return x->type != y->type ? (int)x->type - (int)y->type : nj_bytes_compare(x->topic, y->topic);
}

/* A topic is unique within its type and role. */
static enum nj_err check_twice(struct nj_dynsec_reader *reader, const struct nj_dynsec_acl *acls,
                               size_t count)
{
    enum nj_err err = NJ_OK;
    const struct nj_dynsec_acl **sorted = nj_try_alloc((count + 1) * sizeof(*sorted));
    if (!sorted) {
        return NJ_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &acls[i];
    }
    qsort(sorted, count, sizeof(*sorted), compare_acl_keys);
    for (size_t i = 1; i < count && err == NJ_OK; i++) {
        if (compare_acl_keys(&sorted[i - 1], &sorted[i]) == 0) {
            err = wrong(reader, "two ACL entries for the same acltype and topic");
        }
    }
    nj_free(sorted);
    return err;
}

static enum nj_err read_acls(struct nj_dynsec_reader *reader, const json_t *object,
                             struct nj_dynsec_role *out)
{
    const json_t *array;
    size_t i;
    json_t *entry;
    reader->acls.len = 0;
    enum nj_err err = get_array(reader, object, "acls", &array);
    if (err != NJ_OK) {
        return err;
    }
    json_array_foreach(array, i, entry)
    {
        struct nj_dynsec_acl acl;
        err = read_acl(reader, entry, &acl);
        err = err == NJ_OK ? nj_buf_append(&reader->acls, &acl, sizeof(acl)) : err;
        if (err != NJ_OK) {
            return err;
        }
    }
    out->acls = (const struct nj_dynsec_acl *)(void *)reader->acls.data;
    out->acl_count = (uint32_t)(reader->acls.len / sizeof(*out->acls));
    return check_twice(reader, out->acls, out->acl_count);
}

/* ---- reading: elements */

static enum nj_err get_texts(struct nj_dynsec_reader *reader, const json_t *object,
                             struct nj_bytes *text_name, struct nj_bytes *text_description)
{
    enum nj_err err = get_text(reader, object, "textname", text_name);
    return err == NJ_OK ? get_text(reader, object, "textdescription", text_description) : err;
}

enum nj_err nj_dynsec_read_role(struct nj_dynsec_reader *reader, const json_t *object,
                                struct nj_dynsec_role *out)
{
    static const char *const known[] = {"rolename",          "textname", "textdescription",
                                        "allowwildcardsubs", "acls",     NULL};
    memset(out, 0, sizeof(*out));
    enum nj_err err = get_name(reader, object, "rolename", &out->name);
    err = err == NJ_OK ? check_keys(reader, object, known) : err;
    if (err == NJ_OK) {
        err = get_texts(reader, object, &out->text_name, &out->text_description);
    }
    if (err == NJ_OK) {
        err = get_bool(reader, object, "allowwildcardsubs", true, &out->allow_wildcard_subs);
    }
    return err == NJ_OK ? read_acls(reader, object, out) : err;
}

enum nj_err nj_dynsec_read_group(struct nj_dynsec_reader *reader, const json_t *object,
                                 struct nj_dynsec_group *out)
{
    static const char *const known[] = {"groupname", "textname", "textdescription",
                                        "roles",     "clients",  NULL};
    const json_t *clients;
    memset(out, 0, sizeof(*out));
    enum nj_err err = get_name(reader, object, "groupname", &out->name);
    err = err == NJ_OK ? check_keys(reader, object, known) : err;
    if (err == NJ_OK) {
        err = get_texts(reader, object, &out->text_name, &out->text_description);
    }
    err = err == NJ_OK ? get_array(reader, object, "clients", &clients) : err;
    if (err == NJ_OK) {
        err = read_refs(reader, object, "roles", "rolename", &reader->refs);
        out->roles = refs_of(&reader->refs, &out->role_count);
    }
    return err;
}

enum nj_err nj_dynsec_read_member(struct nj_dynsec_reader *reader, const json_t *object,
                                  struct nj_bytes *name, int32_t *priority)
{
    static const char *const known[] = {"username", "groupname", "priority", NULL};
    enum nj_err err = get_name(reader, object, "username", name);
    err = err == NJ_OK ? check_keys(reader, object, known) : err;
    return err == NJ_OK ? get_priority(reader, object, NJ_DYNSEC_NO_PRIORITY, priority) : err;
}

/* Mosquitto 2.0: key, salt and iterations apart. */
static enum nj_err read_form_20(struct nj_dynsec_reader *reader, const json_t *object,
                                struct nj_dynsec_client *out)
{
    const json_t *iterations = json_object_get(object, "iterations");
    struct nj_bytes key;
    struct nj_bytes salt;
    enum nj_err err = get_text(reader, object, "password", &key);
    err = err == NJ_OK ? get_text(reader, object, "salt", &salt) : err;
    if (err != NJ_OK) {
        return err;
    }
    if (!key.ptr && !salt.ptr && !iterations) {
        return NJ_OK;
    }
    if (!key.ptr || !salt.ptr || !json_is_integer(iterations) ||
        json_integer_value(iterations) < 1) {
        return wrong(reader, "\"password\", \"salt\" and \"iterations\" belong together");
    }
    int len = snprintf(reader->hash, sizeof(reader->hash), "$7$%lld$%s$%s",
                       (long long)json_integer_value(iterations), (const char *)salt.ptr,
                       (const char *)key.ptr);
    if (len < 0 || (size_t)len >= sizeof(reader->hash)) {
        return wrong(reader, "\"password\" is no password hash");
    }
    out->hash = nj_bytes(reader->hash, (size_t)len);
    return NJ_OK;
}

static enum nj_err read_password(struct nj_dynsec_reader *reader, const json_t *object,
                                 struct nj_dynsec_client *out)
{
    enum nj_err err = get_text(reader, object, "encoded_password", &out->hash);
    if (err == NJ_OK && !out->hash.ptr) {
        err = read_form_20(reader, object, out);
    }
    if (err == NJ_OK && out->hash.ptr && !nj_password_hash_is_valid(out->hash)) {
        return wrong(reader, "the password hash cannot be read or costs too much");
    }
    return err;
}

enum nj_err nj_dynsec_read_client(struct nj_dynsec_reader *reader, const json_t *object,
                                  struct nj_dynsec_client *out)
{
    static const char *const known[] = {
        "username", "clientid",         "textname", "textdescription", "disabled",
        "password", "encoded_password", "salt",     "iterations",      "roles",
        "groups",   "certificateLogin", NULL};
    memset(out, 0, sizeof(*out));
    enum nj_err err = get_name(reader, object, "username", &out->name);
    err = err == NJ_OK ? check_keys(reader, object, known) : err;
    err = err == NJ_OK ? get_text(reader, object, "clientid", &out->client_id) : err;
    if (err == NJ_OK) {
        err = get_texts(reader, object, &out->text_name, &out->text_description);
    }
    err = err == NJ_OK ? get_bool(reader, object, "disabled", false, &out->is_disabled) : err;
    if (err == NJ_OK) {
        err = get_bool(reader, object, "certificateLogin", false, &out->may_use_certificate);
    }
    err = err == NJ_OK ? read_password(reader, object, out) : err;
    if (err == NJ_OK) {
        err = read_refs(reader, object, "roles", "rolename", &reader->refs);
        out->roles = refs_of(&reader->refs, &out->role_count);
    }
    if (err == NJ_OK) {
        err = read_refs(reader, object, "groups", "groupname", &reader->groups);
        out->groups = refs_of(&reader->groups, &out->group_count);
    }
    return err;
}

enum nj_err nj_dynsec_read_defaults(struct nj_dynsec_reader *reader, const json_t *object,
                                    bool out[NJ_DYNSEC_ACCESS_COUNT])
{
    static const char *const known[] = {"publishClientSend", "publishClientReceive", "subscribe",
                                        "unsubscribe", NULL};
    if (!json_is_object(object)) {
        return wrong(reader, "\"defaultACLAccess\" has to be an object");
    }
    enum nj_err err = check_keys(reader, object, known);
    for (int i = 0; i < NJ_DYNSEC_ACCESS_COUNT && err == NJ_OK; i++) {
        /* What is not said stays closed. */
        err = get_bool(reader, object, nj_dynsec_access_name((enum nj_dynsec_access)i), false,
                       &out[i]);
    }
    return err;
}

/* ---- writing */

static void write_text(struct nj_json_out *out, const char *key, struct nj_bytes text)
{
    if (text.ptr) {
        nj_json_out_key(out, key);
        nj_json_out_text(out, text);
    }
}

static void write_priority(struct nj_json_out *out, int32_t priority)
{
    if (priority != NJ_DYNSEC_NO_PRIORITY) {
        nj_json_out_key(out, "priority");
        nj_json_out_int(out, priority);
    }
}

static void write_roles(struct nj_json_out *out, const struct nj_dynsec_state *state,
                        const struct nj_dynsec_ref *roles, uint32_t count)
{
    nj_json_out_key(out, "roles");
    nj_json_out_array(out);
    for (uint32_t i = 0; i < count; i++) {
        const struct nj_dynsec_role *role = nj_dynsec_role_by_id(state, roles[i].id);
        if (role) {
            nj_json_out_object(out);
            write_text(out, "rolename", role->name);
            write_priority(out, roles[i].priority);
            nj_json_out_end(out);
        }
    }
    nj_json_out_end(out);
}

void nj_dynsec_write_role(struct nj_json_out *out, const struct nj_dynsec_role *role)
{
    nj_json_out_object(out);
    write_text(out, "rolename", role->name);
    write_text(out, "textname", role->text_name);
    write_text(out, "textdescription", role->text_description);
    nj_json_out_key(out, "allowwildcardsubs");
    nj_json_out_bool(out, role->allow_wildcard_subs);
    nj_json_out_key(out, "acls");
    nj_json_out_array(out);
    for (uint32_t i = 0; i < role->acl_count; i++) {
        const struct nj_dynsec_acl *acl = &role->acls[i];
        nj_json_out_object(out);
        write_text(out, "acltype",
                   nj_bytes_of(nj_dynsec_acl_type_name((enum nj_dynsec_acl_type)acl->type)));
        write_text(out, "topic", acl->topic);
        nj_json_out_key(out, "priority");
        nj_json_out_int(out, acl->priority);
        nj_json_out_key(out, "allow");
        nj_json_out_bool(out, acl->allow);
        nj_json_out_end(out);
    }
    nj_json_out_end(out);
    nj_json_out_end(out);
}

static bool write_member(void *arg, void *item)
{
    struct nj_json_out *out = arg;
    const struct nj_dynsec_member *member = item;
    nj_json_out_object(out);
    write_text(out, "username", nj_bytes(member->name, member->name_len));
    write_priority(out, member->priority);
    nj_json_out_end(out);
    return out->err == NJ_OK;
}

void nj_dynsec_write_group(struct nj_json_out *out, const struct nj_dynsec_state *state,
                           const struct nj_dynsec_group *group, bool with_members)
{
    nj_json_out_object(out);
    write_text(out, "groupname", group->name);
    write_text(out, "textname", group->text_name);
    write_text(out, "textdescription", group->text_description);
    write_roles(out, state, group->roles, group->role_count);
    if (with_members) {
        nj_json_out_key(out, "clients");
        nj_json_out_array(out);
        (void)nj_pmap_walk(&group->members, write_member, out);
        nj_json_out_end(out);
    }
    nj_json_out_end(out);
}

/* $7$<iterations>$<salt>$<key>; false for other kinds. */
static bool split_form_20(struct nj_bytes hash, int64_t *iterations, struct nj_bytes *salt,
                          struct nj_bytes *key)
{
    const struct nj_bytes head = NJ_BYTES_LIT("$7$");
    if (!nj_bytes_starts_with(hash, head)) {
        return false;
    }
    const uint8_t *end = hash.ptr + hash.len;
    const uint8_t *first = memchr(hash.ptr + head.len, '$', hash.len - head.len);
    const uint8_t *second = first ? memchr(first + 1, '$', (size_t)(end - first - 1)) : NULL;
    if (!second) {
        return false;
    }
    *iterations = 0;
    for (const uint8_t *at = hash.ptr + head.len; at < first; at++) {
        *iterations = *iterations * 10 + (*at - '0');
    }
    *salt = nj_bytes(first + 1, (size_t)(second - first - 1));
    *key = nj_bytes(second + 1, (size_t)(end - second - 1));
    /* 2.0 reads salts of 12 bytes only, which are 16 letters. */
    return salt->len == 16;
}

bool nj_dynsec_has_form_20(const struct nj_dynsec_client *client)
{
    int64_t iterations;
    struct nj_bytes salt;
    struct nj_bytes key;
    return !client->hash.ptr || split_form_20(client->hash, &iterations, &salt, &key);
}

static void write_password(struct nj_json_out *out, const struct nj_dynsec_client *client,
                           enum nj_dynsec_form form)
{
    int64_t iterations;
    struct nj_bytes salt;
    struct nj_bytes key;
    if (form == NJ_DYNSEC_FORM_21) {
        write_text(out, "encoded_password", client->hash);
    } else if (client->hash.ptr && split_form_20(client->hash, &iterations, &salt, &key)) {
        write_text(out, "password", key);
        write_text(out, "salt", salt);
        nj_json_out_key(out, "iterations");
        nj_json_out_int(out, iterations);
    }
}

void nj_dynsec_write_client(struct nj_json_out *out, const struct nj_dynsec_state *state,
                            const struct nj_dynsec_client *client, enum nj_dynsec_form form)
{
    nj_json_out_object(out);
    write_text(out, "username", client->name);
    write_text(out, "clientid", client->client_id);
    write_text(out, "textname", client->text_name);
    write_text(out, "textdescription", client->text_description);
    if (client->is_disabled) {
        nj_json_out_key(out, "disabled");
        nj_json_out_bool(out, true);
    }
    if (client->may_use_certificate && form == NJ_DYNSEC_FORM_21) {
        nj_json_out_key(out, "certificateLogin");
        nj_json_out_bool(out, true);
    }
    write_roles(out, state, client->roles, client->role_count);
    write_password(out, client, form);
    nj_json_out_end(out);
}

void nj_dynsec_write_defaults(struct nj_json_out *out, const bool allow[NJ_DYNSEC_ACCESS_COUNT])
{
    nj_json_out_object(out);
    for (int i = 0; i < NJ_DYNSEC_ACCESS_COUNT; i++) {
        nj_json_out_key(out, nj_dynsec_access_name((enum nj_dynsec_access)i));
        nj_json_out_bool(out, allow[i]);
    }
    nj_json_out_end(out);
}
