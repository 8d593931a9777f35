/* See share.h. */
#include "broker/share.h"

#include "base/hash.h"
#include "base/mem.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/flow.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/record.h"
#include "broker/session.h"
#include "broker/shard.h"

/* So often a message begins its way through the members anew because they changed meanwhile. */
#define RESTARTS_MAX 16u

struct member {
    uint64_t session;
    uint32_t worker;
    bool is_online;
    bool is_stored;
};

struct nj_group {
    struct nj_group *next; /* of the same filter */
    struct nj_filter *filter;
    struct member *members;
    uint32_t count;
    uint32_t cap;
    uint32_t turn;  /* member to begin with next time */
    uint32_t clock; /* counts members that came, or came online or went away */
    uint32_t name_len;
    char name[];
};

static unsigned home_of(const struct nj_core *core, struct nj_bytes group, struct nj_bytes filter)
{
    return (unsigned)(nj_hash_seeded(filter, nj_hash_bytes(group)) % core->shard_count);
}

/* ---- at the member's worker */

static struct nj_shared_sub **find_sub(struct nj_session *session, struct nj_bytes group,
                                       struct nj_bytes filter)
{
    struct nj_shared_sub **at = &session->shared;
    while (*at &&
           !(nj_bytes_equal(nj_bytes((*at)->text, (*at)->group_len), group) &&
             nj_bytes_equal(nj_bytes((*at)->text + (*at)->group_len, (*at)->filter_len), filter))) {
        at = &(*at)->next;
    }
    return at;
}

/* Only a member that joins may be refused for want of memory. */
static enum nj_err tell_home(struct nj_session *session, const struct nj_shared_sub *sub,
                             uint16_t kind)
{
    struct nj_shard *shard = session->shard;
    struct nj_bytes group = nj_bytes(sub->text, sub->group_len);
    struct nj_bytes filter = nj_bytes(sub->text + sub->group_len, sub->filter_len);
    uint32_t len = (uint32_t)sizeof(struct nj_record_member) + sub->group_len + sub->filter_len;
    unsigned home = home_of(shard->core, group, filter);
    struct nj_record_member *record = kind == NJ_RECORD_GROUP_JOIN
                                          ? nj_shard_post(shard, home, kind, len, 1)
                                          : nj_shard_post_surely(shard, home, kind, len);
    if (!record) {
        return NJ_ENOMEM;
    }
    *record = (struct nj_record_member){
        .session = session->id,
        .worker = shard->id,
        .group_len = sub->group_len,
        .filter_len = sub->filter_len,
        .is_online = session->link != NULL,
        .is_stored = session->is_stored,
    };
    memcpy(record + 1, sub->text, sub->group_len + sub->filter_len);
    if (kind == NJ_RECORD_GROUP_JOIN) {
        /* SUBACK follows the home's answer: what is published after it reaches the group. */
        if (!shard->join_count++) {
            shard->join_ticket = ++shard->next_ticket;
        }
        record->ticket = shard->join_ticket;
    }
    return NJ_OK;
}

static enum nj_err add_sub(struct nj_session *session, struct nj_bytes group,
                           struct nj_bytes filter, const struct nj_sub_options *options,
                           uint32_t number)
{
    struct nj_shared_sub *sub = nj_try_zalloc(sizeof(*sub) + group.len + filter.len);
    if (!sub) {
        return NJ_ENOMEM;
    }
    sub->options = *options;
    sub->number = number;
    sub->group_len = (uint32_t)group.len;
    sub->filter_len = (uint32_t)filter.len;
    memcpy(sub->text, group.ptr, group.len);
    memcpy(sub->text + group.len, filter.ptr, filter.len);
    if (tell_home(session, sub, NJ_RECORD_GROUP_JOIN) != NJ_OK) {
        nj_free(sub);
        return NJ_ENOMEM;
    }
    *find_sub(session, group, filter) = sub;
    session->shared_count++;
    NJ_STAT_ADD(session->shard, shared_subscriptions, 1);
    return NJ_OK;
}

