/* Passwords of requests, hashed before the request begins and off the control thread.
 *
 *   door ─► request ─► has passwords? ─ no ─────────────────────────────► its turn
 *                         └ yes ─► waiting [a b c] ─ one hash of each in turn ─► done ─► its turn
 *
 * Hashing thousands of passwords takes minutes; meanwhile the control thread serves others. One
 * hash at a time and the requests by turns, so that a short one does not wait for a long one. The
 * session's own later requests are held at the door: they never overtake. Nothing of a request
 * happens before all of its hashes are there, so batches stay whole.
 *
 * Bounded: one waiting request for each session, REQUESTS_MAX and BYTES_MAX for all. */
#include <pthread.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/thread.h"
#include "control/control_priv.h"
#include "front/door.h"
#include "front/front.h"

#define REQUESTS_MAX 64u
#define BYTES_MAX    ((size_t)8 * 1024 * 1024) /* of payloads; JSON in memory is larger */

struct nj_control_hashing {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more;
    struct nj_list waiting; /* the thread owns their hashes */
    struct nj_list done;
    bool is_stopping;
    /* not under the lock */
    struct nj_door *door;
    struct nj_thread thread;
    unsigned count; /* waiting or done; the control thread's */
    size_t bytes;   /* of their payloads */
};

static void hash_next(struct nj_control_request *request)
{
    char text[NJ_HASH_TEXT_MAX];
    struct nj_control_hash *hash = &request->hashes[request->hash_next++];
    if (nj_password_hash(hash->password, &request->hash_cost, text) == NJ_OK) {
        hash->text = nj_try_bytes_dup(nj_bytes_of(text));
    }
    nj_wipe(text, sizeof(text));
}

static void *run(void *arg)
{
    struct nj_control_hashing *hashing = arg;
    nj_thread_give_way();
    (void)pthread_mutex_lock(&hashing->lock);
    while (!hashing->is_stopping) {
        struct nj_list *node = nj_list_pop_front(&hashing->waiting);
        if (!node) {
            (void)pthread_cond_wait(&hashing->more, &hashing->lock);
            continue;
        }
        struct nj_control_request *request = NJ_CONTAINER(node, struct nj_control_request, node);
        (void)pthread_mutex_unlock(&hashing->lock);
        hash_next(request);
        (void)pthread_mutex_lock(&hashing->lock);
        bool is_done = request->hash_next == request->hash_count;
        nj_list_push_back(is_done ? &hashing->done : &hashing->waiting, node);
        if (is_done) {
            nj_door_ring(hashing->door);
        }
    }
    (void)pthread_mutex_unlock(&hashing->lock);
    return NULL;
}

/* NULL when there is no thread left: then passwords are hashed where they are needed. */
static struct nj_control_hashing *start(struct nj_door *door)
{
    struct nj_control_hashing *hashing = nj_try_zalloc(sizeof(*hashing));
    if (!hashing) {
        return NULL;
    }
    hashing->door = door;
    nj_list_init(&hashing->waiting);
    nj_list_init(&hashing->done);
    (void)pthread_mutex_init(&hashing->lock, NULL);
    (void)pthread_cond_init(&hashing->more, NULL);
    if (nj_thread_start(&hashing->thread, "nj-hashing", run, hashing) != NJ_OK) {
        nj_control_hashing_free(hashing);
        return NULL;
    }
    return hashing;
}

static void free_all(struct nj_list *list)
{
    struct nj_list *node;
    while ((node = nj_list_pop_front(list))) {
        nj_control_request_free(NJ_CONTAINER(node, struct nj_control_request, node));
    }
}

void nj_control_hashing_stop(struct nj_control_hashing *hashing)
{
    if (!hashing) {
        return;
    }
    (void)pthread_mutex_lock(&hashing->lock);
    hashing->is_stopping = true;
    (void)pthread_cond_signal(&hashing->more);
    (void)pthread_mutex_unlock(&hashing->lock);
    nj_thread_join(&hashing->thread);
}

