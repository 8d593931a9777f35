/* See dynsec_first.h. */
#include "security/dynsec_first.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "security/dynsec_file.h"
#include "security/dynsec_journal.h"

#define PASSWORD_MIN      12
#define GENERATED_LEN     20
#define PASSWORD_FILE_MAX 65536
#define NEW_FILE_MODE     0600

struct rule {
    const char *role; /* NULL: of the one before */
    const char *about;
    enum nj_dynsec_acl_type type;
    const char *topic;
};

static const struct rule first_rules[] = {
    {"client", "Everything below the topics of applications", NJ_DYNSEC_SEND, "#"},
    {NULL, NULL, NJ_DYNSEC_RECEIVE, "#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "#"},
    {NULL, NULL, NJ_DYNSEC_UNSUBSCRIBE_PATTERN, "#"},
    {"broker-admin", "Commands about the broker itself", NJ_DYNSEC_SEND, "$CONTROL/broker/#"},
    {NULL, NULL, NJ_DYNSEC_RECEIVE, "$CONTROL/broker/#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "$CONTROL/broker/#"},
    {"dynsec-admin", "Commands about clients, groups and roles", NJ_DYNSEC_SEND,
     "$CONTROL/dynamic-security/#"},
    {NULL, NULL, NJ_DYNSEC_RECEIVE, "$CONTROL/dynamic-security/#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "$CONTROL/dynamic-security/#"},
    {"super-admin", "Every command", NJ_DYNSEC_SEND, "$CONTROL/#"},
    {NULL, NULL, NJ_DYNSEC_RECEIVE, "$CONTROL/#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "$CONTROL/#"},
    {"sys-notify", "For bridges: tell that the connection is up", NJ_DYNSEC_SEND,
     "$SYS/broker/connection/%c/state"},
    {"sys-observe", "Read what the broker says about itself", NJ_DYNSEC_RECEIVE, "$SYS/#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "$SYS/#"},
    {NULL, NULL, NJ_DYNSEC_UNSUBSCRIBE_PATTERN, "$SYS/#"},
    {"topic-observe", "Read everything below the topics of applications", NJ_DYNSEC_RECEIVE, "#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "#"},
    {NULL, NULL, NJ_DYNSEC_UNSUBSCRIBE_PATTERN, "#"},
};

static const struct rule offline_rules[] = {
    {"", NULL, NJ_DYNSEC_SEND, "$CONTROL/dynamic-security/#"},
    {NULL, NULL, NJ_DYNSEC_RECEIVE, "$CONTROL/dynamic-security/#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "$CONTROL/dynamic-security/#"},
    {NULL, NULL, NJ_DYNSEC_RECEIVE, "$SYS/#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "$SYS/#"},
    {NULL, NULL, NJ_DYNSEC_RECEIVE, "#"},
    {NULL, NULL, NJ_DYNSEC_SUBSCRIBE_PATTERN, "#"},
    {NULL, NULL, NJ_DYNSEC_UNSUBSCRIBE_PATTERN, "#"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ROLE_RULES_MAX  8

/* One role: the rule at *at and those that follow without a name. */
static enum nj_err add_role(struct nj_dynsec_edit *edit, const struct rule *rules, size_t count,
                            size_t *at, const char *name)
{
    struct nj_dynsec_acl acls[ROLE_RULES_MAX];
    uint32_t used = 0;
    struct nj_dynsec_role role;
    memset(&role, 0, sizeof(role));
    role.name = nj_bytes_of(name);
    role.text_description = nj_bytes_of(rules[*at].about);
    role.allow_wildcard_subs = true;
    do {
        NJ_ASSERT(used < ROLE_RULES_MAX);
        acls[used++] = (struct nj_dynsec_acl){
            .topic = nj_bytes_of(rules[*at].topic),
            .type = (uint8_t)rules[*at].type,
            .allow = true,
        };
        ++*at;
    } while (*at < count && !rules[*at].role);
    role.acls = acls;
    role.acl_count = used;
    return nj_dynsec_step_role(edit, &role);
}

struct account {
    const char *name;
    struct nj_bytes password;
    const char *about;
    const char *roles[4]; /* ends with NULL */
};

static enum nj_err add_account(struct nj_dynsec_edit *edit, const struct account *account,
                               const struct nj_hash_cost *cost)
{
    char hash[NJ_HASH_TEXT_MAX];
    struct nj_dynsec_ref roles[4];
    struct nj_dynsec_client client;
    enum nj_err err = nj_password_hash(account->password, cost, hash);
    if (err != NJ_OK) {
        return err;
    }
    memset(&client, 0, sizeof(client));
    client.name = nj_bytes_of(account->name);
    client.text_name = nj_bytes_of(account->about);
    client.hash = nj_bytes_of(hash);
    client.roles = roles;
    for (size_t i = 0; account->roles[i]; i++) {
        const struct nj_dynsec_role *role =
            nj_dynsec_role(edit->state, nj_bytes_of(account->roles[i]));
        NJ_ASSERT(role);
        roles[client.role_count++] = (struct nj_dynsec_ref){role->id, NJ_DYNSEC_NO_PRIORITY};
    }
    err = nj_dynsec_step_client(edit, &client);
    nj_wipe(hash, sizeof(hash));
    return err;
}

/* ---- the administrator's password */

struct secret {
    struct nj_buf text;
    char admin[GENERATED_LEN + 1];
    char demo[GENERATED_LEN + 1];
    bool is_generated;
};

/* Each letter is one of 64: 120 bits in all. */
static void generate(char out[GENERATED_LEN + 1])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[GENERATED_LEN];
    nj_rand_bytes(random, sizeof(random));
    for (int i = 0; i < GENERATED_LEN; i++) {
        out[i] = letters[random[i] & 63];
    }
    out[GENERATED_LEN] = '\0';
    nj_wipe(random, sizeof(random));
}

static enum nj_err read_password_file(const char *path, struct secret *secret, char *error,
                                      size_t size)
{
    enum nj_err err = nj_file_read(path, PASSWORD_FILE_MAX, false, &secret->text);
    if (err != NJ_OK) {
        (void)snprintf(error, size, "the password file %s cannot be read: %s", path,
                       nj_file_why(err));
        return err;
    }
    const uint8_t *end = memchr(secret->text.data, '\n', secret->text.len);
    secret->text.len = end ? (size_t)(end - secret->text.data) : secret->text.len;
    while (secret->text.len && secret->text.data[secret->text.len - 1] == '\r') {
        secret->text.len--;
    }
    if (!secret->text.len) {
        (void)snprintf(error, size, "the first line of the password file %s is empty", path);
        return NJ_EINVAL;
    }
    return NJ_OK;
}

static enum nj_err choose_password(const struct nj_dynsec_options *options, struct secret *secret,
                                   char *error, size_t size)
{
    if (options->password_file) {
        return read_password_file(options->password_file, secret, error, size);
    }
    if (options->password) {
        size_t len = strlen(options->password);
        if (len < PASSWORD_MIN) {
            (void)snprintf(error, size,
                           "MOSQUITTO_DYNSEC_PASSWORD is shorter than %d characters; %s was not "
                           "made",
                           PASSWORD_MIN, options->path);
            return NJ_EINVAL;
        }
        return nj_buf_append(&secret->text, options->password, len);
    }
    generate(secret->admin);
    generate(secret->demo);
    secret->is_generated = true;
    return nj_buf_append(&secret->text, secret->admin, GENERATED_LEN);
}

/* "admin <password>", as the original. */
static enum nj_err write_secrets(const struct nj_dynsec_options *options,
                                 const struct secret *secret, char *error, size_t size)
{
    char text[2 * GENERATED_LEN + 64];
    char *path = nj_alloc(strlen(options->path) + 4);
    (void)snprintf(path, strlen(options->path) + 4, "%s.pw", options->path);
    int len = snprintf(text, sizeof(text), "admin %s\n", secret->admin);
    if (options->with_democlient) {
        len += snprintf(text + len, sizeof(text) - (size_t)len, "democlient %s\n", secret->demo);
    }
    enum nj_err err = nj_file_replace(path, text, (size_t)len, NEW_FILE_MODE);
    if (err != NJ_OK) {
        (void)snprintf(error, size, "%s cannot be written: %s", path, nj_file_why(err));
    }
    nj_wipe(text, sizeof(text));
    nj_free(path);
    return err;
}

/* ---- states */

static enum nj_err begin(struct nj_dynsec_principals *principals, struct nj_dynsec_edit *edit)
{
    struct nj_dynsec_state *empty = nj_dynsec_state_new(principals);
    enum nj_err err = empty ? nj_dynsec_edit_init(edit, empty) : NJ_ENOMEM;
    nj_dynsec_state_unref(empty);
    edit->is_replay = true; /* it goes into the file as a whole */
    return err;
}

static enum nj_err add_all(struct nj_dynsec_edit *edit, const struct nj_dynsec_options *options,
                           const struct secret *secret)
{
    struct nj_dynsec_group group;
    enum nj_err err = NJ_OK;
    for (size_t at = 0; at < COUNT_OF(first_rules) && err == NJ_OK;) {
        err = add_role(edit, first_rules, COUNT_OF(first_rules), &at, first_rules[at].role);
    }
    memset(&group, 0, sizeof(group));
    group.name = NJ_BYTES_LIT("unauthenticated");
    group.text_description = NJ_BYTES_LIT("Clients without a user name, where they are allowed");
    err = err == NJ_OK ? nj_dynsec_step_group(edit, &group) : err;
    if (err == NJ_OK) {
        err = nj_dynsec_step_anonymous(edit, nj_dynsec_group(edit->state, group.name));
    }
    const struct account admin = {
        .name = "admin",
        .password = nj_buf_bytes(&secret->text),
        .about = "Dynsec admin user",
        .roles = {"super-admin", "sys-observe", "topic-observe", NULL},
    };
    err = err == NJ_OK ? add_account(edit, &admin, &options->cost) : err;
    if (secret->is_generated && options->with_democlient) {
        const struct account demo = {
            .name = "democlient",
            .password = nj_bytes_of(secret->demo),
            .about = "Demonstration client with full read/write access",
            .roles = {"client", NULL},
        };
        err = err == NJ_OK ? add_account(edit, &demo, &options->cost) : err;
    }
    return err;
}

enum nj_err nj_dynsec_first(const struct nj_dynsec_options *options,
                            struct nj_dynsec_principals *principals, struct nj_dynsec_state **out,
                            char *error, size_t error_size)
{
    struct nj_dynsec_edit edit = {0};
    struct secret secret = {.text = {NULL, 0, 0}};
    error[0] = '\0';
    enum nj_err err = choose_password(options, &secret, error, error_size);
    err = err == NJ_OK ? begin(principals, &edit) : err;
    err = err == NJ_OK ? add_all(&edit, options, &secret) : err;
    if (err == NJ_OK && secret.is_generated) {
        err = write_secrets(options, &secret, error, error_size);
    }
    if (err == NJ_OK) {
        *out = nj_dynsec_state_ref(edit.state);
    } else if (!error[0]) {
        (void)snprintf(error, error_size, "%s cannot be made: %s", options->path, nj_err_text(err));
    }
    nj_dynsec_edit_fini(&edit);
    nj_wipe(secret.text.data, secret.text.len);
    nj_buf_fini(&secret.text);
    nj_wipe(&secret, sizeof(secret));
    return err;
}

/* ---- offline */

static enum nj_err write_new(const char *path, const struct nj_buf *text, char *error, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, NEW_FILE_MODE);
    if (fd < 0) {
        enum nj_err err = errno == EEXIST ? NJ_EEXIST : NJ_ESYS;
        (void)snprintf(error, size, "%s: %s", path, strerror(errno));
        return err;
    }
    enum nj_err err = nj_file_put(fd, 0, text->data, text->len);
    if (err != NJ_OK) {
        (void)snprintf(error, size, "%s: %s", path, strerror(errno));
        (void)unlink(path);
    }
    (void)close(fd);
    return err;
}

static enum nj_err init_text(const struct account *admin, const struct nj_hash_cost *cost,
                             struct nj_buf *out)
{
    struct nj_dynsec_edit edit = {0};
    size_t at = 0;
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    enum nj_err err = begin(principals, &edit);
    if (err == NJ_OK) {
        err = add_role(&edit, offline_rules, COUNT_OF(offline_rules), &at, admin->roles[0]);
    }
    err = err == NJ_OK ? add_account(&edit, admin, cost) : err;
    err = err == NJ_OK ? nj_dynsec_save(edit.state, NJ_DYNSEC_FORM_21, out) : err;
    nj_dynsec_edit_fini(&edit);
    nj_dynsec_principals_unref(principals);
    return err;
}

enum nj_err nj_dynsec_init_file(const char *path, const struct nj_dynsec_init *init, char *error,
                                size_t error_size)
{
    struct nj_buf text = {NULL, 0, 0};
    char *name = nj_bytes_dup(init->user);
    const struct account admin = {
        .name = name,
        .password = init->password,
        .about = "Dynsec admin user",
        .roles = {init->role, NULL},
    };
    enum nj_err err = init_text(&admin, &init->cost, &text);
    if (err != NJ_OK) {
        (void)snprintf(error, error_size, "%s", nj_err_text(err));
    } else {
        err = write_new(path, &text, error, error_size);
    }
    nj_wipe(text.data, text.len);
    nj_buf_fini(&text);
    nj_free(name);
    return err;
}

/* Whether a journal beside the file holds changes: then it is not all there is to know. */
static bool has_journal(const char *path)
{
    struct nj_buf text = {NULL, 0, 0};
    struct nj_dynsec_record record;
    bool has_changes = false;
    char *journal = nj_alloc(strlen(path) + sizeof(".journal"));
    (void)snprintf(journal, strlen(path) + sizeof(".journal"), "%s.journal", path);
    if (nj_file_read(journal, NJ_DYNSEC_FILE_MAX, true, &text) == NJ_OK) {
        struct nj_bytes rest = nj_buf_bytes(&text);
        while (nj_dynsec_record_next(&rest, &record) == NJ_OK) {
            has_changes |= record.kind == NJ_DYNSEC_RECORD_CHANGE;
        }
        has_changes |= rest.len > 0;
    }
    nj_wipe(text.data, text.len);
    nj_buf_fini(&text);
    nj_free(journal);
    return has_changes;
}

static enum nj_err set_password(struct nj_dynsec_edit *edit, struct nj_bytes user,
                                struct nj_bytes password, const struct nj_hash_cost *cost)
{
    char hash[NJ_HASH_TEXT_MAX];
    struct nj_dynsec_client next;
    const struct nj_dynsec_client *client = nj_dynsec_client(edit->state, user);
    if (!client) {
        return NJ_ENOENT;
    }
    enum nj_err err = nj_password_hash(password, cost, hash);
    memcpy(&next, client, sizeof(next));
    next.hash = nj_bytes_of(hash);
    err = err == NJ_OK ? nj_dynsec_step_client(edit, &next) : err;
    edit->state->change_index++;
    nj_wipe(hash, sizeof(hash));
    return err;
}

enum nj_err nj_dynsec_set_file_password(const char *path, struct nj_bytes user,
                                        struct nj_bytes password, const struct nj_hash_cost *cost,
                                        char *error, size_t error_size)
{
    struct nj_buf text = {NULL, 0, 0};
    struct nj_dynsec_edit edit = {0};
    struct nj_dynsec_state *state = NULL;
    struct nj_dynsec_load load = {.knows_all_keys = true};
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    error[0] = '\0';
    enum nj_err err =
        has_journal(path) ? NJ_EBUSY : nj_file_read(path, NJ_DYNSEC_FILE_MAX, false, &text);
    if (err == NJ_EBUSY) {
        (void)snprintf(error, error_size,
                       "%s.journal holds changes: a broker uses the file, or did not end well",
                       path);
    } else if (err != NJ_OK) {
        (void)snprintf(error, error_size, "%s: %s", path, nj_file_why(err));
    }
    err = err == NJ_OK ? nj_dynsec_load(nj_buf_bytes(&text), principals, &load, &state) : err;
    if (err == NJ_EMALFORMED) {
        (void)snprintf(error, error_size, "%s: %s", path, load.error);
    }
    err = err == NJ_OK ? nj_dynsec_edit_init(&edit, state) : err;
    err = err == NJ_OK ? set_password(&edit, user, password, cost) : err;
    text.len = 0;
    err = err == NJ_OK ? nj_dynsec_save(edit.state, NJ_DYNSEC_FORM_21, &text) : err;
    if (err == NJ_OK) {
        err = nj_file_replace(path, text.data, text.len, NEW_FILE_MODE);
        if (err != NJ_OK) {
            (void)snprintf(error, error_size, "%s: %s", path, nj_file_why(err));
        }
    }
    if (err != NJ_OK && !error[0]) {
        (void)snprintf(error, error_size, "%s",
                       err == NJ_ENOENT ? "there is no such client" : nj_err_text(err));
    }
    nj_dynsec_edit_fini(&edit);
    nj_dynsec_state_unref(state);
    nj_dynsec_principals_unref(principals);
    nj_wipe(text.data, text.len);
    nj_buf_fini(&text);
    return err;
}
