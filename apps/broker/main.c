/* nightjar, the broker: the only place where the rooms are put together.
 *
 * The main thread becomes the control thread: it takes signals, reloads, publishes $SYS, and stops
 * the broker. Everything else happens on the workers (front/worker.c). */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/limits.h"
#include "config/config.h"
#include "control.h"
#include "control/plane.h"
#include "dynsec_setup.h"
#include "front/front.h"
#include "front/store_door.h"
#include "front/sys.h"
#include "net/inherit.h"
#include "net/tls.h"
#include "policy_build.h"
#include "process.h"
#include "restart.h"
#include "security/policy.h"

/* Exit statuses: those of the original. */
#define STATUS_OK     0
#define STATUS_TLS    1
#define STATUS_CONFIG 3

enum nj_err nj_control_configure_log(const struct nj_settings *settings, struct nj_front *front)
{
    const struct nj_log_settings log = {
        .types = settings->log_none ? 0 : settings->log_types,
        .to_stderr = settings->log_stderr,
        .to_stdout = settings->log_stdout,
        .to_syslog = settings->log_syslog,
        .syslog_facility = settings->log_facility,
        .to_topic = settings->log_topic && front,
        .topic_fn = nj_control_log_topic,
        .topic_arg = front,
        .file = settings->log_file,
        .timestamp = settings->log_timestamp,
        .timestamp_format = settings->log_timestamp_format,
    };
    if (nj_log_configure(&log) != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: Unable to open log file %s for writing: %s.",
               settings->log_file, strerrordesc_np(errno));
        return NJ_ESYS;
    }
    return NJ_OK;
}

static void say_hello(const struct nj_settings *settings)
{
    nj_log(NJ_LOG_INFO, "nightjar version %s starting", NJ_VERSION);
    if (settings->config_file) {
        nj_log(NJ_LOG_INFO, "Config loaded from %s.", settings->config_file);
    } else {
        nj_log(NJ_LOG_INFO, "Using default config.");
    }
    if (settings->is_local_only) {
        nj_log(NJ_LOG_INFO, "Starting in local only mode. Connections will only be possible from "
                            "clients running on this machine.");
        nj_log(NJ_LOG_INFO, "Create a configuration file which defines a listener to allow remote "
                            "access.");
    }
    nj_log(NJ_LOG_INFO, "%s",
           settings->mode.is_compat
               ? "Running in compat mode: as Mosquitto 2.1.2 does."
               : "Running in native mode. It differs from Mosquitto's in this:");
    for (const char *const *line = nj_config_differences(settings); *line; line++) {
        nj_log(NJ_LOG_INFO, "%s", *line);
    }
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct nj_scope_settings *scope = nj_settings_scope(settings, i);
        if (!scope->acl_file && !scope->dynamic_security && !settings->mode.acl_default_allow) {
            nj_log(NJ_LOG_WARNING,
                   "Warning: no acl_file: clients may neither publish nor subscribe. "
                   "Set acl_file, or acl_default allow.");
            break;
        }
    }
}

/* Everything that --test-config promises to have looked at. */
static enum nj_err try_files(const struct nj_settings *settings)
{
    struct nj_policy *policy;
    enum nj_err err = nj_policy_build(settings, NULL, 1, &policy);
    if (err == NJ_OK) {
        nj_policy_unref(policy);
        err = nj_dynsec_setup_test(settings);
    }
    return err;
}

/* Pid file, account, log: in this order, because each needs rights that the next takes away. */
static enum nj_err become_service(const struct nj_settings *settings, struct nj_front *front)
{
    /* A successor has its process number, and so its pid file, from the one before. */
    if (settings->pid_file && !nj_restart_is_successor() &&
        nj_process_write_pid(settings->pid_file) != NJ_OK) {
        return NJ_ESYS;
    }
    if (nj_process_drop(settings) != NJ_OK) {
        return NJ_ESYS;
    }
    return nj_control_configure_log(settings, front);
}

