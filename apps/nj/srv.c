/* See srv.h. */
#include "srv.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"

#define ANSWER_MAX  65536
#define NAME_BYTES  1024
#define TARGETS_MAX 64
/* Of an SRV record: priority, weight, port. */
#define HEAD_BYTES 6

struct target {
    unsigned priority;
    unsigned weight;
    int port;
    char host[NJ_SRV_HOST_MAX];
};

static unsigned get16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* False: not a record that names somebody. */
static bool read_target(const ns_msg *message, int index, struct target *out)
{
    ns_rr record;
    if (ns_parserr((ns_msg *)message, ns_s_an, index, &record) != 0 ||
        ns_rr_type(record) != ns_t_srv || ns_rr_rdlen(record) <= HEAD_BYTES) {
        return false;
    }
    const unsigned char *data = ns_rr_rdata(record);
    *out = (struct target){
        .priority = get16(data), .weight = get16(data + 2), .port = (int)get16(data + 4)};
    int len = dn_expand(ns_msg_base(*message), ns_msg_end(*message), data + HEAD_BYTES, out->host,
                        sizeof(out->host));
    /* "." says that the service is decidedly not there. */
    return len > 0 && out->host[0] != '\0' && strcmp(out->host, ".") != 0 && out->port > 0;
}

/* One of those with the smallest priority, by chance according to their weights. */
static const struct target *choose(const struct target *targets, size_t count)
{
    unsigned best = targets[0].priority;
    uint64_t sum = 0;
    for (size_t i = 1; i < count; i++) {
        best = targets[i].priority < best ? targets[i].priority : best;
    }
    for (size_t i = 0; i < count; i++) {
        sum += targets[i].priority == best ? targets[i].weight + 1u : 0;
    }
    NJ_ASSERT(sum); /* at least of the one that has the smallest priority */
    uint64_t left = nj_rand_u64() % sum;
    for (size_t i = 0; i < count; i++) {
        uint64_t share = targets[i].priority == best ? targets[i].weight + 1u : 0;
        if (left < share) {
            return &targets[i];
        }
        left -= share;
    }
    return &targets[0];
}

enum nj_err nj_srv_read(const unsigned char *answer, int len, char host[NJ_SRV_HOST_MAX], int *port)
{
    ns_msg message;
    struct target targets[TARGETS_MAX];
    size_t count = 0;
    if (ns_initparse(answer, len, &message) != 0) {
        return NJ_EMALFORMED;
    }
    for (int i = 0; i < ns_msg_count(message, ns_s_an) && count < TARGETS_MAX; i++) {
        count += read_target(&message, i, &targets[count]) ? 1 : 0;
    }
    if (count == 0) {
        return NJ_ENOENT;
    }
    const struct target *target = choose(targets, count);
    memcpy(host, target->host, NJ_SRV_HOST_MAX);
    *port = target->port;
    return NJ_OK;
}

enum nj_err nj_srv_find(struct __res_state *state, const char *domain, bool is_tls,
                        char host[NJ_SRV_HOST_MAX], int *port)
{
    static unsigned char answer[ANSWER_MAX]; /* once in the life of a tool */
    char name[NAME_BYTES];
    int need =
        snprintf(name, sizeof(name), "%s._tcp.%s", is_tls ? "_secure-mqtt" : "_mqtt", domain);
    if (need < 0 || (size_t)need >= sizeof(name)) {
        return NJ_EINVAL;
    }
    struct __res_state own;
    memset(&own, 0, sizeof(own));
    if (state == NULL && res_ninit(&own) != 0) {
        return NJ_ESYS;
    }
    int len =
        res_nquery(state != NULL ? state : &own, name, ns_c_in, ns_t_srv, answer, sizeof(answer));
    if (state == NULL) {
        res_nclose(&own);
    }
    if (len < 0) {
        return NJ_ENOENT;
    }
    return nj_srv_read(answer, len < ANSWER_MAX ? len : ANSWER_MAX, host, port);
}
