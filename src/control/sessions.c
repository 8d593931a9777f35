/* See sessions.h: collecting sessions from all workers, and asking for one. */
#include "control/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "control/control_priv.h"
#include "control/walk.h"
#include "front/front.h"

/* ---- the smallest so many by client id: a heap with the largest of them on top */

struct entry {
    char *key;
    json_t *row;
};

struct smallest {
    struct entry *entries;
    size_t count;
    size_t max;
};

static void swap(struct entry *a, struct entry *b)
{
    struct entry t = *a;
    *a = *b;
    *b = t;
}

static void sift_down(struct smallest *heap)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count) {
            return;
        }
        if (child + 1 < heap->count &&
            strcmp(heap->entries[child].key, heap->entries[child + 1].key) < 0) {
            child++;
        }
        if (strcmp(heap->entries[at].key, heap->entries[child].key) >= 0) {
            return;
        }
        swap(&heap->entries[at], &heap->entries[child]);
        at = child;
    }
}

static void sift_up(struct smallest *heap)
{
    size_t at = heap->count - 1;
    while (at && strcmp(heap->entries[(at - 1) / 2].key, heap->entries[at].key) < 0) {
        swap(&heap->entries[(at - 1) / 2], &heap->entries[at]);
        at = (at - 1) / 2;
    }
}

static bool has_room(struct smallest *heap)
{
    if (heap->count < heap->max && (heap->count & (heap->count - 1)) == 0) {
        size_t cap = heap->count ? heap->count * 2 : 1;
        struct entry *grown = nj_try_realloc(heap->entries, cap * sizeof(*grown));
        if (!grown) {
            return false;
        }
        heap->entries = grown;
    }
    return true;
}

/* ---- collecting, on each worker */

struct job {
    struct nj_control_call *call;
    struct nj_session_query query;
};

struct found {
    struct nj_walk walk;
    const struct job *job;
    struct smallest smallest;
    uint64_t total;
    bool is_broken; /* memory was short */
};

static bool matches(const struct nj_session_query *query, const struct nj_session *session)
{
    if (query->online_only && !session->link) {
        return false;
    }
    struct nj_bytes user = session->subject.user;
    return !query->user || (user.ptr && nj_bytes_equal(user, nj_bytes_of(query->user)));
}

static void visit(void *arg, struct nj_session *session)
{
    struct found *found = arg;
    const struct nj_session_query *query = &found->job->query;
    struct smallest *heap = &found->smallest;
    if (found->is_broken || !matches(query, session)) {
        return;
    }
    found->total++;
    char *key = nj_try_bytes_dup(nj_session_client_id(session));
    bool is_full = heap->count == heap->max;
    if (key && ((query->after && strcmp(key, query->after) <= 0) ||
                (is_full && strcmp(key, heap->entries[0].key) >= 0))) {
        nj_free(key);
        return;
    }
    json_t *row = key && has_room(heap) ? query->describe(session) : NULL;
    if (!row) {
        nj_free(key);
        found->is_broken = true;
        return;
    }
    if (is_full) {
        nj_free(heap->entries[0].key);
        json_decref(heap->entries[0].row);
        heap->entries[0] = (struct entry){key, row};
        sift_down(heap);
    } else {
        heap->entries[heap->count++] = (struct entry){key, row};
        sift_up(heap);
    }
}

static bool collect(struct nj_shard *shard, void *arg, void *slot)
{
    struct found *found = slot;
    const struct job *job = arg;
    if (!found->job) {
        found->job = job;
        /* One more than asked for tells whether there are more. */
        found->smallest.max = (size_t)(job->query.offset + job->query.count) + 1;
    }
    return nj_walk_sessions(&found->walk, shard, visit, found);
}

/* ---- putting together, on the control thread */

static int by_key(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    return strcmp(left->key, right->key);
}

static json_t *slice(const struct job *job, const struct entry *all, size_t count, uint64_t total)
{
    const struct nj_session_query *query = &job->query;
    size_t from = (size_t)query->offset < count ? (size_t)query->offset : count;
    size_t to = count - from < (size_t)query->count ? count : from + (size_t)query->count;
    json_t *rows = json_array();
    for (size_t i = from; i < to; i++) {
        (void)json_array_append(rows, all[i].row);
    }
    json_t *data = json_object();
    (void)json_object_set_new(data, "totalCount", json_integer((json_int_t)total));
    (void)json_object_set_new(data, query->key, rows);
    if (query->tells_next && to < count && to > from) {
        (void)json_object_set_new(data, "after", json_string(all[to - 1].key));
    }
    return data;
}

