/* See share.h. */
#include "broker/share.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/flow.h"
#include "broker/group.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/record.h"
#include "broker/session.h"
#include "broker/shard.h"

/* So often a message begins its way through the members anew because they changed meanwhile. */
#define RESTARTS_MAX 16u
/* Homes that are told at once that a member comes or goes; the others follow as a job. */
#define QUICK_STEPS 64u

static uint64_t hash_of(struct nj_bytes group, struct nj_bytes filter)
{
    return nj_hash_seeded(filter, nj_hash_bytes(group));
}

static unsigned home_of(const struct nj_core *core, struct nj_bytes group, struct nj_bytes filter)
{
    return (unsigned)(hash_of(group, filter) % core->shard_count);
}

/* ---- at the member's worker */

static struct nj_bytes sub_group(const struct nj_shared_sub *sub)
{
    return nj_bytes(sub->text, sub->group_len);
}

static struct nj_bytes sub_filter(const struct nj_shared_sub *sub)
{
    return nj_bytes(sub->text + sub->group_len, sub->filter_len);
}

static struct nj_shared_sub *find_sub(const struct nj_session *session, struct nj_bytes group,
                                      struct nj_bytes filter)
{
    struct nj_index_node *node =
        session->shared ? nj_index_first(&session->shared->index, hash_of(group, filter)) : NULL;
    for (; node; node = nj_index_next(node)) {
        struct nj_shared_sub *sub = NJ_CONTAINER(node, struct nj_shared_sub, node);
        if (nj_bytes_equal(sub_group(sub), group) && nj_bytes_equal(sub_filter(sub), filter)) {
            return sub;
        }
    }
    return NULL;
}

static struct nj_shared_subs *demand_subs(struct nj_session *session)
{
    struct nj_shared_subs *subs = session->shared;
    if (!subs && (subs = nj_try_zalloc(sizeof(*subs)))) {
        nj_list_init(&subs->job.node);
        subs->end = &subs->first;
        subs->owner = session->id;
        session->shared = subs;
    }
    return subs;
}

/* Behind those that there are. */
static enum nj_err link_sub(struct nj_shared_subs *subs, struct nj_shared_sub *sub)
{
    uint64_t hash = hash_of(sub_group(sub), sub_filter(sub));
    enum nj_err err = nj_index_add(&subs->index, &sub->node, hash);
    if (err != NJ_OK) {
        return err;
    }
    sub->at = subs->end;
    *sub->at = sub;
    subs->end = &sub->next;
    return NJ_OK;
}

static void unlink_sub(struct nj_shared_subs *subs, struct nj_shared_sub *sub)
{
    nj_index_remove(&subs->index, &sub->node);
    if (subs->to_tell == sub) {
        subs->to_tell = sub->next;
    }
    *sub->at = sub->next;
    if (sub->next) {
        sub->next->at = sub->at;
    } else {
        subs->end = sub->at;
    }
}

