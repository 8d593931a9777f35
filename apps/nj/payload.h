/* The payload of what is published: -m, -f, -s, -n. */
#ifndef NJ_APPS_NJ_PAYLOAD_H
#define NJ_APPS_NJ_PAYLOAD_H

#include "base/buf.h"
#include "link.h"

#define NJ_PAYLOAD_MAX 268435455u

/* Reads the file or standard input into `payload`, where the options ask for that. False:
 * something was said, the exit status is 1. Blocks. */
bool nj_payload_load(const struct nj_link *link, struct nj_buf *payload) NJ_NODISCARD;
/* What is to be published; `payload` was loaded. */
struct nj_bytes nj_payload_bytes(const struct nj_opts *opts, const struct nj_buf *payload);

#endif
