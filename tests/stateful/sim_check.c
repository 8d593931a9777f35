/* What arrives, held against the model; see sim.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define MS_PER_S 1000ull

void sim_fail(struct sim *sim, const char *format, ...)
{
    char text[64] = "the end";
    va_list args;
    va_start(args, format);
    if (sim->step < sim->plan->count) {
        (void)plan_step_text(&sim->plan->steps[sim->step], text, sizeof(text));
    }
    (void)fflush(stdout);
    (void)fprintf(stderr, "seed %llu, step %u (%s): ", (unsigned long long)sim->plan->seed,
                  sim->step, text);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void sim_note(const struct sim *sim, const char *format, ...)
{
    if (sim->is_verbose) {
        va_list args;
        va_start(args, format);
        (void)vprintf(format, args);
        va_end(args);
        (void)putchar('\n');
    }
}

/* ---- answers */

void sim_expect(struct sim *sim, unsigned client, enum nj_mqtt_type type, uint16_t id,
                uint8_t reason)
{
    struct sim_client *it = &sim->clients[client];
    if (it->answer_count == ANSWERS_MAX) {
        sim_fail(sim, "c%u: too many questions without an answer", client);
    }
    it->answers[it->answer_count++] = (struct sim_answer){.type = type, .id = id, .reason = reason};
}

void sim_expect_durable(struct sim *sim, unsigned client)
{
    struct sim_client *it = &sim->clients[client];
    it->answers[it->answer_count - 1].is_promise = sim->rig.store.holds;
}

static bool is_head(const struct sim_client *client, enum nj_mqtt_type type, uint16_t id)
{
    return client->answer_count && client->answers[0].type == type && client->answers[0].id == id;
}

static void drop_head(struct sim_client *client)
{
    client->answer_count--;
    memmove(client->answers, client->answers + 1,
            client->answer_count * sizeof(client->answers[0]));
}

static void on_answer(struct sim *sim, unsigned c, const struct rig_packet *packet)
{
    struct sim_client *client = &sim->clients[c];
    if (!is_head(client, packet->type, packet->id)) {
        sim_fail(sim, "c%u: answer of type %d for id %u is not the next one (type %d, id %u)", c,
                 packet->type, packet->id, client->answer_count ? (int)client->answers[0].type : 0,
                 client->answer_count ? client->answers[0].id : 0);
    }
    if (client->answers[0].is_promise) {
        sim_fail(sim, "c%u: answer of type %d for id %u promises what the store does not have", c,
                 packet->type, packet->id);
    }
    if (packet->reason != client->answers[0].reason) {
        sim_fail(sim, "c%u: answer of type %d for id %u says 0x%02x, not 0x%02x", c, packet->type,
                 packet->id, packet->reason, client->answers[0].reason);
    }
    drop_head(client);
}

/* ---- what may be delivered */

static bool is_expired(const struct sim *sim, const struct m_message *message)
{
    return message->expires_ms && message->expires_ms <= sim->model.now_ms;
}

static bool may_read(const struct sim *sim, unsigned c, const struct m_message *message)
{
    return model_may(&sim->model, sim->model.sessions[c].user, c, false, message->topic);
}

static bool is_deliverable(const struct sim *sim, unsigned c, const struct m_due *due)
{
    const struct m_message *message = &due->message;
    return !is_expired(sim, message) && may_read(sim, c, message) &&
           !(message->is_large && sim->clients[c].has_max_packet);
}

/* ---- a PUBLISH arrives */

/* Which publication a packet brings: messages without payload have no serial, only a topic. */
struct arrival {
    const struct rig_packet *packet;
    const char *topic;
    uint32_t serial;
};

static bool is_it(const struct arrival *arrival, const struct m_message *message)
{
    return message->serial == arrival->serial &&
           strcmp(model_topics[message->topic], arrival->topic) == 0;
}

static struct m_due *find_resent(struct sim *sim, unsigned c, const struct arrival *arrival)
{
    const struct rig_packet *packet = arrival->packet;
    struct m_session *session = &sim->model.sessions[c];
    for (unsigned i = 0; packet->qos && i < session->due_count; i++) {
        struct m_due *due = &session->dues[i];
        if (due->state == DUE_SENT && due->id == packet->id && is_it(arrival, &due->message) &&
            due->connection != sim->clients[c].connection) {
            return due;
        }
    }
    return NULL;
}

