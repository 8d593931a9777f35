/* See model.h. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"

const char *const model_topics[TOPIC_COUNT] = {"a", "a/b", "a/c", "b", "a/b/c", "b/c", "$x/y", "/"};
const char *const model_filters[FILTER_COUNT] = {
    "a", "a/#", "#", "+/b", "a/+", "b", "+", "a/b/c", "$x/#", "+/+/c", "b/#", "/+",
};

#define MS_PER_S     1000ull
#define EXPIRY_NEVER UINT32_MAX

/* ---- topics */

bool model_matches(const char *filter, const char *topic)
{
    if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#')) {
        return false;
    }
    for (;;) {
        if (filter[0] == '#') {
            return true;
        }
        size_t f = strcspn(filter, "/");
        size_t t = strcspn(topic, "/");
        bool is_same = f == t && strncmp(filter, topic, f) == 0;
        if (!is_same && !(f == 1 && filter[0] == '+')) {
            return false;
        }
        filter += f;
        topic += t;
        if (!*topic) {
            return !*filter || strcmp(filter, "/#") == 0;
        }
        if (!*filter) {
            return false;
        }
        filter++;
        topic++;
    }
}

/* ---- rights */

enum access {
    READ = 1,
    WRITE = 2,
    DENY = 4
};

struct rule {
    int user; /* -1 = for everybody */
    enum access access;
    const char *filter;
};

struct rights {
    const char *text;
    struct rule rules[10];
};

static const struct rights all_rights[RIGHTS_COUNT] = {
    {NULL, {{0}}},
    {"topic readwrite #\ntopic readwrite $x/#\n",
     {{-1, READ | WRITE, "#"}, {-1, READ | WRITE, "$x/#"}}},
    {"topic readwrite a/#\nuser u0\ntopic readwrite #\nuser u1\ntopic deny a/b\n"
     "topic readwrite +\n",
     {{-1, READ | WRITE, "a/#"}, {0, READ | WRITE, "#"}, {1, DENY, "a/b"}, {1, READ | WRITE, "+"}}},
    {"topic read #\nuser u0\ntopic write a/#\nuser u1\ntopic write b\n",
     {{-1, READ, "#"}, {0, WRITE, "a/#"}, {1, WRITE, "b"}}},
    {"topic write #\nuser u2\ntopic read a/+\nuser u0\ntopic deny #\n",
     {{-1, WRITE, "#"}, {2, READ, "a/+"}, {0, DENY, "#"}}},
};

const char *model_rights_text(unsigned rights)
{
    return all_rights[rights].text;
}

/* 1 = yes, 0 = no, -1 = the list has no rule for it. */
static int ask_list(const struct rights *rights, int user, enum access access, const char *topic)
{
    int answer = -1;
    for (unsigned i = 0; i < sizeof(rights->rules) / sizeof(rights->rules[0]); i++) {
        const struct rule *rule = &rights->rules[i];
        if (!rule->filter || rule->user != user || !model_matches(rule->filter, topic)) {
            continue;
        }
        if (rule->access == DENY) {
            return 0;
        }
        if (rule->access & access) {
            answer = 1;
        }
    }
    return answer;
}

bool model_may(const struct model *model, int user, unsigned client, bool is_write, unsigned topic)
{
    const struct rights *rights = &all_rights[model->rights];
    enum admin_answer said = ADMIN_SILENT;
    if (model->admin) {
        said = admin_ask(model->admin, user, client, is_write ? ADMIN_SEND : ADMIN_RECEIVE,
                         model_topics[topic]);
    }
    if (said != ADMIN_SILENT) {
        return said == ADMIN_YES;
    }
    if (!rights->text) {
        return !model->admin;
    }
    enum access access = is_write ? WRITE : READ;
    int answer = user >= 0 ? ask_list(rights, user, access, model_topics[topic]) : -1;
    if (answer < 0) {
        answer = ask_list(rights, -1, access, model_topics[topic]);
    }
    return answer == 1;
}