enum nj_err nj_share_join(struct nj_session *session, struct nj_bytes group, struct nj_bytes filter,
                          const struct nj_sub_options *options, bool *is_new)
{
    struct nj_shared_sub *sub = *find_sub(session, group, filter);
    *is_new = !sub;
    if (sub) {
        sub->options = *options;
        return NJ_OK;
    }
    return add_sub(session, group, filter, options, ++session->last_share);
}

enum nj_err nj_share_restore(struct nj_session *session, struct nj_bytes group,
                             struct nj_bytes filter, const struct nj_sub_options *options,
                             uint32_t number)
{
    enum nj_err err = add_sub(session, group, filter, options, number);
    session->shard->join_ticket = 0; /* nobody waits for the homes' answers */
    session->shard->join_count = 0;
    return err;
}

uint32_t nj_share_number(struct nj_session *session, struct nj_bytes group, struct nj_bytes filter)
{
    const struct nj_shared_sub *sub = *find_sub(session, group, filter);
    return sub ? sub->number : 0;
}

static void leave(struct nj_session *session, const struct nj_shared_sub *sub)
{
    (void)tell_home(session, sub, NJ_RECORD_GROUP_LEAVE);
    session->shared_count--;
    NJ_STAT_SUB(session->shard, shared_subscriptions, 1);
}

bool nj_share_leave(struct nj_session *session, struct nj_bytes group, struct nj_bytes filter)
{
    struct nj_shared_sub **at = find_sub(session, group, filter);
    if (!*at) {
        return false;
    }
    struct nj_shared_sub *sub = *at;
    *at = sub->next;
    leave(session, sub);
    nj_free(sub);
    return true;
}

struct nj_shared_sub *nj_share_leave_all(struct nj_session *session)
{
    struct nj_shared_sub *subs = session->shared;
    for (const struct nj_shared_sub *sub = subs; sub; sub = sub->next) {
        leave(session, sub);
    }
    session->shared = NULL;
    return subs;
}

void nj_share_subs_free(struct nj_shared_sub *subs)
{
    while (subs) {
        struct nj_shared_sub *next = subs->next;
        nj_free(subs);
        subs = next;
    }
}

void nj_share_tell_state(struct nj_session *session)
{
    for (struct nj_shared_sub *sub = session->shared; sub; sub = sub->next) {
        (void)tell_home(session, sub, NJ_RECORD_GROUP_STATE);
    }
}

/* ---- at the home */

static struct nj_group *find_group(struct nj_filter *filter, struct nj_bytes name)
{
    struct nj_group *group = filter ? filter->groups : NULL;
    while (group && !nj_bytes_equal(nj_bytes(group->name, group->name_len), name)) {
        group = group->next;
    }
    return group;
}

static struct member *find_member(struct nj_group *group, uint64_t session)
{
    for (uint32_t i = 0; group && i < group->count; i++) {
        if (group->members[i].session == session) {
            return &group->members[i];
        }
    }
    return NULL;
}

static struct nj_bytes record_group(const struct nj_record_member *record)
{
    return nj_bytes(record + 1, record->group_len);
}

static struct nj_bytes record_filter(const struct nj_record_member *record)
{
    return nj_bytes((const uint8_t *)(record + 1) + record->group_len, record->filter_len);
}

static struct nj_group *demand_group(struct nj_filter *filter, struct nj_bytes name)
{
    struct nj_group *group = find_group(filter, name);
    if (group) {
        return group;
    }
    group = nj_try_zalloc(sizeof(*group) + name.len);
    if (group) {
        group->filter = filter;
        group->name_len = (uint32_t)name.len;
        memcpy(group->name, name.ptr, name.len);
        group->next = filter->groups;
        filter->groups = group;
    }
    return group;
}

void nj_share_groups_free(struct nj_group *groups)
{
    while (groups) {
        struct nj_group *next = groups->next;
        nj_free(groups->members);
        nj_free(groups);
        groups = next;
    }
}