/* Messages of one topic and QoS keep their order (MQTT5 4.6); what had to be left out does not
 * count, nor do retained messages and shared ones. Returns one that should have come before. */
static const struct m_due *find_earlier(const struct sim *sim, unsigned c, const struct m_due *due)
{
    const struct m_session *session = &sim->model.sessions[c];
    for (const struct m_due *other = session->dues; other < due; other++) {
        bool is_missing =
            other->state == DUE_WAITING ||
            (other->state == DUE_SENT && other->connection != sim->clients[c].connection);
        /* MQTT5 4.6: the order of one publisher's messages of the same topic and QoS. */
        bool is_ordered =
            other->message.sender == due->message.sender && other->message.qos == due->message.qos;
        if (is_missing && is_ordered && other->message.topic == due->message.topic &&
            other->qos == due->qos && !due->is_replay && due->group < 0 && !other->is_replay &&
            !other->is_optional && other->group < 0 &&
            other->message.serial != due->message.serial && is_deliverable(sim, c, other)) {
            return other;
        }
    }
    return NULL;
}

static bool has_shape(const struct sim *sim, unsigned c, const struct m_due *due,
                      const struct rig_packet *packet)
{
    bool has_id = sim->clients[c].version != 5 || due->sub_id == packet->sub_id;
    return has_id && due->is_retain == packet->is_retain;
}

/* What never was in flight cannot come again: of several that look alike, as all without payload
 * do, one that may have been is meant before any other. */
static int fit_dup(const struct arrival *arrival, bool may_be_dup)
{
    return arrival->packet->is_dup && may_be_dup ? 100 : 0;
}

/* A retained message and a live one may look alike: the one that keeps the order is meant. */
static struct m_due *find_waiting(struct sim *sim, unsigned c, const struct arrival *arrival)
{
    struct m_session *session = &sim->model.sessions[c];
    struct m_due *best = NULL;
    int best_fit = 0;
    for (unsigned i = 0; i < session->due_count; i++) {
        struct m_due *due = &session->dues[i];
        if (due->state != DUE_WAITING || !is_it(arrival, &due->message) ||
            due->qos != arrival->packet->qos) {
            continue;
        }
        int fits = find_earlier(sim, c, due) ? 0 : 2;
        fits += due->is_optional ? 0 : 1;
        int exact = sim->clients[c].version == 5 ? 5 : 4; /* older ones have no identifiers */
        fits += has_shape(sim, c, due, arrival->packet) ? exact : due->is_any_shape ? 3 : -4;
        fits += fits > 0 ? fit_dup(arrival, due->may_be_dup) : 0;
        if (fits > best_fit) {
            best = due;
            best_fit = fits;
        }
    }
    /* Which of several copies it was cannot be seen without subscription identifiers. */
    for (unsigned i = 0; sim->clients[c].version != 5 && i < session->due_count; i++) {
        session->dues[i].is_any_shape |= is_it(arrival, &session->dues[i].message);
    }
    return best;
}

static const struct m_sub *membership(const struct sim *sim, unsigned c,
                                      const struct m_float *floating)
{
    const struct m_session *session = &sim->model.sessions[c];
    for (unsigned i = 0; i < SUBS_MAX; i++) {
        const struct m_sub *sub = &session->subs[i];
        if (sub->is_used && sub->group == floating->group && sub->filter == floating->filter) {
            return sub;
        }
    }
    return NULL;
}

/* How well a shared message fits: the one that has to come to a member goes first. None comes at a
 * higher QoS than it was published at. */
static int fit(const struct sim *sim, unsigned c, const struct arrival *arrival,
               const struct m_float *floating)
{
    if (!floating->is_used || !is_it(arrival, &floating->message) ||
        arrival->packet->qos > floating->message.qos) {
        return 0;
    }
    int fits = floating->is_optional ? 1 : 0;
    if (membership(sim, c, floating)) {
        fits = floating->is_optional ? 2 : 3;
    }
    return fits > 0 ? fits + fit_dup(arrival, floating->may_be_dup) : 0;
}

