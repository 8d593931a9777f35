/* See login.h. */
#include "front/login.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "broker/claim.h"
#include "broker/denial.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "front/connack.h"
#include "front/front.h"
#include "front/goodbye.h"
#include "front/login_check.h"
#include "front/proxied.h"
#include "front/record.h"
#include "net/stream.h"
#include "security/login.h"
#include "security/policy.h"

/* Refusals leave on this grid of time, whatever was found out and however long it took. */
#define REFUSAL_TICK_MS 200

struct nj_bytes nj_login_client_id(const struct nj_login *login)
{
    return login ? nj_bytes(login->client_id, login->client_id_len) : nj_bytes(NULL, 0);
}

static void login_free(struct nj_login *login)
{
    nj_message_unref(login->will);
    nj_origin_unref(login->origin);
    nj_free(login->client_id);
    nj_free(login->user);
    nj_free(login);
}

void nj_login_drop(struct nj_conn *conn)
{
    struct nj_login *login = conn->login;
    conn->login = NULL;
    if (!login) {
        return;
    }
    login->conn = NULL;
    atomic_store_explicit(&login->is_gone, true, memory_order_release);
    if (!login->is_at_pool) {
        login_free(login);
    }
}

/* ---- refused */

/* On the first tick after `due_ms`, or after now. */
static void refuse_later(struct nj_conn *conn, uint64_t due_ms, const char *why)
{
    struct nj_login *login = conn->login;
    uint64_t now = conn->worker->shard->now_ms;
    uint64_t due = due_ms > now ? due_ms : now;
    login->refusal = why;
    conn->state = NJ_CONN_LOGIN;
    nj_conn_set_deadline(conn, due - now + REFUSAL_TICK_MS - due % REFUSAL_TICK_MS);
}

bool nj_login_timer(struct nj_conn *conn)
{
    if (conn->state != NJ_CONN_LOGIN || !conn->login) {
        return false;
    }
    if (!conn->login->refusal) {
        /* It waits for the auth pool; the pool's queue is bounded, so this ends. */
        return true;
    }
    nj_log(NJ_LOG_INFO, "Login of client %.*s refused: %s.", (int)conn->login->client_id_len,
           conn->login->client_id, conn->login->refusal);
    nj_goodbye_refuse(conn, NJ_RC_NOT_AUTHORIZED, "not authorised");
    return true;
}

/* ---- accepted */

static bool will_is_allowed(struct nj_conn *conn, struct nj_login *login)
{
    const struct nj_limits *limits = conn->link.shard->limits;
    if (!login->will || !limits->will_checked_at_connect) {
        return true;
    }
    struct nj_subject subject;
    struct nj_verdict verdict;
    struct nj_shard *shard = conn->link.shard;
    nj_subject_init(&subject, nj_origin_user(login->origin), nj_origin_client_id(login->origin),
                    login->origin->scope);
    subject.by_certificate = login->origin->by_certificate;
    nj_authz(shard->policy, &subject, NJ_ACTION_WILL, nj_message_topic(login->will), &verdict);
    if (!verdict.allowed) {
        struct nj_denial denial = {
            .user = subject.user,
            .client_id = subject.client_id,
            .topic = nj_message_topic(login->will),
            .action = NJ_ACTION_WILL,
            .verdict = verdict,
            .scope = subject.scope,
        };
        NJ_STAT_ADD(shard, denied_will, 1);
        shard->core->events->denied(shard, &denial);
    }
    nj_subject_fini(&subject);
    return verdict.allowed;
}

static bool set_client_id(struct nj_login *login, struct nj_bytes id)
{
    char *copy = nj_try_bytes_dup(id);
    if (!copy) {
        return false;
    }
    nj_free(login->client_id);
    login->client_id = copy;
    login->client_id_len = (uint32_t)id.len;
    return true;
}

static void claim(struct nj_conn *conn);

