/* The command line of `nj bench`: one table of options, defaults that depend on the scenario. */
#ifndef NJ_APPS_NJ_BENCH_OPTS_H
#define NJ_APPS_NJ_BENCH_OPTS_H

#include <sys/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum nj_bench_scenario {
    NJ_BENCH_PAIRS,
    NJ_BENCH_FANOUT,
    NJ_BENCH_FANIN,
    NJ_BENCH_SUBS,
    NJ_BENCH_CONNECT,
    NJ_BENCH_STORM,
    NJ_BENCH_IDLE,
    NJ_BENCH_SCENARIO_COUNT
};

struct nj_bench_options {
    enum nj_bench_scenario scenario;
    /* Where. */
    const char *host;
    uint32_t port;
    uint32_t pid;        /* 0 = not known: no CPU and memory figures */
    const char *broker;  /* program to start, instead of host and port */
    const char *compare; /* program, or HOST:PORT[:PID] */
    const char *conf;    /* file with configuration for started brokers */
    uint32_t rounds;
    /* What. */
    uint32_t version; /* 3, 4, 5 as enum nj_mqtt_version */
    uint32_t qos;
    uint32_t publishers;
    uint32_t subscribers;
    uint32_t size;
    uint32_t window;
    double rate; /* messages published per second; 0 = saturate */
    double warmup_s;
    double time_s;
    uint32_t threads;
    uint32_t subscriptions;
    uint32_t logins;
    uint32_t connections;
    uint32_t concurrency;
    uint32_t calibrate;
    const char *login_file;
    const char *username; /* %n becomes the number of the connection */
    const char *password;
    const char *topic_prefix;
    const char *capath_or_file;
    bool is_stored;
    bool is_tls;
    bool is_insecure;
    bool is_resume;
    /* How to say it. */
    bool is_json;
    bool is_quiet;
    bool wants_help;
};

/* What a run of this scenario is called on the command line. */
const char *nj_bench_scenario_name(enum nj_bench_scenario scenario);
/* Prints a sentence to stderr and returns NJ_EINVAL for anything it does not understand. Keeps
 * pointers into argv. */
enum nj_err nj_bench_options_parse(struct nj_bench_options *options, int argc, char **argv)
    NJ_NODISCARD;
void nj_bench_help_print(FILE *out);

#endif
