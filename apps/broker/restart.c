/* See restart.h. The sockets are passed as systemd passes them (net/inherit.h): as descriptors from
 * 3 on, with their names. */
#include "restart.h"

#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "front/front.h"
#include "net/inherit.h"

#define FIRST_FD  3
#define ROLE_NAME "NIGHTJAR_ROLE"
#define TRIAL     "trial"
#define SUCCESSOR "successor"
#define GUEST     "guest" /* successor, with sockets of a service manager */

extern char **environ;

/* How the program was started, and what a restart that is under way holds. Main thread. */
static struct {
    char path[PATH_MAX]; /* to execute */
    char **argv;
    bool is_trial;
    bool is_successor;
    bool is_guest;
    pid_t child; /* that tries; 0 = none */
    size_t fd_count;
    int fds[NJ_INHERIT_MAX]; /* kept for the successor */
    char *names;             /* as LISTEN_FDNAMES */
} state;

/* argv[0] when it is a path, so that a symbolic link in it may point to a new version; else the
 * file that runs. */
static void find_program(const char *name)
{
    char here[PATH_MAX];
    if (name[0] == '/') {
        (void)snprintf(state.path, sizeof(state.path), "%s", name);
    } else if (strchr(name, '/') && getcwd(here, sizeof(here))) {
        if (snprintf(state.path, sizeof(state.path), "%s/%s", here, name) >= PATH_MAX) {
            state.path[0] = '\0';
        }
    } else {
        ssize_t len = readlink("/proc/self/exe", state.path, sizeof(state.path) - 1);
        state.path[len > 0 ? len : 0] = '\0';
    }
}

void nj_restart_init(char **argv)
{
    const char *role = getenv(ROLE_NAME); /* NOLINT(concurrency-mt-unsafe): before threads */
    state.is_trial = role && strcmp(role, TRIAL) == 0;
    state.is_guest = role && strcmp(role, GUEST) == 0;
    state.is_successor = state.is_guest || (role && strcmp(role, SUCCESSOR) == 0);
    state.argv = argv;
    find_program(argv[0]);
    (void)unsetenv(ROLE_NAME); /* NOLINT(concurrency-mt-unsafe) */
    (void)nj_inherit_open(state.is_trial);
}

bool nj_restart_is_trial(void)
{
    return state.is_trial;
}

bool nj_restart_is_successor(void)
{
    return state.is_successor;
}

void nj_restart_adopt(struct nj_front *front)
{
    bool is_ours = state.is_successor && !state.is_guest;
    for (unsigned i = 0; is_ours && i < front->listener_count; i++) {
        front->listeners[i].keeps_path = false;
    }
}

/* ---- what is passed on */

/* Names of all sockets, in their order, divided by colons. */
static char *names_of(const struct nj_front *front)
{
    char *out = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&out, &len);
    NJ_ASSERT(file);
    const char *colon = "";
    for (unsigned i = 0; i < front->listener_count; i++) {
        const char *name = front->listeners[i].settings->socket_name;
        for (size_t j = 0; j < front->listeners[i].fd_count; j++) {
            (void)fprintf(file, "%s%s", colon, name ? name : "nightjar");
            colon = ":";
        }
    }
    (void)fclose(file);
    return out;
}

/* Copies of the listening sockets above every number that they are to have in the end. */
static size_t copy_sockets(const struct nj_front *front, int fds[NJ_INHERIT_MAX])
{
    size_t count = 0;
    for (unsigned i = 0; i < front->listener_count; i++) {
        for (size_t j = 0; j < front->listeners[i].fd_count && count < NJ_INHERIT_MAX; j++) {
            int fd = fcntl(front->listeners[i].fds[j], F_DUPFD_CLOEXEC, FIRST_FD + NJ_INHERIT_MAX);
            if (fd >= 0) {
                fds[count++] = fd;
            }
        }
    }
    return count;
}

/* The environment of the next process: ours, the sockets and its role. Freed with free_environment.
 */
static char **make_environment(const char *role, size_t fd_count, const char *names)
{
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    char **out = nj_zalloc((count + 5) * sizeof(char *));
    memcpy(out, environ, count * sizeof(char *));
    const size_t size = strlen(names) + 64;
    for (int i = 0; i < 4; i++) {
        out[count + (size_t)i] = nj_alloc(size);
    }
    (void)snprintf(out[count], size, "%s=%s", ROLE_NAME, role);
    (void)snprintf(out[count + 1], size, "LISTEN_PID=%ld", (long)getpid());
    (void)snprintf(out[count + 2], size, "LISTEN_FDS=%zu", fd_count);
    (void)snprintf(out[count + 3], size, "LISTEN_FDNAMES=%s", names);
    return out;
}

static void free_environment(char **env)
{
    size_t count = 0;
    while (env[count]) {
        count++;
    }
    for (size_t i = count - 4; i < count; i++) {
        nj_free(env[i]);
    }
    nj_free(env);
}

/* ---- trying */

static int spawn(char **env, const int *fds, size_t fd_count)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    int error = 0;
    for (size_t i = 0; i < fd_count && error == 0; i++) {
        error = posix_spawn_file_actions_adddup2(&actions, fds[i], FIRST_FD + (int)i);
    }
    if (error == 0) {
        error = posix_spawn(&state.child, state.path, &actions, &attributes, state.argv, env);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return error;
}

enum nj_err nj_restart_try(const struct nj_front *front)
{
    int fds[NJ_INHERIT_MAX];
    if (state.child) {
        return NJ_EBUSY;
    }
    size_t count = copy_sockets(front, fds);
    char *names = names_of(front);
    char **env = make_environment(TRIAL, count, names);
    int error = spawn(env, fds, count);
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
    free_environment(env);
    free(names); /* of the C library */
    if (error != 0) {
        state.child = 0;
        nj_log(NJ_LOG_ERROR, "Error: %s cannot be started: %s.", state.path,
               strerrordesc_np(error));
        return NJ_ESYS;
    }
    return NJ_OK;
}

enum nj_err nj_restart_tried(void)
{
    int status = 0;
    if (!state.child || waitpid(state.child, &status, WNOHANG) != state.child) {
        return NJ_EAGAIN;
    }
    state.child = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? NJ_OK : NJ_EINVAL;
}

/* ---- doing it */

void nj_restart_keep(struct nj_front *front)
{
    state.fd_count = copy_sockets(front, state.fds);
    state.names = names_of(front);
    for (unsigned i = 0; i < front->listener_count; i++) {
        state.is_guest |= front->listeners[i].keeps_path;
        front->listeners[i].keeps_path = true;
    }
}

void nj_restart_exec(void)
{
    char **env = make_environment(state.is_guest ? GUEST : SUCCESSOR, state.fd_count, state.names);
    for (size_t i = 0; i < state.fd_count; i++) {
        /* Whatever had this number is not needed any more; everything else closes by itself. */
        if (dup2(state.fds[i], FIRST_FD + (int)i) < 0) {
            nj_log(NJ_LOG_ERROR, "Error: a listening socket is lost: %s.", strerrordesc_np(errno));
        }
    }
    (void)execve(state.path, state.argv, env);
    nj_log(NJ_LOG_ERROR, "Error: %s cannot be executed: %s.", state.path, strerrordesc_np(errno));
    free_environment(env);
    free(state.names);
}
