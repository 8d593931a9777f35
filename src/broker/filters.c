/* See filters.h. */
#include "broker/filters.h"

#include "base/hash.h"
#include "base/mem.h"
#include "broker/group.h"
#include "broker/session.h"
#include "broker/tree.h"

#define BUCKET_BITS     6
#define CACHE_SLOTS     4096
#define FILTER_TEXT_MAX 65536
#define FORGET_MAX      256 /* pasts at a time */
/* Longer topics are looked up each time, so that a peer cannot fill the cache with megabytes. */
#define CACHED_TOPIC_MAX 512

/* One remembered topic. Each half is valid while it is there and its generation is unchanged. */
struct cached {
    uint64_t hash;
    uint64_t tree_generation;
    uint64_t interest_generation;
    char *topic;
    uint32_t topic_len;
    uint32_t filter_cap;
    bool has_filters;
    bool has_interest;
    struct nj_filter **filters;
    struct nj_match match;
};

struct nj_filters {
    unsigned worker;
    struct nj_interest *interest;
    struct nj_tree *tree;
    int64_t count;
    uint64_t last_moment;
    struct nj_list moments; /* that are kept, in their order */
    struct nj_list pasts;   /* in the order of `until` */
    struct nj_tree_nodes scratch[2];
    struct cached *last;    /* the slot of the topic asked last: publishers repeat themselves */
    struct cached overflow; /* used when the cache cannot take a topic */
    struct cached *cache;   /* CACHE_SLOTS, made at first use */
};

static void filter_free(void *ptr)
{
    struct nj_filter *filter = ptr;
    nj_groups_free(filter->groups); /* none, unless the broker stops */
    nj_free(filter->entries);
    nj_free(filter);
}

struct nj_filters *nj_filters_new(unsigned worker, struct nj_interest *interest)
{
    struct nj_filters *filters = nj_zalloc(sizeof(*filters));
    filters->worker = worker;
    filters->interest = interest;
    filters->tree = nj_tree_new(NULL, BUCKET_BITS);
    nj_list_init(&filters->moments);
    nj_list_init(&filters->pasts);
    filters->cache = nj_zalloc(CACHE_SLOTS * sizeof(*filters->cache));
    return filters;
}

static void cached_fini(struct cached *slot)
{
    nj_free(slot->topic);
    nj_free(slot->filters);
}

static struct nj_sub_past *past_of(struct nj_list *node)
{
    return NJ_CONTAINER(node, struct nj_sub_past, node);
}

static void past_free(struct nj_sub_past *past)
{
    nj_list_remove(&past->node);
    nj_free(past);
}

void nj_filters_free(struct nj_filters *filters)
{
    if (!filters) {
        return;
    }
    while (!nj_list_is_empty(&filters->pasts)) {
        past_free(past_of(filters->pasts.next));
    }
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        cached_fini(&filters->cache[i]);
    }
    cached_fini(&filters->overflow);
    nj_free(filters->cache);
    nj_tree_free(filters->tree, filter_free);
    nj_tree_nodes_fini(&filters->scratch[0]);
    nj_tree_nodes_fini(&filters->scratch[1]);
    nj_free(filters);
}

static struct nj_filter *node_filter(const struct nj_tree_node *node)
{
    return atomic_load_explicit(&node->value, memory_order_relaxed);
}

struct nj_filter *nj_filters_find(struct nj_filters *filters, struct nj_bytes text)
{
    struct nj_tree_node *node = nj_tree_find(filters->tree, text);
    return node ? node_filter(node) : NULL;
}

struct nj_filter *nj_filters_demand(struct nj_filters *filters, struct nj_bytes text)
{
    struct nj_filter *filter = nj_filters_find(filters, text);
    if (filter) {
        return filter;
    }
    filter = nj_try_zalloc(sizeof(*filter));
    struct nj_tree_node *node = filter ? nj_tree_insert(filters->tree, text) : NULL;
    if (!node) {
        nj_free(filter);
        return NULL;
    }
    if (nj_interest_set(filters->interest, filters->worker, text, true, false) != NJ_OK) {
        nj_tree_prune(filters->tree, node);
        nj_free(filter);
        return NULL;
    }
    filter->node = node;
    atomic_store_explicit(&node->value, filter, memory_order_relaxed);
    return filter;
}

size_t nj_filter_text(const struct nj_filter *filter, char *buf, size_t size)
{
    return nj_tree_path(filter->node, buf, size);
}

