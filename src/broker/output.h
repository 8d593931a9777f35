/* Writing one PUBLISH into one connection's output: encoded once per shape and copied, or its
 * payload referenced when it is large. */
#ifndef NJ_BROKER_OUTPUT_H
#define NJ_BROKER_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "broker/deliver.h"

struct nj_link;

/* The largest packet that MQTT can say (MQTT5 2.1.4). */
#define NJ_FRAME_MAX (1u + 4u + 268435455u)

/* A blocked connection with more than this gets nothing from the queue. */
#define NJ_OUTPUT_PUMP_MAX ((size_t)256 * 1024)

enum nj_output_result {
    NJ_OUTPUT_SENT,
    NJ_OUTPUT_TOO_LARGE, /* for the peer, or outside its mount point; counted as dropped */
    NJ_OUTPUT_NO_MEMORY,
};

enum nj_output_result nj_output_publish(struct nj_link *link, struct nj_publication *publication,
                                        const struct nj_delivery *delivery, uint16_t packet_id);
/* After a change of rights: takes out of the link's output what its session may not have any
 * more. */
void nj_output_recheck(struct nj_link *link, size_t committed);

#endif