static struct m_due *take_float(struct sim *sim, unsigned c, const struct arrival *arrival)
{
    struct m_float *best = NULL;
    int best_fit = 0;
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        int fits = fit(sim, c, arrival, &sim->model.floats[i]);
        if (fits > best_fit) {
            best = &sim->model.floats[i];
            best_fit = fits;
        }
    }
    if (!best) {
        return NULL;
    }
    best->is_used = false;
    /* Which of several groups it came by cannot be seen. */
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        struct m_float *other = &sim->model.floats[i];
        bool may_be_it = fit(sim, c, arrival, other) > 0;
        other->is_optional |= may_be_it;
        other->may_be_dup |= may_be_it;
    }
    struct m_due *due = model_due_add(&sim->model.sessions[c], &best->message);
    due->qos = arrival->packet->qos;
    due->is_retain = arrival->packet->is_retain;
    due->group = best->group;
    due->may_be_dup = best->may_be_dup;
    due->filter = best->filter;
    return due;
}

static void check_expiry(struct sim *sim, unsigned c, const struct m_due *due,
                         const struct rig_packet *packet)
{
    const struct m_message *message = &due->message;
    if (sim->is_lagging) {
        return;
    }
    /* What was sent once is finished even late when it is QoS 2. */
    bool was_begun = due->qos == 2 && (due->was_seen || due->may_be_dup);
    if (is_expired(sim, message) && !was_begun) {
        sim_fail(sim, "c%u: m%u came after it had expired", c, message->serial);
    }
    if (sim->clients[c].version != 5 || is_expired(sim, message)) {
        return;
    }
    if (packet->has_expiry != (message->expires_ms != 0)) {
        sim_fail(sim, "c%u: m%u %s a message expiry", c, message->serial,
                 packet->has_expiry ? "has" : "lacks");
    }
    uint64_t left_ms = message->expires_ms - sim->model.now_ms;
    if (packet->has_expiry && (packet->expiry_s * MS_PER_S + MS_PER_S < left_ms ||
                               packet->expiry_s * MS_PER_S > left_ms + MS_PER_S)) {
        sim_fail(sim, "c%u: m%u says %u s of %llu ms left", c, message->serial, packet->expiry_s,
                 (unsigned long long)left_ms);
    }
}

/* The quota begins anew with each connection, and a PUBREL needs none (MQTT5 4.9): what is released
 * takes a place from the moment its PUBREL came on this one. */
static bool is_in_flight(const struct sim *sim, unsigned c, const struct m_due *due)
{
    uint32_t connection = sim->clients[c].connection;
    if (due->state == DUE_RELEASED) {
        return due->connection == connection || due->pubrel_on == connection;
    }
    return due->state == DUE_SENT && due->connection == connection;
}

static void check_window(struct sim *sim, unsigned c, const struct m_due *due)
{
    struct m_session *session = &sim->model.sessions[c];
    unsigned in_flight = 0;
    for (unsigned i = 0; i < session->due_count; i++) {
        struct m_due *other = &session->dues[i];
        if (other != due && other->state == DUE_SENT && other->id == due->id &&
            other->is_optional && other->connection != sim->clients[c].connection) {
            other->state = DUE_DONE; /* lost in a crash, and its packet id with it */
        }
        in_flight += is_in_flight(sim, c, other);
        if (other != due && (other->state == DUE_SENT || other->state == DUE_RELEASED) &&
            other->id == due->id) {
            sim_fail(sim, "c%u: m%u has the packet id %u of m%u", c, due->message.serial, due->id,
                     other->message.serial);
        }
    }
    if (in_flight > sim->clients[c].window) {
        sim_fail(sim, "c%u: %u messages in flight, %u are allowed", c, in_flight,
                 sim->clients[c].window);
    }
}

static const char *topic_of(struct sim *sim, unsigned c, const struct rig_packet *packet)
{
    struct sim_client *client = &sim->clients[c];
    if (!packet->alias) {
        return packet->topic;
    }
    if (packet->alias > ALIASES) {
        sim_fail(sim, "c%u: topic alias %u is above the maximum", c, packet->alias);
    }
    char *known = client->alias_out[packet->alias];
    if (packet->topic[0]) {
        (void)snprintf(known, sizeof(client->alias_out[0]), "%s", packet->topic);
    } else if (!known[0]) {
        sim_fail(sim, "c%u: topic alias %u was never told", c, packet->alias);
    }
    return known;
}