static void tell_interest(struct nj_filters *filters, const struct nj_filter *filter)
{
    char text[FILTER_TEXT_MAX];
    size_t len = nj_filter_text(filter, text, sizeof(text));
    bool wants_any = filter->count > 0 || filter->groups;
    /* Only taking a bit away or setting one on a node that is there: cannot run out of memory. */
    (void)nj_interest_set(filters->interest, filters->worker, nj_bytes(text, len), wants_any,
                          filter->stored_count > 0);
}

static void stored_add(struct nj_filters *filters, struct nj_filter *filter, int delta)
{
    bool was_stored = filter->stored_count > 0;
    filter->stored_count = (uint32_t)((int64_t)filter->stored_count + delta);
    if (was_stored != (filter->stored_count > 0)) {
        tell_interest(filters, filter);
    }
}

static void drop_if_unused(struct nj_filters *filters, struct nj_filter *filter)
{
    if (filter->count || filter->groups) {
        return;
    }
    struct nj_tree_node *node = filter->node;
    tell_interest(filters, filter);
    atomic_store_explicit(&node->value, NULL, memory_order_relaxed);
    nj_tree_touch(filters->tree);
    nj_tree_prune(filters->tree, node);
    filter_free(filter);
}

void nj_filters_groups_changed(struct nj_filters *filters, struct nj_filter *filter,
                               int stored_delta)
{
    stored_add(filters, filter, stored_delta);
    drop_if_unused(filters, filter);
}

/* The shorter of the two lists is searched. */
static struct nj_sub_entry *entry_of(struct nj_filter *filter, struct nj_session *session)
{
    if (filter->count < session->sub_count) {
        for (uint32_t i = 0; i < filter->count; i++) {
            if (filter->entries[i].session == session) {
                return &filter->entries[i];
            }
        }
        return NULL;
    }
    for (uint32_t i = 0; i < session->sub_count; i++) {
        if (session->subs[i].filter == filter) {
            return &filter->entries[session->subs[i].place];
        }
    }
    return NULL;
}

static enum nj_err reserve(struct nj_filter *filter, struct nj_session *session)
{
    if (filter->count == filter->cap) {
        uint32_t cap = filter->cap ? filter->cap * 2 : 1;
        struct nj_sub_entry *grown = nj_try_realloc(filter->entries, cap * sizeof(*grown));
        if (!grown) {
            return NJ_ENOMEM;
        }
        filter->entries = grown;
        filter->cap = cap;
    }
    if (session->sub_count == session->sub_cap) {
        uint32_t cap = session->sub_cap ? session->sub_cap * 2 : 1;
        struct nj_sub_ref *grown = nj_try_realloc(session->subs, cap * sizeof(*grown));
        if (!grown) {
            return NJ_ENOMEM;
        }
        session->subs = grown;
        session->sub_cap = cap;
    }
    return NJ_OK;
}

/* ---- what subscriptions were */

void nj_filters_keep_moment(struct nj_filters *filters, struct nj_moment *moment)
{
    moment->number = ++filters->last_moment;
    nj_list_push_back(&filters->moments, &moment->node);
}

static uint64_t moment_number(const struct nj_list *node)
{
    return NJ_CONTAINER(node, struct nj_moment, node)->number;
}

/* What no moment asks for any more, the oldest of them first: those of one subscription are in the
 * same order. In parts, so that nobody waits for it. */
static void forget(struct nj_filters *filters)
{
    struct nj_list *moments = &filters->moments;
    uint64_t oldest = nj_list_is_empty(moments) ? UINT64_MAX : moment_number(moments->next);
    for (unsigned i = 0; i < FORGET_MAX && !nj_list_is_empty(&filters->pasts); i++) {
        struct nj_sub_past *past = past_of(filters->pasts.next);
        if (past->until >= oldest) {
            break;
        }
        struct nj_sub_entry *entry = entry_of(past->filter, past->session);
        NJ_ASSERT(entry && entry->past == past);
        entry->past = past->next;
        past_free(past);
    }
}

void nj_filters_drop_moment(struct nj_filters *filters, struct nj_moment *moment)
{
    if (moment->number) {
        nj_list_remove(&moment->node);
        moment->number = 0;
        forget(filters);
    }
}

const struct nj_sub_options *nj_sub_entry_at(const struct nj_sub_entry *entry, uint64_t moment)
{
    for (const struct nj_sub_past *past = entry->past; past; past = past->next) {
        if (past->until >= moment) {
            return past->was_there ? &past->options : NULL;
        }
    }
    return &entry->options;
}

/* The entry is about to change, or was just made (`options` NULL). No moment since the last change:
 * what it is now was never seen. */
