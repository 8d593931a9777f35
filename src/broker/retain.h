/* Retained messages: one shared index of topics for all workers (MQTT5 3.3.1.3).
 *
 * Writers take a lock; readers are online in the qsbr domain and take none. A message that was
 * read may be replaced meanwhile: whoever replays it later asks nj_retain_is_current first. */
#ifndef NJ_BROKER_RETAIN_H
#define NJ_BROKER_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/tree.h"

struct nj_message;
struct nj_origin;
struct nj_qsbr;
struct nj_retain;

struct nj_retain *nj_retain_new(struct nj_qsbr *domain);
void nj_retain_free(struct nj_retain *retain);

/* Takes references of its own. `origin` is who published it (NULL = the broker itself): the right
 * to publish is asked again at replay. *clock (may be NULL): nj_retain_clock of this change. Any
 * thread. */
enum nj_err nj_retain_put(struct nj_retain *retain, struct nj_message *message,
                          struct nj_origin *origin, uint64_t *clock) NJ_NODISCARD;
/* True when there was one. Any thread, as all that follows. */
bool nj_retain_clear(struct nj_retain *retain, struct nj_bytes topic);

struct nj_retained {
    struct nj_message *message;
    struct nj_origin *origin;
};
/* What is asked for: all that `filter` matches, but not what expired before `now_ms` or was
 * retained after `clock` (UINT64_MAX: whenever it was). */
struct nj_retain_query {
    struct nj_bytes filter;
    uint64_t now_ms;
    uint64_t clock;
};
/* As counted references in *out (nj_free it after nj_retained_unref on each). The nodes looked at
 * are left in `scratch`. */
enum nj_err nj_retain_match(struct nj_retain *retain, const struct nj_retain_query *query,
                            struct nj_tree_nodes scratch[2], struct nj_retained **out,
                            uint32_t *count) NJ_NODISCARD;
void nj_retained_unref(struct nj_retained *retained);
/* Whether `message` is still what is retained for its topic. */
bool nj_retain_is_current(const struct nj_retain *retain, const struct nj_message *message);

/* When the first message expires; UINT64_MAX = none does. */
uint64_t nj_retain_next_due_ms(const struct nj_retain *retain);
/* Removes expired messages, at most `max` of them. `removed` is called for each under the lock, so
 * that whatever is retained for the topic from then on comes after it. */
void nj_retain_sweep(struct nj_retain *retain, uint64_t now_ms, unsigned max,
                     void (*removed)(void *arg, struct nj_bytes topic), void *arg);

/* Rises with every change: whoever reads it and then matches sees all changes up to it. Never 0.
 * Any thread. */
uint64_t nj_retain_clock(const struct nj_retain *retain);

int64_t nj_retain_count(const struct nj_retain *retain);

#endif
