/* The parts of a login that need no identity: what a CONNECT packet may say, and what the
 * certificate says. Split from login.c, which drives them. */
#ifndef NJ_FRONT_LOGIN_CHECK_H
#define NJ_FRONT_LOGIN_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "mqtt/connect.h"
#include "net/tls.h"

struct nj_conn;
struct nj_message;
struct nj_origin;
struct nj_worker;

struct nj_login {
    struct nj_conn *conn; /* NULL: the connection went while the pool was at work */
    struct nj_worker *worker;
    struct nj_origin *origin;
    struct nj_message *will;
    char *client_id;
    char *user;
    const char *refusal; /* set: waits for the tick */
    const char *in_vain; /* why it cannot succeed, whatever the password; NULL = it may */
    bool by_certificate;
    uint64_t credential;
    uint32_t client_id_len;
    uint32_t user_len;
    uint32_t expiry_s;
    uint32_t will_delay_s;
    bool is_clean_start;
    bool is_id_assigned;
    bool has_server_keep_alive;
    bool has_capped_expiry;
    bool wants_response_info;
    bool is_at_pool;
    _Atomic bool is_gone; /* the connection went: nothing is to be hashed any more */
    bool has_hash;
};

/* What the client says about how it wants to be answered, a refusal included. */
void nj_login_take_manners(struct nj_conn *conn, const struct nj_mqtt_connect *packet);

/* Checks the packet against listener and limits and takes its values over into connection and
 * login. False: refused already. */
bool nj_login_check(struct nj_conn *conn, const struct nj_mqtt_connect *packet);

/* The user name that the listener takes from the client's certificate, if it does; *out keeps a
 * view into *identity. Returns why it cannot be taken, or NULL. */
const char *nj_login_certificate(struct nj_conn *conn, struct nj_tls_identity *identity,
                                 struct nj_bytes *out);

#endif