static enum nj_err note_past(struct nj_filters *filters, struct nj_filter *filter,
                             struct nj_sub_entry *entry, const struct nj_sub_options *options)
{
    if (NJ_LIKELY(nj_list_is_empty(&filters->moments))) {
        return NJ_OK;
    }
    uint64_t newest = moment_number(filters->moments.prev);
    struct nj_sub_past **at = &entry->past;
    while (*at) {
        if ((*at)->until >= newest) {
            return NJ_OK;
        }
        at = &(*at)->next;
    }
    struct nj_sub_past *past = nj_try_zalloc(sizeof(*past));
    if (!past) {
        return NJ_ENOMEM;
    }
    past->filter = filter;
    past->session = entry->session;
    past->until = newest;
    if (options) {
        past->was_there = true;
        past->options = *options;
    }
    nj_list_push_back(&filters->pasts, &past->node);
    *at = past;
    return NJ_OK;
}

static void forget_entry(struct nj_sub_entry *entry)
{
    while (entry->past) {
        struct nj_sub_past *past = entry->past;
        entry->past = past->next;
        past_free(past);
    }
}

/* ---- subscribing */

enum nj_err nj_filters_add(struct nj_filters *filters, struct nj_session *session,
                           struct nj_bytes text, const struct nj_sub_options *options, bool *is_new)
{
    struct nj_filter *filter = nj_filters_demand(filters, text);
    if (!filter) {
        return NJ_ENOMEM;
    }
    struct nj_sub_entry *entry = entry_of(filter, session);
    if (entry) {
        if (note_past(filters, filter, entry, &entry->options) != NJ_OK) {
            return NJ_ENOMEM;
        }
        /* Live messages that are on their way are its own all the same. */
        uint32_t retain_clock = entry->options.retain_clock;
        entry->options = *options;
        entry->options.retain_clock = retain_clock;
        *is_new = false;
        return NJ_OK;
    }
    struct nj_sub_entry made = {
        .session = session, .back = session->sub_count, .options = *options};
    if (reserve(filter, session) != NJ_OK || note_past(filters, filter, &made, NULL) != NJ_OK) {
        drop_if_unused(filters, filter);
        return NJ_ENOMEM;
    }
    filter->entries[filter->count] = made;
    session->subs[session->sub_count++] =
        (struct nj_sub_ref){.filter = filter, .place = filter->count};
    filter->count++;
    filters->count++;
    if (session->is_stored) {
        stored_add(filters, filter, 1);
    }
    *is_new = true;
    return NJ_OK;
}

static void detach(struct nj_filters *filters, struct nj_session *session, uint32_t sub)
{
    struct nj_filter *filter = session->subs[sub].filter;
    uint32_t place = session->subs[sub].place;

    forget_entry(&filter->entries[place]);
    struct nj_sub_entry *moved = &filter->entries[--filter->count];
    if (place != filter->count) {
        filter->entries[place] = *moved;
        moved->session->subs[moved->back].place = place;
    }
    struct nj_sub_ref *last = &session->subs[--session->sub_count];
    if (sub != session->sub_count) {
        session->subs[sub] = *last;
        last->filter->entries[last->place].back = sub;
    }
    filters->count--;
    if (session->is_stored) {
        stored_add(filters, filter, -1);
    }
    drop_if_unused(filters, filter);
}

bool nj_filters_remove(struct nj_filters *filters, struct nj_session *session, struct nj_bytes text)
{
    struct nj_filter *filter = nj_filters_find(filters, text);
    struct nj_sub_entry *entry = filter ? entry_of(filter, session) : NULL;
    if (!entry) {
        return false;
    }
    detach(filters, session, entry->back);
    return true;
}

void nj_filters_set_retain_clock(struct nj_filters *filters, struct nj_session *session,
                                 struct nj_bytes text, uint32_t clock)
{
    struct nj_filter *filter = nj_filters_find(filters, text);
    struct nj_sub_entry *entry = filter ? entry_of(filter, session) : NULL;
    if (entry) {
        entry->options.retain_clock = clock;
    }
}

void nj_filters_remove_all(struct nj_filters *filters, struct nj_session *session)
{
    uint32_t all = UINT32_MAX;
    (void)nj_filters_remove_some(filters, session, &all);
}

bool nj_filters_remove_some(struct nj_filters *filters, struct nj_session *session, uint32_t *steps)
{
    for (; session->sub_count && *steps; (*steps)--) {
        detach(filters, session, session->sub_count - 1);
    }
    if (session->sub_count) {
        return false;
    }
    nj_free(session->subs);
    session->subs = NULL;
    session->sub_cap = 0;
    return true;
}

