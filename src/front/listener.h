/* See front.h for struct nj_listener. */
#ifndef NJ_FRONT_LISTENER_H
#define NJ_FRONT_LISTENER_H

#include "base/err.h"

struct nj_front;
struct nj_listener;
struct nj_policy;
struct nj_settings;
struct nj_tls_server;
struct nj_worker;

/* Logs what is wrong. NJ_ETLS: certificate, key, CA or CRL; NJ_ESYS: the address. */
enum nj_err nj_listener_open(struct nj_listener *listener, struct nj_front *front, unsigned index,
                             const struct nj_settings *settings) NJ_NODISCARD;
void nj_listener_close(struct nj_listener *listener);
/* A new context from the settings, with the pre-shared keys of the policy. */
enum nj_err nj_listener_make_tls(const struct nj_listener *listener,
                                 const struct nj_settings *settings, const struct nj_policy *policy,
                                 const struct nj_tls_server *previous, struct nj_tls_server **out)
    NJ_NODISCARD;
/* Puts all listening sockets into the worker's loop. */
enum nj_err nj_listeners_watch(struct nj_worker *worker) NJ_NODISCARD;

#endif