static void drop_if_empty(struct nj_shard *shard, struct nj_group *group, int stored_delta)
{
    struct nj_filter *filter = group->filter;
    if (group->count == 0) {
        struct nj_group **at = &filter->groups;
        while (*at != group) {
            at = &(*at)->next;
        }
        *at = group->next;
        nj_free(group->members);
        nj_free(group);
    }
    nj_filters_groups_changed(shard->filters, filter, stored_delta);
}

static void remove_member(struct nj_shard *shard, struct nj_group *group, struct member *member)
{
    int delta = member->is_stored ? -1 : 0;
    *member = group->members[--group->count];
    drop_if_empty(shard, group, delta);
}

static enum nj_err join(struct nj_shard *shard, const struct nj_record_member *record)
{
    struct nj_filter *filter = nj_filters_demand(shard->filters, record_filter(record));
    struct nj_group *group = filter ? demand_group(filter, record_group(record)) : NULL;
    if (!group) {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        if (filter) {
            nj_filters_groups_changed(shard->filters, filter, 0);
        }
        return NJ_ENOMEM;
    }
    if (find_member(group, record->session)) {
        return NJ_OK;
    }
    if (group->count == group->cap) {
        uint32_t cap = group->cap ? group->cap * 2 : 4;
        struct member *grown = nj_try_realloc(group->members, cap * sizeof(*grown));
        if (!grown) {
            NJ_STAT_ADD(shard, dropped_memory, 1);
            drop_if_empty(shard, group, 0);
            return NJ_ENOMEM;
        }
        group->members = grown;
        group->cap = cap;
    }
    group->clock++;
    group->members[group->count++] = (struct member){
        .session = record->session,
        .worker = record->worker,
        .is_online = record->is_online,
        .is_stored = record->is_stored,
    };
    nj_filters_groups_changed(shard->filters, filter, record->is_stored ? 1 : 0);
    return NJ_OK;
}

void nj_share_member_joined(struct nj_shard *shard, const struct nj_record_member *record)
{
    enum nj_err err = join(shard, record);
    if (record->ticket) {
        nj_shard_ticket_reply(shard, record->worker, record->ticket, (struct nj_wait){0}, err);
    }
}

void nj_share_member_left(struct nj_shard *shard, const struct nj_record_member *record)
{
    struct nj_group *group =
        find_group(nj_filters_find(shard->filters, record_filter(record)), record_group(record));
    struct member *member = find_member(group, record->session);
    if (!member) {
        return;
    }
    remove_member(shard, group, member);
}

void nj_share_member_state(struct nj_shard *shard, const struct nj_record_member *record)
{
    struct nj_group *group =
        find_group(nj_filters_find(shard->filters, record_filter(record)), record_group(record));
    struct member *member = find_member(group, record->session);
    if (!member) {
        return;
    }
    int delta = (int)record->is_stored - (int)member->is_stored;
    group->clock += member->is_online != record->is_online;
    member->is_online = record->is_online;
    member->is_stored = record->is_stored;
    if (delta) {
        nj_filters_groups_changed(shard->filters, group->filter, delta);
    }
}

enum wanted {
    WANTED_ONLINE,
    WANTED_AWAY,
    WANTED_ANY,
};

/* The first member behind place `from` that is wanted; NULL when member `stop` is reached, or all
 * were looked at. */
static struct member *next_in_round(struct nj_group *group, uint32_t from, uint64_t stop,
                                    enum wanted wanted)
{
    for (uint32_t i = 1; i <= group->count; i++) {
        struct member *member = &group->members[(from + i) % group->count];
        if (member->session == stop) {
            return NULL;
        }
        if (wanted == WANTED_ANY || member->is_online == (wanted == WANTED_ONLINE)) {
            return member;
        }
    }
    return NULL;
}

