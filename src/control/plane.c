/* See plane.h. */
#include "control/plane.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/settings.h"
#include "control/control_priv.h"
#include "front/door.h"
#include "front/front.h"

/* Then signals and $SYS get their turn. */
#define RUN_MS 50

struct nj_control_plane *nj_control_plane_new(struct nj_front *front,
                                              const struct nj_control_host *host)
{
    struct nj_control_plane *plane = nj_zalloc(sizeof(*plane));
    plane->front = front;
    plane->host = *host;
    nj_control_gather_init(plane);
    return plane;
}

void nj_control_plane_stop(struct nj_control_plane *plane)
{
    nj_control_hashing_stop(plane->hashing);
}

void nj_control_plane_free(struct nj_control_plane *plane)
{
    if (!plane) {
        return;
    }
    plane->is_over = true;
    nj_control_gather_abandon(plane);
    nj_control_hashing_free(plane->hashing);
    nj_control_request_free(plane->current);
    nj_free(plane);
}

void nj_control_plane_add(struct nj_control_plane *plane, const struct nj_control_api *api,
                          void *ctx)
{
    NJ_ASSERT(plane->api_count < NJ_CONTROL_APIS_MAX);
    plane->apis[plane->api_count++] = (struct nj_control_entry){.api = api, .ctx = ctx};
}

bool nj_control_is_enabled(const struct nj_settings *settings)
{
    return settings->mode.control_api;
}

bool nj_control_api_is_on(const struct nj_control_plane *plane, const struct nj_control_api *api)
{
    return !api->is_on || api->is_on(plane->host.settings(plane->host.arg));
}

void nj_control_plane_add_own(struct nj_control_plane *plane)
{
    nj_control_plane_add(plane, &nj_broker_api, NULL);
    nj_control_plane_add(plane, &nj_inspect_api, NULL);
    nj_control_plane_add(plane, &nj_client_api, NULL);
    nj_control_plane_add(plane, &nj_nightjar_api, NULL);
    nj_control_plane_add(plane, &nj_certificate_api, NULL);
}

int nj_control_plane_fd(const struct nj_control_plane *plane)
{
    return nj_door_fd(plane->front->door);
}

/* False: there is none. True though none is at work: it was put aside, or memory is short. */
static bool begin_next(struct nj_control_plane *plane)
{
    struct nj_control_request *request = nj_control_hashing_take(plane);
    if (!request) {
        struct nj_request *from = nj_door_take(plane->front->door);
        if (!from) {
            return false;
        }
        request = nj_control_request_new(plane, from);
        if (!request || nj_control_hashing_defer(plane, request)) {
            return true;
        }
    }
    nj_control_request_begin(request);
    plane->current = request;
    return true;
}

void nj_control_plane_run(struct nj_control_plane *plane)
{
    uint64_t until_ms = nj_clock_mono_ms() + RUN_MS;
    nj_door_quiet(plane->front->door);
    do {
        nj_control_gather_run(plane);
        if (plane->current) {
            if (!nj_control_request_work(plane->current, until_ms)) {
                return; /* it waits, or its time is up; the door rings again */
            }
            plane->current = NULL;
        }
        if (nj_clock_mono_ms() >= until_ms) {
            nj_door_ring(plane->front->door);
            return;
        }
    } while (begin_next(plane));
}

struct nj_front *nj_control_plane_front(const struct nj_control_plane *plane)
{
    return plane->front;
}

const struct nj_control_host *nj_control_plane_host(const struct nj_control_plane *plane)
{
    return &plane->host;
}
