/* See control.h. */
#include "control.h"

#include <sys/signalfd.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "broker/limits.h"
#include "broker/retain.h"
#include "config/config.h"
#include "control/plane.h"
#include "dynsec_setup.h"
#include "front/front.h"
#include "front/sys.h"
#include "http/http.h"
#include "policy_build.h"
#include "process.h"
#include "restart.h"
#include "security/dynsec.h"
#include "security/policy.h"

#define STATUS_OK     0
#define STATUS_SYSTEM 1
#define STATUS_CONFIG 3
#define TICK_MS       1000

/* Snapshots that were replaced: workers may have looked at them a moment ago, and there are only as
 * many as reloads, so they stay until the end. */
struct graveyard {
    struct nj_limits **limits;
    struct nj_settings **settings;
    size_t count;
};

struct nj_control {
    struct nj_front *front;
    struct nj_settings *settings; /* in force */
    struct nj_limits *limits;
    struct nj_sys *sys;
    struct nj_control_plane *plane;
    struct nj_dynsec *dynsec; /* NULL = not configured */
    struct nj_dynsec_module *module;
    struct nj_http *http; /* NULL = no such listener */
    struct graveyard old;
    uint64_t epoch;
    uint64_t next_sys_ms;
    bool is_memory_short; /* and the log says so */
    uint64_t watchdog_ms; /* how often systemd wants to hear of us; 0 = not at all */
    uint64_t asked_ms;    /* when the workers were asked last whether they turn */
    bool is_warned;       /* about one that does not */
    int exit_status;
    bool is_stopping;
    bool wants_restart;
};

static sigset_t control_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGUSR2);
    (void)sigaddset(&set, SIGRTMIN);
    (void)sigaddset(&set, SIGRTMIN + 1);
    (void)sigaddset(&set, SIGCHLD);
    return set;
}

void nj_control_block_signals(void)
{
    sigset_t set = control_signals();
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void nj_control_log_topic(void *arg, enum nj_log_type type, const char *line, size_t len)
{
    static const struct {
        enum nj_log_type type;
        const char *name;
    } names[] = {
        {NJ_LOG_ERROR, "E"},
        {NJ_LOG_WARNING, "W"},
        {NJ_LOG_NOTICE, "N"},
        {NJ_LOG_INFO, "I"},
        {NJ_LOG_DEBUG, "D"},
        {NJ_LOG_SUBSCRIBE, "M/subscribe"},
        {NJ_LOG_UNSUBSCRIBE, "M/unsubscribe"},
        {NJ_LOG_WEBSOCKETS, "WS"},
        {NJ_LOG_INTERNAL, "internal"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].type == type) {
            char topic[64];
            (void)snprintf(topic, sizeof(topic), "$SYS/broker/log/%s", names[i].name);
            nj_front_publish_message(arg, nj_bytes_of(topic), nj_bytes(line, len), 2, false);
            return;
        }
    }
}

/* ---- reload: everything or nothing */

static void bury(struct nj_control *control, struct nj_settings *settings, struct nj_limits *limits)
{
    struct graveyard *old = &control->old;
    old->limits = nj_realloc(old->limits, (old->count + 1) * sizeof(old->limits[0]));
    old->settings = nj_realloc(old->settings, (old->count + 1) * sizeof(old->settings[0]));
    old->limits[old->count] = limits;
    old->settings[old->count] = settings;
    old->count++;
}

