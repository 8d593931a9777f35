/* A session ended whose rows are in the store only, and it was a member of shared subscriptions:
 * its rows are read back and given to other members (MQTT5 4.8.2), then its record goes. */
#ifndef NJ_BROKER_HANDOVER_H
#define NJ_BROKER_HANDOVER_H

#include <stdbool.h>

struct nj_session;
struct nj_shard;
struct nj_store_rows;

/* Before the session leaves its shared subscriptions. True: the record is deleted when it is done;
 * until then a restart begins the handing over anew. */
bool nj_handover_start(struct nj_session *session);
/* Rows that no session waits for. They stay the caller's. */
void nj_handover_rows(struct nj_shard *shard, struct nj_store_rows *rows);
void nj_handovers_fini(struct nj_shard *shard);

#endif
