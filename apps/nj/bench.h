/* `nj bench`: load, verified and measured. The way through its files:
 *
 *   bench_opts     the command line            bench_plan    which topics, publishers, subscribers
 *   bench_run      phases of one measurement   bench_loop    one generator thread
 *   bench_conn     sockets, TLS, buffers       bench_packet  what arrives;  bench_send what leaves
 *   bench_verify   payload, order, count       bench_hist    latencies
 *   bench_proc     the broker's CPU and memory bench_spawn   starting a broker
 *   bench_compare  two brokers, interleaved    bench_report  text and JSON
 *
 * The generator speaks MQTT with an encoder of its own on purpose: it checks the broker, and a
 * mistake in a shared codec would hide on both sides. It is also much cheaper than a general
 * client, because it shares the machine with what it measures. */
#ifndef NJ_APPS_NJ_BENCH_H
#define NJ_APPS_NJ_BENCH_H

#include "command.h"

/* Exit status: 0 = ran, and every message came once, whole and in order; 1 = it did not;
 * 2 = wrong usage; 3 = could not run (no broker there, no descriptors). */
enum {
    NJ_BENCH_EXIT_OK = 0,
    NJ_BENCH_EXIT_WRONG = 1,
    NJ_BENCH_EXIT_USAGE = 2,
    NJ_BENCH_EXIT_FAILED = 3
};

#endif
