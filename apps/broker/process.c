/* See process.h. */
#include "process.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef NJ_HAVE_SYSTEMD
#    include <systemd/sd-daemon.h>
#endif

#include "base/log.h"
#include "config/settings.h"

enum nj_err nj_process_daemonise(void)
{
    pid_t child = fork();
    if (child < 0) {
        nj_log(NJ_LOG_ERROR, "Error in fork: %s", strerrordesc_np(errno));
        return NJ_ESYS;
    }
    if (child > 0) {
        _exit(0);
    }
    if (setsid() < 0) {
        nj_log(NJ_LOG_ERROR, "Error in setsid: %s", strerrordesc_np(errno));
        return NJ_ESYS;
    }
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
        return NJ_ESYS;
    }
    for (int fd = 0; fd <= 2; fd++) {
        (void)dup2(null_fd, fd);
    }
    (void)close(null_fd);
    return NJ_OK;
}

enum nj_err nj_process_write_pid(const char *path)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld", (long)getpid());
    /* Written as root, perhaps: a link that somebody planted there is not followed (L-096). */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    bool is_written = fd >= 0 && fchmod(fd, 0644) == 0 && write(fd, text, (size_t)len) == len;
    if (!is_written) {
        nj_log(NJ_LOG_ERROR, "Error: Unable to write pid file %s: %s.", path,
               strerrordesc_np(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_written ? NJ_OK : NJ_ESYS;
}

static const struct passwd *find_account(const struct nj_settings *settings)
{
    /* Start-up, one thread. NOLINTBEGIN(concurrency-mt-unsafe) */
    if (settings->user) {
        return getpwnam(settings->user);
    }
    const struct passwd *account = getpwnam("mosquitto");
    return account ? account : getpwnam("nobody");
    /* NOLINTEND(concurrency-mt-unsafe) */
}

enum nj_err nj_process_drop(const struct nj_settings *settings)
{
    if (geteuid() != 0 || (settings->user && strcmp(settings->user, "root") == 0)) {
        return NJ_OK;
    }
    const struct passwd *account = find_account(settings);
    if (!account) {
        nj_log(NJ_LOG_ERROR, "Error: Invalid user '%s': there is no such account.",
               settings->user ? settings->user : "nobody");
        return NJ_EINVAL;
    }
    if (initgroups(account->pw_name, account->pw_gid) != 0 || setgid(account->pw_gid) != 0 ||
        setuid(account->pw_uid) != 0) {
        nj_log(NJ_LOG_ERROR, "Error setting user to '%s': %s", account->pw_name,
               strerrordesc_np(errno));
        return NJ_EACCES;
    }
    return NJ_OK;
}

void nj_process_raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    /* Passwords and keys are in memory: no core files. */
    limit.rlim_cur = 0;
    limit.rlim_max = 0;
    (void)setrlimit(RLIMIT_CORE, &limit);
    (void)umask(0077);
}

void nj_process_notify(const char *state)
{
#ifdef NJ_HAVE_SYSTEMD
    (void)sd_notify(0, state);
#else
    (void)state;
#endif
}

uint64_t nj_process_watchdog_ms(void)
{
#ifdef NJ_HAVE_SYSTEMD
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) > 0) {
        return usec / 2000;
    }
#endif
    return 0;
}