void nj_control_hashing_free(struct nj_control_hashing *hashing)
{
    if (!hashing) {
        return;
    }
    nj_control_hashing_stop(hashing);
    free_all(&hashing->waiting);
    free_all(&hashing->done);
    (void)pthread_cond_destroy(&hashing->more);
    (void)pthread_mutex_destroy(&hashing->lock);
    nj_free(hashing);
}

/* ---- what there is to hash */

static const json_t *password_of(const struct nj_control_command *row, const json_t *object)
{
    for (const struct nj_control_arg *arg = row ? row->args : NULL; arg && arg->name; arg++) {
        const json_t *value = json_object_get(object, arg->name);
        if (arg->flags & NJ_ARG_HASHED && json_string_length(value) > 0) {
            return value;
        }
    }
    return NULL;
}

static enum nj_err find_passwords(struct nj_control_request *request)
{
    size_t i;
    json_t *object;
    struct nj_buf found;
    enum nj_err err = NJ_OK;
    nj_buf_init(&found);
    json_array_foreach(request->commands, i, object)
    {
        const json_t *value = password_of(nj_control_request_row(request, object), object);
        const struct nj_control_hash hash = {
            .command = i,
            .password = nj_bytes(json_string_value(value), json_string_length(value)),
        };
        if (value && (err = nj_buf_append(&found, &hash, sizeof(hash))) != NJ_OK) {
            break;
        }
    }
    size_t count = found.len / sizeof(*request->hashes);
    if (err == NJ_OK && count) {
        request->hashes = nj_try_alloc(found.len);
        err = request->hashes ? NJ_OK : NJ_ENOMEM;
    }
    if (err == NJ_OK && count) {
        memcpy(request->hashes, found.data, found.len);
        request->hash_count = count;
    }
    nj_buf_fini(&found);
    return err;
}

/* ---- the control thread's side */

static bool fits(const struct nj_control_hashing *hashing, size_t bytes)
{
    return hashing->count < REQUESTS_MAX &&
           (hashing->count == 0 || hashing->bytes + bytes <= BYTES_MAX);
}

bool nj_control_hashing_defer(struct nj_control_plane *plane, struct nj_control_request *request)
{
    if (!request->commands || !request->entry->api->hash_cost) {
        return false;
    }
    if (find_passwords(request) != NJ_OK) {
        nj_control_request_refuse(request, NJ_REFUSED_INTERNAL, "Internal error");
        return false;
    }
    if (request->hash_count == 0) {
        return false;
    }
    if (!plane->hashing) {
        plane->hashing = start(plane->front->door);
    }
    struct nj_control_hashing *hashing = plane->hashing;
    if (!hashing) {
        return false;
    }
    if (!fits(hashing, request->from->payload.len) ||
        nj_door_hold(hashing->door, request->from->session) != NJ_OK) {
        nj_control_request_refuse(request, NJ_REFUSED_LIMIT,
                                  "Too many requests wait for passwords to be hashed");
        return false;
    }
    request->hash_cost = *request->entry->api->hash_cost(request->entry->ctx);
    hashing->count++;
    hashing->bytes += request->from->payload.len;
    (void)pthread_mutex_lock(&hashing->lock);
    nj_list_push_back(&hashing->waiting, &request->node);
    (void)pthread_cond_signal(&hashing->more);
    (void)pthread_mutex_unlock(&hashing->lock);
    return true;
}

struct nj_control_request *nj_control_hashing_take(struct nj_control_plane *plane)
{
    struct nj_control_hashing *hashing = plane->hashing;
    if (!hashing) {
        return NULL;
    }
    (void)pthread_mutex_lock(&hashing->lock);
    struct nj_list *node = nj_list_pop_front(&hashing->done);
    (void)pthread_mutex_unlock(&hashing->lock);
    if (!node) {
        return NULL;
    }
    struct nj_control_request *request = NJ_CONTAINER(node, struct nj_control_request, node);
    hashing->count--;
    hashing->bytes -= request->from->payload.len;
    nj_door_release(hashing->door, request->from->session);
    request->hash_next = 0;
    return request;
}
