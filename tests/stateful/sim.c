/* The steps of a round; see sim.h. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define LARGE               5000u
#define SMALL_PACKET        200u
#define EXPIRY_NEVER        UINT32_MAX

#define PICK(table, number) (table)[(number) % (sizeof(table) / sizeof((table)[0]))]

static bool is_ready(const struct sim *sim, unsigned c)
{
    return sim->clients[c].conn && sim->clients[c].conn->is_ready;
}

/* ---- time */

static void advance_to(struct sim *sim, uint64_t now_ms)
{
    sim->model.now_ms = now_ms;
    rig_advance(&sim->rig, now_ms - sim->rig.now_ms);
    model_run_timers(&sim->model);
    sim_check(sim);
}

/* From one event to the next, so that what each of them does is seen by itself. */
void sim_advance(struct sim *sim, uint64_t ms)
{
    uint64_t target = sim->model.now_ms + ms;
    for (;;) {
        uint64_t event = model_next_event(&sim->model);
        if (event >= target) {
            break;
        }
        advance_to(sim, event);
    }
    advance_to(sim, target);
}

/* ---- coming and going */

void sim_forget_connection(struct sim *sim, unsigned c)
{
    struct sim_client *client = &sim->clients[c];
    if (client->has_max_packet) {
        model_loosen_large(&sim->model, c);
    }
    client->conn = NULL;
    client->is_blocked = false;
    client->answer_count = 0;
}

static int user_of(unsigned c)
{
    return c % 4 == 3 ? -1 : (int)(c % 4);
}

const char *sim_user_name(int user)
{
    static const char *const names[] = {"u0", "u1", "u2"};
    return user < 0 ? NULL : names[user];
}

/* The session that a new connection finds, as MQTT5 3.1.4 and the rule of the owner want it. False:
 * it belongs to somebody else. */
static bool model_claim(struct sim *sim, unsigned c, int user, bool is_clean)
{
    struct model *model = &sim->model;
    struct m_session *session = &model->sessions[c];
    bool is_free =
        session->user != user && (session->user < 0 || !model_knows(model, session->user));
    if (session->number && session->user != user && !is_free) {
        return false;
    }
    bool ends = is_clean || (session->number && is_free);
    if (session->is_connected) {
        bool with_will =
            ends || session->expiry_s == 0 || (session->will.is_set && session->will.delay_s == 0);
        model_detach(model, c, with_will);
    }
    if (session->number && ends) {
        model_end(model, c);
    }
    if (!session->number) {
        memset(session, 0, sizeof(*session));
        session->number = ++model->last_session;
    }
    session->will.is_set = false;
    session->user = user;
    session->is_connected = true;
    session->expires_ms = UINT64_MAX;
    return true;
}

static void set_will(struct sim *sim, unsigned c, const struct step *step,
                     struct rig_connect *options, char payload[16])
{
    static const uint32_t delays[] = {0, 0, 3, 30, 4000};
    static const uint32_t expiries[] = {0, 0, 10};
    bool is_v5 = options->version == NJ_MQTT_5;
    struct m_will *will = &sim->model.sessions[c].will;
    uint32_t number = step->arg[4];
    *will = (struct m_will){
        .is_set = true,
        .message = {.serial = ++sim->last_serial,
                    .topic = number / 8 % TOPIC_COUNT,
                    .qos = (uint8_t)(number / 64 % 3),
                    .is_retain = number / 256 % 4 == 0,
                    .is_will = true},
        .delay_s = is_v5 ? PICK(delays, number / 1024) : 0,
        .expiry_s = is_v5 ? PICK(expiries, number / 8192) : 0,
        .due_ms = UINT64_MAX,
    };
    (void)snprintf(payload, 16, "%u", will->message.serial);
    sim_note(sim, "       will m%u of %s, delay %u s, expiry %u s%s", will->message.serial,
             model_topics[will->message.topic], will->delay_s, will->expiry_s,
             will->message.is_retain ? ", retained" : "");
    options->will_topic = model_topics[will->message.topic];
    options->will_payload = payload;
    options->will_qos = will->message.qos;
    options->will_retain = will->message.is_retain;
    options->will_delay_s = will->delay_s;
    options->will_expiry_s = will->expiry_s;
}