/* `why`, of NJ_CONFIG_ERROR_MAX bytes, gets the text of what is wrong; the log has it, too. */
static enum nj_err try_reload(struct nj_control *control, char *why)
{
    struct nj_settings *fresh;
    struct nj_policy *policy;
    if (nj_config_reload_explained(control->settings, &fresh, why) != NJ_OK) {
        return NJ_EINVAL;
    }
    if (nj_policy_build(fresh, control->dynsec, control->epoch + 1, &policy) != NJ_OK) {
        (void)snprintf(why, NJ_CONFIG_ERROR_MAX,
                       "a password or ACL file is broken; the log says "
                       "where");
        nj_settings_free(fresh);
        return NJ_EINVAL;
    }
    /* The last step that can fail; it takes effect as a whole or not at all. */
    if (nj_front_reload_tls(control->front, fresh, policy) != NJ_OK ||
        nj_control_configure_log(fresh, control->front) != NJ_OK) {
        (void)snprintf(why, NJ_CONFIG_ERROR_MAX,
                       "a certificate, a key or the log file cannot be "
                       "used; the log says which");
        nj_policy_unref(policy);
        nj_settings_free(fresh);
        return NJ_EINVAL;
    }
    control->epoch++;
    bury(control, control->settings, control->limits);
    control->settings = fresh;
    control->limits = nj_limits_build(fresh);
    nj_front_set_settings(control->front, fresh);
    if (control->module) {
        const struct nj_dynsec_module_options options = nj_dynsec_setup_options(fresh);
        nj_dynsec_module_configure(control->module, &options);
        nj_dynsec_preview(control->dynsec);
    }
    nj_mem_set_limit((int64_t)fresh->memory_limit);
    nj_front_publish(control->front, policy, control->limits);
    return NJ_OK;
}

static enum nj_err reload(struct nj_control *control, char *why)
{
    nj_process_notify("RELOADING=1");
    nj_log(NJ_LOG_INFO, "Reloading config.");
    enum nj_err err = try_reload(control, why);
    nj_process_notify("READY=1");
    if (err == NJ_OK) {
        nj_log(NJ_LOG_INFO, "Reload done: epoch %llu.", (unsigned long long)control->epoch);
    }
    return err;
}

static void reload_by_signal(struct nj_control *control)
{
    char why[NJ_CONFIG_ERROR_MAX];
    if (reload(control, why) == NJ_OK) {
        return;
    }
    if (control->settings->mode.reload_keeps_old) {
        nj_log(NJ_LOG_ERROR, "Error: reload failed; everything stays as it was.");
    } else {
        control->is_stopping = true;
        control->exit_status = STATUS_CONFIG;
    }
}

/* ---- what the control plane asks of us */

static const struct nj_settings *host_settings(void *arg)
{
    const struct nj_control *control = arg;
    return control->settings;
}

/* Whoever asks by request is told what is wrong and can mend it: the broker goes on. */
static enum nj_err host_reload(void *arg, char *why, size_t size)
{
    char text[NJ_CONFIG_ERROR_MAX] = "";
    enum nj_err err = reload(arg, text);
    if (err != NJ_OK) {
        (void)snprintf(why, size, "%s", text);
        nj_log(NJ_LOG_ERROR, "Error: reload failed; everything stays as it was.");
    }
    return err;
}

static enum nj_err host_change_policy(void *arg,
                                      enum nj_err (*change)(void *arg, struct nj_scope *scopes,
                                                            size_t count),
                                      void *change_arg)
{
    struct nj_control *control = arg;
    struct nj_policy *old = atomic_load(&control->front->core.policy);
    struct nj_policy *fresh;
    enum nj_err err = nj_policy_changed(old, control->epoch + 1, change, change_arg, &fresh);
    if (err == NJ_OK) {
        control->epoch++;
        nj_front_publish(control->front, fresh, NULL);
    }
    return err;
}

static struct nj_control_plane *make_plane(struct nj_control *control)
{
    const struct nj_control_host host = {
        .arg = control,
        .settings = host_settings,
        .reload = host_reload,
        .change_policy = host_change_policy,
    };
    struct nj_control_plane *plane = nj_control_plane_new(control->front, &host);
    nj_control_plane_add_own(plane);
    if (control->dynsec) {
        const struct nj_dynsec_module_options options = nj_dynsec_setup_options(control->settings);
        control->module = nj_dynsec_module_new(control->dynsec, &options);
        nj_control_plane_add(plane, &nj_dynsec_api, control->module);
    }
    return plane;
}

static enum nj_err put_dynsec(void *arg, struct nj_scope *scopes, size_t count)
{
    const struct nj_control *control = arg;
    return nj_dynsec_setup_scopes(control->settings, control->dynsec, scopes, count);
}

