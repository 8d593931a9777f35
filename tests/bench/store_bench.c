/* Measures the durable store alone: no broker, no network.
 *
 *   store_bench DIRECTORY stream  [MESSAGES] [WINDOW]   append, wait, remove, as for clients online
 *   store_bench DIRECTORY backlog [MESSAGES] [SESSIONS] append for sessions that are away, then
 * drain store_bench DIRECTORY start   [COUNT]               so many sessions and retained messages,
 * reopened
 *
 * It prints what it did, the time, the processor time of the whole process per message, and what
 * the store says about its commits. */
#include <sys/resource.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/open.h"

#define PAYLOAD     200
#define READ_ROWS   500
#define PROGRESS_MS 5000

static struct {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t done;
    uint64_t failed;
    struct nj_store_rows *rows;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct nj_store *store;
static uint64_t cookie;
static struct nj_store_session session;

static void on_done(void *arg, unsigned lane, uint64_t number, enum nj_err err)
{
    (void)arg;
    (void)lane;
    (void)pthread_mutex_lock(&seen.lock);
    seen.done = number;
    seen.failed += err != NJ_OK;
    (void)pthread_cond_signal(&seen.changed);
    (void)pthread_mutex_unlock(&seen.lock);
}

static void on_rows(void *arg, unsigned lane, struct nj_store_rows *rows)
{
    (void)arg;
    (void)lane;
    (void)pthread_mutex_lock(&seen.lock);
    seen.rows = rows;
    (void)pthread_cond_signal(&seen.changed);
    (void)pthread_mutex_unlock(&seen.lock);
}

static void on_expired(void *arg, const struct nj_store_expired *expired, uint32_t count)
{
    (void)arg;
    (void)expired;
    (void)count;
}

static uint64_t wait_done(uint64_t number)
{
    (void)pthread_mutex_lock(&seen.lock);
    while (seen.done < number) {
        (void)pthread_cond_wait(&seen.changed, &seen.lock);
    }
    uint64_t done = seen.done;
    (void)pthread_mutex_unlock(&seen.lock);
    return done;
}

static void submit(const struct nj_store_op *op, unsigned count)
{
    if (nj_store_submit(store, 0, op, count, ++cookie, NULL) != NJ_OK) {
        (void)fprintf(stderr, "submit refused\n");
        exit(1);
    }
}

static double cpu_s(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Memory of the process alone: pages of the database are the kernel's to take back. */
static long anon_mib(void)
{
    char line[128];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            kib = strtol(line + 8, NULL, 10);
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return kib / 1024;
}

struct mark {
    uint64_t ns;
    double cpu;
    uint64_t commits;
};

static struct mark mark_now(void)
{
    struct nj_store_status status;
    nj_store_status(store, &status);
    return (struct mark){nj_clock_mono_ns(), cpu_s(), status.commits};
}

static void tell(const char *what, uint64_t count, struct mark from)
{
    struct mark now = mark_now();
    double seconds = (double)(now.ns - from.ns) / 1e9;
    (void)printf("%-10s %9llu in %7.3f s = %8.0f/s, %6.2f us CPU each, %6.0f commits/s, "
                 "memory %ld MiB, failed %llu\n",
                 what, (unsigned long long)count, seconds, (double)count / seconds,
                 (now.cpu - from.cpu) * 1e6 / (double)count,
                 (double)(now.commits - from.commits) / seconds, anon_mib(),
                 (unsigned long long)seen.failed);
}

static enum nj_err see_session(void *arg, const struct nj_store_session *one,
                               const struct nj_store_backlog *backlog)
{
    uint64_t *count = arg;
    (void)one;
    (void)backlog;
    ++*count;
    return NJ_OK;
}

static enum nj_err see_subscription(void *arg, uint64_t owner, struct nj_bytes filter,
                                    uint64_t value, uint32_t share)
{
    uint64_t *count = arg;
    (void)owner;
    (void)filter;
    (void)value;
    (void)share;
    ++*count;
    return NJ_OK;
}

static enum nj_err see_will(void *arg, uint64_t owner, struct nj_message *message, uint64_t delay_s)
{
    (void)arg;
    (void)owner;
    (void)message;
    (void)delay_s;
    return NJ_OK;
}

static enum nj_err see_retained(void *arg, struct nj_message *message,
                                const struct nj_store_origin *origin)
{
    uint64_t *count = arg;
    (void)message;
    (void)origin;
    ++*count;
    return NJ_OK;
}

static uint64_t open_store(const char *path)
{
    const struct nj_store_events events = {.done = on_done, .rows = on_rows, .expired = on_expired};
    const struct nj_store_lmdb_options options = {.path = path};
    uint64_t count = 0;
    const struct nj_store_loader loader = {
        .arg = &count,
        .session = see_session,
        .subscription = see_subscription,
        .will = see_will,
        .retained = see_retained,
    };
    struct nj_store_highest highest;
    uint64_t start = nj_clock_mono_ns();
    if (nj_store_lmdb_open(1, &options, &events, &store) != NJ_OK) {
        exit(1);
    }
    uint64_t opened = nj_clock_mono_ns();
    if (nj_store_load(store, &loader, &highest) != NJ_OK) {
        exit(1);
    }
    (void)printf("opened in %.3f s, loaded %llu records in %.3f s, memory %ld MiB\n",
                 (double)(opened - start) / 1e9, (unsigned long long)count,
                 (double)(nj_clock_mono_ns() - opened) / 1e9, anon_mib());
    seen.done = 0;
    cookie = 0;
    return highest.seq;
}

static void save_session(uint64_t owner, uint64_t away_ms)
{
    char id[32];
    int len = snprintf(id, sizeof(id), "client-%llu", (unsigned long long)owner);
    session = (struct nj_store_session){.owner = owner,
                                        .origin = {.client_id = nj_bytes(id, (size_t)len)},
                                        .away_ms = away_ms,
                                        .expiry_s = 3600};
    const struct nj_store_op op = {
        .kind = NJ_STORE_SESSION_SAVE, .owner = owner, .session = &session};
    submit(&op, 1);
}

static struct nj_message *make_message(const char *topic)
{
    static uint8_t payload[PAYLOAD];
    const struct nj_message_view view = {
        .topic = nj_bytes_of(topic), .payload = nj_bytes(payload, sizeof(payload)), .qos = 1};
    struct nj_message *message = nj_message_new(&view);
    if (!message) {
        exit(1);
    }
    return message;
}

/* On standard error, every few seconds. */
static void tell_progress(const char *what, uint64_t count, uint64_t all)
{
    static uint64_t next_ms;
    uint64_t now_ms = nj_clock_mono_ms();
    if (now_ms >= next_ms) {
        (void)fprintf(stderr, "%s: %llu of %llu\n", what, (unsigned long long)count,
                      (unsigned long long)all);
        next_ms = now_ms + PROGRESS_MS;
    }
}

static void append(uint64_t owner, uint64_t seq, uint16_t packet_id)
{
    struct nj_message *message = make_message("plant/line/4/temperature");
    const struct nj_store_op op = {.kind = NJ_STORE_QUEUE_APPEND,
                                   .owner = owner,
                                   .seq = seq,
                                   .packet_id = packet_id,
                                   .qos = 1,
                                   .message = message};
    submit(&op, 1);
    nj_message_unref(message);
}

static void stream(uint64_t messages, uint64_t window, uint64_t seq)
{
    uint64_t removed = 0;
    uint64_t base = seq;
    for (uint64_t owner = 1; owner <= 50; owner++) {
        save_session(owner, 0);
    }
    nj_store_flush(store, 0);
    uint64_t first = cookie;
    (void)wait_done(first);
    struct mark from = mark_now();
    for (uint64_t i = 0; i < messages; i++) {
        append(1 + i % 50, ++seq, 9);
        if (i % 16 == 15) {
            nj_store_flush(store, 0);
        }
        if (i >= window) {
            /* Its acknowledgement comes when its record is durable. */
            (void)wait_done(first + 2 * (i - window) + 1);
        }
        removed++;
        const struct nj_store_op op = {
            .kind = NJ_STORE_QUEUE_REMOVE,
            .owner = 1 + (i >= window ? (i - window) % 50 : 0),
            .seq = i >= window ? base + 1 + i - window : 0,
        };
        submit(&op, 1);
    }
    nj_store_flush(store, 0);
    (void)wait_done(cookie);
    tell("stream", removed, from);
}

static uint64_t drain(uint64_t owner)
{
    struct nj_store_read read = {.owner = owner, .max_rows = READ_ROWS, .max_bytes = 1 << 20};
    uint64_t count = 0;
    uint64_t last = 0;
    for (bool is_end = false; !is_end;) {
        (void)nj_store_read(store, 0, &read);
        nj_store_flush(store, 0);
        (void)pthread_mutex_lock(&seen.lock);
        while (!seen.rows) {
            (void)pthread_cond_wait(&seen.changed, &seen.lock);
        }
        struct nj_store_rows *rows = seen.rows;
        seen.rows = NULL;
        (void)pthread_mutex_unlock(&seen.lock);
        for (uint32_t i = 0; i < rows->count; i++) {
            if (rows->row[i].seq <= last) {
                (void)fprintf(stderr, "out of order\n");
                exit(1);
            }
            last = rows->row[i].seq;
            const struct nj_store_op op = {
                .kind = NJ_STORE_QUEUE_REMOVE, .owner = owner, .seq = last};
            submit(&op, 1);
        }
        count += rows->count;
        read.from_seq = last + 1;
        is_end = rows->is_end;
        nj_store_rows_free(rows);
    }
    return count;
}

static void backlog(const char *path, uint64_t messages, uint64_t sessions, uint64_t seq)
{
    for (uint64_t owner = 1; owner <= sessions; owner++) {
        save_session(owner, 1);
    }
    nj_store_flush(store, 0);
    (void)wait_done(cookie);
    struct mark from = mark_now();
    for (uint64_t i = 0; i < messages; i++) {
        append(1 + i % sessions, ++seq, 0);
        if (i % 64 == 63) {
            nj_store_flush(store, 0);
        }
        if (i % 4096 == 4095) {
            (void)wait_done(cookie - 4096);
            tell_progress("append", i + 1, messages);
        }
    }
    nj_store_flush(store, 0);
    (void)wait_done(cookie);
    tell("append", messages, from);
    uint64_t start = nj_clock_mono_ns();
    nj_store_close(store);
    (void)printf("closed in %.3f s\n", (double)(nj_clock_mono_ns() - start) / 1e9);
    (void)open_store(path);
    from = mark_now();
    uint64_t count = 0;
    for (uint64_t owner = 1; owner <= sessions; owner++) {
        count += drain(owner);
        tell_progress("drain", count, messages);
    }
    nj_store_flush(store, 0);
    (void)wait_done(cookie);
    tell("drain", count, from);
}

static void start(const char *path, uint64_t count)
{
    struct mark from = mark_now();
    for (uint64_t i = 1; i <= count; i++) {
        char text[64];
        int len = snprintf(text, sizeof(text), "site/%llu/line/%llu/state",
                           (unsigned long long)(i * 7919 % 1000), (unsigned long long)i);
        save_session(i, 1);
        struct nj_message *message = make_message(text);
        const struct nj_store_op ops[] = {
            {.kind = NJ_STORE_SUBSCRIBE, .owner = i, .bytes = nj_bytes(text, (size_t)len)},
            {.kind = NJ_STORE_RETAIN_SET, .message = message},
        };
        submit(ops, 2);
        nj_message_unref(message);
        if (i % 64 == 0) {
            nj_store_flush(store, 0);
        }
        if (i % 4096 == 0) {
            (void)wait_done(cookie - 4096);
        }
    }
    nj_store_flush(store, 0);
    (void)wait_done(cookie);
    tell("fill", count, from);
    uint64_t begin = nj_clock_mono_ns();
    nj_store_close(store);
    (void)printf("closed in %.3f s\n", (double)(nj_clock_mono_ns() - begin) / 1e9);
    (void)open_store(path);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: store_bench DIRECTORY stream|backlog|start [N] [M]\n");
        return 2;
    }
    uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000000;
    uint64_t m = argc > 4 ? strtoull(argv[4], NULL, 10) : 1000;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    uint64_t seq = open_store(argv[1]);
    if (strcmp(argv[2], "stream") == 0) {
        stream(n, m, seq);
    } else if (strcmp(argv[2], "backlog") == 0) {
        backlog(argv[1], n, m, seq);
    } else {
        start(argv[1], n);
    }
    uint64_t begin = nj_clock_mono_ns();
    nj_store_close(store);
    (void)printf("closed in %.3f s\n", (double)(nj_clock_mono_ns() - begin) / 1e9);
    return 0;
}