static void connect_as(struct sim *sim, unsigned c, struct rig_connect *options, int user)
{
    struct sim_client *client = &sim->clients[c];
    char id[8];
    (void)snprintf(id, sizeof(id), "c%u", c);
    options->user = sim_user_name(user);
    if (client->conn) {
        sim_forget_connection(sim, c); /* it is taken over */
    }
    uint32_t receive_max = options->receive_max ? options->receive_max : UINT16_MAX;
    uint32_t inflight = sim->plan->max_inflight;
    client->password = sim->admin ? admin_password(sim->admin, user) : 0;
    client->window = receive_max < inflight ? receive_max : inflight;
    client->version = (uint8_t)options->version;
    client->has_max_packet = options->max_packet != 0;
    client->connection = ++sim->last_connection;
    memset(client->alias_out, 0, sizeof(client->alias_out));
    memset(client->alias_in, -1, sizeof(client->alias_in));
    client->conn = rig_connect(&sim->rig, id, options);
    sim_note(
        sim, "       as %s, MQTT %u%s, expiry %u, window %u%s%s%s",
        user < 0 ? "nobody" : options->user, options->version, options->is_clean ? ", clean" : "",
        options->expiry_s, client->window, client->has_max_packet ? ", small packets" : "",
        options->will_topic ? ", will of " : "", options->will_topic ? options->will_topic : "");
    if (!client->conn) {
        sim_fail(sim, "c%u was refused", c);
    }
}

/* A message was released and waits for the store: who leaves a subscription or changes the version
 * meanwhile may get it all the same, by those that are left, or not at all, which the model does
 * not follow. A subscription that is made or replaced meanwhile changes nothing for the message. */
static bool is_in_between(const struct sim *sim, unsigned c)
{
    const struct m_session *session = &sim->model.sessions[c];
    for (unsigned i = 0; sim->rig.store.holds && i < session->due_count; i++) {
        const struct m_due *due = &session->dues[i];
        if (due->state == DUE_WAITING && model_is_late(&due->message)) {
            return true;
        }
    }
    return false;
}

static void on_leave(struct sim *sim, const struct step *step)
{
    unsigned c = step->client;
    struct rig_client *conn = sim->clients[c].conn;
    bool is_break = step->kind != STEP_DISCONNECT || !is_ready(sim, c);
    if (!conn) {
        return;
    }
    sim_forget_connection(sim, c);
    model_detach(&sim->model, c, is_break);
    if (is_break) {
        rig_break(conn);
    } else {
        rig_disconnect(conn);
    }
}

/* Whether its will comes back to itself. */
static bool gets_own_will(const struct m_session *session)
{
    bool matches = false;
    for (unsigned i = 0; i < SUBS_MAX; i++) {
        const struct m_sub *sub = &session->subs[i];
        matches |= sub->is_used && model_matches(model_filters[sub->filter],
                                                 model_topics[session->will.message.topic]);
    }
    return session->is_connected && session->will.is_set && matches;
}