enum nj_err nj_control_open_dynsec(struct nj_control *control)
{
    struct nj_policy *old = atomic_load(&control->front->core.policy);
    struct nj_policy *fresh;
    enum nj_err err = nj_dynsec_setup_open(control->settings, &control->dynsec);
    if (err != NJ_OK || !control->dynsec) {
        return err;
    }
    err = nj_policy_changed(old, control->epoch + 1, put_dynsec, control, &fresh);
    if (err == NJ_OK) {
        /* No worker runs: each takes it over in its first turn. */
        control->epoch++;
        atomic_store(&control->front->core.policy, fresh);
        nj_policy_unref(old);
    }
    return err;
}

/* ---- restart: only when the new start is known to succeed */

static void begin_restart(const struct nj_control *control)
{
    enum nj_err err = nj_restart_try(control->front);
    if (err == NJ_OK) {
        nj_log(NJ_LOG_INFO, "Restart asked for: trying the new start.");
    } else if (err == NJ_EBUSY) {
        nj_log(NJ_LOG_INFO, "Restart asked for, but one is being tried already.");
    }
}

static void go_on_with_restart(struct nj_control *control)
{
    enum nj_err err = nj_restart_tried();
    if (err == NJ_OK) {
        control->is_stopping = true;
        control->wants_restart = true;
    } else if (err != NJ_EAGAIN) {
        nj_log(NJ_LOG_ERROR, "Error: restart failed: the new start would not succeed; everything "
                             "stays as it was.");
    }
}

bool nj_control_wants_restart(const struct nj_control *control)
{
    return control->wants_restart;
}

/* What service manager and files have to know of the end. */
static void say_end(const struct nj_control *control)
{
    if (control->wants_restart) {
        nj_log(NJ_LOG_INFO, "nightjar version %s restarting", NJ_VERSION);
        nj_process_notify("RELOADING=1");
        return;
    }
    nj_log(NJ_LOG_INFO, "nightjar version %s terminating", NJ_VERSION);
    nj_process_notify("STOPPING=1");
    if (control->settings->pid_file) {
        (void)unlink(control->settings->pid_file);
    }
}

/* ---- the loop */

static void on_signal(struct nj_control *control, int number)
{
    if (number == SIGINT || number == SIGTERM) {
        control->is_stopping = true;
    } else if (number == SIGHUP) {
        reload_by_signal(control);
    } else if (number == SIGRTMIN) {
        if (nj_log_reopen() != NJ_OK) {
            nj_log(NJ_LOG_ERROR, "Error: the log file cannot be opened again; the old one stays.");
        }
    } else if (number == SIGRTMIN + 1) {
        begin_restart(control);
    } else if (number == SIGCHLD) {
        go_on_with_restart(control);
    } else if (number == SIGUSR1) {
        nj_log(NJ_LOG_INFO, "Nothing to save: the store is in memory.");
    }
}

static void take_signals(struct nj_control *control, int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        on_signal(control, (int)info.ssi_signo);
    }
}

/* The workers are asked often enough that a healthy one answers in time however the questions fall.
 */
static uint64_t pulse_ms(const struct nj_control *control)
{
    uint64_t quarter = control->watchdog_ms / 2;
    return !quarter || quarter > TICK_MS ? TICK_MS : quarter;
}

static void ask_pulse(struct nj_control *control, uint64_t now)
{
    control->asked_ms = now;
    control->is_warned = false;
    nj_front_ask_pulse(control->front);
}

/* systemd hears of us only when every worker has turned since it was asked last: a broker with a
 * worker that hangs is no better than none, and is started anew. */