static struct member *next_of_two_rounds(const struct nj_shard *shard, struct nj_group *group,
                                         uint32_t from, struct nj_record_group_deliver *record)
{
    bool online_first = shard->limits->share_skips_denied;
    struct member *member = NULL;
    if (record->tried > 2 * group->count) {
        return NULL;
    }
    if (!record->is_second_round) {
        member =
            next_in_round(group, from, record->first, online_first ? WANTED_ONLINE : WANTED_ANY);
        if (!member && online_first) {
            record->is_second_round = true;
            record->first = 0;
        }
    }
    if (!member && record->is_second_round) {
        member = next_in_round(group, from, record->first, WANTED_AWAY);
    }
    if (member && !record->first) {
        record->first = member->session;
    }
    return member;
}

/* The member to be asked after the one at `from`: everybody online in turn, then those away;
 * compat: blindly in turn. Members come and go between two questions, so a round may ask one twice;
 * `tried` bounds it. It may also leave one out that came, or changed places between the rounds:
 * before nobody gets the message all are asked again. */
static struct member *next_member(const struct nj_shard *shard, struct nj_group *group,
                                  uint32_t from, struct nj_record_group_deliver *record)
{
    if (!record->first && !record->is_second_round) {
        record->clock = group->clock; /* the first question */
    }
    struct member *member = next_of_two_rounds(shard, group, from, record);
    while (!member && record->clock != group->clock && record->restarts < RESTARTS_MAX) {
        record->clock = group->clock;
        record->restarts++;
        record->is_second_round = false;
        record->first = 0;
        record->tried = 0;
        member = next_of_two_rounds(shard, group, from, record);
    }
    return member;
}

/* Sends the message to the member's worker; on this worker that is a record, too, so that the
 * order among members does not depend on where they live. */
static bool send_to(struct nj_shard *shard, struct nj_group *group, const struct member *member,
                    struct nj_record_group_deliver record, struct nj_message *message)
{
    char filter[65536];
    size_t filter_len = nj_filter_text(group->filter, filter, sizeof(filter));
    uint32_t len = (uint32_t)(sizeof(record) + group->name_len + filter_len);
    struct nj_record_group_deliver *out =
        nj_shard_post(shard, member->worker, NJ_RECORD_GROUP_DELIVER, len, 1);
    if (!out) {
        return false;
    }
    record.message = nj_message_ref(message);
    record.session = member->session;
    record.home = shard->id;
    record.group_len = group->name_len;
    record.filter_len = (uint32_t)filter_len;
    *out = record;
    memcpy(out + 1, group->name, group->name_len);
    memcpy((char *)(out + 1) + group->name_len, filter, filter_len);
    return true;
}

uint32_t nj_share_route(struct nj_shard *shard, struct nj_filter *filter,
                        struct nj_publication *publication, uint64_t ticket)
{
    uint32_t sent = 0;
    for (struct nj_group *group = filter->groups; group; group = group->next) {
        struct nj_record_group_deliver record = {
            .ticket = ticket, .ticket_from = shard->id, .joint = publication->joint};
        struct member *member = next_member(shard, group, group->turn + group->count - 1, &record);
        struct nj_message *message = member ? nj_publication_keep(publication) : NULL;
        if (message && send_to(shard, group, member, record, message)) {
            group->turn = (uint32_t)(member - group->members + 1) % group->count;
            sent++;
        } else if (member) {
            shard->is_group_broken = true; /* the publisher learns of it */
            NJ_STAT_ADD(shard, dropped_memory, 1);
            NJ_STAT_ADD(shard, publish_dropped, 1);
        }
    }
    return ticket ? sent : 0;
}

/* ---- both */

static struct nj_bytes deliver_group(const struct nj_record_group_deliver *record)
{
    return nj_bytes(record + 1, record->group_len);
}

static struct nj_bytes deliver_filter(const struct nj_record_group_deliver *record)
{
    return nj_bytes((const uint8_t *)(record + 1) + record->group_len, record->filter_len);
}

/* At the home: the member refused; the next one is asked, until all were: NJ_ENOENT. In compat mode
 * a member that may not have it keeps the turn all the same; one that is gone never does. */
