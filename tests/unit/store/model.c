/* See model.h. */
#include "model.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void model_init(struct model *model, uint64_t seed)
{
    memset(model, 0, sizeof(*model));
    model->random = seed * 0x9e3779b97f4a7c15ull + 1;
    model->next_seq = 1;
    model->next_owner = 1;
    model->next_stamp = 1;
}

uint64_t model_random(struct model *model, uint64_t bound)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (model->random >> 11) % bound;
}

/* ---- messages whose bytes tell which one it is */

static void fill(uint8_t *payload, uint32_t len, uint32_t stamp)
{
    for (uint32_t i = 0; i < len; i++) {
        payload[i] = (uint8_t)(stamp * 31 + i);
    }
}

static struct nj_message *make_message(struct model *model, const char *topic, uint32_t *stamp,
                                       uint32_t *len)
{
    uint64_t kind = model_random(model, 40);
    *len = (uint32_t)model_random(model, kind == 0 ? 6000 : 200);
    if (kind == 1 && model->has_blobs) {
        *len = 65537 + (uint32_t)model_random(model, 1000);
    }
    *stamp = model->next_stamp++;
    uint8_t *payload = nj_alloc(*len + 1);
    fill(payload, *len, *stamp);
    const struct nj_message_view view = {
        .topic = nj_bytes_of(topic), .payload = nj_bytes(payload, *len), .qos = 2};
    struct nj_message *message = nj_message_new(&view);
    NJ_ASSERT(message);
    nj_free(payload);
    return message;
}

static bool is_message(const struct nj_message *message, uint32_t stamp, uint32_t len)
{
    struct nj_message_view view = nj_message_view(message);
    if (view.payload.len != len) {
        return false;
    }
    for (uint32_t i = 0; i < len; i++) {
        if (view.payload.ptr[i] != (uint8_t)(stamp * 31 + i)) {
            return false;
        }
    }
    return true;
}

/* ---- random operations */

static struct nj_store_op *next_op(struct model_group *group, enum nj_store_op_kind kind,
                                   uint64_t owner)
{
    struct nj_store_op *op = &group->ops[group->count++];
    *op = (struct nj_store_op){.kind = kind, .owner = owner, .qos = 2};
    return op;
}

static struct nj_message *add_message(struct model *model, struct model_group *group,
                                      const char *topic, uint32_t *stamp, uint32_t *len)
{
    struct nj_message *message = make_message(model, topic, stamp, len);
    group->messages[group->message_count++] = message;
    return message;
}

static void save_session(struct model *model, struct model_group *group, uint32_t at)
{
    struct model_owner *owner = &model->owners[at];
    if (!owner->exists) {
        *owner = (struct model_owner){.exists = true, .number = model->next_owner++};
    }
    owner->expiry_s = 1 + (uint32_t)model_random(model, 1000);
    char *id = group->texts[group->count];
    (void)snprintf(id, sizeof(group->texts[0]), "client-%u", at);
    struct nj_store_session *session = &group->sessions[group->count];
    *session = (struct nj_store_session){
        .owner = owner->number,
        .origin = {.client_id = nj_bytes_of(id)},
        .away_ms = model_random(model, 2),
        .expiry_s = owner->expiry_s,
    };
    next_op(group, NJ_STORE_SESSION_SAVE, owner->number)->session = session;
}

static void delete_session(struct model *model, struct model_group *group, uint32_t at)
{
    uint32_t kept = 0;
    next_op(group, NJ_STORE_SESSION_DELETE, model->owners[at].number);
    model->owners[at].exists = false;
    for (uint32_t i = 0; i < model->row_count; i++) {
        if (model->rows[i].owner != at) {
            model->rows[kept++] = model->rows[i];
        }
    }
    model->row_count = kept;
}

/* Mostly the next one. Now and then one stays back and is used later: sequences are given in the
 * order of arrival, and nobody promises that groups come in the same. */