static void on_connect(struct sim *sim, const struct step *step)
{
    static const uint32_t expiries[] = {0, 5, 60, 3600, EXPIRY_NEVER};
    static const uint16_t windows[] = {0, 0, 1, 2, 10};
    unsigned c = step->client;
    int user = step->arg[7] % 16 == 0 ? (int)(step->arg[7] / 16 % 4) - 1 : user_of(c);
    struct rig_connect login = {0};
    if (!sim_log_in(sim, c, user, &login)) {
        return;
    }
    if (gets_own_will(&sim->model.sessions[c])) {
        on_leave(sim, step); /* whether before or after the new connection is there, is free */
        sim_check(sim);
    }
    bool is_v5 = step->arg[0] % 4 > 1;
    bool is_clean = step->arg[1] % 3 == 0;
    struct rig_connect options = {
        .version = is_v5              ? NJ_MQTT_5
                   : step->arg[0] % 4 ? NJ_MQTT_311
                                      : NJ_MQTT_31,
        .credential = login.credential,
        .is_clean = is_clean,
        .expiry_s = is_v5      ? PICK(expiries, step->arg[2])
                    : is_clean ? 0
                               : EXPIRY_NEVER,
        .receive_max = is_v5 ? PICK(windows, step->arg[3]) : 0,
        .alias_in_max = is_v5 ? ALIASES : 0,
        .alias_out_max = is_v5 && step->arg[5] % 2 ? ALIASES : 0,
        .max_packet = is_v5 && step->arg[6] % 4 == 0 ? SMALL_PACKET : 0,
    };
    struct m_session *session = &sim->model.sessions[c];
    bool was_there = session->number && !is_clean;
    if (was_there && is_in_between(sim, c) && is_v5 != (session->version == 5)) {
        return;
    }
    if (!model_claim(sim, c, user, is_clean)) {
        char id[8];
        (void)snprintf(id, sizeof(id), "c%u", c);
        options.user = sim_user_name(user);
        if (rig_connect(&sim->rig, id, &options)) {
            sim_fail(sim, "c%u got the session of another user", c);
        }
        return;
    }
    char payload[16];
    session->version = (uint8_t)options.version;
    session->expiry_s = options.expiry_s;
    if (step->arg[4] % 8 < 3) {
        set_will(sim, c, step, &options, payload);
    }
    connect_as(sim, c, &options, user);
    if (sim->clients[c].conn->was_present && !was_there) {
        sim_fail(sim, "c%u: Session Present, where there was none", c);
    }
}

/* ---- subscriptions */

static const char *filter_text(unsigned filter, int group, char *buf, size_t size)
{
    if (group < 0) {
        (void)snprintf(buf, size, "%s", model_filters[filter]);
    } else {
        (void)snprintf(buf, size, "$share/g%d/%s", group, model_filters[filter]);
    }
    return buf;
}

static bool has_place(const struct m_session *session)
{
    unsigned used = 0;
    for (unsigned i = 0; i < SUBS_MAX; i++) {
        used += session->subs[i].is_used;
    }
    return used < SUBS_MAX;
}

static void on_subscribe(struct sim *sim, const struct step *step)
{
    unsigned c = step->client;
    struct m_session *session = &sim->model.sessions[c];
    if (!is_ready(sim, c) || !has_place(session)) {
        return;
    }
    bool is_v5 = session->version == 5;
    struct m_sub sub = {
        .is_used = true,
        .filter = step->arg[0] % FILTER_COUNT,
        .group = step->arg[2] % 5 == 0 ? (int)(step->arg[2] / 5 % GROUP_COUNT) : -1,
        .qos = (uint8_t)(step->arg[1] % 3),
        .sub_id = is_v5 && step->arg[4] % 2 ? 1 + step->arg[4] / 2 % 300 : 0,
        .is_retain_as_published = is_v5 && step->arg[3] % 2,
    };
    sub.is_no_local = is_v5 && sub.group < 0 && step->arg[3] / 2 % 3 == 0;
    char text[64];
    struct rig_subscribe subscribe = {
        .filter = filter_text(sub.filter, sub.group, text, sizeof(text)),
        .qos = sub.qos,
        .sub_id = sub.sub_id,
        .is_no_local = sub.is_no_local,
        .is_retain_as_published = sub.is_retain_as_published,
        .retain_handling = is_v5 ? (uint8_t)(step->arg[5] % 3) : 0,
    };
    sim_note(sim, "       %s at QoS %u%s%s, handling %u, id %u", text, sub.qos,
             sub.is_no_local ? ", no local" : "",
             sub.is_retain_as_published ? ", retain as published" : "", subscribe.retain_handling,
             sub.sub_id);
    enum subscribe_right right = model_may_subscribe(&sim->model, session->user, c, sub.filter);
    if (session->version == 3 && right != SUBSCRIBE_YES) {
        return; /* it would not be told whether it is refused (MQTT 3.1 has no code) */
    }
    uint8_t code = rig_subscribe(sim->clients[c].conn, &subscribe);
    bool is_denied = code >= 0x80;
    if (is_denied ? right == SUBSCRIBE_YES : right == SUBSCRIBE_NO) {
        sim_fail(sim, "c%u: %s is %s (0x%02x)", c, text, is_denied ? "refused" : "granted", code);
    }
    if (!is_denied && code != sub.qos) {
        sim_fail(sim, "c%u: %s gets 0x%02x", c, text, code);
    }
    sim_expect(sim, c, NJ_MQTT_SUBACK, 1, code);
    if (!is_denied && session->expiry_s) {
        sim_expect_durable(sim, c);
    }
    if (!is_denied) {
        bool is_late =
            sim->rig.store.holds || sim->clients[c].is_blocked || sim_room(sim, c) < TOPIC_COUNT;
        model_subscribe(&sim->model, c, &sub, subscribe.retain_handling, is_late);
    }
}

