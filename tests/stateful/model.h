/* The reference: what a broker has to do, said as simply as possible.
 *
 * Everything is a small array that is searched from the beginning; nothing here is shared with the
 * broker, not even the matching of topics. It keeps for each client what it must still get (its
 * *dues*), and says of each packet that arrives whether it may. Where the standard leaves the
 * broker free, or where a message was on its way while rights changed, a due is *optional*. */
#ifndef NJ_TESTS_STATEFUL_MODEL_H
#define NJ_TESTS_STATEFUL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct admin;

#define CLIENTS_MAX  6
#define TOPIC_COUNT  8
#define FILTER_COUNT 12
#define SUBS_MAX     16
#define DUES_MAX     4096
#define FLOATS_MAX   2048
#define GROUP_COUNT  2

extern const char *const model_topics[TOPIC_COUNT];
extern const char *const model_filters[FILTER_COUNT];

/* A publication. */
struct m_message {
    uint32_t serial; /* its payload begins with it */
    unsigned topic;
    uint8_t qos;
    bool is_retain;
    bool is_empty; /* no payload: clears what is retained, and cannot be told apart */
    bool is_large;
    bool is_will;
    uint64_t expires_ms; /* 0 = never */
    uint32_t sender;     /* session number; 0 = nobody */
    int user;            /* -1 = anonymous */
};

struct m_sub {
    bool is_used;
    unsigned filter;
    int group; /* -1 = not shared */
    uint8_t qos;
    uint32_t sub_id;
    bool is_no_local;
    bool is_retain_as_published;
};

enum due_state {
    DUE_WAITING,
    DUE_SENT,     /* the client has the PUBLISH and did not answer, or may have it */
    DUE_RELEASED, /* QoS 2: PUBREC was sent, PUBCOMP was not */
    DUE_DONE,
};

struct m_due {
    struct m_message message;
    enum due_state state;
    uint8_t qos;
    bool is_retain;
    bool is_any_shape; /* of any of several subscriptions: flag and identifier may differ */
    bool is_replay;    /* of a retained message */
    bool is_optional;  /* may come or not */
    bool was_seen;     /* the client got it at least once */
    int group;         /* came by a shared subscription to ... */
    unsigned filter;   /* ... this filter */
    uint32_t sub_id;
    uint16_t id;
    uint32_t connection; /* on which it was sent last */
    uint32_t pubrel_on;  /* the connection on which PUBREL came last */
    bool may_be_dup;     /* it may have been put out on a connection that broke */
};

/* A message for one member of a shared subscription, which one is the broker's choice. */
struct m_float {
    struct m_message message;
    bool is_used;
    bool is_optional;
    bool may_be_dup; /* a member may have had it in flight */
    int group;
    unsigned filter;
};

struct m_will {
    bool is_set;
    struct m_message message;
    uint32_t delay_s;
    uint32_t expiry_s;
    uint64_t due_ms; /* while away; UINT64_MAX = not due */
};

struct m_incoming {
    uint16_t id; /* 0 = free */
    struct m_message message;
};

#define INCOMING_MAX 64

struct m_session {
    uint32_t number; /* 0 = there is none */
    int user;
    uint32_t expiry_s;
    uint64_t expires_ms; /* while away */
    bool is_connected;
    uint8_t version; /* 3, 4, 5 */
    struct m_sub subs[SUBS_MAX];
    struct m_due dues[DUES_MAX];
    unsigned due_count;
    struct m_will will;
    struct m_incoming incoming[INCOMING_MAX];
};

struct m_retained {
    bool is_set;
    struct m_message message;
    unsigned client;
};

struct model {
    uint64_t now_ms;
    unsigned clients;
    bool queue_qos0;
    unsigned rights;           /* index of the ACL in force */
    const struct admin *admin; /* dynamic security; NULL = none */
    uint32_t last_session;
    struct m_session sessions[CLIENTS_MAX];
    struct m_retained retained[TOPIC_COUNT];
    struct m_float floats[FLOATS_MAX];
};

/* -- topics and rights -- */
bool model_matches(const char *filter, const char *topic);
#define RIGHTS_COUNT 5
/* The ACL file's text; NULL = none. */
const char *model_rights_text(unsigned rights);
bool model_may(const struct model *model, int user, unsigned client, bool is_write, unsigned topic);
/* Whether nothing that the filter matches could be read under the ACL file. */
bool model_filter_is_void(const struct model *model, int user, unsigned client, unsigned filter);
/* Whether there is such a user, as far as the broker can know. */
bool model_knows(const struct model *model, int user);
/* May they give the filter up? */
bool model_may_unsubscribe(const struct model *model, int user, unsigned client, unsigned filter);

enum subscribe_right {
    SUBSCRIBE_NO,
    SUBSCRIBE_YES,
    SUBSCRIBE_MAYBE /* nothing that could be read matches: it may be refused or be void */
};
enum subscribe_right model_may_subscribe(const struct model *model, int user, unsigned client,
                                         unsigned filter);

/* -- what happens -- */
/* Those who have no record of it get it when it is durable; a will also when older ones are. */
static inline bool model_is_late(const struct m_message *message)
{
    return message->qos == 2 || message->is_will;
}

/* A publication was accepted: retained, and due to everybody who subscribed. True when somebody
 * subscribed. */
bool model_publish(struct model *model, const struct m_message *message, unsigned client);
/* A new or changed subscription, and what is retained for it. `is_late`: some of it cannot go out
 * at once, so what may be sent is decided later. */
void model_subscribe(struct model *model, unsigned client, const struct m_sub *sub,
                     uint8_t retain_handling, bool is_late);
bool model_unsubscribe(struct model *model, unsigned client, unsigned filter, int group);
/* The connection ended. */
void model_detach(struct model *model, unsigned client, bool with_will);
/* What was too large for the connection may have been dropped, seen or not. */
void model_loosen_large(struct model *model, unsigned client);
/* The process died and was started anew, while the store had completed everything: connections are
 * lost, stored sessions and what was retained are there. */
void model_crash(struct model *model);
/* The session ends: its will goes out, what was meant for its groups goes to others. */
void model_end(struct model *model, unsigned client);
/* When the next session expires or the next will is due; UINT64_MAX = never. */
uint64_t model_next_event(const struct model *model);
/* Does what is due at now_ms. */
void model_run_timers(struct model *model);
/* Rights changed (so has dynamic security): what was on its way may still come, if it is allowed
 * when it does. */
void model_set_rights(struct model *model, unsigned rights, const bool *is_blocked);

struct m_due *model_due_add(struct m_session *session, const struct m_message *message);
/* Takes out what is done with. */
void model_dues_compact(struct m_session *session);

#endif