static uint64_t take_seq(struct model *model)
{
    uint64_t late = model->late_seq;
    if (late && model_random(model, 100) == 0) {
        model->late_seq = 0;
        return late;
    }
    if (!late && model_random(model, 10) == 0) {
        model->late_seq = model->next_seq++;
    }
    return model->next_seq++;
}

static struct model_row *add_row(struct model *model, uint64_t seq)
{
    uint32_t at = model->row_count++;
    while (at > 0 && model->rows[at - 1].seq > seq) {
        model->rows[at] = model->rows[at - 1];
        at--;
    }
    model->rows[at] = (struct model_row){.seq = seq};
    return &model->rows[at];
}

/* One message for several sessions. */
static void append_rows(struct model *model, struct model_group *group, uint32_t first)
{
    uint32_t stamp;
    uint32_t len;
    struct nj_message *message = add_message(model, group, "a/topic", &stamp, &len);
    uint32_t receivers = 1 + (uint32_t)model_random(model, 3);
    for (uint32_t i = 0; i < receivers && group->count < MODEL_OPS; i++) {
        uint32_t at = (first + i) % MODEL_OWNERS;
        if (!model->owners[at].exists || model->row_count == MODEL_ROWS) {
            continue;
        }
        struct model_row *row = add_row(model, take_seq(model));
        row->owner = at;
        row->stamp = stamp;
        row->len = len;
        struct nj_store_op *op = next_op(group, NJ_STORE_QUEUE_APPEND, model->owners[at].number);
        op->seq = row->seq;
        op->message = message;
        if (model_random(model, 4) == 0) {
            row->packet_id = (uint16_t)(1 + model_random(model, 60000));
            row->state = NJ_STORE_ROW_SENT;
            op->packet_id = row->packet_id;
        }
    }
}

static void touch_row(struct model *model, struct model_group *group)
{
    if (!model->row_count) {
        return;
    }
    /* Mostly the older ones, as clients do. */
    uint32_t bound = model_random(model, 3) ? (model->row_count + 7) / 8 : model->row_count;
    uint32_t at = (uint32_t)model_random(model, bound);
    struct model_row *row = &model->rows[at];
    uint64_t owner = model->owners[row->owner].number;
    uint64_t what = model_random(model, 8);
    if (what == 0) {
        row->state = NJ_STORE_ROW_SENT;
        row->packet_id = (uint16_t)(1 + model_random(model, 60000));
        struct nj_store_op *op = next_op(group, NJ_STORE_QUEUE_SENT, owner);
        op->seq = row->seq;
        op->packet_id = row->packet_id;
    } else if (what == 1 && row->state == NJ_STORE_ROW_SENT) {
        row->state = NJ_STORE_ROW_RELEASED;
        next_op(group, NJ_STORE_QUEUE_RELEASED, owner)->seq = row->seq;
    } else {
        next_op(group, NJ_STORE_QUEUE_REMOVE, owner)->seq = row->seq;
        memmove(row, row + 1, (model->row_count - at - 1) * sizeof(*row));
        model->row_count--;
    }
}

static void touch_incoming(struct model *model, struct model_group *group, uint32_t at)
{
    struct model_owner *owner = &model->owners[at];
    uint32_t id = (uint32_t)model_random(model, MODEL_IDS);
    struct nj_store_op *op;
    if (model_random(model, 2)) {
        struct nj_message *message =
            add_message(model, group, "in", &owner->incoming[id], &owner->incoming_len[id]);
        op = next_op(group, NJ_STORE_INCOMING_PUT, owner->number);
        op->message = message;
    } else {
        op = next_op(group, NJ_STORE_INCOMING_RELEASE, owner->number);
        owner->incoming[id] = 0;
    }
    op->packet_id = (uint16_t)(id + 1);
}

