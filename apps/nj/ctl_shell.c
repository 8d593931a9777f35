/* `nj ctl` without a module: a simple shell. One line, one command; a connection is kept over
 * several of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl.h"

struct shell {
    struct nj_ctl *ctl;
    char module[32]; /* "" = none */
    bool is_over;
};

int nj_ctl_split(char *line, char *words[NJ_CTL_WORDS_MAX])
{
    int count = 0;
    char *at = line;
    for (;;) {
        at += strspn(at, " \t\r\n");
        if (!*at) {
            return count;
        }
        if (count == NJ_CTL_WORDS_MAX) {
            return -1;
        }
        char quote = '\0';
        if (*at == '"' || *at == '\'') {
            quote = *at++;
        }
        words[count++] = at;
        at += quote ? strcspn(at, quote == '"' ? "\"" : "'") : strcspn(at, " \t\r\n");
        if (quote && !*at) {
            return -1;
        }
        if (*at) {
            *at++ = '\0';
        }
    }
}

static void help(const struct shell *shell)
{
    if (strcmp(shell->module, "dynsec") == 0) {
        nj_ctl_help_dynsec(shell->ctl->command);
    } else if (strcmp(shell->module, "broker") == 0) {
        nj_ctl_help_broker(shell->ctl->command);
    }
    printf("connect [URL]   mqtt://, mqtts://, ws:// or wss://\n"
           "auth [USER]     the user name for the next connection; the password is asked for\n"
           "dynsec, broker, nightjar, inspect, client, certificates\n"
           "                go into a module; its commands follow without its name\n"
           "return          leave the module\n"
           "disconnect      end the connection\n"
           "exit            end\n");
}

static void connect_to(struct shell *shell, const char *url)
{
    struct nj_opts *opts = &shell->ctl->opts;
    char with_topic[1024];
    nj_ctl_disconnect(shell->ctl);
    if (url) {
        /* What -L takes has a topic behind the host. */
        bool is_ws = strncmp(url, "ws", 2) == 0;
        const char *host = strstr(url, "://");
        bool has_path = host && strchr(host + 3, '/');
        (void)snprintf(with_topic, sizeof(with_topic), "%s%s", url,
                       is_ws      ? ""
                       : has_path ? ""
                                  : "/-");
        (void)nj_opts_read_url(opts, with_topic);
    }
    json_t *answer = NULL;
    json_t *probe = json_pack("{s:s}", "command", "listPlugins");
    if (nj_ctl_ask(shell->ctl, "broker/v1", probe, &answer) == 0 && answer) {
        printf("Connected to %s:%d.\n", opts->host, nj_opts_port(opts));
    }
    json_decref(answer);
}

static void set_user(struct shell *shell, const char *user)
{
    char line[256];
    if (!user) {
        printf("User name: ");
        (void)fflush(stdout);
        if (!fgets(line, sizeof(line), stdin)) {
            return;
        }
        line[strcspn(line, "\r\n")] = '\0';
        user = line;
    }
    nj_ctl_disconnect(shell->ctl);
    nj_opts_set(&shell->ctl->opts.username, user);
    nj_free(shell->ctl->opts.password);
    shell->ctl->opts.password = NULL;
}

static void run_words(struct shell *shell, int argc, char **argv)
{
    static const char *const modules[] = {"dynsec", "broker",       "nightjar", "inspect",
                                          "client", "certificates", NULL};
    if (strcmp(argv[0], "exit") == 0 || strcmp(argv[0], "quit") == 0) {
        shell->is_over = true;
        return;
    }
    if (strcmp(argv[0], "help") == 0) {
        help(shell);
        return;
    }
    if (strcmp(argv[0], "return") == 0) {
        shell->module[0] = '\0';
        return;
    }
    if (strcmp(argv[0], "disconnect") == 0) {
        nj_ctl_disconnect(shell->ctl);
        return;
    }
    if (strcmp(argv[0], "connect") == 0) {
        connect_to(shell, argc > 1 ? argv[1] : NULL);
        return;
    }
    if (strcmp(argv[0], "auth") == 0) {
        set_user(shell, argc > 1 ? argv[1] : NULL);
        return;
    }
    for (const char *const *module = modules; *module; module++) {
        if (strcmp(*module, argv[0]) == 0 && argc == 1) {
            (void)snprintf(shell->module, sizeof(shell->module), "%s", *module);
            return;
        }
    }
    if (shell->module[0]) {
        (void)nj_ctl_module(shell->ctl, shell->module, argc, argv);
    } else {
        (void)nj_ctl_module(shell->ctl, argv[0], argc - 1, argv + 1);
    }
}

int nj_ctl_shell(struct nj_ctl *ctl)
{
    struct shell shell = {.ctl = ctl};
    bool is_terminal = isatty(STDIN_FILENO);
    char *line = NULL;
    size_t size = 0;
    while (!shell.is_over) {
        char *words[NJ_CTL_WORDS_MAX];
        if (is_terminal) {
            printf("%s%s> ", shell.module, ctl->client ? "" : " (not connected)");
            (void)fflush(stdout);
        }
        if (getline(&line, &size, stdin) < 0) {
            break;
        }
        int count = line[0] == '#' ? 0 : nj_ctl_split(line, words);
        if (count < 0) {
            fprintf(stderr, "Error: an open quote, or too many words.\n");
        } else if (count > 0) {
            run_words(&shell, count, words);
        }
        nj_wipe(line, size); /* it may have held a password */
    }
    free(line);
    nj_ctl_disconnect(ctl);
    return 0;
}
