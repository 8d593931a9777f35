/* What is told about a session. On its worker; see sessions.h. */
#include <string.h>

#include "base/mem.h"
#include "broker/flow.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/share.h"
#include "config/settings.h"
#include "control/control_priv.h"
#include "control/sessions.h"
#include "front/conn.h"
#include "front/front.h"
#include "net/stream.h"

static json_t *text(struct nj_bytes bytes)
{
    return json_stringn((const char *)bytes.ptr, bytes.len);
}

json_t *nj_control_describe_id(const struct nj_session *session)
{
    return text(nj_session_client_id(session));
}

static json_t *describe_tls(const struct nj_tls_conn *tls)
{
    struct nj_tls_identity identity = {0};
    json_t *row = json_pack("{s:s, s:s}", "version", nj_tls_conn_version(tls), "ciphers",
                            nj_tls_conn_cipher(tls));
    if (nj_tls_conn_identity(tls, &identity) == NJ_OK) {
        (void)json_object_set_new(row, "clientCertificate",
                                  json_pack("{s:s?, s:s?, s:s, s:I}", "subject", identity.subject,
                                            "serial", identity.serial, "fingerprint",
                                            identity.fingerprint, "notAfter",
                                            (json_int_t)identity.not_after_s));
    }
    nj_tls_identity_fini(&identity);
    return row;
}

static void describe_traffic(const struct nj_traffic *traffic, json_t *row)
{
    (void)json_object_set_new(
        row, "counters",
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "bytesReceived", (json_int_t)traffic->bytes_in,
                  "bytesSent", (json_int_t)traffic->bytes_out, "published",
                  (json_int_t)traffic->published_in, "delivered",
                  (json_int_t)traffic->published_out, "dropped", (json_int_t)traffic->dropped));
}

static void describe_connection(const struct nj_session *session, json_t *row)
{
    const struct nj_conn *conn = nj_conn_of(session->link);
    const struct nj_tls_conn *tls = nj_stream_tls(conn->stream);
    char address[NJ_ADDR_TEXT_MAX + 8];
    (void)json_object_set_new(row, "address", json_string(nj_conn_address(conn, address)));
    (void)json_object_set_new(row, "keepalive", json_integer(conn->keep_alive_s));
    (void)json_object_set_new(row, "listener",
                              json_pack("{s:i, s:i}", "id", (int)conn->listener->index + 1, "port",
                                        (int)conn->listener->port));
    if (tls) {
        (void)json_object_set_new(row, "tls", describe_tls(tls));
    }
    (void)json_object_set_new(row, "unsentBytes",
                              json_integer((json_int_t)session->link->out.pending));
    describe_traffic(&session->link->traffic, row);
}

static void describe_flow(const struct nj_session *session, json_t *row)
{
    const struct nj_flow *flow = session->flow;
    uint64_t bytes;
    uint64_t queued = nj_session_queued(session, &bytes);
    (void)json_object_set_new(
        row, "queues",
        json_pack("{s:I, s:I}", "messages", (json_int_t)queued, "bytes", (json_int_t)bytes));
    (void)json_object_set_new(row, "inflight",
                              json_pack("{s:I, s:I}", "out",
                                        (json_int_t)(flow ? flow->flight_count : 0), "in",
                                        (json_int_t)(flow ? flow->incoming.count : 0)));
}

json_t *nj_control_describe_session(const struct nj_session *session)
{
    json_t *row = json_object();
    (void)json_object_set_new(row, "clientid", text(nj_session_client_id(session)));
    if (session->subject.user.ptr) {
        (void)json_object_set_new(row, "username", text(session->subject.user));
    }
    (void)json_object_set_new(row, "connected", json_boolean(session->link != NULL));
    (void)json_object_set_new(row, "protocol", json_string("mqtt"));
    (void)json_object_set_new(row, "protocolVersion", json_integer(session->version));
    (void)json_object_set_new(row, "lastConnect",
                              json_integer((json_int_t)session->connected_wall_s * 1000));
    if (!session->link && session->away_wall_ms) {
        (void)json_object_set_new(row, "lastDisconnect",
                                  json_integer((json_int_t)session->away_wall_ms));
    }
    (void)json_object_set_new(row, "cleanSession", json_boolean(session->expiry_s == 0));
    (void)json_object_set_new(row, "sessionExpiry", json_integer(session->expiry_s));
    if (session->link) {
        describe_connection(session, row);
    }
    (void)json_object_set_new(row, "subscriptionCount",
                              json_integer(session->sub_count + nj_share_count(session)));
    describe_flow(session, row);
    if (session->will) {
        const struct nj_message *message = session->will->message;
        (void)json_object_set_new(row, "will",
                                  json_pack("{s:o, s:i, s:b}", "topic",
                                            text(nj_message_topic(message)), "qos", message->qos,
                                            "retain", message->is_retain));
    }
    return row;
}

void nj_control_end_connection(struct nj_session *session)
{
    if (session->link && !session->link->is_closing) {
        struct nj_conn *conn = nj_conn_of(session->link);
        conn->keeps_will = true;
        nj_conn_close(conn, NJ_RC_ADMINISTRATIVE_ACTION, "administrative action");
    }
}

/* ---- subscriptions */

static json_t *describe_options(json_t *filter, const struct nj_sub_options *options)
{
    json_t *row = json_object();
    (void)json_object_set_new(row, "topic", filter);
    (void)json_object_set_new(row, "qos", json_integer(options->qos));
    if (options->sub_id) {
        (void)json_object_set_new(row, "id", json_integer(options->sub_id));
    }
    if (options->is_no_local) {
        (void)json_object_set_new(row, "noLocal", json_true());
    }
    if (options->is_retain_as_published) {
        (void)json_object_set_new(row, "retainAsPublished", json_true());
    }
    return row;
}

static json_t *filter_text(const struct nj_filter *filter)
{
    size_t len = nj_filter_text(filter, NULL, 0);
    char *buf = nj_try_alloc(len + 1);
    json_t *value = NULL;
    if (buf) {
        (void)nj_filter_text(filter, buf, len);
        value = json_stringn(buf, len);
    }
    nj_free(buf);
    return value;
}

static json_t *shared_text(const struct nj_shared_sub *shared)
{
    struct nj_buf buf;
    json_t *value = NULL;
    nj_buf_init(&buf);
    if (nj_buf_printf(&buf, "$share/%.*s/%.*s", (int)shared->group_len, shared->text,
                      (int)shared->filter_len, shared->text + shared->group_len) == NJ_OK) {
        value = text(nj_buf_bytes(&buf));
    }
    nj_buf_fini(&buf);
    return value;
}

json_t *nj_control_subscriptions_of(const struct nj_session *session, size_t from, size_t count)
{
    json_t *rows = json_array();
    size_t place = 0;
    for (uint32_t i = 0; i < session->sub_count; i++, place++) {
        if (place >= from && place - from < count) {
            const struct nj_sub_ref *ref = &session->subs[i];
            const struct nj_sub_entry *entry = &ref->filter->entries[ref->place];
            (void)json_array_append_new(
                rows, describe_options(filter_text(ref->filter), &entry->options));
        }
    }
    const struct nj_shared_sub *s = session->shared ? session->shared->first : NULL;
    for (; s; s = s->next, place++) {
        if (place >= from && place - from < count) {
            (void)json_array_append_new(rows, describe_options(shared_text(s), &s->options));
        }
    }
    return rows;
}