static void touch_sub(struct model *model, struct model_group *group, uint32_t at)
{
    struct model_owner *owner = &model->owners[at];
    uint32_t sub = (uint32_t)model_random(model, MODEL_SUBS);
    char *filter = group->texts[group->count];
    (void)snprintf(filter, sizeof(group->texts[0]), "f/%u/#", sub);
    bool is_on = model_random(model, 2);
    struct nj_store_op *op =
        next_op(group, is_on ? NJ_STORE_SUBSCRIBE : NJ_STORE_UNSUBSCRIBE, owner->number);
    op->bytes = nj_bytes_of(filter);
    op->value = model_random(model, 100);
    owner->subs[sub] = is_on ? (uint32_t)op->value + 1 : 0;
}

static void touch_will(struct model *model, struct model_group *group, uint32_t at)
{
    struct model_owner *owner = &model->owners[at];
    uint32_t len;
    owner->has_will = model_random(model, 2);
    if (!owner->has_will) {
        next_op(group, NJ_STORE_WILL_CLEAR, owner->number);
        return;
    }
    bool has_blobs = model->has_blobs;
    model->has_blobs = false; /* MQTT bounds it */
    struct nj_message *message = add_message(model, group, "will", &owner->will_stamp, &len);
    model->has_blobs = has_blobs;
    next_op(group, NJ_STORE_WILL_SET, owner->number)->message = message;
}

static void touch_retained(struct model *model, struct model_group *group)
{
    uint32_t topic = (uint32_t)model_random(model, MODEL_TOPICS);
    char *text = group->texts[group->count];
    (void)snprintf(text, sizeof(group->texts[0]), "r/%u", topic);
    if (model_random(model, 3)) {
        struct nj_message *message =
            add_message(model, group, text, &model->retained[topic], &model->retained_len[topic]);
        next_op(group, NJ_STORE_RETAIN_SET, 0)->message = message;
    } else {
        next_op(group, NJ_STORE_RETAIN_CLEAR, 0)->bytes = nj_bytes_of(text);
        model->retained[topic] = 0;
    }
}

static void make_op(struct model *model, struct model_group *group)
{
    uint32_t at = (uint32_t)model_random(model, MODEL_OWNERS);
    uint64_t what = model_random(model, 100);
    if (what >= 55) {
        touch_row(model, group);
    } else if (what < 2 || !model->owners[at].exists) {
        save_session(model, group, at);
    } else if (what == 2 && model_random(model, 8) == 0) {
        delete_session(model, group, at);
    } else if (what < 8) {
        touch_sub(model, group, at);
    } else if (what < 12) {
        touch_incoming(model, group, at);
    } else if (what < 14) {
        touch_will(model, group, at);
    } else if (what < 20) {
        touch_retained(model, group);
    } else {
        append_rows(model, group, at);
    }
}

void model_group_make(struct model *model, struct model_group *group)
{
    unsigned want = 1 + (unsigned)model_random(model, MODEL_OPS - 4);
    group->count = 0;
    group->message_count = 0;
    for (unsigned i = 0; i < want && group->count < MODEL_OPS - 3; i++) {
        make_op(model, group);
    }
}

void model_group_fini(struct model_group *group)
{
    for (unsigned i = 0; i < group->message_count; i++) {
        nj_message_unref(group->messages[i]);
    }
}

/* ---- comparing */

struct compare {
    const struct model *model;
    const char *wrong;
    uint32_t sessions;
    uint32_t subs;
    uint32_t wills;
    uint32_t retained;
};

static enum nj_err say(struct compare *compare, const char *what)
{
    if (!compare->wrong) {
        compare->wrong = what;
    }
    return NJ_OK;
}

static const struct model_owner *find_owner(const struct model *model, uint64_t number)
{
    for (int i = 0; i < MODEL_OWNERS; i++) {
        if (model->owners[i].exists && model->owners[i].number == number) {
            return &model->owners[i];
        }
    }
    return NULL;
}

