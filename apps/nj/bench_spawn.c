/* See bench_spawn.h. */
#include "bench_spawn.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

#define START_TRIES 500 /* of 10 ms */
#define STOP_TRIES  300

static void pause_10ms(void)
{
    struct timespec time = {.tv_nsec = 10000000};
    nanosleep(&time, NULL);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    uint16_t port = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return 0;
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
        port = ntohs(address.sin_port);
    }
    close(fd);
    return port;
}

static bool is_listening(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return is_there;
}

/* Without an ACL, nightjar allows nothing unless told to; Mosquitto would not know the option. */
static bool is_strict(const char *program)
{
    const char *slash = strrchr(program, '/');
    return strncmp(slash ? slash + 1 : program, "nightjar", 8) == 0;
}

static enum nj_err write_conf(const char *program, const struct nj_bench_broker *broker,
                              const char *conf)
{
    char path[96];
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err =
        nj_buf_printf(&text,
                      "listener %u 127.0.0.1\nallow_anonymous true\n"
                      "persistence false\nmax_queued_messages 0\n"
                      "max_inflight_messages 0\nset_tcp_nodelay true\n%s",
                      broker->port, is_strict(program) && !conf ? "acl_default allow\n" : "");
    if (err == NJ_OK && conf) {
        err = nj_file_read(conf, 1u << 20, false, &text);
    }
    if (err == NJ_OK) {
        (void)snprintf(path, sizeof(path), "%s/conf", broker->dir);
        err = nj_file_replace(path, text.data, text.len, 0644);
    }
    nj_buf_fini(&text);
    return err;
}

static void show_log(const struct nj_bench_broker *broker)
{
    char path[96];
    struct nj_buf text;
    nj_buf_init(&text);
    (void)snprintf(path, sizeof(path), "%s/log", broker->dir);
    if (nj_file_read(path, 1u << 20, false, &text) == NJ_OK && text.len) {
        size_t skip = text.len > 2000 ? text.len - 2000 : 0;
        (void)fprintf(stderr, "Its log:\n%.*s", (int)(text.len - skip), (char *)text.data + skip);
    }
    nj_buf_fini(&text);
}

static void exec_broker(const char *path, const struct nj_bench_broker *broker)
{
    char conf[96];
    char log[96];
    (void)snprintf(conf, sizeof(conf), "%s/conf", broker->dir);
    (void)snprintf(log, sizeof(log), "%s/log", broker->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
    }
    (void)signal(SIGPIPE, SIG_DFL);
    execlp(path, path, "-c", conf, (char *)NULL);
    (void)fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

enum nj_err nj_bench_broker_start(const char *path, const char *conf, struct nj_bench_broker *out)
{
    memset(out, 0, sizeof(*out));
    (void)snprintf(out->dir, sizeof(out->dir), "/tmp/nj-bench-XXXXXX");
    out->port = free_port();
    if (out->port == 0 || mkdtemp(out->dir) == NULL) {
        (void)fprintf(stderr, "Error: no free port or no folder for a broker: %s\n",
                      strerror(errno));
        return NJ_ESYS;
    }
    enum nj_err err = write_conf(path, out, conf);
    if (err != NJ_OK) {
        (void)fprintf(stderr, "Error: cannot make the broker's configuration%s%s: %s\n",
                      conf ? " from " : "", conf ? conf : "", nj_err_text(err));
        nj_bench_broker_stop(out);
        return err;
    }
    out->pid = fork();
    if (out->pid == 0) {
        exec_broker(path, out);
    }
    for (int i = 0; out->pid > 0 && i < START_TRIES; i++) {
        if (is_listening(out->port)) {
            return NJ_OK;
        }
        if (waitpid(out->pid, NULL, WNOHANG) == out->pid) {
            out->pid = 0;
            break;
        }
        pause_10ms();
    }
    (void)fprintf(stderr, "Error: %s did not start listening.\n", path);
    show_log(out);
    nj_bench_broker_stop(out);
    return NJ_ESYS;
}

void nj_bench_broker_stop(struct nj_bench_broker *broker)
{
    static const char *const FILES[] = {"conf", "log"};
    char path[96];
    if (broker->pid > 0) {
        kill(broker->pid, SIGTERM);
        int tries = 0;
        while (waitpid(broker->pid, NULL, WNOHANG) == 0) {
            if (++tries == STOP_TRIES) {
                kill(broker->pid, SIGKILL);
            }
            pause_10ms();
        }
        broker->pid = 0;
    }
    for (size_t i = 0; broker->dir[0] && i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", broker->dir, FILES[i]);
        unlink(path);
    }
    if (broker->dir[0]) {
        rmdir(broker->dir);
        broker->dir[0] = '\0';
    }
}
