/* Ending and finding connections by who they belong to; see plane.h. */
#include <string.h>

#include "base/mem.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "control/control_priv.h"
#include "control/sessions.h"
#include "control/walk.h"
#include "front/conn.h"

/* ---- kick */

struct kick {
    bool (*concerns)(const void *arg, const struct nj_subject *subject);
    void *arg;
    uint8_t reason;
    void (*done)(void *arg);
};

static void kick_one(void *arg, struct nj_session *session)
{
    const struct kick *kick = arg;
    if (session->link && !session->link->is_closing &&
        kick->concerns(kick->arg, &session->subject)) {
        struct nj_conn *conn = nj_conn_of(session->link);
        conn->keeps_will = true;
        nj_conn_close(conn, (enum nj_mqtt_reason)kick->reason, "administrative action");
    }
}

static bool kick_some(struct nj_shard *shard, void *arg, void *slot)
{
    return nj_walk_sessions(slot, shard, kick_one, arg);
}

static void kicked(void *arg, void *slots, unsigned count, enum nj_err saved)
{
    struct kick *kick = arg;
    (void)slots;
    (void)count;
    (void)saved;
    if (kick->done) {
        kick->done(kick->arg);
    }
    nj_free(kick);
}

void nj_control_kick(struct nj_control_plane *plane,
                     bool (*concerns)(const void *arg, const struct nj_subject *subject), void *arg,
                     uint8_t reason, void (*done)(void *arg))
{
    struct kick *kick = nj_alloc(sizeof(*kick));
    *kick = (struct kick){.concerns = concerns, .arg = arg, .reason = reason, .done = done};
    nj_control_gather(plane, NJ_CONTROL_EVERY_WORKER, kick_some, kicked, kick,
                      sizeof(struct nj_walk));
}

/* ---- connections of a user */

struct search {
    void (*done)(void *arg, json_t *connections);
    void *arg;
    size_t user_len;
    char user[];
};

struct finding {
    struct nj_walk walk;
    const struct search *search;
    json_t *rows;
};

static void look_at(void *arg, struct nj_session *session)
{
    struct finding *finding = arg;
    const struct search *search = finding->search;
    struct nj_bytes user = session->subject.user;
    char address[NJ_ADDR_TEXT_MAX + 8];
    if (session->link && user.ptr &&
        nj_bytes_equal(user, nj_bytes(search->user, search->user_len))) {
        (void)json_array_append_new(
            finding->rows,
            json_pack("{s:s}", "address", nj_conn_address(nj_conn_of(session->link), address)));
    }
}

static bool search_some(struct nj_shard *shard, void *arg, void *slot)
{
    struct finding *finding = slot;
    if (!finding->search) {
        finding->search = arg;
        finding->rows = json_array();
    }
    return nj_walk_sessions(&finding->walk, shard, look_at, finding);
}

static void searched(void *arg, void *slots, unsigned count, enum nj_err saved)
{
    struct search *search = arg;
    struct finding *finding = slots;
    json_t *all = json_array();
    (void)saved;
    for (unsigned i = 0; i < count; i++) {
        if (finding[i].rows) {
            (void)json_array_extend(all, finding[i].rows);
            json_decref(finding[i].rows);
        }
    }
    search->done(search->arg, all);
    nj_free(search);
}

void nj_control_connections_of(struct nj_control_plane *plane, struct nj_bytes user,
                               void (*done)(void *arg, json_t *connections), void *arg)
{
    struct search *search = nj_alloc(sizeof(*search) + user.len + 1);
    *search = (struct search){.done = done, .arg = arg, .user_len = user.len};
    if (user.len) {
        memcpy(search->user, user.ptr, user.len);
    }
    nj_control_gather(plane, NJ_CONTROL_EVERY_WORKER, search_some, searched, search,
                      sizeof(struct finding));
}
