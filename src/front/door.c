/* See door.h. */
#include "front/door.h"

#include <sys/eventfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"

#define TABLE_SIZE 256u

/* The requests of one session that wait. Exists only while there are some, or while it is held. */
struct lane {
    struct nj_list turn; /* in door->turns, when there are requests that may be taken */
    bool is_held;
    struct lane *next; /* in the table */
    struct nj_list requests;
    uint64_t session;
    uint32_t count;
    size_t bytes;
};

struct nj_door {
    pthread_mutex_t lock; /* guards what follows */
    struct lane *table[TABLE_SIZE];
    struct nj_list turns; /* lanes in the order in which they are served */
    uint32_t count;
    size_t bytes;
    /* not under the lock */
    int fd;
    _Atomic uint64_t refused;
};

struct nj_door *nj_door_new(void)
{
    struct nj_door *door = nj_zalloc(sizeof(*door));
    door->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (door->fd < 0) {
        nj_free(door);
        return NULL;
    }
    (void)pthread_mutex_init(&door->lock, NULL);
    nj_list_init(&door->turns);
    return door;
}

static void free_lane(struct lane *lane)
{
    struct nj_list *node;
    while ((node = nj_list_pop_front(&lane->requests))) {
        nj_request_free(NJ_CONTAINER(node, struct nj_request, node));
    }
    nj_free(lane);
}

void nj_door_free(struct nj_door *door)
{
    if (!door) {
        return;
    }
    for (unsigned i = 0; i < TABLE_SIZE; i++) {
        while (door->table[i]) {
            struct lane *lane = door->table[i];
            door->table[i] = lane->next;
            free_lane(lane);
        }
    }
    (void)pthread_mutex_destroy(&door->lock);
    (void)close(door->fd);
    nj_free(door);
}

int nj_door_fd(const struct nj_door *door)
{
    return door->fd;
}

uint64_t nj_door_refused(const struct nj_door *door)
{
    return atomic_load_explicit(&door->refused, memory_order_relaxed);
}

void nj_door_ring(struct nj_door *door)
{
    (void)eventfd_write(door->fd, 1);
}

void nj_door_quiet(struct nj_door *door)
{
    eventfd_t rung;
    (void)eventfd_read(door->fd, &rung);
}

static struct lane **find(struct nj_door *door, uint64_t session)
{
    struct lane **at = &door->table[session % TABLE_SIZE];
    while (*at && (*at)->session != session) {
        at = &(*at)->next;
    }
    return at;
}

static struct lane *demand(struct nj_door *door, uint64_t session)
{
    struct lane **at = find(door, session);
    if (!*at) {
        struct lane *lane = nj_try_zalloc(sizeof(*lane));
        if (!lane) {
            return NULL;
        }
        lane->session = session;
        nj_list_init(&lane->requests);
        nj_list_init(&lane->turn);
        *at = lane;
    }
    return *at;
}

static bool fits(const struct nj_door *door, const struct lane *lane, size_t size)
{
    if (door->count >= NJ_DOOR_MAX || door->bytes + size > NJ_DOOR_BYTES) {
        return false;
    }
    return !lane || (lane->count < NJ_DOOR_LANE_MAX && lane->bytes + size <= NJ_DOOR_LANE_BYTES);
}

static enum nj_err put(struct nj_door *door, struct nj_request *request)
{
    if (!fits(door, *find(door, request->session), request->size)) {
        return NJ_ELIMIT;
    }
    struct lane *lane = demand(door, request->session);
    if (!lane) {
        return NJ_ELIMIT;
    }
    nj_list_push_back(&lane->requests, &request->node);
    if (lane->count++ == 0 && !lane->is_held) {
        nj_list_push_back(&door->turns, &lane->turn);
    }
    lane->bytes += request->size;
    door->count++;
    door->bytes += request->size;
    return NJ_OK;
}

enum nj_err nj_door_put(struct nj_door *door, struct nj_request *request)
{
    (void)pthread_mutex_lock(&door->lock);
    enum nj_err err = put(door, request);
    (void)pthread_mutex_unlock(&door->lock);
    if (err == NJ_OK) {
        nj_door_ring(door);
    } else {
        atomic_fetch_add_explicit(&door->refused, 1, memory_order_relaxed);
    }
    return err;
}

static struct nj_request *take(struct nj_door *door)
{
    struct nj_list *turn = nj_list_pop_front(&door->turns);
    if (!turn) {
        return NULL;
    }
    struct lane *lane = NJ_CONTAINER(turn, struct lane, turn);
    struct nj_request *request =
        NJ_CONTAINER(nj_list_pop_front(&lane->requests), struct nj_request, node);
    lane->count--;
    lane->bytes -= request->size;
    door->count--;
    door->bytes -= request->size;
    if (lane->count) {
        nj_list_push_back(&door->turns, &lane->turn);
    } else {
        *find(door, lane->session) = lane->next;
        nj_free(lane);
    }
    return request;
}

struct nj_request *nj_door_take(struct nj_door *door)
{
    (void)pthread_mutex_lock(&door->lock);
    struct nj_request *request = take(door);
    (void)pthread_mutex_unlock(&door->lock);
    return request;
}

enum nj_err nj_door_hold(struct nj_door *door, uint64_t session)
{
    (void)pthread_mutex_lock(&door->lock);
    struct lane *lane = demand(door, session);
    if (lane) {
        nj_list_remove(&lane->turn);
        lane->is_held = true;
    }
    (void)pthread_mutex_unlock(&door->lock);
    return lane ? NJ_OK : NJ_ENOMEM;
}

void nj_door_release(struct nj_door *door, uint64_t session)
{
    (void)pthread_mutex_lock(&door->lock);
    struct lane **at = find(door, session);
    struct lane *lane = *at;
    if (lane && lane->is_held) {
        lane->is_held = false;
        if (lane->count) {
            nj_list_push_back(&door->turns, &lane->turn);
        } else {
            *at = lane->next;
            nj_free(lane);
        }
    }
    (void)pthread_mutex_unlock(&door->lock);
}

/* ---- requests */

static struct nj_bytes copy(char **at, struct nj_bytes from)
{
    struct nj_bytes to = nj_bytes(from.ptr ? *at : NULL, from.len);
    if (from.ptr && from.len) {
        memcpy(*at, from.ptr, from.len);
    }
    *at += from.len;
    *(*at)++ = 0;
    return to;
}

struct nj_request *nj_request_new(const struct nj_request *from)
{
    size_t texts = from->user.len + from->client_id.len + from->address.len + from->topic.len +
                   from->response_topic.len + from->correlation_data.len + from->payload.len + 7;
    struct nj_request *request = nj_try_alloc(sizeof(*request) + texts);
    if (!request) {
        return NULL;
    }
    *request = *from;
    request->size = sizeof(*request) + texts;
    char *at = request->data;
    request->user = copy(&at, from->user);
    request->client_id = copy(&at, from->client_id);
    request->address = copy(&at, from->address);
    request->topic = copy(&at, from->topic);
    request->response_topic = copy(&at, from->response_topic);
    request->correlation_data = copy(&at, from->correlation_data);
    request->payload = copy(&at, from->payload);
    return request;
}

void nj_request_free(struct nj_request *request)
{
    if (request) {
        nj_free_secret(request, request->size);
    }
}