static void on_unsubscribe(struct sim *sim, const struct step *step)
{
    unsigned c = step->client;
    if (!is_ready(sim, c) || is_in_between(sim, c)) {
        return;
    }
    unsigned filter = step->arg[0] % FILTER_COUNT;
    int group = step->arg[2] % 4 == 0 ? (int)(step->arg[2] / 4 % GROUP_COUNT) : -1;
    char text[64];
    const struct m_session *session = &sim->model.sessions[c];
    bool may = model_may_unsubscribe(&sim->model, session->user, c, filter);
    bool existed = may && model_unsubscribe(&sim->model, c, filter, group);
    uint8_t expected = existed                 ? NJ_RC_SUCCESS
                       : may                   ? NJ_RC_NO_SUBSCRIPTION_EXISTED
                       : session->version == 5 ? NJ_RC_NOT_AUTHORIZED
                                               : 0x80;
    sim_expect(sim, c, NJ_MQTT_UNSUBACK, 1, 0);
    if (existed && session->expiry_s) {
        sim_expect_durable(sim, c);
    }
    uint8_t code =
        rig_unsubscribe(sim->clients[c].conn, filter_text(filter, group, text, sizeof(text)));
    if (code != expected) {
        sim_fail(sim, "c%u: unsubscribing %s says 0x%02x", c, text, code);
    }
}

/* ---- publishing */

static struct m_incoming *find_incoming(struct m_session *session, uint16_t id)
{
    for (unsigned i = 0; i < INCOMING_MAX; i++) {
        if (session->incoming[i].id == id) {
            return &session->incoming[i];
        }
    }
    return NULL;
}

static uint16_t free_id(struct sim *sim, unsigned c)
{
    struct sim_client *client = &sim->clients[c];
    do {
        client->next_id = (uint16_t)(client->next_id % 60000 + 1);
    } while (find_incoming(&sim->model.sessions[c], client->next_id));
    return client->next_id;
}

static const char *payload_of(const struct m_message *message, char buf[LARGE + 16])
{
    size_t len = (size_t)snprintf(buf, 16, "%u", message->serial);
    if (message->is_empty) {
        len = 0;
    } else if (message->is_large) {
        memset(buf + len, ' ', LARGE);
        len += LARGE;
    }
    buf[len] = '\0';
    return buf;
}

static struct m_message message_of(struct sim *sim, const struct step *step)
{
    static const uint32_t expiries[] = {1, 5, 60};
    const struct m_session *session = &sim->model.sessions[step->client];
    struct m_message message = {
        .topic = step->arg[0] % TOPIC_COUNT,
        .qos = (uint8_t)(step->arg[1] % 3),
        .is_retain = step->arg[2] % 4 == 0,
        .is_empty = step->arg[2] % 16 == 0,
        .is_large = step->arg[5] % 10 == 0,
        .sender = session->number,
        .user = session->user,
    };
    message.is_large &= !message.is_empty;
    message.serial = message.is_empty ? 0 : ++sim->last_serial;
    /* Empty ones of a topic cannot be told apart, so they do not expire. */
    if (session->version == 5 && !message.is_empty && step->arg[4] % 4 == 0) {
        message.expires_ms = sim->model.now_ms + PICK(expiries, step->arg[4] / 4) * 1000ull;
    }
    return message;
}

/* Topic aliases towards the broker: the topic is told once, then only its number. */
static void use_alias(struct sim *sim, const struct step *step, struct rig_publish *publish)
{
    struct sim_client *client = &sim->clients[step->client];
    uint32_t number = step->arg[6];
    if (client->version != 5 || number % 4) {
        return;
    }
    publish->alias = (uint16_t)(1 + number / 4 % ALIASES);
    int topic = (int)(step->arg[0] % TOPIC_COUNT);
    if (client->alias_in[publish->alias] == topic) {
        publish->topic = "";
    }
    client->alias_in[publish->alias] = topic;
}