static enum nj_err compare_session(void *arg, const struct nj_store_session *session,
                                   const struct nj_store_backlog *backlog)
{
    struct compare *compare = arg;
    const struct model_owner *owner = find_owner(compare->model, session->owner);
    struct nj_store_backlog sum = {0};
    compare->sessions++;
    if (!owner && session->owner >= compare->model->next_owner && compare->model->extra_sessions) {
        return NJ_OK;
    }
    if (!owner || owner->expiry_s != session->expiry_s) {
        return say(compare, "a session");
    }
    for (uint32_t i = 0; i < compare->model->row_count; i++) {
        const struct model_row *row = &compare->model->rows[i];
        if (&compare->model->owners[row->owner] == owner) {
            sum.queued += row->state == NJ_STORE_ROW_QUEUED;
            sum.flights += row->state != NJ_STORE_ROW_QUEUED;
            sum.bytes += row->state == NJ_STORE_ROW_QUEUED ? row->len : 0;
        }
    }
    for (int i = 0; i < MODEL_IDS; i++) {
        sum.incoming += owner->incoming[i] != 0;
    }
    bool is_same = sum.queued == backlog->queued && sum.flights == backlog->flights &&
                   sum.bytes == backlog->bytes && sum.incoming == backlog->incoming;
    if (!is_same) {
        (void)fprintf(stderr,
                      "session %llu: %u queued, %u in flight, %u incoming, %llu bytes; should be "
                      "%u, %u, %u, %llu\n",
                      (unsigned long long)session->owner, backlog->queued, backlog->flights,
                      backlog->incoming, (unsigned long long)backlog->bytes, sum.queued,
                      sum.flights, sum.incoming, (unsigned long long)sum.bytes);
        return say(compare, "a backlog");
    }
    return NJ_OK;
}

static enum nj_err compare_sub(void *arg, uint64_t number, struct nj_bytes filter, uint64_t value,
                               uint32_t share)
{
    struct compare *compare = arg;
    const struct model_owner *owner = find_owner(compare->model, number);
    unsigned sub = filter.len > 2 ? filter.ptr[2] - (unsigned)'0' : MODEL_SUBS;
    (void)share;
    compare->subs++;
    bool is_same = owner && sub < MODEL_SUBS && owner->subs[sub] == value + 1;
    return is_same ? NJ_OK : say(compare, "a subscription");
}

static enum nj_err compare_will(void *arg, uint64_t number, struct nj_message *message,
                                uint64_t delay_s)
{
    struct compare *compare = arg;
    const struct model_owner *owner = find_owner(compare->model, number);
    (void)delay_s;
    compare->wills++;
    bool is_same =
        owner && owner->has_will && is_message(message, owner->will_stamp, message->payload_len);
    return is_same ? NJ_OK : say(compare, "a will");
}

static enum nj_err compare_retained(void *arg, struct nj_message *message,
                                    const struct nj_store_origin *origin)
{
    struct compare *compare = arg;
    struct nj_bytes topic = nj_message_topic(message);
    unsigned at = 0;
    (void)origin;
    for (size_t i = 2; i < topic.len; i++) {
        at = at * 10 + topic.ptr[i] - (unsigned)'0';
    }
    compare->retained++;
    bool is_same =
        at < MODEL_TOPICS && compare->model->retained[at] &&
        is_message(message, compare->model->retained[at], compare->model->retained_len[at]);
    return is_same ? NJ_OK : say(compare, "a retained message");
}

static void compare_counts(struct compare *compare)
{
    const struct model *model = compare->model;
    uint32_t sessions = model->extra_sessions;
    uint32_t subs = 0;
    uint32_t wills = 0;
    uint32_t retained = 0;
    for (int i = 0; i < MODEL_OWNERS; i++) {
        const struct model_owner *owner = &model->owners[i];
        sessions += owner->exists;
        wills += owner->exists && owner->has_will;
        for (int j = 0; owner->exists && j < MODEL_SUBS; j++) {
            subs += owner->subs[j] != 0;
        }
    }
    for (int i = 0; i < MODEL_TOPICS; i++) {
        retained += model->retained[i] != 0;
    }
    if (sessions != compare->sessions || subs != compare->subs || wills != compare->wills ||
        retained != compare->retained) {
        (void)say(compare, "a count");
    }
}

