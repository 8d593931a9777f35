/* Reading an edit's log again. See dynsec_edit.h. */
#include "base/mem.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_json.h"

static struct nj_bytes text_of(const json_t *value)
{
    return nj_bytes(json_string_value(value), json_string_length(value));
}

/* NJ_ENOENT from a step: the line speaks of what is not there. */
static enum nj_err as_malformed(enum nj_err err)
{
    return err == NJ_ENOENT ? NJ_EMALFORMED : err;
}

static enum nj_err replay_index(struct nj_dynsec_edit *edit, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return NJ_EMALFORMED;
    }
    edit->state->change_index = (uint64_t)json_integer_value(value);
    return NJ_OK;
}

static enum nj_err replay_defaults(struct nj_dynsec_edit *edit, struct nj_dynsec_reader *reader,
                                   const json_t *value)
{
    bool allow[NJ_DYNSEC_ACCESS_COUNT];
    enum nj_err err = nj_dynsec_read_defaults(reader, value, allow);
    return err == NJ_OK ? nj_dynsec_step_defaults(edit, allow) : err;
}

static enum nj_err replay_special_group(struct nj_dynsec_edit *edit, const json_t *value,
                                        enum nj_err (*step)(struct nj_dynsec_edit *edit,
                                                            const struct nj_dynsec_group *group))
{
    const struct nj_dynsec_group *group = NULL;
    if (!json_is_null(value)) {
        group = json_is_string(value) ? nj_dynsec_group(edit->state, text_of(value)) : NULL;
        if (!group) {
            return NJ_EMALFORMED;
        }
    }
    return step(edit, group);
}

static enum nj_err replay_gone(struct nj_dynsec_edit *edit, const json_t *value,
                               enum nj_err (*step)(struct nj_dynsec_edit *edit,
                                                   struct nj_bytes name))
{
    return json_is_string(value) ? as_malformed(step(edit, text_of(value))) : NJ_EMALFORMED;
}

static enum nj_err replay_membership(struct nj_dynsec_edit *edit, struct nj_dynsec_reader *reader,
                                     const json_t *value, bool is_join)
{
    struct nj_bytes client;
    int32_t priority;
    const json_t *group = json_object_get(value, "groupname");
    enum nj_err err = nj_dynsec_read_member(reader, value, &client, &priority);
    if (err != NJ_OK || !json_is_string(group)) {
        return err == NJ_OK ? NJ_EMALFORMED : err;
    }
    return as_malformed(is_join ? nj_dynsec_step_join(edit, text_of(group), client, priority)
                                : nj_dynsec_step_leave(edit, text_of(group), client));
}

static enum nj_err replay_record(struct nj_dynsec_edit *edit, struct nj_dynsec_reader *reader,
                                 const char *step, const json_t *value)
{
    enum nj_err err;
    if (strcmp(step, "role") == 0) {
        struct nj_dynsec_role role;
        err = nj_dynsec_read_role(reader, value, &role);
        return err == NJ_OK ? nj_dynsec_step_role(edit, &role) : err;
    }
    if (strcmp(step, "group") == 0) {
        struct nj_dynsec_group group;
        err = nj_dynsec_read_group(reader, value, &group);
        return err == NJ_OK ? nj_dynsec_step_group(edit, &group) : err;
    }
    if (strcmp(step, "client") == 0) {
        struct nj_dynsec_client client;
        err = nj_dynsec_read_client(reader, value, &client);
        return err == NJ_OK ? nj_dynsec_step_client(edit, &client) : err;
    }
    return NJ_EMALFORMED;
}

static enum nj_err replay_step(struct nj_dynsec_edit *edit, struct nj_dynsec_reader *reader,
                               const char *step, const json_t *value)
{
    reader->state = edit->state;
    if (strcmp(step, "changeIndex") == 0) {
        return replay_index(edit, value);
    }
    if (strcmp(step, "defaultACLAccess") == 0) {
        return replay_defaults(edit, reader, value);
    }
    if (strcmp(step, "anonymousGroup") == 0) {
        return replay_special_group(edit, value, nj_dynsec_step_anonymous);
    }
    if (strcmp(step, "certificateGroup") == 0) {
        return replay_special_group(edit, value, nj_dynsec_step_certificate);
    }
    if (strcmp(step, "roleGone") == 0) {
        return replay_gone(edit, value, nj_dynsec_step_role_gone);
    }
    if (strcmp(step, "groupGone") == 0) {
        return replay_gone(edit, value, nj_dynsec_step_group_gone);
    }
    if (strcmp(step, "clientGone") == 0) {
        return replay_gone(edit, value, nj_dynsec_step_client_gone);
    }
    if (strcmp(step, "join") == 0 || strcmp(step, "leave") == 0) {
        return replay_membership(edit, reader, value, step[0] == 'j');
    }
    return replay_record(edit, reader, step, value);
}

static enum nj_err replay_line(struct nj_dynsec_edit *edit, struct nj_dynsec_reader *reader,
                               struct nj_bytes line)
{
    json_error_t error;
    json_t *object = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, &error);
    enum nj_err err = NJ_EMALFORMED;
    if (json_is_object(object) && json_object_size(object) == 1) {
        void *entry = json_object_iter(object);
        err = replay_step(edit, reader, json_object_iter_key(entry), json_object_iter_value(entry));
    }
    json_decref(object);
    return err;
}

enum nj_err nj_dynsec_edit_replay(struct nj_dynsec_edit *edit, struct nj_bytes lines)
{
    struct nj_dynsec_reader reader;
    enum nj_err err = NJ_OK;
    bool was_replay = edit->is_replay;
    nj_dynsec_reader_init(&reader, edit->state);
    reader.knows_all_keys = true;
    edit->is_replay = true;
    while (lines.len && err == NJ_OK) {
        const uint8_t *end = memchr(lines.ptr, '\n', lines.len);
        if (!end) {
            err = NJ_EMALFORMED;
            break;
        }
        size_t len = (size_t)(end - lines.ptr);
        err = replay_line(edit, &reader, nj_bytes(lines.ptr, len));
        lines = nj_bytes(end + 1, lines.len - len - 1);
    }
    edit->is_replay = was_replay;
    nj_dynsec_reader_fini(&reader);
    return err;
}
