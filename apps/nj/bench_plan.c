/* The plan of a run: topics, filters, publishers, subscribers and logins of a scenario, dealt out
 * to the threads. Each message reaches `deliveries` receivers; `dest` is the receiver (or the group
 * of all) that a topic belongs to, and sequence numbers count per (publisher, dest). */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"
#include "bench_engine.h"

/* Packet identifiers, and one that is none. */
#define IDS 65536u
/* Members of the shared subscription in `subs`. */
#define GROUP_MEMBERS 4u

void nj_bench_fail(struct nj_bench_engine *engine, const char *fmt, ...)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&engine->failed, &none, 1)) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(engine->problem, sizeof(engine->problem), fmt, args);
    va_end(args);
    atomic_store(&engine->failed, 2);
}

static char *text_of(const char *fmt, ...) NJ_PRINTF(1, 2);
static char *text_of(const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return nj_strdup(text);
}

static enum nj_err resolve(struct nj_bench_engine *engine)
{
    const struct nj_bench_options *options = engine->options;
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    (void)snprintf(port, sizeof(port), "%" PRIu32, options->port);
    int result = getaddrinfo(options->host, port, &hints, &list);
    if (result != 0) {
        nj_bench_fail(engine, "cannot resolve '%s': %s", options->host, gai_strerror(result));
        return NJ_EINVAL;
    }
    memcpy(&engine->address, list->ai_addr, list->ai_addrlen);
    engine->address_len = list->ai_addrlen;
    freeaddrinfo(list);
    return NJ_OK;
}

static enum nj_err raise_descriptors(struct nj_bench_engine *engine, uint32_t needed)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return NJ_OK;
    }
    if (limit.rlim_cur < needed + 64ull) {
        limit.rlim_cur = limit.rlim_max;
        if (limit.rlim_max < needed + 64ull || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            nj_bench_fail(engine,
                          "%" PRIu32 " connections need as many descriptors; the limit is %" PRIu64
                          " (ulimit -n)",
                          needed, (uint64_t)limit.rlim_max);
            return NJ_ELIMIT;
        }
    }
    return NJ_OK;
}

static void set_topic(struct nj_bench_engine *engine, uint32_t index, char *text, uint32_t dest)
{
    struct nj_bytes bytes = nj_bytes_of(text);
    engine->topics[index] = (struct nj_bench_topic){
        .text = text,
        .len = (uint16_t)bytes.len,
        .dest = (uint16_t)dest,
        .hash = nj_bench_topic_hash(bytes),
    };
}

static void room_for_topics(struct nj_bench_engine *engine, uint32_t topics, uint32_t filters)
{
    engine->topics = nj_zalloc(topics * sizeof(*engine->topics));
    engine->topics_count = topics;
    engine->filters = nj_zalloc(filters * sizeof(*engine->filters));
    engine->filters_count = filters;
}

/* Publisher i and subscriber i share topic i. */
static void plan_pairs(struct nj_bench_engine *engine)
{
    uint32_t pairs = engine->options->publishers;
    room_for_topics(engine, pairs, pairs);
    for (uint32_t i = 0; i < pairs; i++) {
        char *text = text_of("%s/p/%" PRIu32, engine->prefix, i);
        set_topic(engine, i, text, i);
        engine->filters[i] = nj_strdup(text);
    }
    engine->dests_count = pairs;
    engine->deliveries = 1;
}

/* All subscribers share one filter; fan-out has few topics, fan-in one per publisher. */
static void plan_fan(struct nj_bench_engine *engine)
{
    uint32_t pubs = engine->options->publishers;
    room_for_topics(engine, pubs, 1);
    for (uint32_t i = 0; i < pubs; i++) {
        set_topic(engine, i, text_of("%s/f/%" PRIu32, engine->prefix, i), 0);
    }
    engine->filters[0] =
        pubs == 1 ? nj_strdup(engine->topics[0].text) : text_of("%s/f/#", engine->prefix);
    engine->dests_count = 1;
    engine->deliveries = engine->options->subscribers;
}

/* Topic i is matched by filter i and no other (8 of 10 literal, one with +, one with #), and by the
 * group's filter, which matches all. Filter i belongs to subscriber i mod subscribers. */
