/* Between the store's threads and the workers: completions, rows and expired messages become
 * records in inboxes. */
#ifndef NJ_FRONT_STORE_DOOR_H
#define NJ_FRONT_STORE_DOOR_H

#include "base/err.h"

struct nj_front;
struct nj_settings;

/* Opens the store that the settings ask for, as front->core.store, and loads what it kept. After
 * going into the background and giving up rights, before the workers. Logs what is wrong. */
enum nj_err nj_front_open_store(struct nj_front *front, const struct nj_settings *settings)
    NJ_NODISCARD;

#endif
