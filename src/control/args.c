/* Checking the arguments of a command against its rows, and writing them for the log. */
#include <stdio.h>
#include <string.h>

#include "control/control_priv.h"

#define TEXT_MAX 65535u

size_t nj_control_text_max(const struct nj_control_arg *row)
{
    return row->max > 0 ? (size_t)row->max : TEXT_MAX;
}

static bool is_of_type(const struct nj_control_arg *row, const json_t *value)
{
    switch (row->type) {
    case NJ_ARG_STRING:
        return json_is_string(value) && json_string_length(value) <= nj_control_text_max(row);
    case NJ_ARG_BOOL:
        return json_is_boolean(value);
    case NJ_ARG_INTEGER:
        return json_is_integer(value) &&
               (row->min >= row->max ||
                (json_integer_value(value) >= row->min && json_integer_value(value) <= row->max));
    case NJ_ARG_OBJECTS:
        return json_is_array(value);
    default:
        return json_is_object(value);
    }
}

static const char *error_of(const struct nj_control_arg *row, char *buf, size_t size)
{
    if (row->error) {
        return row->error;
    }
    (void)snprintf(buf, size, "Invalid/missing %s", row->name);
    return buf;
}

const char *nj_control_args_check(const struct nj_control_arg *rows, json_t *object, char *buf,
                                  size_t size)
{
    for (const struct nj_control_arg *row = rows; row && row->name; row++) {
        json_t *value = json_object_get(object, row->name);
        bool is_absent = !value || (json_is_null(value) && row->flags & NJ_ARG_NULLABLE);
        if (is_absent && !(row->flags & NJ_ARG_REQUIRED)) {
            continue;
        }
        if (is_absent || !is_of_type(row, value)) {
            return error_of(row, buf, size);
        }
        if (row->type == NJ_ARG_STRING && row->empty && json_string_length(value) == 0) {
            return row->empty;
        }
    }
    return NULL;
}

static void put_value(const struct nj_control_arg *row, const json_t *value, struct nj_buf *out)
{
    enum nj_err err;
    if (row->flags & NJ_ARG_SECRET) {
        err = nj_buf_append(out, "***", 3);
    } else if (json_is_string(value)) {
        err = nj_buf_printf(out, "%.128s", json_string_value(value));
    } else if (json_is_integer(value)) {
        err = nj_buf_printf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        err = nj_buf_printf(out, "%s", json_is_true(value) ? "true" : "false");
    } else {
        size_t count = json_is_array(value) ? json_array_size(value) : json_object_size(value);
        err = nj_buf_printf(out, "(%zu)", count);
    }
    (void)err; /* a shorter log line */
}

void nj_control_args_text(const struct nj_control_arg *rows, json_t *object, struct nj_buf *out)
{
    for (const struct nj_control_arg *row = rows; row && row->name; row++) {
        const json_t *value = json_object_get(object, row->name);
        if (value && nj_buf_printf(out, " %s=", row->name) == NJ_OK) {
            put_value(row, value, out);
        }
    }
}