bool model_filter_is_void(const struct model *model, int user, unsigned client, unsigned filter)
{
    struct model by_file = {.rights = model->rights};
    for (unsigned topic = 0; topic < TOPIC_COUNT; topic++) {
        if (model_matches(model_filters[filter], model_topics[topic]) &&
            model_may(&by_file, user, client, false, topic)) {
            return false;
        }
    }
    return true;
}

bool model_knows(const struct model *model, int user)
{
    return !model->admin || admin_knows(model->admin, user);
}

enum subscribe_right model_may_subscribe(const struct model *model, int user, unsigned client,
                                         unsigned filter)
{
    enum admin_answer said = ADMIN_SILENT;
    if (model->admin) {
        said = admin_ask(model->admin, user, client, ADMIN_SUBSCRIBE, model_filters[filter]);
    }
    if (said != ADMIN_SILENT) {
        return said == ADMIN_YES ? SUBSCRIBE_YES : SUBSCRIBE_NO;
    }
    if (!all_rights[model->rights].text) {
        return model->admin ? SUBSCRIBE_NO : SUBSCRIBE_YES;
    }
    return model_filter_is_void(model, user, client, filter) ? SUBSCRIBE_MAYBE : SUBSCRIBE_YES;
}

bool model_may_unsubscribe(const struct model *model, int user, unsigned client, unsigned filter)
{
    enum admin_answer said = ADMIN_YES;
    if (model->admin) {
        said = admin_ask(model->admin, user, client, ADMIN_UNSUBSCRIBE, model_filters[filter]);
    }
    /* Nothing but a rule of dynamic security keeps somebody in a subscription. */
    return said == ADMIN_YES || (said == ADMIN_SILENT && all_rights[model->rights].text);
}

/* ---- dues */

struct m_due *model_due_add(struct m_session *session, const struct m_message *message)
{
    if (session->due_count == DUES_MAX) {
        model_dues_compact(session);
    }
    if (session->due_count == DUES_MAX) {
        (void)fprintf(stderr, "stateful: too many messages are due, make rounds shorter\n");
        exit(3);
    }
    struct m_due *due = &session->dues[session->due_count++];
    *due = (struct m_due){.message = *message, .group = -1};
    return due;
}

void model_dues_compact(struct m_session *session)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < session->due_count; i++) {
        if (session->dues[i].state != DUE_DONE) {
            session->dues[kept++] = session->dues[i];
        }
    }
    session->due_count = kept;
}

static void float_add(struct model *model, const struct m_message *message, int group,
                      unsigned filter, bool is_optional)
{
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        if (!model->floats[i].is_used) {
            model->floats[i] = (struct m_float){
                .message = *message,
                .is_used = true,
                .is_optional = is_optional,
                .group = group,
                .filter = filter,
            };
            return;
        }
    }
    (void)fprintf(stderr, "stateful: too many shared messages, make rounds shorter\n");
    exit(3);
}

/* ---- publishing */

