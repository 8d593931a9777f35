/* The broker's CPU time and memory, from /proc. Linux only, like the broker. */
#ifndef NJ_APPS_NJ_BENCH_PROC_H
#define NJ_APPS_NJ_BENCH_PROC_H

#include <sys/types.h>
#include <stdint.h>

#include "base/err.h"

struct nj_bench_usage {
    uint64_t at_ns;  /* when it was read */
    uint64_t cpu_ns; /* user + system of all threads, ended ones too; in clock ticks (10 ms) */
    uint64_t user_ns;
    uint64_t system_ns;
    uint64_t exact_ns; /* the same of the threads that live, exactly; 0 = the kernel does not say */
    uint32_t threads;
    uint64_t thread_mix; /* tells whether two readings saw the same threads */
    uint64_t rss_bytes;
};

/* NJ_ENOENT: no such process, or not ours to look at. */
enum nj_err nj_bench_usage_read(pid_t pid, struct nj_bench_usage *out) NJ_NODISCARD;
/* CPU between two readings: exact if the same threads lived at both, else to the tick. */
uint64_t nj_bench_usage_cpu_ns(const struct nj_bench_usage *from, const struct nj_bench_usage *to);

#endif