static void check_dup(struct sim *sim, unsigned c, const struct m_due *due, bool is_resent,
                      const struct rig_packet *packet)
{
    bool may_be = is_resent || due->may_be_dup;
    if (packet->is_dup && !may_be) {
        sim_fail(sim, "c%u: m%u is marked as a duplicate and is none", c, due->message.serial);
    }
    if (!packet->is_dup && is_resent && due->was_seen) {
        sim_fail(sim, "c%u: m%u came again without DUP", c, due->message.serial);
    }
}

/* A packet id of QoS 2 is in the store before the client hears of it; it may have been given on a
 * connection that broke. */
static void check_begun(struct sim *sim, unsigned c, const struct m_due *due, bool is_resent)
{
    bool is_new = due->qos == 2 && !is_resent && !due->may_be_dup;
    if (is_new && sim->rig.store.holds && !sim->is_lagging && sim->model.sessions[c].expiry_s) {
        sim_fail(sim, "c%u: m%u of QoS 2 came before the store has its packet id", c,
                 due->message.serial);
    }
}

static void on_publish(struct sim *sim, unsigned c, const struct rig_packet *packet)
{
    struct sim_client *client = &sim->clients[c];
    char payload[16] = "";
    const char *topic = topic_of(sim, c, packet);
    size_t len = packet->payload.len < 15 ? packet->payload.len : 15;
    memcpy(payload, packet->payload.ptr, len);
    uint32_t serial = (uint32_t)strtoul(payload, NULL, 10);
    const struct arrival arrival = {.packet = packet, .topic = topic, .serial = serial};
    struct m_due *due = find_resent(sim, c, &arrival);
    bool is_resent = due != NULL;
    if (!due) {
        due = find_waiting(sim, c, &arrival);
    }
    bool is_another = due && !is_resent && packet->is_dup && !due->may_be_dup;
    if (!due || is_another || find_earlier(sim, c, due)) {
        struct m_due *shared = take_float(sim, c, &arrival);
        due = shared ? shared : due;
    }
    if (!due) {
        sim_fail(sim, "c%u: got m%u (topic %s, QoS %u, retain %d, id %u), which is not due", c,
                 serial, topic, packet->qos, packet->is_retain, packet->id);
    }
    check_begun(sim, c, due, is_resent);
    if (!may_read(sim, c, &due->message)) {
        sim_fail(sim, "c%u: got m%u of %s without the right to", c, serial, topic);
    }
    if (due->message.is_large && client->has_max_packet) {
        sim_fail(sim, "c%u: m%u is larger than what it takes", c, serial);
    }
    check_dup(sim, c, due, is_resent, packet);
    check_expiry(sim, c, due, packet);
    const struct m_due *earlier = find_earlier(sim, c, due);
    if (earlier) {
        sim_fail(sim, "c%u: m%u came before m%u (topic %s, QoS %u)", c, serial,
                 earlier->message.serial, topic, due->qos);
    }
    sim_note(sim, "       c%u gets m%u of %s, QoS %u%s%s, id %u", c, serial, topic, packet->qos,
             packet->is_retain ? ", retained" : "", packet->is_dup ? ", again" : "", packet->id);
    due->state = packet->qos ? DUE_SENT : DUE_DONE;
    due->id = packet->id;
    due->connection = client->connection;
    due->was_seen = true;
    due->is_optional = false;
    if (packet->qos) {
        check_window(sim, c, due);
    }
}

/* ---- PUBREL */

static struct m_due *find_in_flight(struct sim *sim, unsigned c, uint16_t id)
{
    struct m_session *session = &sim->model.sessions[c];
    for (unsigned i = 0; i < session->due_count; i++) {
        struct m_due *due = &session->dues[i];
        /* One that may not come again is finished without its PUBLISH. */
        bool is_given_up = (due->state == DUE_SENT || due->state == DUE_WAITING) &&
                           (due->is_optional || !is_deliverable(sim, c, due));
        if (due->id == id && due->qos == 2 && (due->state == DUE_RELEASED || is_given_up)) {
            return due;
        }
    }
    return NULL;
}

/* Which of several copies a PUBREL without PUBLISH stands for cannot be seen. */
static void loosen_copies(struct m_session *session, const struct m_due *of)
{
    for (unsigned i = 0; i < session->due_count; i++) {
        struct m_due *due = &session->dues[i];
        due->is_any_shape |= due->state == DUE_WAITING && due->message.serial == of->message.serial;
    }
}

/* A message that was put into the output of a connection that broke, never seen, and given up when
 * it might not be sent again. */