static uint8_t least(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

/* A session of an older version that has options of MQTT 5: which of several overlapping ones count
 * is nowhere said. */
static bool is_mixed(const struct m_session *session)
{
    bool has_options = false;
    for (unsigned i = 0; i < SUBS_MAX; i++) {
        const struct m_sub *sub = &session->subs[i];
        has_options |= sub->is_used && (sub->is_retain_as_published || sub->sub_id);
    }
    return session->version != 5 && has_options;
}

static void due_of(struct model *model, unsigned client, const struct m_message *message,
                   const struct m_sub *sub, uint8_t qos)
{
    struct m_session *session = &model->sessions[client];
    bool is_lost = qos == 0 && !session->is_connected && !(model->queue_qos0 && session->expiry_s);
    /* QoS 2 messages and wills reach those who have no record of them when they are durable: who
     * comes back or is given the right meanwhile may get them. */
    bool may_be_late = model_is_late(message);
    bool is_out = is_lost || !model_may(model, session->user, client, false, message->topic);
    if (is_out && !may_be_late) {
        return;
    }
    struct m_due *due = model_due_add(session, message);
    due->is_optional = is_out || (may_be_late && qos == 0 && !session->is_connected);
    due->qos = qos;
    due->sub_id = sub->sub_id;
    due->is_retain = sub->is_retain_as_published && message->is_retain;
    due->is_any_shape = is_mixed(session);
}

/* Version 5 gets a copy for each subscription, older ones a single one at the highest QoS. */
static bool route_to(struct model *model, unsigned client, const struct m_message *message)
{
    struct m_session *session = &model->sessions[client];
    const struct m_sub *single = NULL;
    uint8_t highest = 0;
    bool has_some = false;
    for (unsigned i = 0; i < SUBS_MAX; i++) {
        const struct m_sub *sub = &session->subs[i];
        if (!sub->is_used || sub->group >= 0 ||
            !model_matches(model_filters[sub->filter], model_topics[message->topic])) {
            continue;
        }
        has_some = true;
        if (sub->is_no_local && message->sender == session->number) {
            continue;
        }
        single = sub;
        highest = sub->qos > highest ? sub->qos : highest;
        if (session->version == 5) {
            due_of(model, client, message, sub, least(message->qos, sub->qos));
        }
    }
    if (single && session->version != 5) {
        due_of(model, client, message, single, least(message->qos, highest));
    }
    /* If it comes late, and meanwhile the client with version 5, there is a copy for each. */
    bool may_change =
        single && session->version != 5 && !session->is_connected && model_is_late(message);
    for (unsigned i = 0; may_change && i < SUBS_MAX; i++) {
        const struct m_sub *sub = &session->subs[i];
        bool matches = sub->is_used && sub->group < 0 &&
                       model_matches(model_filters[sub->filter], model_topics[message->topic]);
        if (matches && (sub != single || highest) && least(message->qos, sub->qos) == 0) {
            due_of(model, client, message, sub, 0);
            session->dues[session->due_count - 1].is_optional = true;
        }
    }
    return has_some;
}

static const struct m_sub *membership(const struct m_session *session, int group, unsigned filter)
{
    for (unsigned i = 0; session->number && i < SUBS_MAX; i++) {
        const struct m_sub *sub = &session->subs[i];
        if (sub->is_used && sub->group == group && sub->filter == filter) {
            return sub;
        }
    }
    return NULL;
}

static bool route_to_group(struct model *model, const struct m_message *message, int group,
                           unsigned filter)
{
    bool has_member = false;
    bool is_optional = false;
    for (unsigned c = 0; c < model->clients; c++) {
        const struct m_session *session = &model->sessions[c];
        const struct m_sub *sub = membership(session, group, filter);
        if (sub) {
            has_member = true;
            /* One who is away takes no QoS 0, one without the right nothing. */
            is_optional |= !session->is_connected && least(message->qos, sub->qos) == 0;
            is_optional |= !model_may(model, session->user, c, false, message->topic);
        }
    }
    if (has_member) {
        float_add(model, message, group, filter, is_optional);
    }
    return has_member;
}

static void retain(struct model *model, const struct m_message *message, unsigned client)
{
    model->retained[message->topic] = (struct m_retained){
        .is_set = !message->is_empty,
        .message = *message,
        .client = client,
    };
    /* An older one that was still on its way need not come any more. */
    for (unsigned c = 0; c < model->clients; c++) {
        struct m_session *session = &model->sessions[c];
        for (unsigned i = 0; i < session->due_count; i++) {
            struct m_due *due = &session->dues[i];
            if (due->is_replay && due->state == DUE_WAITING &&
                due->message.topic == message->topic) {
                due->is_optional = true;
            }
        }
    }
}

bool model_publish(struct model *model, const struct m_message *message, unsigned client)
{
    bool has_some = false;
    if (message->is_retain) {
        retain(model, message, client);
    }
    for (unsigned c = 0; c < model->clients; c++) {
        if (model->sessions[c].number) {
            has_some |= route_to(model, c, message);
        }
    }
    for (int group = 0; group < GROUP_COUNT; group++) {
        for (unsigned filter = 0; filter < FILTER_COUNT; filter++) {
            if (model_matches(model_filters[filter], model_topics[message->topic])) {
                has_some |= route_to_group(model, message, group, filter);
            }
        }
    }
    return has_some;
}

/* ---- subscriptions */

static struct m_sub *find_sub(struct m_session *session, unsigned filter, int group)
{
    for (unsigned i = 0; i < SUBS_MAX; i++) {
        struct m_sub *sub = &session->subs[i];
        if (sub->is_used && sub->filter == filter && sub->group == group) {
            return sub;
        }
    }
    return NULL;
}

static void replay(struct model *model, unsigned client, const struct m_sub *sub, bool is_late)
{
    struct m_session *session = &model->sessions[client];
    for (unsigned t = 0; t < TOPIC_COUNT; t++) {
        const struct m_retained *retained = &model->retained[t];
        const struct m_message *message = &retained->message;
        bool is_expired = message->expires_ms && message->expires_ms <= model->now_ms;
        if (!retained->is_set || is_expired ||
            !model_matches(model_filters[sub->filter], model_topics[t])) {
            continue;
        }
        bool may = model_may(model, message->user, retained->client, true, t);
        if (!may && !is_late) {
            continue;
        }
        struct m_due *due = model_due_add(session, message);
        due->qos = least(message->qos, sub->qos);
        due->is_retain = true;
        due->is_replay = true;
        due->is_any_shape = is_mixed(session);
        due->is_optional = is_late;
        due->sub_id = sub->sub_id;
    }
}

void model_subscribe(struct model *model, unsigned client, const struct m_sub *sub,
                     uint8_t retain_handling, bool is_late)
{
    struct m_session *session = &model->sessions[client];
    struct m_sub *place = find_sub(session, sub->filter, sub->group);
    bool is_new = place == NULL;
    for (unsigned i = 0; !place && i < SUBS_MAX; i++) {
        if (!session->subs[i].is_used) {
            place = &session->subs[i];
        }
    }
    *place = *sub;
    place->is_used = true;
    if (sub->group < 0 && (retain_handling == 0 || (retain_handling == 1 && is_new))) {
        replay(model, client, place, is_late);
    }
}

/* The group lost a member: what was given to it may be handed on or not. */
static void loosen_floats(struct model *model, unsigned filter, int group)
{
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        struct m_float *floating = &model->floats[i];
        if (floating->is_used && floating->filter == filter && floating->group == group) {
            floating->is_optional = true;
            floating->may_be_dup = true;
        }
    }
}

