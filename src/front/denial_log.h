/* One line for each denial, at notice level, but never a flood of them. */
#ifndef NJ_FRONT_DENIAL_LOG_H
#define NJ_FRONT_DENIAL_LOG_H

struct nj_denial;
struct nj_shard;

void nj_denial_log(struct nj_shard *shard, const struct nj_denial *denial);

#endif
