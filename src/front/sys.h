/* The $SYS tree: counters of all workers, added up and published retained. */
#ifndef NJ_FRONT_SYS_H
#define NJ_FRONT_SYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct nj_front;
struct nj_sys;

struct nj_sys *nj_sys_new(struct nj_front *front);
void nj_sys_free(struct nj_sys *sys);
/* Publishes what changed. Control thread. */
void nj_sys_publish(struct nj_sys *sys);

/* Hands one publication of the broker to a worker. Any thread but workers. */
void nj_front_publish_message(struct nj_front *front, struct nj_bytes topic,
                              struct nj_bytes payload, uint8_t qos, bool is_retain);

#endif
