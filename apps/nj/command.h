/* The commands of the multi-call tool. Each lives in its own file; main.c holds the table.
 *
 * A command runs once per process: it may leave memory to the end of the process only when it says
 * so, writes results to stdout and problems to stderr, and returns the exit status. */
#ifndef NJ_APPS_NJ_COMMAND_H
#define NJ_APPS_NJ_COMMAND_H

#include <stdbool.h>

/* How the tool was called. In texts it calls itself `name`. */
struct nj_command {
    const char *name;    /* "nj pub", or "mosquitto_pub" under that name */
    const char *program; /* the original's name: "mosquitto_pub" */
    bool is_compat;      /* behave as the original, byte by byte */
};

/* argv[0] is the command's own word, the options begin at argv[1]; argv[argc] is NULL. */
typedef int (*nj_command_fn)(const struct nj_command *command, int argc, char **argv);

int nj_cmd_pub(const struct nj_command *command, int argc, char **argv);
int nj_cmd_sub(const struct nj_command *command, int argc, char **argv);
int nj_cmd_rr(const struct nj_command *command, int argc, char **argv);
int nj_cmd_signal(const struct nj_command *command, int argc, char **argv);
int nj_cmd_check(const struct nj_command *command, int argc, char **argv);
int nj_cmd_explain(const struct nj_command *command, int argc, char **argv);
int nj_cmd_ctl(const struct nj_command *command, int argc, char **argv);
int nj_cmd_passwd(const struct nj_command *command, int argc, char **argv);
int nj_cmd_store(const struct nj_command *command, int argc, char **argv);
int nj_cmd_db_dump(const struct nj_command *command, int argc, char **argv);
int nj_cmd_bench(const struct nj_command *command, int argc, char **argv);

#endif