/* Somebody has to get it even after a crash, or it is retained. */
static bool is_to_be_kept(const struct sim *sim, const struct m_message *message)
{
    bool is_kept = message->is_retain && !message->is_empty;
    for (unsigned c = 0; c < sim->model.clients; c++) {
        const struct m_session *session = &sim->model.sessions[c];
        for (unsigned i = 0; session->expiry_s && i < session->due_count; i++) {
            const struct m_due *due = &session->dues[i];
            is_kept |= due->message.serial == message->serial && due->qos && !due->is_optional &&
                       !message->is_empty;
        }
    }
    return is_kept;
}

static void publish_answers(struct sim *sim, unsigned c, const struct m_message *message,
                            uint16_t id, bool may)
{
    struct m_session *session = &sim->model.sessions[c];
    bool is_v5 = session->version == 5;
    if (!may && message->qos) {
        sim_expect(sim, c, message->qos == 1 ? NJ_MQTT_PUBACK : NJ_MQTT_PUBREC, id,
                   is_v5 ? NJ_RC_NOT_AUTHORIZED : 0);
    } else if (message->qos == 2) {
        *find_incoming(session, 0) = (struct m_incoming){.id = id, .message = *message};
        sim_expect(sim, c, NJ_MQTT_PUBREC, id, 0);
        if (session->expiry_s) {
            sim_expect_durable(sim, c);
        }
    } else if (may) {
        bool has_some = model_publish(&sim->model, message, c);
        if (message->qos) {
            sim_expect(sim, c, NJ_MQTT_PUBACK, id,
                       is_v5 && !has_some ? NJ_RC_NO_MATCHING_SUBSCRIBERS : 0);
        }
        if (message->qos && is_to_be_kept(sim, message)) {
            sim_expect_durable(sim, c);
        }
    }
}

static void on_publish(struct sim *sim, const struct step *step)
{
    unsigned c = step->client;
    struct m_session *session = &sim->model.sessions[c];
    if (!is_ready(sim, c) || !find_incoming(session, 0)) {
        return;
    }
    char payload[LARGE + 16];
    struct m_message message = message_of(sim, step);
    struct rig_publish publish = {
        .topic = model_topics[message.topic],
        .payload = payload_of(&message, payload),
        .qos = message.qos,
        .is_retain = message.is_retain,
        .id = message.qos ? free_id(sim, c) : 0,
        .has_expiry = message.expires_ms != 0,
        .expiry_s = (uint32_t)((message.expires_ms - sim->model.now_ms) / 1000),
    };
    sim_note(sim, "       m%u of %s at QoS %u, id %u%s%s, expiry %u s", message.serial,
             publish.topic, message.qos, publish.id, message.is_retain ? ", retained" : "",
             message.is_large ? ", large" : "", publish.has_expiry ? publish.expiry_s : 0);
    use_alias(sim, step, &publish);
    bool may = model_may(&sim->model, session->user, c, true, message.topic);
    publish_answers(sim, c, &message, publish.id, may);
    enum nj_mqtt_reason reason = rig_publish(sim->clients[c].conn, &publish);
    if (reason) {
        sim_fail(sim, "c%u: PUBLISH is refused with 0x%02x", c, reason);
    }
}

static bool waits_for_pubrec(const struct sim_client *client, uint16_t id)
{
    for (unsigned i = 0; i < client->answer_count; i++) {
        if (client->answers[i].type == NJ_MQTT_PUBREC && client->answers[i].id == id) {
            return true;
        }
    }
    return false;
}