bool model_unsubscribe(struct model *model, unsigned client, unsigned filter, int group)
{
    struct m_sub *sub = find_sub(&model->sessions[client], filter, group);
    if (!sub) {
        return false;
    }
    sub->is_used = false;
    if (group >= 0) {
        loosen_floats(model, filter, group);
    }
    return true;
}

/* ---- coming and going */

static void fire_will(struct model *model, unsigned client)
{
    struct m_session *session = &model->sessions[client];
    if (!session->will.is_set) {
        return;
    }
    struct m_message message = session->will.message;
    uint32_t expiry_s = session->will.expiry_s;
    session->will.is_set = false;
    /* Who is gone has no last will, even where an ACL file names the user. */
    if (!model_knows(model, session->user) ||
        !model_may(model, session->user, client, true, message.topic)) {
        return;
    }
    message.expires_ms = expiry_s ? model->now_ms + expiry_s * MS_PER_S : 0;
    message.sender = session->number;
    message.user = session->user;
    (void)model_publish(model, &message, client);
}

void model_end(struct model *model, unsigned client)
{
    struct m_session *session = &model->sessions[client];
    session->is_connected = false;
    for (unsigned i = 0; i < SUBS_MAX; i++) {
        struct m_sub *sub = &session->subs[i];
        if (sub->is_used && sub->group >= 0) {
            loosen_floats(model, sub->filter, sub->group);
        }
        sub->is_used = false;
    }
    for (unsigned i = 0; i < session->due_count; i++) {
        struct m_due *due = &session->dues[i];
        /* Seen or not: QoS 1 may go to another member, QoS 2 only if this one never got it. */
        if (due->group >= 0 && due->state != DUE_DONE && (due->qos < 2 || !due->was_seen)) {
            float_add(model, &due->message, due->group, due->filter, true);
        }
    }
    session->due_count = 0;
    fire_will(model, client);
    memset(session, 0, sizeof(*session));
}

