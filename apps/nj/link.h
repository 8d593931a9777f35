/* From options to a client: the configuration, the connection, and what is said when it fails. */
#ifndef NJ_APPS_NJ_LINK_H
#define NJ_APPS_NJ_LINK_H

#include "client/client.h"
#include "opts.h"
#include "srv.h"

struct nj_link {
    const struct nj_opts *opts;
    struct nj_client_config config;
    struct nj_client_props props[NJ_OPTS_PACKET_COUNT];
    char *prefixed_id;
    char srv_host[NJ_SRV_HOST_MAX];
};

/* The options stay borrowed. False: something was said, the exit status is 1. */
bool nj_link_init(struct nj_link *link, const struct nj_opts *opts) NJ_NODISCARD;
void nj_link_fini(struct nj_link *link);

/* Says that the connection ended with `text`, and what may be done about it. */
void nj_link_say_lost(const struct nj_link *link, const char *text);

/* Connects; the errors are said. 0 or the exit status. */
int nj_link_connect(const struct nj_link *link, struct nj_client *client);

/* Says that CONNACK was a refusal; returns the exit status, which is the code. */
int nj_link_refused(const struct nj_link *link, const struct nj_client_connack *connack);

/* An error while running, unless --quiet. Control characters but newlines are escaped. */
void nj_link_say(const struct nj_link *link, const char *fmt, ...) NJ_PRINTF(2, 3);

/* For callbacks.trace: the original prints these lines to stdout; natively they go to stderr, so
 * that they do not mix with messages, with control characters escaped. */
void nj_link_trace(const struct nj_link *link, const char *line);

#endif
