/* A worker's private subscription index, and its cache of match results.
 *
 *   filter tree node ── struct nj_filter ── entries[]   one per subscribed session, densely packed
 *                                        └─ groups      shared subscriptions whose home is here
 *   session ── subs[]   (filter, place in its entries[])  and back, so both ways are O(1)
 *   entry ── past ── past ── …      what it was at moments that are kept, oldest first
 *
 * The order of entries is not kept: removal moves the last one into the gap. Only the worker that
 * owns the index (or acts for it with its baton) touches it. */
#ifndef NJ_BROKER_FILTERS_H
#define NJ_BROKER_FILTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "broker/interest.h"

struct nj_filters;
struct nj_group;
struct nj_session;
struct nj_tree_node;

struct nj_sub_options {
    uint32_t sub_id; /* 0 = none */
    uint8_t qos;
    bool is_no_local;
    bool is_retain_as_published;
    uint32_t retain_clock; /* nj_retain_clock before it was given what is retained; 0 = was not */
};

/* As one number, for the store. */
static inline uint64_t nj_sub_options_value(const struct nj_sub_options *options)
{
    return (uint64_t)options->sub_id << 8 | options->qos | (uint64_t)options->is_no_local << 2 |
           (uint64_t)options->is_retain_as_published << 3;
}

static inline struct nj_sub_options nj_sub_options_of(uint64_t value)
{
    return (struct nj_sub_options){
        .sub_id = (uint32_t)(value >> 8),
        .qos = value & 3,
        .is_no_local = value >> 2 & 1,
        .is_retain_as_published = value >> 3 & 1,
    };
}

/* A moment at which it was decided who gets a message, of whom some get it later (release.h). As
 * long as it is kept, the index knows what every subscription was then. Its keeper embeds it. */
struct nj_moment {
    struct nj_list node;
    uint64_t number; /* grows; 0 = is not kept */
};

/* What a subscription was up to a moment that is kept, before it was made or changed. */
struct nj_sub_past {
    struct nj_list node;      /* of all of them, in the order they were made */
    struct nj_sub_past *next; /* of the same subscription, younger */
    struct nj_filter *filter;
    struct nj_session *session;
    uint64_t until; /* the last moment at which it was so */
    bool was_there;
    struct nj_sub_options options;
};

struct nj_sub_entry {
    struct nj_session *session;
    struct nj_sub_past *past; /* almost always NULL */
    uint32_t back;            /* index in session->subs */
    struct nj_sub_options options;
};

struct nj_filter {
    struct nj_tree_node *node;
    struct nj_sub_entry *entries;
    struct nj_group *groups;
    uint32_t count;
    uint32_t cap;
    uint32_t stored_count; /* entries and group members whose session survives a restart */
};

/* The session's side of a subscription. */
struct nj_sub_ref {
    struct nj_filter *filter;
    uint32_t place; /* in filter->entries */
};

struct nj_filters *nj_filters_new(unsigned worker, struct nj_interest *interest);
void nj_filters_free(struct nj_filters *filters);

/* *is_new tells a new subscription from one whose options were replaced. Nothing has changed when
 * it fails. */
enum nj_err nj_filters_add(struct nj_filters *filters, struct nj_session *session,
                           struct nj_bytes text, const struct nj_sub_options *options, bool *is_new)
    NJ_NODISCARD;
/* Keeps the present moment, until it is let go of. Neither can fail. */
void nj_filters_keep_moment(struct nj_filters *filters, struct nj_moment *moment);
void nj_filters_drop_moment(struct nj_filters *filters, struct nj_moment *moment);
/* The options that the subscription had at a moment that is kept; NULL when it was made after it.
 * Valid as long as the entry. What was unsubscribed since is not in the index any more. */
const struct nj_sub_options *nj_sub_entry_at(const struct nj_sub_entry *entry, uint64_t moment);
/* What was retained up to then is on its way to it; see nj_sub_options. */
void nj_filters_set_retain_clock(struct nj_filters *filters, struct nj_session *session,
                                 struct nj_bytes text, uint32_t clock);
/* False when there was no such subscription. */
bool nj_filters_remove(struct nj_filters *filters, struct nj_session *session,
                       struct nj_bytes text);
void nj_filters_remove_all(struct nj_filters *filters, struct nj_session *session);
/* As many of them as there are steps (turn.h), which it takes. True when none is left. */
bool nj_filters_remove_some(struct nj_filters *filters, struct nj_session *session,
                            uint32_t *steps);
/* The session's place in stores changed: its filters' stored interest follows. */
void nj_filters_set_stored(struct nj_filters *filters, struct nj_session *session, bool is_stored);

/* For shared subscriptions: the filter's record, made if it is not there; and the notice that its
 * groups changed (`stored_delta` of members), which may free it. */
struct nj_filter *nj_filters_demand(struct nj_filters *filters, struct nj_bytes text) NJ_NODISCARD;
struct nj_filter *nj_filters_find(struct nj_filters *filters, struct nj_bytes text);
void nj_filters_groups_changed(struct nj_filters *filters, struct nj_filter *filter,
                               int stored_delta);

struct nj_match {
    struct nj_interest_set interest; /* of all workers, this one included */
    struct nj_filter *const *filters;
    uint32_t count;
};
/* Hot path. The result is valid until the next call that changes or asks this index. */
const struct nj_match *nj_filters_match(struct nj_filters *filters, struct nj_bytes topic);
/* The same for what another worker has sent here, which asked already: without `interest`. */
const struct nj_match *nj_filters_match_own(struct nj_filters *filters, struct nj_bytes topic);

/* The text of a filter, into buf; returns its length (may be more than size: nothing written). */
size_t nj_filter_text(const struct nj_filter *filter, char *buf, size_t size);

int64_t nj_filters_count(const struct nj_filters *filters);

#endif
