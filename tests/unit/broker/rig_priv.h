/* Between rig.c and rig_client.c. */
#ifndef NJ_TESTS_BROKER_RIG_PRIV_H
#define NJ_TESTS_BROKER_RIG_PRIV_H

#include "rig.h"

extern const struct nj_link_ops rig_link_ops;

/* Writes out what is dirty, as the end of a turn does. True when something moved. */
bool rig_flush(struct nj_shard *shard);
/* Detaches connections that the core closed. */
bool rig_reap(struct rig *rig);
void rig_clients_close(struct rig *rig);

/* rig_store.c */
void rig_store_open(struct rig *rig, unsigned shards);
void rig_store_close(struct rig *rig);

#endif