static struct m_due *find_given_up(struct sim *sim, unsigned c)
{
    struct m_session *session = &sim->model.sessions[c];
    for (unsigned i = 0; i < session->due_count; i++) {
        struct m_due *due = &session->dues[i];
        if (due->state == DUE_WAITING && due->qos == 2 && due->may_be_dup &&
            (due->is_optional || !is_deliverable(sim, c, due))) {
            loosen_copies(session, due);
            return due;
        }
    }
    for (unsigned i = 0; i < FLOATS_MAX; i++) {
        struct m_float *floating = &sim->model.floats[i];
        bool is_barred = floating->is_optional || !may_read(sim, c, &floating->message) ||
                         (floating->message.is_large && sim->clients[c].has_max_packet);
        if (floating->is_used && floating->message.qos == 2 && floating->may_be_dup && is_barred) {
            floating->is_used = false;
            struct m_due *due = model_due_add(session, &floating->message);
            due->qos = 2;
            return due;
        }
    }
    return NULL;
}

static void on_pubrel(struct sim *sim, unsigned c, const struct rig_packet *packet)
{
    struct sim_client *client = &sim->clients[c];
    struct m_due *due = find_in_flight(sim, c, packet->id);
    if (!due) {
        due = find_given_up(sim, c);
    }
    if (!due) {
        sim_fail(sim, "c%u: PUBREL for id %u, which is not in flight", c, packet->id);
    }
    due->state = DUE_RELEASED;
    due->id = packet->id;
    due->pubrel_on = client->connection;
    if (is_head(client, NJ_MQTT_PUBREL, packet->id)) {
        if (client->answers[0].is_promise) {
            sim_fail(sim, "c%u: PUBREL for id %u before the store has its PUBREC", c, packet->id);
        }
        drop_head(client);
    }
}

/* ---- everything that came */

static void take(struct sim *sim, unsigned c)
{
    struct sim_client *client = &sim->clients[c];
    struct rig_packet packet;
    while (client->conn && rig_next(client->conn, &packet)) {
        switch (packet.type) {
        case NJ_MQTT_PUBLISH:
            on_publish(sim, c, &packet);
            break;
        case NJ_MQTT_PUBREL:
            on_pubrel(sim, c, &packet);
            break;
        case NJ_MQTT_CONNACK:
            if (packet.reason) {
                sim_fail(sim, "c%u: CONNACK says 0x%02x", c, packet.reason);
            }
            break;
        default:
            on_answer(sim, c, &packet);
        }
    }
    if (client->conn && client->conn->is_closed) {
        sim_fail(sim, "c%u: the broker closed the connection: %s (0x%02x)", c,
                 client->conn->why ? client->conn->why : "no reason", client->conn->reason);
    }
}

/* ---- what should have come */

unsigned sim_room(const struct sim *sim, unsigned c)
{
    const struct sim_client *client = &sim->clients[c];
    const struct m_session *session = &sim->model.sessions[c];
    unsigned used = 0;
    for (unsigned i = 0; i < session->due_count; i++) {
        const struct m_due *due = &session->dues[i];
        used += due->state == DUE_RELEASED ||
                (due->state == DUE_SENT && due->connection == client->connection);
    }
    return used < client->window ? client->window - used : 0;
}

static void missing(struct sim *sim, unsigned c, const struct m_due *due)
{
    sim_fail(sim, "c%u: m%u (topic %s, QoS %u%s) did not come%s", c, due->message.serial,
             model_topics[due->message.topic], due->qos, due->is_replay ? ", retained" : "",
             due->state == DUE_SENT ? " again" : "");
}

static bool listens(const struct sim *sim, unsigned c)
{
    const struct sim_client *client = &sim->clients[c];
    return client->conn && client->conn->is_ready && !client->is_blocked;
}

static void check_due(struct sim *sim, unsigned c, struct m_due *due, bool has_room)
{
    bool is_resend = due->state == DUE_SENT && due->connection != sim->clients[c].connection;
    if (due->state != DUE_WAITING && !is_resend) {
        return;
    }
    bool must_come = is_deliverable(sim, c, due);
    if (is_resend && due->qos == 2 && is_expired(sim, &due->message)) {
        must_come = may_read(sim, c, &due->message);
    }
    if (!has_room) {
        /* The head of the queue may have been dropped, or not. */
        due->is_optional |= !must_come;
    } else if (must_come && !due->is_optional) {
        missing(sim, c, due);
    } else if (!(is_resend && due->qos == 2)) {
        due->state = DUE_DONE;
    } else if (!due->is_optional) {
        missing(sim, c, due); /* without its PUBLISH, but not without PUBREL */
    }
}