void model_detach(struct model *model, unsigned client, bool with_will)
{
    struct m_session *session = &model->sessions[client];
    session->is_connected = false;
    if (!with_will) {
        session->will.is_set = false;
    }
    if (session->expiry_s == 0) {
        model_end(model, client);
        return;
    }
    session->expires_ms = session->expiry_s == EXPIRY_NEVER
                              ? UINT64_MAX
                              : model->now_ms + session->expiry_s * MS_PER_S;
    for (unsigned i = 0; i < session->due_count; i++) {
        /* QoS 0 that was not out yet may be lost with the connection, the rest may be in flight
         * although nobody saw it. */
        struct m_due *due = &session->dues[i];
        due->is_optional |= due->qos == 0 || due->is_replay;
        due->may_be_dup |= due->qos > 0 && due->state == DUE_WAITING;
    }
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        struct m_float *floating = &model->floats[i];
        const struct m_sub *sub =
            floating->is_used ? membership(session, floating->group, floating->filter) : NULL;
        if (sub) {
            floating->may_be_dup = true;
            floating->is_optional |= least(floating->message.qos, sub->qos) == 0;
        }
    }
    if (session->will.is_set && session->will.delay_s == 0) {
        fire_will(model, client);
    } else if (session->will.is_set) {
        session->will.due_ms = model->now_ms + session->will.delay_s * MS_PER_S;
    }
}

void model_loosen_large(struct model *model, unsigned client)
{
    struct m_session *session = &model->sessions[client];
    for (unsigned i = 0; i < session->due_count; i++) {
        session->dues[i].is_optional |= session->dues[i].message.is_large;
    }
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        model->floats[i].is_optional |= model->floats[i].message.is_large;
    }
}

void model_crash(struct model *model)
{
    for (unsigned c = 0; c < model->clients; c++) {
        struct m_session *session = &model->sessions[c];
        for (unsigned i = 0; i < session->due_count; i++) {
            struct m_due *due = &session->dues[i];
            due->is_optional |= due->qos == 0 || due->is_replay;
            due->may_be_dup |= due->qos > 0 && due->state == DUE_WAITING;
        }
    }
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        model->floats[i].may_be_dup = true;
        model->floats[i].is_optional |= model->floats[i].message.qos == 0;
    }
    for (unsigned c = 0; c < model->clients; c++) {
        if (model->sessions[c].is_connected) {
            model_detach(model, c, true);
        }
    }
}

static uint64_t event_of(const struct m_session *session)
{
    if (!session->number || session->is_connected) {
        return UINT64_MAX;
    }
    uint64_t will = session->will.is_set ? session->will.due_ms : UINT64_MAX;
    return will < session->expires_ms ? will : session->expires_ms;
}

uint64_t model_next_event(const struct model *model)
{
    uint64_t next = UINT64_MAX;
    for (unsigned c = 0; c < model->clients; c++) {
        uint64_t event = event_of(&model->sessions[c]);
        next = event < next ? event : next;
    }
    return next;
}

void model_run_timers(struct model *model)
{
    for (unsigned c = 0; c < model->clients; c++) {
        struct m_session *session = &model->sessions[c];
        if (event_of(session) > model->now_ms) {
            continue;
        }
        if (session->expires_ms <= model->now_ms) {
            model_end(model, c);
        } else {
            fire_will(model, c);
        }
    }
}

void model_set_rights(struct model *model, unsigned rights, const bool *is_blocked)
{
    model->rights = rights;
    for (unsigned c = 0; c < model->clients; c++) {
        struct m_session *session = &model->sessions[c];
        for (unsigned i = 0; i < session->due_count; i++) {
            struct m_due *due = &session->dues[i];
            bool may_have_gone = is_blocked[c] || due->is_replay;
            if (may_have_gone && !model_may(model, session->user, c, false, due->message.topic)) {
                due->is_optional = true;
            }
            if (due->is_replay) {
                due->is_optional = true;
            }
        }
    }
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        model->floats[i].is_optional = true;
    }
}