static enum nj_err try_next(struct nj_shard *shard, const struct nj_record_group_deliver *record)
{
    struct nj_group *group =
        find_group(nj_filters_find(shard->filters, deliver_filter(record)), deliver_group(record));
    if (!group || !(record->is_gone || shard->limits->share_skips_denied)) {
        return NJ_ENOENT;
    }
    struct member *refuser = find_member(group, record->session);
    uint32_t from = group->turn + group->count - 1;
    if (refuser) {
        from = (uint32_t)(refuser - group->members);
    }
    if (refuser && record->is_gone) {
        bool was_last = group->count == 1;
        remove_member(shard, group, refuser);
        if (was_last) {
            return NJ_ENOENT;
        }
        from += group->count - 1; /* the last one moved into its place */
    }
    struct nj_record_group_deliver next = *record;
    next.is_refused = false;
    next.is_gone = false;
    next.tried++;
    struct member *member = next_member(shard, group, from, &next);
    if (!member) {
        return NJ_ENOENT;
    }
    if (!send_to(shard, group, member, next, record->message)) {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        return NJ_ENOMEM;
    }
    return NJ_OK;
}

static void refused(struct nj_shard *shard, const struct nj_record_group_deliver *record)
{
    enum nj_err err = try_next(shard, record);
    if (err != NJ_OK) {
        NJ_STAT_ADD(shard, publish_dropped, 1);
        if (record->ticket) {
            /* That nobody may have it is no error; who waits learns of want of memory. */
            nj_shard_ticket_reply(shard, record->ticket_from, record->ticket, (struct nj_wait){0},
                                  err == NJ_ENOENT ? NJ_OK : err);
        }
    }
    nj_message_unref(record->message);
}

enum given {
    GIVEN_TAKEN,
    GIVEN_LATER, /* when what has rows is durable */
    GIVEN_DENIED,
    GIVEN_GONE,
};

static enum given give(struct nj_session *session, const struct nj_record_group_deliver *record)
{
    struct nj_shared_sub *sub =
        session ? *find_sub(session, deliver_group(record), deliver_filter(record)) : NULL;
    if (!sub) {
        return GIVEN_GONE;
    }
    uint64_t expires_ms = record->message->expires_ms;
    if (expires_ms && expires_ms <= session->shard->now_ms) {
        /* It was handed on late. */
        NJ_STAT_ADD(session->shard, dropped_expired, 1);
        NJ_STAT_ADD(session->shard, publish_dropped, 1);
        return GIVEN_TAKEN;
    }
    struct nj_publication publication = {
        .view = nj_message_view(record->message),
        .kept = nj_message_ref(record->message),
        .share = sub->number,
        .phase = record->joint ? NJ_PHASE_ROWS : NJ_PHASE_ALL,
    };
    bool is_taken = nj_deliver(session, &publication, &sub->options);
    nj_publication_fini(&publication);
    return !is_taken ? GIVEN_DENIED : publication.is_deferred ? GIVEN_LATER : GIVEN_TAKEN;
}

/* ---- a part of a joint group (release.h) */

struct later {
    struct nj_after after; /* first */
    struct nj_record_group_deliver record;
};

static void run_later(struct nj_shard *shard, struct nj_after *after, enum nj_err err)
{
    struct later *later = (struct later *)after;
    if (err == NJ_OK) {
        nj_share_record_deliver(shard, &later->record); /* its reference goes along */
    } else {
        nj_message_unref(later->record.message);
    }
    nj_free(later);
}

/* What the member is to get when the group is durable: the record again, as a plain one. */
static struct later *later_new(const struct nj_record_group_deliver *record)
{
    size_t texts = record->group_len + record->filter_len;
    struct later *later = nj_try_zalloc(sizeof(*later) + texts);
    if (later) {
        memcpy(&later->record, record, sizeof(*record) + texts);
        later->record.joint = 0;
        later->record.ticket = 0;
        later->after.run = run_later;
    }
    return later;
}