static void plan_subs(struct nj_bench_engine *engine)
{
    uint32_t count = engine->options->subscriptions;
    uint32_t subs = engine->options->subscribers;
    room_for_topics(engine, count, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t high = i / 1000;
        uint32_t low = i % 1000;
        const char *prefix = engine->prefix;
        char *text = text_of("%s/s/%" PRIu32 "/%" PRIu32 "/v%" PRIu32, prefix, high, low, i);
        set_topic(engine, i, text, i % subs);
        if (i % 10 == 8) {
            engine->filters[i] = text_of("%s/s/%" PRIu32 "/+/v%" PRIu32, prefix, high, i);
        } else if (i % 10 == 9) {
            engine->filters[i] = text_of("%s/s/%" PRIu32 "/%" PRIu32 "/#", prefix, high, low);
        } else {
            engine->filters[i] = nj_strdup(text);
        }
    }
    engine->group_filter = text_of("$share/njb%s/%s/s/#", engine->nonce, engine->prefix);
    engine->has_group = true;
    engine->dests_count = subs;
    engine->deliveries = 2;
}

static void make_publishers(struct nj_bench_engine *engine)
{
    const struct nj_bench_options *options = engine->options;
    engine->pubs_count = options->publishers;
    size_t size = options->publishers * sizeof(*engine->pubs);
    engine->pubs = aligned_alloc(64, size);
    NJ_ASSERT(engine->pubs != NULL);
    memset(engine->pubs, 0, size);
    bool shares_topics = options->scenario == NJ_BENCH_SUBS;
    for (uint32_t i = 0; i < engine->pubs_count; i++) {
        struct nj_bench_pub *pub = &engine->pubs[i];
        pub->index = i;
        pub->window = options->window;
        pub->unacked_max = 65000;
        pub->topic_first = shares_topics ? 0 : i;
        pub->topic_count = shares_topics ? engine->topics_count : 1;
        /* Big odd steps: a different walk through all topics for each publisher. */
        pub->topic_step = shares_topics ? 7919 + 2 * i : 0;
        pub->topic_at = (uint32_t)((uint64_t)i * pub->topic_count / engine->pubs_count);
        pub->seqs = nj_zalloc(engine->dests_count * sizeof(*pub->seqs));
        if (options->qos) {
            pub->ids = nj_zalloc(NJ_BENCH_ID_WORDS * sizeof(*pub->ids));
            pub->sent_us = options->rate > 0 ? nj_zalloc(IDS * sizeof(*pub->sent_us)) : NULL;
        }
        if (options->qos == 2) {
            pub->released = nj_zalloc(NJ_BENCH_ID_WORDS * sizeof(*pub->released));
        }
    }
}

static void make_subscribers(struct nj_bench_engine *engine)
{
    const struct nj_bench_options *options = engine->options;
    uint32_t members = engine->has_group ? GROUP_MEMBERS : 0;
    bool has_own_filters =
        options->scenario != NJ_BENCH_FANOUT && options->scenario != NJ_BENCH_FANIN;
    engine->subs_count = options->subscribers + members;
    engine->subs = nj_zalloc(engine->subs_count * sizeof(*engine->subs));
    for (uint32_t i = 0; i < engine->subs_count; i++) {
        struct nj_bench_sub *sub = &engine->subs[i];
        sub->is_shared = i >= options->subscribers;
        sub->dest = (uint16_t)(has_own_filters && !sub->is_shared ? i : 0);
        sub->filter_first = sub->dest;
        sub->filter_at = sub->filter_first;
        sub->filter_step = has_own_filters ? options->subscribers : 1;
        size_t flows = engine->pubs_count * (sub->is_shared ? (size_t)engine->dests_count : 1);
        sub->flows = nj_zalloc(flows * sizeof(*sub->flows));
        if (options->qos == 2) {
            sub->ids = nj_zalloc(NJ_BENCH_ID_WORDS * sizeof(*sub->ids));
        }
    }
}

static bool has_traffic(const struct nj_bench_options *options)
{
    return options->scenario != NJ_BENCH_CONNECT && options->scenario != NJ_BENCH_IDLE;
}

static enum nj_err read_logins(struct nj_bench_engine *engine)
{
    const struct nj_bench_options *options = engine->options;
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_file_read(options->login_file, 256u << 20, false, &text);
    if (err != NJ_OK) {
        nj_bench_fail(engine, "cannot read '%s': %s", options->login_file, nj_file_why(err));
        nj_buf_fini(&text);
        return err;
    }
    engine->login_text = nj_bytes_dup(nj_buf_bytes(&text));
    nj_buf_fini(&text);
    engine->logins = nj_zalloc((options->logins + 1) * sizeof(*engine->logins));
    char *save = NULL;
    for (char *line = strtok_r(engine->login_text, "\r\n", &save);
         line && engine->logins_count < options->logins; line = strtok_r(NULL, "\r\n", &save)) {
        char *colon = strchr(line, ':');
        if (line[0] == '#' || colon == NULL) {
            continue;
        }
        *colon = '\0';
        engine->logins[engine->logins_count++] =
            (struct nj_bench_login){.username = line, .password = colon + 1};
    }
    if (engine->logins_count == 0) {
        nj_bench_fail(engine, "'%s' has no line user:password", options->login_file);
        return NJ_EINVAL;
    }
    return NJ_OK;
}