/* Everything that a start needs but the store, the account and the threads. */
static int try_start(struct nj_settings *settings)
{
    struct nj_policy *policy;
    int status = STATUS_CONFIG;
    if (try_files(settings) == NJ_OK && nj_policy_build(settings, NULL, 1, &policy) == NJ_OK) {
        status = nj_front_try(settings, policy) == NJ_OK ? STATUS_OK : STATUS_TLS;
        nj_policy_unref(policy);
    }
    nj_settings_free(settings);
    return status;
}

static void say_unused(void *arg, const char *where)
{
    (void)arg;
    nj_log(NJ_LOG_WARNING,
           "Warning: the socket at %s was passed to the broker, but no listener "
           "is configured for it; it is closed.",
           where);
}

/* Takes the settings over. */
static int run(struct nj_settings *settings)
{
    struct nj_policy *policy;
    if (nj_policy_build(settings, NULL, 1, &policy) != NJ_OK) {
        nj_settings_free(settings);
        return STATUS_CONFIG;
    }
    /* Before the first thread: threads do not survive the fork. */
    if (settings->is_daemon && !nj_restart_is_successor() && nj_process_daemonise() != NJ_OK) {
        nj_policy_unref(policy);
        nj_settings_free(settings);
        return STATUS_TLS;
    }
    struct nj_front front;
    struct nj_limits *limits = nj_limits_build(settings);
    struct nj_control *control = nj_control_new(&front, settings, limits);
    int status = STATUS_TLS;
    bool is_open = nj_front_open(&front, settings, policy, limits) == NJ_OK;
    nj_restart_adopt(&front);
    nj_inherit_close(say_unused, NULL);
    if (is_open && become_service(settings, &front) == NJ_OK &&
        nj_front_open_store(&front, settings) == NJ_OK) {
        nj_mem_set_limit((int64_t)settings->memory_limit);
        if (nj_control_open_dynsec(control) != NJ_OK) {
            status = STATUS_CONFIG;
        } else if (nj_front_start(&front) == NJ_OK) {
            status = nj_control_run(control);
        }
    }
    const struct nj_log_settings quiet = {
        .types = NJ_LOG_DEFAULT, .to_stderr = settings->log_stderr, .timestamp = true};
    bool is_restart = nj_control_wants_restart(control);
    (void)!nj_log_configure(&quiet); /* no line goes to a topic any more */
    if (is_restart) {
        nj_restart_keep(&front);
    }
    nj_front_stop(&front);
    nj_control_free(control);
    if (is_restart) {
        nj_restart_exec();
        status = STATUS_TLS;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct nj_config_result config;
    nj_crash_arm();
    nj_restart_init(argv);
    /* One arena for all threads: memory stays low, and the hot paths do not allocate. */
    (void)mallopt(M_ARENA_MAX, 2);
    (void)signal(SIGPIPE, SIG_IGN);
    nj_process_raise_limits();
    nj_hash_init();
    nj_tls_init();
    nj_control_json_init();
    nj_config_load(argc, argv, &config);
    if (config.action == NJ_CONFIG_EXIT) {
        return config.exit_status;
    }
    struct nj_settings *settings = config.settings;
    if (config.action == NJ_CONFIG_TEST) {
        int status = try_files(settings) == NJ_OK ? STATUS_OK : STATUS_CONFIG;
        if (status == STATUS_OK && !settings->is_quiet) {
            nj_log(NJ_LOG_INFO, "Configuration file is OK.");
        }
        nj_settings_free(settings);
        return status;
    }
    if (nj_restart_is_trial()) {
        settings->log_types &= NJ_LOG_ERROR | NJ_LOG_WARNING;
    }
    if (nj_control_configure_log(settings, NULL) != NJ_OK) {
        nj_settings_free(settings);
        return STATUS_CONFIG;
    }
    if (nj_restart_is_trial()) {
        return try_start(settings);
    }
    nj_control_block_signals();
    say_hello(settings);
    return run(settings);
}