/* Takes the record's reference over. */
static void take_part(struct nj_shard *shard, const struct nj_record_group_deliver *record,
                      bool is_later)
{
    enum nj_err err;
    struct later *later = is_later ? later_new(record) : NULL;
    struct nj_store_joint joint = {.id = record->joint, .is_aborted = is_later && !later};
    uint64_t group = nj_shard_commit_joint(shard, &joint, &err);
    if (later && group) {
        nj_shard_after(shard, &later->after, group);
    } else {
        nj_free(later);
        nj_message_unref(record->message);
    }
    nj_shard_ticket_reply(shard, record->ticket_from, record->ticket,
                          (struct nj_wait){.parts = group ? 1 : 0}, err);
}

void nj_share_record_deliver(struct nj_shard *shard, const struct nj_record_group_deliver *record)
{
    if (record->is_refused) {
        refused(shard, record);
        return;
    }
    enum given given = give(nj_session_by_id(shard, record->session), record);
    if (given == GIVEN_DENIED || given == GIVEN_GONE) {
        uint32_t len = (uint32_t)sizeof(*record) + record->group_len + record->filter_len;
        struct nj_record_group_deliver *back =
            nj_shard_post_surely(shard, record->home, NJ_RECORD_GROUP_DELIVER, len);
        memcpy(back, record, len); /* its reference goes along */
        back->is_refused = true;
        back->is_gone = given == GIVEN_GONE;
        return;
    }
    if (record->joint) {
        take_part(shard, record, given == GIVEN_LATER);
        return;
    }
    enum nj_err err;
    uint64_t group = nj_shard_commit(shard, &err);
    nj_message_unref(record->message); /* the group refers to it until then */
    if (record->ticket) {
        nj_shard_ticket_reply(shard, record->ticket_from, record->ticket,
                              (struct nj_wait){.group = group}, err);
    }
}

/* ---- a session ends with messages that nobody got */

bool nj_share_pass_on(struct nj_shard *shard, const struct nj_share_passed *passed, uint32_t number,
                      struct nj_message *message)
{
    const struct nj_shared_sub *sub = passed->subs;
    while (sub && (!number || sub->number != number)) {
        sub = sub->next;
    }
    if (!sub || !message) {
        return false;
    }
    unsigned home = home_of(shard->core, nj_bytes(sub->text, sub->group_len),
                            nj_bytes(sub->text + sub->group_len, sub->filter_len));
    uint32_t len =
        (uint32_t)sizeof(struct nj_record_group_deliver) + sub->group_len + sub->filter_len;
    struct nj_record_group_deliver *record =
        nj_shard_post_surely(shard, home, NJ_RECORD_GROUP_DELIVER, len);
    *record = (struct nj_record_group_deliver){
        .message = nj_message_ref(message),
        .session = passed->session,
        .ticket = passed->ticket,
        .joint = passed->joint,
        .ticket_from = shard->id,
        .home = home,
        .group_len = sub->group_len,
        .filter_len = sub->filter_len,
        .is_refused = true,
        .is_gone = true,
    };
    memcpy(record + 1, sub->text, sub->group_len + sub->filter_len);
    return true;
}

static void hand_on(struct nj_session *session, const struct nj_delivery *delivery,
                    bool without_rows)
{
    const struct nj_share_passed passed = {.session = session->id, .subs = session->shared};
    if (!without_rows || !delivery->seq) {
        (void)nj_share_pass_on(session->shard, &passed, delivery->share, delivery->message);
    }
}

void nj_share_hand_on(struct nj_session *session, bool without_rows)
{
    struct nj_flow *flow = session->flow;
    if (!flow || !session->shared) {
        return;
    }
    for (uint32_t i = 0; flow->flights && i <= flow->flight_mask; i++) {
        if (flow->flights[i].state == NJ_FLIGHT_WAIT_PUBACK) {
            hand_on(session, &flow->flights[i].delivery, without_rows);
        }
    }
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        hand_on(session, &flow->queue[(flow->queue_head + i) & (flow->queue_cap - 1)],
                without_rows);
    }
}