/* The same PUBLISH again: the first PUBREC was lost on the way. */
static void send_duplicate(struct sim *sim, unsigned c, const struct m_incoming *incoming)
{
    char payload[LARGE + 16];
    const struct m_message *message = &incoming->message;
    struct rig_publish publish = {
        .topic = model_topics[message->topic],
        .payload = payload_of(message, payload),
        .qos = 2,
        .is_retain = message->is_retain,
        .is_dup = true,
        .id = incoming->id,
    };
    bool may = model_may(&sim->model, sim->model.sessions[c].user, c, true, message->topic);
    bool is_v5 = sim->clients[c].version == 5;
    sim_expect(sim, c, NJ_MQTT_PUBREC, incoming->id, !may && is_v5 ? NJ_RC_NOT_AUTHORIZED : 0);
    (void)rig_publish(sim->clients[c].conn, &publish);
}

static void on_pubrel(struct sim *sim, const struct step *step)
{
    unsigned c = step->client;
    struct m_session *session = &sim->model.sessions[c];
    struct sim_client *client = &sim->clients[c];
    if (!is_ready(sim, c)) {
        return;
    }
    if (step->arg[0] % 16 == 0) {
        sim_expect(sim, c, NJ_MQTT_PUBCOMP, 65000,
                   session->version == 5 ? NJ_RC_PACKET_ID_NOT_FOUND : 0);
        rig_pubrel(client->conn, 65000);
        return;
    }
    struct m_incoming *incoming = &session->incoming[0];
    while (incoming < session->incoming + INCOMING_MAX && !incoming->id) {
        incoming++;
    }
    if (incoming == session->incoming + INCOMING_MAX || waits_for_pubrec(client, incoming->id)) {
        return;
    }
    if (step->arg[1] % 6 == 0) {
        send_duplicate(sim, c, incoming);
        return;
    }
    uint16_t id = incoming->id;
    struct m_message message = incoming->message;
    incoming->id = 0;
    sim_note(sim, "       id %u (m%u)", id, message.serial);
    message.sender = session->number;
    message.user = session->user;
    bool is_expired = message.expires_ms && message.expires_ms <= sim->model.now_ms;
    if (!is_expired && model_may(&sim->model, session->user, c, true, message.topic)) {
        (void)model_publish(&sim->model, &message, c);
    }
    sim_expect(sim, c, NJ_MQTT_PUBCOMP, id, 0);
    if (session->expiry_s) {
        sim_expect_durable(sim, c);
    }
    rig_pubrel(client->conn, id);
}

/* ---- the rest */

static void on_answer_all(struct sim *sim, unsigned c)
{
    while (is_ready(sim, c) && sim_answer_one(sim, c, 0)) {
        sim_check(sim);
    }
}

static void on_clock(struct sim *sim, const struct step *step)
{
    static const uint32_t steps_ms[] = {1, 400, 1000, 3100, 6000, 31000, 100000, 8000000};
    uint32_t step_ms = PICK(steps_ms, step->arg[0]);
    sim_note(sim, "       + %u ms", step_ms);
    sim_advance(sim, step_ms);
}

static void on_unblock(struct sim *sim, unsigned c)
{
    struct sim_client *client = &sim->clients[c];
    if (client->conn && client->is_blocked) {
        client->is_blocked = false;
        sim->is_lagging = true;
        rig_unblock(client->conn);
    }
}

static void run_step(struct sim *sim, const struct step *step)
{
    unsigned c = step->client;
    switch (step->kind) {
    case STEP_CONNECT:
        on_connect(sim, step);
        break;
    case STEP_DISCONNECT:
    case STEP_BREAK:
        on_leave(sim, step);
        break;
    case STEP_SUBSCRIBE:
        on_subscribe(sim, step);
        break;
    case STEP_UNSUBSCRIBE:
        on_unsubscribe(sim, step);
        break;
    case STEP_PUBLISH:
        on_publish(sim, step);
        break;
    case STEP_PUBREL:
        on_pubrel(sim, step);
        break;
    case STEP_ANSWER:
        if (is_ready(sim, c)) {
            (void)sim_answer_one(sim, c, step->arg[0]);
        }
        break;
    case STEP_ANSWER_ALL:
        on_answer_all(sim, c);
        break;
    case STEP_CLOCK:
        on_clock(sim, step);
        break;
    case STEP_RIGHTS:
        sim_set_rights(sim, step->arg[0] % RIGHTS_COUNT);
        break;
    case STEP_ADMIN:
        sim_change_dynsec(sim, step);
        break;
    case STEP_BLOCK:
        if (is_ready(sim, c) && !sim->clients[c].is_blocked) {
            sim->clients[c].is_blocked = true;
            rig_block(sim->clients[c].conn);
        }
        break;
    case STEP_UNBLOCK:
        on_unblock(sim, c);
        break;
    case STEP_STORE_HOLD:
        sim_hold_store(sim, step);
        break;
    case STEP_STORE_RELEASE:
        sim_release_store(sim);
        break;
    case STEP_CRASH:
        sim_crash(sim);
        break;
    default:
        break;
    }
}

