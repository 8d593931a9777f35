/* `$CONTROL/nightjar/v1`: retained messages and subscriptions by topic.
 *
 * A sender sees only what he may receive and deletes only where he may publish. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/filters.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/publish.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/share.h"
#include "control/control_priv.h"
#include "control/sessions.h"
#include "front/front.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"

#define PAYLOAD_SHOWN_MAX 65536u

static bool caller_may(const struct nj_control_call *call, enum nj_action action,
                       struct nj_bytes topic)
{
    return nj_control_caller_may(nj_control_call_plane(call), nj_control_call_caller(call), action,
                                 topic);
}

static json_t *text(struct nj_bytes bytes)
{
    return json_stringn((const char *)bytes.ptr, bytes.len);
}

/* ---- retained */

static json_t *describe_retained(const struct nj_retained *retained, bool with_payload)
{
    const struct nj_message_view view = nj_message_view(retained->message);
    json_t *row = json_pack("{s:o, s:i, s:I}", "topic", text(view.topic), "qos", view.qos, "bytes",
                            (json_int_t)view.payload.len);
    if (retained->origin) {
        struct nj_bytes user = nj_origin_user(retained->origin);
        (void)json_object_set_new(row, "publishedBy", text(nj_origin_client_id(retained->origin)));
        if (user.ptr) {
            (void)json_object_set_new(row, "username", text(user));
        }
    }
    bool is_text = view.payload.len <= PAYLOAD_SHOWN_MAX && nj_mqtt_utf8_is_valid(view.payload);
    if (with_payload && is_text) {
        (void)json_object_set_new(row, "payload", text(view.payload));
    }
    return row;
}

static int by_topic(const void *a, const void *b)
{
    struct nj_bytes left = nj_message_topic(((const struct nj_retained *)a)->message);
    struct nj_bytes right = nj_message_topic(((const struct nj_retained *)b)->message);
    size_t len = left.len < right.len ? left.len : right.len;
    int order = memcmp(left.ptr, right.ptr, len);
    return order ? order : (left.len > right.len) - (left.len < right.len);
}

static bool is_behind(struct nj_bytes topic, const char *after)
{
    struct nj_bytes other = nj_bytes_of(after);
    size_t len = topic.len < other.len ? topic.len : other.len;
    int order = after ? memcmp(topic.ptr, other.ptr, len) : 1;
    return order ? order > 0 : topic.len > other.len;
}

static json_t *page_of(struct nj_control_call *call, struct nj_retained *found, uint32_t count)
{
    const char *after = nj_control_call_string(call, "after");
    size_t max = (size_t)nj_control_call_int(call, "count", 100);
    bool with_payload = nj_control_call_bool(call, "payload", false);
    json_t *rows = json_array();
    json_t *data = json_object();
    struct nj_bytes last = nj_bytes(NULL, 0);
    qsort(found, count, sizeof(*found), by_topic);
    for (uint32_t i = 0; i < count; i++) {
        struct nj_bytes topic = nj_message_topic(found[i].message);
        if (!is_behind(topic, after) || !caller_may(call, NJ_ACTION_DELIVER, topic)) {
            continue;
        }
        if (json_array_size(rows) == max) {
            (void)json_object_set_new(data, "after", text(last));
            break;
        }
        (void)json_array_append_new(rows, describe_retained(&found[i], with_payload));
        last = topic;
    }
    (void)json_object_set_new(data, "retained", rows);
    return data;
}

/* On this thread, which has a reader's place of its own, so that no worker stands still while a
 * million topics are looked through. */
static enum nj_err find_retained(const struct nj_front *front, struct nj_bytes filter,
                                 struct nj_retained **found, uint32_t *count)
{
    struct nj_tree_nodes scratch[2] = {{0}};
    const struct nj_core *core = &front->core;
    const struct nj_retain_query query = {
        .filter = filter, .now_ms = nj_clock_mono_ms(), .clock = UINT64_MAX};
    nj_qsbr_online(core->qsbr, front->worker_count);
    enum nj_err err = nj_retain_match(core->retain, &query, scratch, found, count);
    nj_qsbr_offline(core->qsbr, front->worker_count);
    nj_tree_nodes_fini(&scratch[0]);
    nj_tree_nodes_fini(&scratch[1]);
    return err;
}

void nj_nightjar_list_retained(struct nj_control_call *call)
{
    const char *filter = nj_control_call_string(call, "topic");
    struct nj_retained *found = NULL;
    uint32_t count = 0;
    filter = filter ? filter : "#";
    if (!nj_mqtt_filter_is_valid(nj_bytes_of(filter), NJ_MQTT_LEVELS_MAX)) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Invalid topic");
        return;
    }
    if (find_retained(nj_control_plane_front(nj_control_call_plane(call)), nj_bytes_of(filter),
                      &found, &count) != NJ_OK) {
        nj_control_call_fail(call, NJ_REFUSED_INTERNAL, "Out of memory");
        return;
    }
    json_t *data = page_of(call, found, count);
    for (uint32_t i = 0; i < count; i++) {
        nj_retained_unref(&found[i]);
    }
    nj_free(found);
    nj_control_call_done(call, data);
}

struct removal {
    struct nj_control_call *call;
    const char *topic;
    bool was_there;
};

