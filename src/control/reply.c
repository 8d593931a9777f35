/* What goes back: one entry for each command, sent the way that was asked for. See api.h. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "control/control_priv.h"
#include "front/door.h"
#include "front/petition.h"

static const struct nj_mode_settings *mode_of(const struct nj_control_request *request)
{
    const struct nj_control_host *host = &request->plane->host;
    return &host->settings(host->arg)->mode;
}

/* False: for want of memory. */
static bool put_error(const struct nj_control_request *request, json_t *response,
                      enum nj_control_fault fault, const char *error)
{
    bool is_put = json_object_set_new(response, "error", json_string(error)) == 0;
    if (is_put && !mode_of(request)->control_as_original) {
        is_put = json_object_set_new(response, "code", json_integer(fault)) == 0;
    }
    return is_put;
}

/* Puts `data`, whose reference it takes, or the error; and the correlation data. */
static bool put_answer(struct nj_control_request *request, json_t *response, json_t *data,
                       enum nj_control_fault fault, const char *error)
{
    const json_t *correlation = json_object_get(request->call.args, "correlationData");
    bool is_put = true;
    if (error) {
        is_put = put_error(request, response, fault, error);
        json_decref(data);
    } else if (data) {
        request->answer_bytes += json_dumpb(data, NULL, 0, JSON_COMPACT);
        is_put = json_object_set_new(response, "data", data) == 0;
    }
    if (is_put && json_is_string(correlation)) {
        is_put =
            json_object_set_new(response, "correlationData", json_copy((json_t *)correlation)) == 0;
    }
    return is_put;
}

void nj_control_reply_add(struct nj_control_request *request, const char *command, json_t *data,
                          enum nj_control_fault fault, const char *error)
{
    json_t *response = json_object();
    bool is_put = json_object_set_new(response, "command", json_string(command)) == 0;
    is_put = put_answer(request, response, data, fault, error) && is_put;
    is_put = json_array_append_new(request->responses, response) == 0 && is_put;
    request->is_lost |= !is_put;
    request->failures += error != NULL;
}

bool nj_control_request_is_lost(const struct nj_control_request *request)
{
    return request->is_lost;
}

void nj_control_request_fail(struct nj_control_request *request, enum nj_control_fault fault,
                             const char *text)
{
    size_t i;
    json_t *response;
    nj_control_request_log_failed(request, text);
    if (json_array_size(request->responses) == 0) {
        nj_control_reply_add(request, "Unknown command", NULL, fault, text);
        return;
    }
    json_array_foreach(request->responses, i, response)
    {
        if (!json_object_get(response, "error")) {
            (void)json_object_del(response, "data");
            request->is_lost |= !put_error(request, response, fault, text);
            request->failures++;
        }
    }
}

void nj_control_request_set(struct nj_control_request *request, const char *key, json_t *value)
{
    (void)json_object_set_new(request->reply, key, value);
}

static struct nj_bytes response_topic(const struct nj_request *from, struct nj_buf *buf)
{
    if (from->response_topic.ptr) {
        return from->response_topic;
    }
    if (nj_buf_append(buf, from->topic.ptr, from->topic.len) != NJ_OK ||
        nj_buf_append(buf, "/response", 9) != NJ_OK) {
        return nj_bytes(NULL, 0);
    }
    return nj_buf_bytes(buf);
}

static enum nj_reply_way way_of(const struct nj_control_request *request)
{
    if (request->from->response_topic.ptr) {
        return NJ_REPLY_STRAIGHT;
    }
    /* An endpoint that does not exist answers its caller alone, as the original does. */
    bool is_routed =
        mode_of(request)->control_as_original && !request->is_private && request->entry;
    return is_routed ? NJ_REPLY_ROUTED : NJ_REPLY_SUBSCRIBED;
}

void nj_control_reply_send(struct nj_control_request *request)
{
    const struct nj_request *from = request->from;
    struct nj_buf topic;
    nj_buf_init(&topic);
    char *text = json_dumps(request->reply, JSON_COMPACT);
    const struct nj_petition_reply reply = {
        .session = from->session,
        .connection = from->connection,
        .worker = from->worker,
        .topic = response_topic(from, &topic),
        .correlation_data = from->correlation_data,
        .payload = nj_bytes_of(text),
        .way = way_of(request),
    };
    if (!text || !reply.topic.len || nj_petition_answer(request->plane->front, &reply) != NJ_OK) {
        nj_log(NJ_LOG_WARNING, "Warning: out of memory; the answer to %s (%.*s) is lost.",
               request->caller.address, (int)from->client_id.len,
               (const char *)from->client_id.ptr);
    }
    if (text) {
        nj_control_json_text_free(text);
    }
    nj_buf_fini(&topic);
}