static void plan_scenario(struct nj_bench_engine *engine)
{
    switch (engine->options->scenario) {
    case NJ_BENCH_PAIRS:
    case NJ_BENCH_STORM:
        plan_pairs(engine);
        break;
    case NJ_BENCH_FANOUT:
    case NJ_BENCH_FANIN:
        plan_fan(engine);
        break;
    case NJ_BENCH_SUBS:
        plan_subs(engine);
        break;
    default:
        engine->deliveries = 1;
        break;
    }
}

static uint32_t connections_of(const struct nj_bench_engine *engine)
{
    const struct nj_bench_options *options = engine->options;
    if (options->scenario == NJ_BENCH_IDLE) {
        return options->connections;
    }
    if (options->scenario == NJ_BENCH_CONNECT) {
        return options->concurrency ? options->concurrency : 64;
    }
    return engine->subs_count + engine->pubs_count;
}

/* Connection `number` of all: subscribers first, so that nobody publishes before they are there. */
static void assign(struct nj_bench_engine *engine, struct nj_bench_conn *conn, uint32_t number)
{
    conn->number = number;
    conn->index = number;
    if (!has_traffic(engine->options)) {
        conn->role =
            engine->options->scenario == NJ_BENCH_IDLE ? NJ_BENCH_ROLE_IDLE : NJ_BENCH_ROLE_CYCLE;
    } else if (number < engine->subs_count) {
        conn->role = NJ_BENCH_ROLE_SUBSCRIBER;
        conn->sub = &engine->subs[number];
        conn->sub->conn = conn;
    } else {
        conn->role = NJ_BENCH_ROLE_PUBLISHER;
        conn->index = number - engine->subs_count;
        conn->pub = &engine->pubs[conn->index];
        conn->pub->conn = conn;
        conn->thread->pubs[conn->thread->pubs_count++] = conn->pub;
    }
}

static uint32_t share_of(uint32_t all, uint32_t threads, uint32_t index)
{
    return all / threads + (index < all % threads);
}

/* A storm leaves from the first thread alone when there are others: what it costs to open thousands
 * of connections must not hold up the steady traffic that is measured. */
static uint32_t storm_threads(const struct nj_bench_engine *engine)
{
    return engine->logins_count && engine->threads_count > 1 ? 1 : 0;
}

static void make_connections(struct nj_bench_thread *thread)
{
    struct nj_bench_engine *engine = thread->engine;
    uint32_t apart = storm_threads(engine);
    uint32_t sharing = engine->threads_count - apart;
    bool has_share = thread->index >= apart;
    uint32_t index = thread->index - apart;
    thread->conns_count = has_share ? share_of(connections_of(engine), sharing, index) : 0;
    thread->conns = nj_zalloc((thread->conns_count + 1) * sizeof(*thread->conns));
    for (uint32_t i = 0; i < thread->conns_count; i++) {
        thread->conns[i].thread = thread;
        thread->conns[i].fd = -1;
        assign(engine, &thread->conns[i], index + i * sharing);
    }
}

static void make_logins(struct nj_bench_thread *thread)
{
    struct nj_bench_engine *engine = thread->engine;
    thread->logins_count = thread->index == 0 ? engine->logins_count : 0;
    thread->logins = nj_zalloc((thread->logins_count + 1) * sizeof(*thread->logins));
    for (uint32_t i = 0; i < thread->logins_count; i++) {
        struct nj_bench_conn *conn = &thread->logins[i];
        conn->thread = thread;
        conn->fd = -1;
        conn->role = NJ_BENCH_ROLE_LOGIN;
        conn->index = i;
        conn->number = connections_of(engine) + i;
        conn->login = &engine->logins[i];
    }
}

