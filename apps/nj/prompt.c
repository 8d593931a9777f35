/* See prompt.h. Reads byte by byte without stdio, so that no copy of the password stays in a
 * buffer that nobody wipes, and what follows the line stays for the next prompt. */
#include "prompt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

/* The handler's only job is to make ppoll() return; the signals are blocked at any other moment, so
 * that none can slip in between looking at `caught` and waiting. */
static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

struct guard {
    struct termios old;
    struct sigaction old_int;
    struct sigaction old_term;
    struct sigaction old_hup;
    sigset_t old_mask;
    bool is_quiet;
};

static void silence(struct guard *guard)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
    sigset_t blocked;
    sigemptyset(&action.sa_mask);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &blocked, &guard->old_mask);
    caught = 0;
    (void)sigaction(SIGINT, &action, &guard->old_int);
    (void)sigaction(SIGTERM, &action, &guard->old_term);
    (void)sigaction(SIGHUP, &action, &guard->old_hup);
    guard->is_quiet = tcgetattr(STDIN_FILENO, &guard->old) == 0;
    if (guard->is_quiet) {
        struct termios quiet = guard->old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        quiet.c_lflag |= ECHONL;
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
    }
}

static void restore(const struct guard *guard)
{
    if (guard->is_quiet) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &guard->old);
    }
    (void)sigaction(SIGINT, &guard->old_int, NULL);
    (void)sigaction(SIGTERM, &guard->old_term, NULL);
    (void)sigaction(SIGHUP, &guard->old_hup, NULL);
    if (caught != 0) {
        (void)raise(caught); /* takes effect with the next line */
    }
    (void)sigprocmask(SIG_SETMASK, &guard->old_mask, NULL);
}

/* Room was reserved: appending cannot move the bytes and leave a copy behind. */
static bool read_line(struct nj_buf *password, const struct guard *guard)
{
    for (;;) {
        char c = 0;
        struct pollfd pfd = {STDIN_FILENO, POLLIN, 0};
        if (ppoll(&pfd, 1, NULL, &guard->old_mask) < 0) {
            if (errno == EINTR && caught == 0) {
                continue;
            }
            return false;
        }
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n <= 0) {
            return n == 0 && password->len > 0;
        }
        if (c == '\n') {
            return true;
        }
        if (password->len == NJ_PROMPT_MAX || nj_buf_append(password, &c, 1) != NJ_OK) {
            return false;
        }
    }
}

bool nj_prompt_password(const char *text, FILE *out, struct nj_buf *password)
{
    password->len = 0;
    if (nj_buf_reserve(password, NJ_PROMPT_MAX) != NJ_OK) {
        return false;
    }
    /* Quiet first: who answers the prompt at once must not be seen. */
    struct guard guard;
    silence(&guard);
    (void)fputs(text, out);
    (void)fflush(out);
    bool is_good = read_line(password, &guard);
    if (!guard.is_quiet) {
        (void)fputc('\n', out);
    }
    restore(&guard);
    if (password->len > 0 && password->data[password->len - 1] == '\r') {
        password->len--;
    }
    return is_good;
}