static json_t *merge(const struct job *job, struct found *found, unsigned workers)
{
    size_t count = 0;
    uint64_t total = 0;
    for (unsigned i = 0; i < workers; i++) {
        count += found[i].smallest.count;
        total += found[i].total;
        if (found[i].is_broken) {
            return NULL;
        }
    }
    struct entry *all = nj_try_alloc(count * sizeof(*all) + 1);
    if (!all) {
        return NULL;
    }
    size_t at = 0;
    for (unsigned i = 0; i < workers; i++) {
        for (size_t j = 0; j < found[i].smallest.count; j++) {
            all[at++] = found[i].smallest.entries[j];
        }
    }
    qsort(all, count, sizeof(*all), by_key);
    json_t *data = slice(job, all, count, total);
    nj_free(all);
    return data;
}

static void collected(void *arg, void *slots, unsigned workers, enum nj_err saved)
{
    struct job *job = arg;
    struct found *found = slots;
    (void)saved;
    if (workers) {
        json_t *data = merge(job, found, workers);
        if (data) {
            nj_control_call_done(job->call, data);
        } else {
            nj_control_call_fail(job->call, NJ_REFUSED_INTERNAL, "Out of memory");
        }
    }
    for (unsigned i = 0; i < workers; i++) {
        for (size_t j = 0; j < found[i].smallest.count; j++) {
            nj_free(found[i].smallest.entries[j].key);
            json_decref(found[i].smallest.entries[j].row);
        }
        nj_free(found[i].smallest.entries);
    }
    nj_free(job);
}

void nj_control_list_sessions(struct nj_control_call *call, const struct nj_session_query *query)
{
    struct job *job = nj_alloc(sizeof(*job));
    *job = (struct job){.call = call, .query = *query};
    nj_control_gather(nj_control_call_plane(call), NJ_CONTROL_EVERY_WORKER, collect, collected, job,
                      sizeof(struct found));
}

/* ---- one session */

struct one {
    struct nj_control_call *call;
    nj_control_session_fn fn;
    const char *not_found;
    char *client_id;
    json_t *data;
    const char *error;
    bool is_found;
};

static bool ask_one(struct nj_shard *shard, void *arg, void *slot)
{
    struct one *one = arg;
    struct nj_session *session = nj_session_find(shard, nj_bytes_of(one->client_id));
    (void)slot;
    if (session) {
        one->is_found = true;
        one->data = one->fn(session, one->call, &one->error);
    }
    return true;
}

static void asked_one(void *arg, void *slots, unsigned workers, enum nj_err saved)
{
    struct one *one = arg;
    (void)slots;
    if (!workers) {
        json_decref(one->data);
    } else if (!one->is_found) {
        nj_control_call_fail(one->call, NJ_REFUSED_NOT_FOUND, one->not_found);
    } else if (one->error) {
        nj_control_call_fail(one->call, NJ_REFUSED_FORBIDDEN, one->error);
    } else if (saved != NJ_OK) {
        json_decref(one->data);
        nj_control_call_failf(one->call, NJ_REFUSED_STORAGE, "Not saved: %s", nj_err_text(saved));
    } else {
        nj_control_call_done(one->call, one->data);
    }
    nj_free(one->client_id);
    nj_free(one);
}

void nj_control_with_session(struct nj_control_call *call, const char *client_id,
                             const char *not_found, nj_control_session_fn fn)
{
    struct nj_control_plane *plane = nj_control_call_plane(call);
    struct one *one = nj_alloc(sizeof(*one));
    *one = (struct one){
        .call = call,
        .fn = fn,
        .not_found = not_found,
        .client_id = nj_strdup(client_id),
    };
    unsigned home = nj_core_home(&plane->front->core, nj_bytes_of(client_id));
    nj_control_gather(plane, home, ask_one, asked_one, one, 0);
}