/* Only a member that joins may be refused for want of memory. */
static enum nj_err tell_home(struct nj_shard *shard, const struct nj_shared_subs *subs,
                             const struct nj_shared_sub *sub, uint16_t kind)
{
    uint32_t len = (uint32_t)sizeof(struct nj_record_member) + sub->group_len + sub->filter_len;
    unsigned home = home_of(shard->core, sub_group(sub), sub_filter(sub));
    struct nj_record_member *record = kind == NJ_RECORD_GROUP_JOIN
                                          ? nj_shard_post(shard, home, kind, len, 1)
                                          : nj_shard_post_surely(shard, home, kind, len);
    if (!record) {
        return NJ_ENOMEM;
    }
    *record = (struct nj_record_member){
        .session = subs->owner,
        .worker = shard->id,
        .group_len = sub->group_len,
        .filter_len = sub->filter_len,
        .is_online = subs->is_online,
        .is_stored = subs->is_stored,
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

static void take_state(struct nj_session *session)
{
    session->shared->is_online = session->link != NULL;
    session->shared->is_stored = session->is_stored;
}

static enum nj_err add_sub(struct nj_session *session, struct nj_bytes group,
                           struct nj_bytes filter, const struct nj_sub_options *options,
                           uint32_t number)
{
    struct nj_shared_subs *subs = demand_subs(session);
    struct nj_shared_sub *sub = subs ? nj_try_zalloc(sizeof(*sub) + group.len + filter.len) : NULL;
    if (!sub) {
        return NJ_ENOMEM;
    }
    take_state(session);
    sub->options = *options;
    sub->number = number;
    sub->group_len = (uint32_t)group.len;
    sub->filter_len = (uint32_t)filter.len;
    memcpy(sub->text, group.ptr, group.len);
    memcpy(sub->text + group.len, filter.ptr, filter.len);
    if (link_sub(subs, sub) != NJ_OK) {
        nj_free(sub);
        return NJ_ENOMEM;
    }
    if (tell_home(session->shard, subs, sub, NJ_RECORD_GROUP_JOIN) != NJ_OK) {
        unlink_sub(subs, sub);
        nj_free(sub);
        return NJ_ENOMEM;
    }
    NJ_STAT_ADD(session->shard, shared_subscriptions, 1);
    return NJ_OK;
}

enum nj_err nj_share_join(struct nj_session *session, struct nj_bytes group, struct nj_bytes filter,
                          const struct nj_sub_options *options, bool *is_new)
{
    struct nj_shared_sub *sub = find_sub(session, group, filter);
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

uint32_t nj_share_number(const struct nj_session *session, struct nj_bytes group,
                         struct nj_bytes filter)
{
    const struct nj_shared_sub *sub = find_sub(session, group, filter);
    return sub ? sub->number : 0;
}

uint32_t nj_share_count(const struct nj_session *session)
{
    return session->shared ? session->shared->index.count : 0;
}

bool nj_share_leave(struct nj_session *session, struct nj_bytes group, struct nj_bytes filter)
{
    struct nj_shared_sub *sub = find_sub(session, group, filter);
    if (!sub) {
        return false;
    }
    unlink_sub(session->shared, sub);
    (void)tell_home(session->shard, session->shared, sub, NJ_RECORD_GROUP_LEAVE);
    NJ_STAT_SUB(session->shard, shared_subscriptions, 1);
    nj_free(sub);
    return true;
}

static struct nj_shared_subs *subs_of(struct nj_job *job)
{
    return NJ_CONTAINER(job, struct nj_shared_subs, job);
}

static bool tell_some(struct nj_job *job, struct nj_shard *shard, uint32_t steps)
{
    struct nj_shared_subs *subs = subs_of(job);
    for (; subs->to_tell && steps; steps--) {
        (void)tell_home(shard, subs, subs->to_tell, NJ_RECORD_GROUP_STATE);
        subs->to_tell = subs->to_tell->next;
    }
    return !subs->to_tell;
}

void nj_share_tell_state(struct nj_session *session)
{
    struct nj_shared_subs *subs = session->shared;
    if (!subs) {
        return;
    }
    take_state(session);
    subs->to_tell = subs->first; /* also when it was being told: what it was is old */
    bool is_done = tell_some(&subs->job, session->shard, QUICK_STEPS);
    if (!is_done && !nj_list_is_linked(&subs->job.node)) {
        subs->job.run = tell_some;
        nj_job_add(&session->shard->turn, &subs->job);
    }
}

/* ---- a session ends */

struct nj_shared_subs *nj_share_take(struct nj_session *session)
{
    struct nj_shared_subs *subs = session->shared;
    session->shared = NULL;
    if (subs) {
        NJ_STAT_SUB(session->shard, shared_subscriptions, subs->index.count);
        nj_list_remove(&subs->job.node);
        nj_index_fini(&subs->index);
    }
    return subs;
}

/* Homes first, then memory. */
static bool leave_some(struct nj_job *job, struct nj_shard *shard, uint32_t steps)
{
    struct nj_shared_subs *subs = subs_of(job);
    if (shard->is_stopping) {
        subs->to_tell = NULL;
    }
    for (; subs->to_tell && steps; steps--) {
        (void)tell_home(shard, subs, subs->to_tell, NJ_RECORD_GROUP_LEAVE);
        subs->to_tell = subs->to_tell->next;
    }
    if (subs->to_tell || subs->is_kept) {
        return !subs->to_tell;
    }
    for (; subs->first && steps; steps--) {
        struct nj_shared_sub *next = subs->first->next;
        nj_free(subs->first);
        subs->first = next;
    }
    if (subs->first) {
        return false;
    }
    nj_share_subs_free(subs);
    return true;
}

static void leave_in_parts(struct nj_shard *shard, struct nj_shared_subs *subs)
{
    if (!leave_some(&subs->job, shard, QUICK_STEPS)) {
        subs->job.run = leave_some;
        nj_job_add(&shard->turn, &subs->job);
    }
}

void nj_share_leave_all(struct nj_shard *shard, struct nj_shared_subs *subs, bool is_kept)
{
    if (subs) {
        subs->is_kept = is_kept;
        subs->to_tell = subs->first;
        leave_in_parts(shard, subs);
    }
}

void nj_share_let_go(struct nj_shard *shard, struct nj_shared_subs *subs)
{
    subs->is_kept = false;
    if (!nj_list_is_linked(&subs->job.node)) {
        leave_in_parts(shard, subs);
    }
}

void nj_share_subs_free(struct nj_shared_subs *subs)
{
    while (subs && subs->first) {
        struct nj_shared_sub *next = subs->first->next;
        nj_free(subs->first);
        subs->first = next;
    }
    if (subs) {
        nj_index_fini(&subs->index);
    }
    nj_free(subs);
}

/* ---- at the home */

static struct nj_bytes record_group(const struct nj_record_member *record)
{
    return nj_bytes(record + 1, record->group_len);
}

static struct nj_bytes record_filter(const struct nj_record_member *record)
{
    return nj_bytes((const uint8_t *)(record + 1) + record->group_len, record->filter_len);
}

static struct nj_group *find_group(const struct nj_shard *shard, struct nj_bytes filter,
                                   struct nj_bytes name)
{
    return nj_group_find(&shard->groups, nj_filters_find(shard->filters, filter), name);
}

static void drop_if_empty(struct nj_shard *shard, struct nj_group *group, int stored_delta)
{
    struct nj_filter *filter = group->filter;
    nj_group_drop_if_empty(&shard->groups, group);
    nj_filters_groups_changed(shard->filters, filter, stored_delta);
}

static void remove_member(struct nj_shard *shard, struct nj_member *member)
{
    struct nj_group *group = member->group;
    int delta = member->is_stored ? -1 : 0;
    nj_group_leave(&shard->groups, member);
    drop_if_empty(shard, group, delta);
}

static enum nj_err join(struct nj_shard *shard, const struct nj_record_member *record)
{
    struct nj_filter *filter = nj_filters_demand(shard->filters, record_filter(record));
    struct nj_group *group =
        filter ? nj_group_demand(&shard->groups, filter, record_group(record)) : NULL;
    if (!group) {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        if (filter) {
            nj_filters_groups_changed(shard->filters, filter, 0);
        }
        return NJ_ENOMEM;
    }
    if (nj_group_member(&shard->groups, group, record->session)) {
        return NJ_OK;
    }
    const struct nj_member member = {
        .session = record->session,
        .worker = record->worker,
        .is_online = record->is_online,
        .is_stored = record->is_stored,
    };
    if (nj_group_join(&shard->groups, group, &member) != NJ_OK) {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        drop_if_empty(shard, group, 0);
        return NJ_ENOMEM;
    }
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

static struct nj_member *find_member(const struct nj_shard *shard,
                                     const struct nj_record_member *record)
{
    const struct nj_group *group = find_group(shard, record_filter(record), record_group(record));
    return nj_group_member(&shard->groups, group, record->session);
}

void nj_share_member_left(struct nj_shard *shard, const struct nj_record_member *record)
{
    struct nj_member *member = find_member(shard, record);
    if (member) {
        remove_member(shard, member);
    }
}

void nj_share_member_state(struct nj_shard *shard, const struct nj_record_member *record)
{
    struct nj_member *member = find_member(shard, record);
    if (!member) {
        return;
    }
    int delta = (int)record->is_stored - (int)member->is_stored;
    nj_group_set_online(member, record->is_online);
    member->is_stored = record->is_stored;
    if (delta) {
        nj_filters_groups_changed(shard->filters, member->group->filter, delta);
    }
}

static struct nj_member *next_of_two_rounds(const struct nj_shard *shard, struct nj_group *group,
                                            uint32_t from, struct nj_record_group_deliver *record)
{
    bool online_first = shard->limits->share_skips_denied;
    struct nj_member *member = NULL;
    if (record->tried > 2 * group->count) {
        return NULL;
    }
    if (!record->is_second_round) {
        member = nj_group_next(&shard->groups, group, from, record->first,
                               online_first ? NJ_WANTED_ONLINE : NJ_WANTED_ANY);
        if (!member && online_first) {
            record->is_second_round = true;
            record->first = 0;
        }
    }
    if (!member && record->is_second_round) {
        member = nj_group_next(&shard->groups, group, from, record->first, NJ_WANTED_AWAY);
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
static struct nj_member *next_member(const struct nj_shard *shard, struct nj_group *group,
                                     uint32_t from, struct nj_record_group_deliver *record)
{
    if (!record->first && !record->is_second_round) {
        record->clock = group->clock; /* the first question */
    }
    struct nj_member *member = next_of_two_rounds(shard, group, from, record);
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
static bool send_to(struct nj_shard *shard, struct nj_group *group, const struct nj_member *member,
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
            .ticket = ticket,
            .ticket_from = shard->id,
            .joint = publication->joint,
            .is_accepted = publication->is_accepted,
        };
        struct nj_member *member =
            next_member(shard, group, group->turn + group->count - 1, &record);
        struct nj_message *message = member ? nj_publication_keep(publication) : NULL;
        if (message && send_to(shard, group, member, record, message)) {
            group->turn = (member->place + 1) % group->count;
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
    struct nj_group *group = find_group(shard, deliver_filter(record), deliver_group(record));
    if (!group || !(record->is_gone || shard->limits->share_skips_denied)) {
        return NJ_ENOENT;
    }
    struct nj_member *refuser = nj_group_member(&shard->groups, group, record->session);
    uint32_t from = group->turn + group->count - 1;
    if (refuser) {
        from = refuser->place;
    }
    if (refuser && record->is_gone) {
        bool was_last = group->count == 1;
        remove_member(shard, refuser);
        if (was_last) {
            return NJ_ENOENT;
        }
        from += group->count - 1; /* the last one moved into its place */
    }
    struct nj_record_group_deliver next = *record;
    next.is_refused = false;
    next.is_gone = false;
    next.tried++;
    struct nj_member *member = next_member(shard, group, from, &next);
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
        session ? find_sub(session, deliver_group(record), deliver_filter(record)) : NULL;
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
        .is_accepted = record->is_accepted,
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
        later->record.is_accepted = true;
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

/* Of a session that has ended: asked for by name no more, so the index is by number from the first
 * question on. */
static const struct nj_shared_sub *sub_by_number(struct nj_shared_subs *subs, uint32_t number)
{
    if (!number || !subs) {
        return NULL;
    }
    struct nj_shared_sub *sub = subs->index.count ? NULL : subs->first;
    while (sub && nj_index_add(&subs->index, &sub->node, sub->number) == NJ_OK) {
        sub = sub->next;
    }
    while (sub && sub->number != number) {
        sub = sub->next; /* no memory for an index */
    }
    struct nj_index_node *node = sub ? &sub->node : nj_index_first(&subs->index, number);
    return node ? NJ_CONTAINER(node, struct nj_shared_sub, node) : NULL;
}

bool nj_share_pass_on(struct nj_shard *shard, const struct nj_share_passed *passed, uint32_t number,
                      struct nj_message *message)
{
    const struct nj_shared_sub *sub = sub_by_number(passed->subs, number);
    if (!sub || !message) {
        return false;
    }
    unsigned home = home_of(shard->core, sub_group(sub), sub_filter(sub));
    uint32_t len =
        (uint32_t)sizeof(struct nj_record_group_deliver) + sub->group_len + sub->filter_len;
    struct nj_record_group_deliver *record =
        nj_shard_post_surely(shard, home, NJ_RECORD_GROUP_DELIVER, len);
    *record = (struct nj_record_group_deliver){
        .message = nj_message_ref(message),
        .session = passed->subs->owner,
        .ticket = passed->ticket,
        .joint = passed->joint,
        .ticket_from = shard->id,
        .home = home,
        .group_len = sub->group_len,
        .filter_len = sub->filter_len,
        .is_refused = true,
        .is_gone = true,
        .is_accepted = true,
    };
    memcpy(record + 1, sub->text, sub->group_len + sub->filter_len);
    return true;
}

static void hand_on(struct nj_shard *shard, const struct nj_share_passed *passed,
                    const struct nj_delivery *delivery, bool without_rows)
{
    if (!without_rows || !delivery->seq) {
        (void)nj_share_pass_on(shard, passed, delivery->share, delivery->message);
    }
}

void nj_share_hand_on(struct nj_session *session, struct nj_shared_subs *subs, bool without_rows)
{
    const struct nj_share_passed passed = {.subs = subs};
    struct nj_flow *flow = session->flow;
    if (!flow || !subs) {
        return;
    }
    for (uint32_t i = 0; flow->flights && i <= flow->flight_mask; i++) {
        if (flow->flights[i].state == NJ_FLIGHT_WAIT_PUBACK) {
            hand_on(session->shard, &passed, &flow->flights[i].delivery, without_rows);
        }
    }
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        hand_on(session->shard, &passed,
                &flow->queue[(flow->queue_head + i) & (flow->queue_cap - 1)], without_rows);
    }
}
