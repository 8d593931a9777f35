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
/* The first `groups` that wait are on the disk. */
void rig_store_sync(struct rig *rig, unsigned groups);
/* What is on its way is lost; the rest is in a new inner store. */
void rig_store_crash(struct rig *rig, unsigned shards);

/* rig_image.c */
/* Takes the group over until its completion. */
void rig_image_submitted(struct rig_image *image, struct nj_store_group *group);
void rig_image_done(struct rig_image *image, unsigned lane, uint64_t cookie, enum nj_err err);
void rig_image_apply(struct rig_image *image, const struct nj_store_group *group);
enum nj_err rig_image_load(const struct rig_image *image, const struct nj_store_loader *loader,
                           struct nj_store_highest *highest);
/* Rows and incoming messages into an empty store. */
void rig_image_fill(struct rig_image *image, struct nj_store *store);
void rig_image_fini(struct rig_image *image);

#endif
