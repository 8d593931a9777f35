/* Fuzzes what a client may send to $CONTROL: the envelope and the arguments of every command.
 *
 * Oracle: what is accepted as JSON is written and read again as the same value and is not nested
 * deeper than allowed; a command whose arguments are accepted has every required one, each of its
 * type; and no secret gets into the text for the log. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "control/control_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds) {
        abort();
    }
}

static unsigned depth_of(const json_t *value)
{
    unsigned deepest = 0;
    size_t i;
    const char *key;
    json_t *item;
    if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            unsigned depth = depth_of(item);
            deepest = depth > deepest ? depth : deepest;
        }
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, item)
        {
            unsigned depth = depth_of(item);
            deepest = depth > deepest ? depth : deepest;
        }
    } else {
        return 0;
    }
    return deepest + 1;
}

static void check_command(const struct nj_control_command *row, json_t *object)
{
    char error[160];
    struct nj_buf text;
    bool is_good = !nj_control_args_check(row->args, object, error, sizeof(error));
    nj_buf_init(&text);
    nj_control_args_text(row->args, object, &text);
    for (const struct nj_control_arg *arg = row->args; arg && arg->name; arg++) {
        json_t *value = json_object_get(object, arg->name);
        bool is_absent = !value || json_is_null(value);
        if (is_good && arg->flags & NJ_ARG_REQUIRED) {
            need(!is_absent);
        }
        if (is_good && !is_absent && arg->type == NJ_ARG_STRING) {
            need(json_is_string(value) && json_string_length(value) <= nj_control_text_max(arg));
        }
        if (is_good && !is_absent && arg->type == NJ_ARG_INTEGER) {
            need(json_is_integer(value));
        }
        if (arg->flags & NJ_ARG_SECRET && json_is_string(value) && json_string_length(value) > 12) {
            need(!memmem(text.data, text.len, json_string_value(value), json_string_length(value)));
        }
    }
    nj_buf_fini(&text);
}

static void check_object(json_t *object)
{
    const struct nj_control_api *api;
    for (size_t i = 0; (api = nj_control_known_api(i)); i++) {
        for (size_t j = 0; j < api->command_count; j++) {
            check_command(&api->commands[j], object);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *value = nj_control_json_parse(nj_bytes(data, size));
    size_t i;
    json_t *item;
    if (!value) {
        return 0;
    }
    need(depth_of(value) <= NJ_CONTROL_DEPTH_MAX);
    char *text = json_dumps(value, JSON_COMPACT);
    need(text != NULL);
    json_t *again = nj_control_json_parse(nj_bytes_of(text));
    need(again && json_equal(value, again));
    json_decref(again);
    free(text);
    json_array_foreach(json_object_get(value, "commands"), i, item)
    {
        if (json_is_object(item)) {
            check_object(item);
        }
    }
    json_decref(value);
    return 0;
}