static void feed_watchdog(struct nj_control *control, uint64_t now)
{
    bool is_watched = control->watchdog_ms != 0;
    /* /health wants to know, too. */
    if ((!is_watched && !control->http) || now < control->asked_ms + pulse_ms(control)) {
        return;
    }
    unsigned silent = nj_front_silent_worker(control->front);
    if (silent == control->front->worker_count) {
        if (is_watched) {
            nj_process_notify("WATCHDOG=1");
        }
        ask_pulse(control, now);
    } else if (is_watched && !control->is_warned &&
               now >= control->asked_ms + control->watchdog_ms) {
        control->is_warned = true;
        nj_log(NJ_LOG_WARNING,
               "Warning: worker %u has not turned its loop for %llu ms; the watchdog waits for it.",
               silent, (unsigned long long)(now - control->asked_ms));
    }
}

/* The worker that removes expired messages may sleep when the first one is due. */
static void wake_sweeper(struct nj_control *control, uint64_t now)
{
    if (nj_retain_next_due_ms(control->front->core.retain) <= now) {
        nj_worker_wake(&control->front->workers[0]);
    }
}

/* What it means for clients is known here only by counters, so it is said. */
static void watch_memory(struct nj_control *control)
{
    int64_t limit = (int64_t)control->settings->memory_limit;
    if (!control->is_memory_short && nj_mem_is_short()) {
        control->is_memory_short = true;
        nj_log(
            NJ_LOG_WARNING,
            "Warning: more than seven eighths of memory_limit (%lld bytes) are in use; what would "
            "have to be kept in memory is refused.",
            (long long)limit);
    } else if (control->is_memory_short && (!limit || nj_mem_used() < limit - limit / 4)) {
        control->is_memory_short = false;
        nj_log(NJ_LOG_NOTICE, "There is memory again for everything.");
    }
}

static void tick(struct nj_control *control)
{
    uint64_t now = nj_clock_mono_ms();
    uint32_t interval = control->settings->sys_interval;
    feed_watchdog(control, now);
    wake_sweeper(control, now);
    watch_memory(control);
    if (interval && now >= control->next_sys_ms) {
        nj_sys_publish(control->sys);
        control->next_sys_ms = now + interval * 1000ull;
    }
}

struct nj_control *nj_control_new(struct nj_front *front, struct nj_settings *settings,
                                  struct nj_limits *limits)
{
    struct nj_control *control = nj_zalloc(sizeof(*control));
    control->front = front;
    control->settings = settings;
    control->limits = limits;
    control->epoch = 1;
    return control;
}

int nj_control_run(struct nj_control *control)
{
    sigset_t set = control_signals();
    struct pollfd fds[] = {
        {.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN},
        {.events = POLLIN},
    };
    if (fds[0].fd < 0) {
        nj_log(NJ_LOG_ERROR, "Error: no descriptor left for signals.");
        return STATUS_SYSTEM;
    }
    if (nj_http_start(control->front, &control->http) != NJ_OK) {
        (void)close(fds[0].fd);
        return STATUS_SYSTEM;
    }
    control->plane = make_plane(control);
    fds[1].fd = nj_control_plane_fd(control->plane);
    control->sys = nj_sys_new(control->front);
    nj_log(NJ_LOG_INFO, "nightjar version %s running", NJ_VERSION);
    nj_process_notify("READY=1");
    control->watchdog_ms = nj_process_watchdog_ms();
    ask_pulse(control, nj_clock_mono_ms());
    while (!control->is_stopping) {
        tick(control);
        (void)poll(fds, 2, (int)pulse_ms(control));
        take_signals(control, fds[0].fd);
        if (fds[1].revents) {
            nj_control_plane_run(control->plane);
        }
    }
    (void)close(fds[0].fd);
    nj_control_plane_stop(control->plane);
    nj_http_stop(control->http);
    say_end(control);
    return control->exit_status;
}

void nj_control_free(struct nj_control *control)
{
    for (size_t i = 0; i < control->old.count; i++) {
        nj_free(control->old.limits[i]);
        nj_settings_free(control->old.settings[i]);
    }
    nj_control_plane_free(control->plane);
    nj_dynsec_module_free(control->module);
    nj_dynsec_close(control->dynsec);
    nj_free(control->old.limits);
    nj_free(control->old.settings);
    nj_free(control->limits);
    nj_settings_free(control->settings);
    nj_sys_free(control->sys);
    nj_free(control);
}