static bool takes_at_once(const struct sim *sim, unsigned c, const struct m_float *floating)
{
    const struct m_message *message = &floating->message;
    return listens(sim, c) && sim_room(sim, c) && may_read(sim, c, message) &&
           !(message->is_large && sim->clients[c].has_max_packet);
}

/* Only where every member could have taken it at once is it certain that one did. */
static void check_float(struct sim *sim, struct m_float *floating)
{
    bool has_member = false;
    bool all_take = true;
    for (unsigned c = 0; c < sim->model.clients; c++) {
        if (sim->model.sessions[c].number && membership(sim, c, floating)) {
            has_member = true;
            all_take &= takes_at_once(sim, c, floating);
        }
    }
    if (has_member && all_take && !floating->is_optional && !is_expired(sim, &floating->message)) {
        sim_fail(sim, "m%u (topic %s) came to no member of $share/g%d/%s", floating->message.serial,
                 model_topics[floating->message.topic], floating->group,
                 model_filters[floating->filter]);
    }
    /* Later it may be in the queue of one who was away, or gone. */
    floating->is_optional |= !all_take || !has_member;
}

void sim_check(struct sim *sim)
{
    for (unsigned c = 0; c < sim->model.clients; c++) {
        take(sim, c);
    }
    for (unsigned c = 0; !sim->rig.store.holds && c < sim->model.clients; c++) {
        struct m_session *session = &sim->model.sessions[c];
        bool has_room = sim_room(sim, c) > 0;
        if (!listens(sim, c)) {
            continue;
        }
        if (sim->clients[c].answer_count) {
            sim_fail(sim, "c%u: no answer of type %d for id %u", c, sim->clients[c].answers[0].type,
                     sim->clients[c].answers[0].id);
        }
        for (unsigned i = 0; i < session->due_count; i++) {
            check_due(sim, c, &session->dues[i], has_room);
        }
        model_dues_compact(session);
    }
    for (unsigned i = 0; !sim->rig.store.holds && i < FLOATS_MAX; i++) {
        if (sim->model.floats[i].is_used) {
            check_float(sim, &sim->model.floats[i]);
        }
    }
}

void sim_check_nothing_left(struct sim *sim)
{
    for (unsigned c = 0; c < sim->model.clients; c++) {
        const struct m_session *session = &sim->model.sessions[c];
        for (unsigned i = 0; i < session->due_count; i++) {
            if (!session->dues[i].is_optional) {
                missing(sim, c, &session->dues[i]);
            }
        }
    }
}

/* ---- the client's half */

static bool can_answer(const struct sim *sim, unsigned c, const struct m_due *due)
{
    uint32_t connection = sim->clients[c].connection;
    return (due->state == DUE_SENT && due->connection == connection) ||
           (due->state == DUE_RELEASED && due->pubrel_on == connection);
}

bool sim_answer_one(struct sim *sim, unsigned c, uint32_t number)
{
    struct m_session *session = &sim->model.sessions[c];
    struct rig_client *conn = sim->clients[c].conn;
    unsigned count = 0;
    for (unsigned i = 0; i < session->due_count; i++) {
        count += can_answer(sim, c, &session->dues[i]);
    }
    if (!count) {
        return false;
    }
    unsigned at = number % count;
    unsigned i = 0;
    while (!can_answer(sim, c, &session->dues[i]) || at--) {
        i++;
    }
    struct m_due *due = &session->dues[i];
    uint16_t id = due->id;
    if (due->state == DUE_RELEASED) {
        due->state = DUE_DONE;
        rig_pubcomp(conn, id);
    } else if (due->qos == 1) {
        due->state = DUE_DONE;
        rig_puback(conn, id);
    } else {
        bool is_error = number % 16 == 7;
        due->state = is_error ? DUE_DONE : DUE_RELEASED;
        if (!is_error) {
            sim_expect(sim, c, NJ_MQTT_PUBREL, id, 0);
            if (session->expiry_s) {
                sim_expect_durable(sim, c);
            }
        }
        rig_pubrec(conn, id, is_error);
    }
    return true;
}