static bool remove_retained(struct nj_shard *shard, void *arg, void *slot)
{
    struct removal *removal = arg;
    (void)slot;
    removal->was_there = nj_shard_retain_clear(shard, nj_bytes_of(removal->topic));
    return true;
}

static void removed(void *arg, void *slots, unsigned workers, enum nj_err saved)
{
    struct removal *removal = arg;
    (void)slots;
    if (workers && removal->was_there && saved != NJ_OK) {
        nj_control_call_failf(removal->call, NJ_REFUSED_STORAGE, "Not saved: %s",
                              nj_err_text(saved));
    } else if (workers && removal->was_there) {
        nj_control_call_done(removal->call, NULL);
    } else if (workers) {
        nj_control_call_fail(removal->call, NJ_REFUSED_NOT_FOUND, "Retained message not found");
    }
    nj_free(removal);
}

void nj_nightjar_delete_retained(struct nj_control_call *call)
{
    const char *topic = nj_control_call_string(call, "topic");
    if (!nj_mqtt_topic_is_valid(nj_bytes_of(topic), NJ_MQTT_LEVELS_MAX)) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Invalid topic");
        return;
    }
    if (!caller_may(call, NJ_ACTION_PUBLISH, nj_bytes_of(topic))) {
        nj_control_call_fail(call, NJ_REFUSED_FORBIDDEN, "You may not publish to this topic");
        return;
    }
    struct removal *removal = nj_alloc(sizeof(*removal));
    *removal = (struct removal){.call = call, .topic = topic};
    nj_control_gather(nj_control_call_plane(call), 0, remove_retained, removed, removal, 0);
}

/* ---- who subscribed what covers a topic */

struct question {
    struct nj_control_call *call;
    const char *topic;
    size_t max;
};

struct answer {
    json_t *rows;
    uint64_t total;
};

static json_t *describe_entry(const struct nj_filter *filter, const struct nj_sub_entry *entry)
{
    char buf[1024];
    size_t len = nj_filter_text(filter, buf, sizeof(buf));
    return json_pack("{s:o, s:o, s:i, s:b}", "clientid", nj_control_describe_id(entry->session),
                     "topic", len <= sizeof(buf) ? json_stringn(buf, len) : json_string("…"), "qos",
                     entry->options.qos, "connected", entry->session->link != NULL);
}

static bool match(struct nj_shard *shard, void *arg, void *slot)
{
    const struct question *question = arg;
    struct answer *answer = slot;
    const struct nj_match *found =
        nj_filters_match_own(shard->filters, nj_bytes_of(question->topic));
    answer->rows = json_array();
    for (uint32_t f = 0; f < found->count; f++) {
        const struct nj_filter *filter = found->filters[f];
        for (uint32_t i = 0; i < filter->count; i++) {
            if (filter->entries[i].session->has_ended) {
                continue;
            }
            answer->total++;
            if (json_array_size(answer->rows) >= question->max) {
                continue;
            }
            (void)json_array_append_new(answer->rows, describe_entry(filter, &filter->entries[i]));
        }
    }
    return true;
}

static void matched(void *arg, void *slots, unsigned workers, enum nj_err saved)
{
    struct question *question = arg;
    struct answer *answers = slots;
    json_t *all = json_array();
    uint64_t total = 0;
    (void)saved;
    for (unsigned i = 0; i < workers; i++) {
        size_t place;
        json_t *row;
        json_array_foreach(answers[i].rows, place, row)
        {
            if (json_array_size(all) < question->max) {
                (void)json_array_append(all, row);
            }
        }
        total += answers[i].total;
        json_decref(answers[i].rows);
    }
    json_t *data = json_pack("{s:I, s:o}", "totalCount", (json_int_t)total, "subscriptions", all);
    if (workers) {
        nj_control_call_done(question->call, data);
    } else {
        json_decref(data);
    }
    nj_free(question);
}

static json_t *of_client(struct nj_session *session, struct nj_control_call *call,
                         const char **error)
{
    (void)error;
    json_int_t total = session->sub_count + nj_share_count(session);
    return json_pack("{s:I, s:o}", "totalCount", total, "subscriptions",
                     nj_control_subscriptions_of(session,
                                                 (size_t)nj_control_call_int(call, "offset", 0),
                                                 (size_t)nj_control_call_int(call, "count", 100)));
}

void nj_nightjar_list_subscriptions(struct nj_control_call *call)
{
    const char *client_id = nj_control_call_string(call, "clientid");
    const char *topic = nj_control_call_string(call, "topic");
    if ((client_id != NULL) == (topic != NULL)) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Give either clientid or topic");
        return;
    }
    if (client_id) {
        nj_control_with_session(call, client_id, "Client not found", of_client);
        return;
    }
    if (!nj_mqtt_topic_is_valid(nj_bytes_of(topic), NJ_MQTT_LEVELS_MAX)) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Invalid topic");
        return;
    }
    struct question *question = nj_alloc(sizeof(*question));
    *question = (struct question){
        .call = call, .topic = topic, .max = (size_t)nj_control_call_int(call, "count", 100)};
    nj_control_gather(nj_control_call_plane(call), NJ_CONTROL_EVERY_WORKER, match, matched,
                      question, sizeof(struct answer));
}