static bool is_row(const struct model_row *want, const struct nj_store_row *row)
{
    return want->seq == row->seq && want->state == row->state &&
           want->packet_id == row->packet_id &&
           (row->message ? is_message(row->message, want->stamp, want->len)
                         : row->state == NJ_STORE_ROW_RELEASED);
}

static uint32_t compare_incoming(struct compare *compare, const struct model_owner *owner,
                                 const struct nj_store_rows *rows)
{
    uint32_t i = 0;
    for (int id = 0; id < MODEL_IDS; id++) {
        if (!owner->incoming[id]) {
            continue;
        }
        bool is_there =
            i < rows->count && rows->row[i].packet_id == id + 1 &&
            rows->row[i].state == NJ_STORE_ROW_INCOMING &&
            is_message(rows->row[i].message, owner->incoming[id], owner->incoming_len[id]);
        if (!is_there) {
            (void)say(compare, "an incoming message");
        }
        i++;
    }
    return i;
}

/* Everything in one read, as when a client comes back. */
static void compare_all_rows(struct compare *compare, struct rig *rig, uint32_t at)
{
    const struct model *model = compare->model;
    const struct nj_store_read read = {.owner = model->owners[at].number,
                                       .max_rows = UINT32_MAX,
                                       .max_bytes = UINT64_MAX,
                                       .with_flights = true};
    struct nj_store_rows *rows = rig_read(rig, &read);
    uint32_t i = compare_incoming(compare, &model->owners[at], rows);
    for (uint32_t j = 0; j < model->row_count; j++) {
        if (model->rows[j].owner == at &&
            (i == rows->count || !is_row(&model->rows[j], &rows->row[i++]))) {
            (void)say(compare, "a row");
            break;
        }
    }
    if (!compare->wrong && (i != rows->count || !rows->is_end)) {
        (void)say(compare, "the end of the rows");
    }
    nj_store_rows_free(rows);
}

/* What is queued, in several reads, to meet the borders between pages. */
static void compare_queue(struct compare *compare, struct rig *rig, uint32_t at)
{
    const struct model *model = compare->model;
    struct nj_store_read read = {
        .owner = model->owners[at].number, .max_rows = 50, .max_bytes = 1 << 24};
    struct nj_store_rows *rows = rig_read(rig, &read);
    uint32_t i = 0;
    for (uint32_t j = 0; j < model->row_count; j++) {
        if (model->rows[j].owner != at || model->rows[j].state != NJ_STORE_ROW_QUEUED) {
            continue;
        }
        if (i == rows->count && !rows->is_end) {
            read.from_seq = rows->row[rows->count - 1].seq + 1;
            nj_store_rows_free(rows);
            rows = rig_read(rig, &read);
            i = 0;
        }
        if (i == rows->count || !is_row(&model->rows[j], &rows->row[i++])) {
            (void)say(compare, "a queued row");
            break;
        }
    }
    if (!compare->wrong && (i != rows->count || !rows->is_end)) {
        (void)say(compare, "the end of the queue");
    }
    nj_store_rows_free(rows);
}

bool model_equals(const struct model *model, struct rig *rig)
{
    struct compare compare = {.model = model};
    struct nj_store_highest highest;
    const struct nj_store_loader loader = {
        .arg = &compare,
        .session = compare_session,
        .subscription = compare_sub,
        .will = compare_will,
        .retained = compare_retained,
    };
    if (nj_store_load(rig->store, &loader, &highest) != NJ_OK) {
        compare.wrong = "the loading";
    }
    compare_counts(&compare);
    for (uint32_t at = 0; at < MODEL_OWNERS; at++) {
        if (model->owners[at].exists) {
            compare_all_rows(&compare, rig, at);
            compare_queue(&compare, rig, at);
        }
    }
    if (highest.seq + 1 < model->next_seq && model->next_seq > 1 && model->row_count) {
        (void)say(&compare, "the highest sequence");
    }
    if (compare.wrong) {
        (void)fprintf(stderr, "the store and the model differ in %s\n", compare.wrong);
    }
    return !compare.wrong;
}