void nj_filters_set_stored(struct nj_filters *filters, struct nj_session *session, bool is_stored)
{
    if (session->is_stored == is_stored) {
        return;
    }
    session->is_stored = is_stored;
    for (uint32_t i = 0; i < session->sub_count; i++) {
        stored_add(filters, session->subs[i].filter, is_stored ? 1 : -1);
    }
}

static bool is_topic(const struct cached *slot, struct nj_bytes topic)
{
    return slot->topic && slot->topic_len == topic.len &&
           memcmp(slot->topic, topic.ptr, topic.len) == 0;
}

static bool has_fresh_filters(const struct nj_filters *filters, const struct cached *slot)
{
    return slot->has_filters && slot->tree_generation == nj_tree_generation(filters->tree);
}

static bool has_fresh_interest(const struct nj_filters *filters, const struct cached *slot)
{
    return slot->has_interest &&
           slot->interest_generation == nj_interest_generation(filters->interest);
}

static void fill_interest(struct nj_filters *filters, struct cached *slot, struct nj_bytes topic)
{
    /* Read before matching: a change meanwhile makes the result stale, never wrongly fresh. */
    slot->interest_generation = nj_interest_generation(filters->interest);
    slot->match.interest = nj_interest_match(filters->interest, topic, filters->scratch);
    slot->has_interest = true;
}

/* A result cut short for want of memory is not kept, so it is used for one message only: that one
 * is counted as dropped for those left out by the memory pressure, the next one looks again. */
static void fill_filters(struct nj_filters *filters, struct cached *slot, struct nj_bytes topic)
{
    slot->tree_generation = nj_tree_generation(filters->tree);
    slot->match.count = 0;
    slot->has_filters = nj_tree_match_topic(filters->tree, topic, &filters->scratch[0],
                                            &filters->scratch[1]) == NJ_OK;
    nj_tree_order_matches(&filters->scratch[1]);
    uint32_t found = filters->scratch[1].count;
    if (found > slot->filter_cap) {
        struct nj_filter **grown =
            nj_try_realloc(slot->filters, found * sizeof(struct nj_filter *));
        if (!grown) {
            slot->has_filters = false;
            found = slot->filter_cap;
        } else {
            slot->filters = grown;
            slot->filter_cap = found;
        }
    }
    for (uint32_t i = 0; i < found; i++) {
        slot->filters[slot->match.count++] = node_filter(filters->scratch[1].node[i]);
    }
    slot->match.filters = slot->filters;
}

/* The slot that the topic has, or gets; with neither half when it is new. */
static struct cached *slot_of(struct nj_filters *filters, struct nj_bytes topic)
{
    struct cached *slot = filters->last;
    if (slot && is_topic(slot, topic)) {
        return slot;
    }
    uint64_t hash = nj_hash_bytes(topic);
    slot = &filters->cache[hash % CACHE_SLOTS];
    if (slot->hash == hash && is_topic(slot, topic)) {
        filters->last = slot;
        return slot;
    }
    char *copy = topic.len <= CACHED_TOPIC_MAX ? nj_try_bytes_dup(topic) : NULL;
    if (!copy) {
        slot = &filters->overflow;
    } else {
        nj_free(slot->topic);
        slot->topic = copy;
        slot->topic_len = (uint32_t)topic.len;
        slot->hash = hash;
        filters->last = slot;
    }
    slot->has_filters = false;
    slot->has_interest = false;
    return slot;
}

const struct nj_match *nj_filters_match(struct nj_filters *filters, struct nj_bytes topic)
{
    struct cached *slot = slot_of(filters, topic);
    if (!has_fresh_interest(filters, slot)) {
        fill_interest(filters, slot, topic);
    }
    if (has_fresh_filters(filters, slot)) {
        return &slot->match;
    }
    if (slot->match.interest.any >> filters->worker & 1) {
        fill_filters(filters, slot, topic);
    } else {
        /* Only this worker sets its own bit, so nothing of its own can match either. */
        slot->tree_generation = nj_tree_generation(filters->tree);
        slot->match.count = 0;
        slot->has_filters = true;
    }
    return &slot->match;
}

const struct nj_match *nj_filters_match_own(struct nj_filters *filters, struct nj_bytes topic)
{
    struct cached *slot = slot_of(filters, topic);
    if (!has_fresh_filters(filters, slot)) {
        fill_filters(filters, slot, topic);
    }
    return &slot->match;
}

int64_t nj_filters_count(const struct nj_filters *filters)
{
    return filters->count;
}