/* ---- the end of a round: everybody comes back and takes what is left */

static void come_back(struct sim *sim)
{
    for (unsigned c = 0; c < sim->model.clients; c++) {
        struct m_session *session = &sim->model.sessions[c];
        on_unblock(sim, c);
        sim_check(sim);
        sim->is_lagging = false;
        bool is_narrow = sim->clients[c].has_max_packet;
        if (!session->number || (sim->clients[c].conn && !is_narrow)) {
            continue;
        }
        struct rig_connect options = {
            .version = session->version,
            .expiry_s = session->expiry_s,
        };
        int user = session->user;
        if (!sim_log_in(sim, c, user, &options)) {
            sim_fail(sim, "c%u cannot log in any more", c);
        }
        (void)model_claim(sim, c, user, false);
        session->version = (uint8_t)options.version;
        session->expiry_s = options.expiry_s;
        connect_as(sim, c, &options, user);
        sim_check(sim);
    }
}

static void check_retained(struct sim *sim)
{
    struct rig_client *probe = rig_connect(&sim->rig, "probe", NULL);
    bool came[TOPIC_COUNT] = {false};
    struct rig_packet packet;
    rig_sub(probe, "#", 0);
    while (rig_next(probe, &packet)) {
        for (unsigned t = 0; t < TOPIC_COUNT; t++) {
            came[t] |= strcmp(packet.topic, model_topics[t]) == 0;
        }
    }
    for (unsigned t = 0; t < TOPIC_COUNT; t++) {
        const struct m_retained *retained = &sim->model.retained[t];
        uint64_t expires_ms = retained->message.expires_ms;
        bool is_there = retained->is_set && (!expires_ms || expires_ms > sim->model.now_ms) &&
                        model_topics[t][0] != '$';
        if (came[t] != is_there) {
            sim_fail(sim, "%s is%s retained", model_topics[t], came[t] ? "" : " not");
        }
    }
}

void sim_run(const struct plan *plan, bool is_verbose)
{
    static struct sim sim;
    memset(&sim, 0, sizeof(sim));
    sim.plan = plan;
    sim.is_verbose = is_verbose;
    sim.model.clients = plan->clients;
    sim.model.queue_qos0 = plan->queue_qos0;
    rig_open(&sim.rig, plan->shards);
    if (plan->has_dynsec) {
        sim.admin = admin_new();
        sim.model.admin = sim.admin;
        sim_set_rights(&sim, 0);
    }
    rig_keep(&sim.rig);
    sim.rig.limits.max_inflight = plan->max_inflight;
    sim.rig.limits.queue_qos0 = plan->queue_qos0;
    sim.model.now_ms = sim.rig.now_ms;
    for (sim.step = 0; sim.step < plan->count; sim.step++) {
        const struct step *step = &plan->steps[sim.step];
        if (is_verbose) {
            char text[64];
            (void)printf("%4u %s (serial %u)\n", sim.step, plan_step_text(step, text, sizeof(text)),
                         sim.last_serial);
        }
        sim_advance(&sim, 1); /* so that no two things happen at the same time */
        run_step(&sim, step);
        sim_check(&sim);
        sim_pass_crash_point(&sim);
        sim.is_lagging = false;
    }
    sim_release_store(&sim);
    sim_check(&sim);
    sim_open_rights(&sim);
    come_back(&sim);
    for (unsigned c = 0; c < plan->clients; c++) {
        on_answer_all(&sim, c);
    }
    sim_check(&sim);
    sim_check_nothing_left(&sim);
    check_retained(&sim);
    rig_close(&sim.rig);
    admin_free(sim.admin);
}
