/* See explain_online.h. */
#include "explain_online.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl.h"

/* A text that may be missing. */
static enum nj_err take(const json_t *object, const char *key, struct nj_buf *out)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value)
               ? nj_buf_append(out, json_string_value(value), json_string_length(value))
               : NJ_OK;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static enum nj_err take_near(const json_t *rows, struct nj_explanation *out)
{
    enum nj_err err = NJ_OK;
    for (size_t i = 0; err == NJ_OK && i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        err = nj_explanation_add_near(out, (unsigned)i, text_of(row, "where"),
                                      nj_bytes_of(text_of(row, "rule")), text_of(row, "why"));
    }
    return err;
}

static enum nj_err take_change(const json_t *rows, struct nj_explanation *out)
{
    enum nj_err err = NJ_OK;
    for (size_t i = 0; err == NJ_OK && i < json_array_size(rows) && i < NJ_EXPLAIN_EDIT_MAX; i++) {
        const json_t *row = json_array_get(rows, i);
        json_int_t line = json_integer_value(json_object_get(row, "line"));
        err = nj_explanation_add_edit(
            out, strcmp(text_of(row, "edit"), "remove") == 0, text_of(row, "where"),
            line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0, nj_bytes_of(text_of(row, "text")));
    }
    return err;
}

static enum nj_err take_data(const json_t *data, struct nj_explanation *out)
{
    out->verdict.allowed = json_is_true(json_object_get(data, "allowed"));
    enum nj_err err = take(data, "why", &out->why);
    err = err == NJ_OK ? take(data, "rule", &out->rule) : err;
    err = err == NJ_OK ? take(data, "where", &out->where) : err;
    err = err == NJ_OK ? take(data, "login", &out->login) : err;
    err = err == NJ_OK ? take(data, "caution", &out->caution) : err;
    err = err == NJ_OK ? take_near(json_object_get(data, "nearest"), out) : err;
    return err == NJ_OK ? take_change(json_object_get(data, "change"), out) : err;
}

/* NULL when memory is short. */
static json_t *request_of(const struct nj_explain_question *question)
{
    json_t *request = json_pack(
        "{s:s, s:s, s:s%, s:s%}", "command", "explain", "action", nj_action_name(question->action),
        "topic", (const char *)question->topic.ptr, question->topic.len, "clientid",
        question->client_id.ptr != NULL ? (const char *)question->client_id.ptr : "",
        question->client_id.len);
    if (request != NULL && question->user.ptr != NULL) {
        (void)json_object_set_new(
            request, "username",
            json_stringn((const char *)question->user.ptr, question->user.len));
    }
    return request;
}

static bool take_answer(const json_t *answer, struct nj_explanation *out)
{
    const json_t *error = json_object_get(answer, "error");
    const json_t *data = json_object_get(answer, "data");
    if (error != NULL || !json_is_object(data)) {
        nj_ctl_print_error("explain",
                           error != NULL ? json_string_value(error) : "the answer has no data");
        return false;
    }
    if (take_data(data, out) != NJ_OK) {
        fprintf(stderr, "Error: Out of memory.\n");
        return false;
    }
    return true;
}

bool nj_explain_online(const struct nj_command *command, const char *options_file,
                       const struct nj_explain_question *question, struct nj_explanation *out)
{
    struct nj_ctl ctl = {.command = command};
    json_t *answer = NULL;
    bool is_good = false;
    nj_explanation_init(out);
    nj_opts_init(&ctl.opts, command, NJ_TOOL_RR, stderr); /* MQTT 5 unless told */
    ctl.link.opts = &ctl.opts;
    ctl.opts.qos = 1;
    enum nj_opts_result result = options_file != NULL ? nj_opts_read_file(&ctl.opts, options_file)
                                                      : nj_ctl_read_defaults(&ctl);
    if (result == NJ_OPTS_OK) {
        result = nj_opts_check(&ctl.opts);
    }
    json_t *request = result == NJ_OPTS_OK ? request_of(question) : NULL;
    if (request != NULL) {
        (void)nj_ctl_ask(&ctl, "nightjar/v1", request, &answer);
        is_good = answer != NULL && take_answer(answer, out);
    }
    json_decref(answer);
    nj_ctl_disconnect(&ctl);
    nj_opts_fini(&ctl.opts);
    return is_good;
}