static void accept(struct nj_conn *conn, struct nj_bytes user, uint64_t credential)
{
    struct nj_login *login = conn->login;
    struct nj_worker *worker = conn->worker;
    if (conn->listener->settings->use_username_as_clientid) {
        bool is_untold = login->is_id_assigned && user.len > NJ_ASSIGNED_ID_MAX;
        if (!user.len || is_untold || !set_client_id(login, user)) {
            nj_goodbye_refuse(conn, NJ_RC_CLIENTID_NOT_VALID, "no user name to use as client id");
            return;
        }
    }
    login->credential = credential;
    unsigned scope = conn->listener->scope;
    login->origin = nj_origin_new(scope, nj_policy_scope(worker->shard->policy, scope)->id, user,
                                  nj_login_client_id(login));
    if (!login->origin) {
        nj_goodbye_refuse(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    login->origin->by_certificate = login->by_certificate;
    if (!will_is_allowed(conn, login)) {
        nj_goodbye_refuse(conn, NJ_RC_NOT_AUTHORIZED, "will not authorised");
        return;
    }
    conn->state = NJ_CONN_MOVING;
    unsigned home = nj_core_home(&worker->front->core, nj_login_client_id(login));
    if (home == worker->id) {
        claim(conn);
        return;
    }
    struct nj_record_adopt *record =
        nj_shard_post(worker->shard, home, NJ_RECORD_ADOPT, sizeof(*record), 1);
    if (!record) {
        nj_goodbye_refuse(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    NJ_STAT_SUB(worker->shard, connections_open, 1);
    nj_conn_leave(conn);
    record->conn = conn;
}

/* The connection that has the session now, or NULL. */
static struct nj_conn *holder(struct nj_conn *conn)
{
    struct nj_session *session =
        nj_session_find(conn->worker->shard, nj_login_client_id(conn->login));
    return session && session->link ? nj_conn_of(session->link) : NULL;
}

void nj_login_adopt(struct nj_conn *conn, struct nj_worker *worker)
{
    NJ_STAT_ADD(worker->shard, connections_open, 1);
    nj_conn_enter(conn, worker);
    if (conn->state == NJ_CONN_CLOSING) {
        return;
    }
    /* This connection came by another worker and may have overtaken what the old one had sent
     * before it: acknowledgements, a last message, a DISCONNECT. */
    struct nj_conn *old = holder(conn);
    if (old && old->state == NJ_CONN_ACTIVE) {
        nj_conn_read(old);
    }
    claim(conn);
}

static void claim(struct nj_conn *conn)
{
    struct nj_login *login = conn->login;
    struct nj_shard *shard = conn->worker->shard;
    const struct nj_claim request = {
        .origin = login->origin,
        .will = login->will,
        .will_delay_s = login->will_delay_s,
        .expiry_s = login->expiry_s,
        .is_clean_start = login->is_clean_start,
        .credential = login->credential,
    };
    struct nj_claimed claimed;
    enum nj_mqtt_reason reason;
    const char *why;
    const struct nj_login_held held = {
        .user = nj_origin_user(login->origin),
        .client_id = nj_login_client_id(login),
        .credential = login->credential,
    };
    if (!nj_login_still_holds(shard->policy, login->origin->scope, &held)) {
        /* The policy changed between verifying and here. */
        nj_goodbye_refuse(conn, NJ_RC_NOT_AUTHORIZED, "not authorised");
        return;
    }
    struct nj_conn *old = holder(conn);
    if (old && old->state == NJ_CONN_CLOSING) {
        /* It ended in this turn by itself, not by this take-over: a DISCONNECT has taken its will
         * back (MQTT5 3.14.4). */
        nj_session_detach(old->link.session, !old->keeps_will);
    }
    if (nj_session_claim(&conn->link, &request, &claimed, &reason, &why) != NJ_OK) {
        nj_goodbye_refuse(conn, reason, why);
        return;
    }
    login->will = NULL; /* the session's now */
    uint8_t frame[NJ_CONNACK_MAX];
    uint32_t len = nj_connack_encode(conn, login, claimed.is_present, frame);
    nj_session_answer(claimed.session, NJ_HOLD_CONNACK, frame, len, NULL, claimed.wait);
}

void nj_login_finished(struct nj_conn *conn)
{
    struct nj_login *login = conn->login;
    const struct nj_settings *settings = atomic_load(&conn->worker->front->settings);
    char address[NJ_ADDR_TEXT_MAX + 8];
    if (!login) {
        return;
    }
    if (settings->connection_messages) {
        struct nj_bytes user = nj_origin_user(login->origin);
        nj_log(NJ_LOG_NOTICE, "New %s connected from %s as %.*s (p%d, c%d, k%u%s%.*s%s).",
               conn->link.is_bridge ? "bridge" : "client", nj_conn_address(conn, address),
               (int)login->client_id_len, login->client_id, conn->link.version,
               login->is_clean_start, conn->keep_alive_s, user.ptr ? ", u'" : "", (int)user.len,
               user.ptr ? (const char *)user.ptr : "", user.ptr ? "'" : "");
        const struct nj_tls_conn *tls = nj_stream_tls(conn->stream);
        if (tls) {
            nj_log(NJ_LOG_NOTICE, "Client %.*s negotiated %s cipher %s", (int)login->client_id_len,
                   login->client_id, nj_tls_conn_version(tls), nj_tls_conn_cipher(tls));
        } else if (conn->proxied && conn->proxied->has_tls) {
            nj_log(NJ_LOG_NOTICE, "Client %.*s negotiated %s cipher %s", (int)login->client_id_len,
                   login->client_id, conn->proxied->tls_version, conn->proxied->tls_cipher);
        }
    }
    conn->is_counted = settings->connection_messages;
    nj_login_drop(conn);
}

/* ---- the identity chain */

static void on_verified(void *arg, bool ok, uint64_t due_ms)
{
    struct nj_login *login = arg;
    struct nj_batch *batch = nj_batch_new_small(sizeof(struct nj_record_login));
    struct nj_record_login *record =
        batch ? nj_batch_add(batch, NJ_RECORD_LOGIN, sizeof(*record)) : NULL;
    NJ_ASSERT(record); /* a few bytes; without them nothing works any more */
    record->login = login;
    record->ok = ok;
    record->due_ms = due_ms;
    nj_worker_push(login->worker, batch);
}

void nj_login_verified(struct nj_login *login, bool ok, uint64_t due_ms)
{
    struct nj_conn *conn = login->conn;
    login->is_at_pool = false;
    if (!conn) {
        login_free(login);
        return;
    }
    if (!ok) {
        const char *why = login->has_hash ? "wrong password" : "unknown user";
        refuse_later(conn, due_ms, login->in_vain ? login->in_vain : why);
        return;
    }
    accept(conn, nj_bytes(login->user, login->user_len), login->credential);
}

/* All of an IPv4 address, the /64 of an IPv6 one: who has more addresses has no more turns. */
static uint64_t source_of(const struct nj_conn *conn)
{
    return nj_hash_bytes(nj_bytes(conn->peer.ip, 8));
}

static void verify(struct nj_conn *conn, const struct nj_login_request *request,
                   const struct nj_login_decision *decision)
{
    struct nj_login *login = conn->login;
    struct nj_front *front = conn->worker->front;
    uint64_t now = conn->worker->shard->now_ms;
    if (decision->hash.len && nj_remembered_has(front->remembered, request->user, request->password,
                                                decision->hash, now)) {
        accept(conn, request->user, decision->credential);
        return;
    }
    login->user = nj_try_bytes_dup(request->user);
    login->user_len = (uint32_t)request->user.len;
    login->credential = decision->credential;
    login->has_hash = decision->hash.len > 0;
    login->in_vain = decision->why;
    login->worker = conn->worker;
    const struct nj_auth_job job = {
        .user = request->user,
        .password = request->password,
        .hash = decision->hash,
        .source = source_of(conn),
        .done = on_verified,
        .arg = login,
        .is_abandoned = &login->is_gone,
    };
    login->is_at_pool = true;
    if (!login->user || nj_auth_pool_submit(front->auth_pool, &job) != NJ_OK) {
        login->is_at_pool = false;
        nj_goodbye_refuse(conn, NJ_RC_SERVER_BUSY, "too many logins wait");
        return;
    }
    conn->state = NJ_CONN_LOGIN;
    nj_timer_cancel(&conn->worker->timers, &conn->timer);
}

static void identify(struct nj_conn *conn, const struct nj_mqtt_connect *packet)
{
    struct nj_tls_identity identity = {0};
    struct nj_login_request request = {
        .user = packet->has_username ? packet->username : nj_bytes(NULL, 0),
        .password = packet->has_password ? packet->password : nj_bytes(NULL, 0),
        .client_id = nj_login_client_id(conn->login),
        .scope = conn->listener->scope,
    };
    /* An empty text was given, which is not the same as none. */
    if (packet->has_username && !request.user.ptr) {
        request.user = NJ_BYTES_LIT("");
    }
    if (packet->has_password && !request.password.ptr) {
        request.password = NJ_BYTES_LIT("");
    }
    const char *why = nj_login_certificate(conn, &identity, &request.certificate);
    if (why) {
        refuse_later(conn, 0, why);
        nj_tls_identity_fini(&identity);
        return;
    }
    struct nj_login_decision decision;
    nj_login_decide(conn->worker->shard->policy, &request, &decision);
    switch (decision.result) {
    case NJ_LOGIN_ACCEPTED:
        conn->login->by_certificate = decision.by_certificate;
        accept(conn, decision.user, decision.credential);
        break;
    case NJ_LOGIN_VERIFY:
        verify(conn, &request, &decision);
        break;
    default:
        refuse_later(conn, 0, decision.why);
        break;
    }
    nj_tls_identity_fini(&identity);
}

void nj_login_begin(struct nj_conn *conn, struct nj_bytes body)
{
    struct nj_mqtt_connect packet;
    NJ_STAT_ADD(conn->link.shard, connects, 1);
    enum nj_mqtt_reason reason = NJ_RC_UNSPECIFIED;
    enum nj_err err = nj_mqtt_connect_decode(body, &packet, &reason);
    conn->link.version = packet.version;
    if (err == NJ_ENOTSUP) {
        conn->link.version = NJ_MQTT_311;
        nj_goodbye_refuse(conn, reason, "bad protocol version");
        return;
    }
    if (err != NJ_OK) {
        NJ_STAT_ADD(conn->link.shard, bad_packets, 1);
        if (reason == NJ_RC_TOPIC_NAME_INVALID && conn->link.shard->limits->errors_as_original) {
            reason = NJ_RC_MALFORMED_PACKET; /* 0x90 is for names that are well formed */
        }
        if (conn->link.version == NJ_MQTT_5) {
            nj_goodbye_refuse(conn, reason, "malformed packet");
        } else {
            nj_conn_close(conn, NJ_RC_SUCCESS, "malformed packet");
        }
        return;
    }
    nj_login_take_manners(conn, &packet);
    conn->login = nj_try_zalloc(sizeof(*conn->login));
    if (!conn->login) {
        nj_goodbye_refuse(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    conn->login->conn = conn;
    if (nj_login_check(conn, &packet)) {
        identify(conn, &packet);
    }
}