static void make_thread(struct nj_bench_engine *engine, uint32_t index)
{
    struct nj_bench_thread *thread = &engine->threads[index];
    thread->engine = engine;
    thread->index = index;
    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    thread->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = thread};
    epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, thread->wake_fd, &event);
    thread->buffer = nj_alloc(NJ_BENCH_READ_SIZE + NJ_BENCH_PAYLOAD_MAX + 4096);
    thread->pubs = nj_zalloc((engine->pubs_count + 1) * sizeof(struct nj_bench_pub *));
    make_connections(thread);
    make_logins(thread);
    if (engine->options->rate > 0 && thread->pubs_count) {
        double share = (double)thread->pubs_count / engine->pubs_count;
        thread->interval_ns = 1e9 / (engine->options->rate * share);
    }
}

enum nj_err nj_bench_plan_init(struct nj_bench_engine *engine, const struct nj_bench_options *opts)
{
    memset(engine, 0, sizeof(*engine));
    engine->options = opts;
    engine->epoch_ns = nj_clock_mono_ns();
    (void)snprintf(engine->nonce, sizeof(engine->nonce), "%06x",
                   (unsigned)(nj_rand_u64() & 0xffffff));
    if (opts->topic_prefix) {
        (void)snprintf(engine->prefix, sizeof(engine->prefix), "%s", opts->topic_prefix);
    } else {
        (void)snprintf(engine->prefix, sizeof(engine->prefix), "nj/bench/%s", engine->nonce);
    }
    nj_bench_pattern_init(&engine->pattern, opts->size);
    enum nj_err err = resolve(engine);
    if (err == NJ_OK && opts->is_tls) {
        err = nj_bench_tls_init(engine);
    }
    if (err == NJ_OK && opts->scenario == NJ_BENCH_STORM) {
        err = read_logins(engine);
    }
    if (err != NJ_OK) {
        return err;
    }
    plan_scenario(engine);
    if (has_traffic(opts)) {
        make_publishers(engine);
        make_subscribers(engine);
    }
    err = raise_descriptors(engine, connections_of(engine) + engine->logins_count);
    if (err != NJ_OK) {
        return err;
    }
    engine->threads_count = opts->threads;
    engine->threads = nj_zalloc(opts->threads * sizeof(*engine->threads));
    for (uint32_t i = 0; i < opts->threads; i++) {
        make_thread(engine, i);
    }
    return NJ_OK;
}

static void free_thread(struct nj_bench_thread *thread)
{
    for (uint32_t i = 0; i < thread->conns_count; i++) {
        nj_bench_conn_close(&thread->conns[i]);
        nj_free(thread->conns[i].out);
    }
    for (uint32_t i = 0; i < thread->logins_count; i++) {
        nj_bench_conn_close(&thread->logins[i]);
        nj_free(thread->logins[i].out);
    }
    nj_free(thread->conns);
    nj_free(thread->logins);
    nj_free(thread->pubs);
    nj_free(thread->buffer);
    SSL_SESSION_free(thread->session);
    close(thread->epoll_fd);
    close(thread->wake_fd);
}

static void free_subscribers(struct nj_bench_engine *engine)
{
    for (uint32_t i = 0; i < engine->subs_count; i++) {
        struct nj_bench_sub *sub = &engine->subs[i];
        size_t flows = engine->pubs_count * (sub->is_shared ? (size_t)engine->dests_count : 1);
        for (size_t k = 0; k < flows; k++) {
            nj_bench_flow_fini(&sub->flows[k]);
        }
        nj_free(sub->flows);
        nj_free(sub->ids);
    }
    nj_free(engine->subs);
}

void nj_bench_plan_fini(struct nj_bench_engine *engine)
{
    for (uint32_t i = 0; engine->threads && i < engine->threads_count; i++) {
        free_thread(&engine->threads[i]);
    }
    nj_free(engine->threads);
    free_subscribers(engine);
    for (uint32_t i = 0; i < engine->pubs_count; i++) {
        nj_free(engine->pubs[i].seqs);
        nj_free(engine->pubs[i].ids);
        nj_free(engine->pubs[i].sent_us);
        nj_free(engine->pubs[i].released);
    }
    free(engine->pubs);
    for (uint32_t i = 0; i < engine->topics_count; i++) {
        nj_free(engine->topics[i].text);
    }
    for (uint32_t i = 0; i < engine->filters_count; i++) {
        nj_free(engine->filters[i]);
    }
    nj_free(engine->topics);
    nj_free(engine->filters);
    nj_free(engine->group_filter);
    nj_free(engine->logins);
    nj_free(engine->login_text);
    nj_bench_pattern_fini(&engine->pattern);
    SSL_CTX_free(engine->tls);
}
