/* `nj ctl`: what works on a file of dynamic security without a broker. See ctl.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ctl.h"
#include "security/dynsec_first.h"
#include "security/password.h"

#define COMPAT_ITERATIONS 1000

static struct nj_hash_cost cost_of(const struct nj_ctl *ctl)
{
    if (ctl->command->is_compat) {
        return (struct nj_hash_cost){NJ_HASH_PBKDF2, COMPAT_ITERATIONS};
    }
    return (struct nj_hash_cost){.kind = NJ_HASH_ARGON2ID};
}

/* The one given, or a typed one; wiped by forget(). */
static bool take_password(const struct nj_ctl *ctl, const char *user, const char *given,
                          struct nj_buf *password)
{
    nj_buf_init(password);
    if (!given) {
        return nj_ctl_new_password(ctl, user, false, password);
    }
    if (!*given) {
        fprintf(stderr, "Error: Empty password.\n");
        return false;
    }
    return nj_buf_append(password, given, strlen(given)) == NJ_OK;
}

static void forget(struct nj_buf *password)
{
    if (password->data) {
        nj_wipe(password->data, password->cap);
    }
    nj_buf_fini(password);
}

static void say_created(const struct nj_ctl *ctl, const char *file, const char *user)
{
    const char *name = ctl->command->name;
    printf("The client '%s' has been created in the file '%s'.\n"
           "It may administer dynamic security and read everything else, but publish nothing. Let "
           "a\nbroker use the file, then make clients and roles for your applications:\n"
           "   %s -u %s dynsec createClient <username>\n"
           "   %s -u %s dynsec createRole <rolename>\n"
           "   %s -u %s dynsec addRoleACL <rolename> publishClientSend my/topic allow\n"
           "   %s -u %s dynsec addClientRole <username> <rolename>\n",
           user, file, name, user, name, user, name, user, name, user);
}

static int init_file(struct nj_ctl *ctl, const char *file, const char *user, const char *role,
                     const struct nj_buf *password)
{
    char error[512];
    const struct nj_dynsec_init init = {
        .user = nj_bytes_of(user),
        .password = nj_buf_bytes(password),
        .role = role,
        .cost = cost_of(ctl),
    };
    enum nj_err err = nj_dynsec_init_file(file, &init, error, sizeof(error));
    if (err == NJ_OK) {
        say_created(ctl, file, user);
        return 0;
    }
    if (err == NJ_EEXIST) {
        fprintf(stderr,
                "dynsec init: '%s' already exists. Remove the file or use a different location.\n",
                file);
    } else {
        fprintf(stderr, "dynsec init: %s.\n", error);
    }
    return nj_ctl_status(ctl, NJ_CTL_FAILED);
}

int nj_ctl_init_file(struct nj_ctl *ctl, int argc, char **argv)
{
    struct nj_buf password;
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "dynsec init: %s\nError: Invalid function arguments provided.\n",
                argc < 2 ? "Not enough arguments - filename, or admin-user missing."
                         : "Too many arguments.");
        return NJ_CTL_BAD_ARGS;
    }
    int status = nj_ctl_status(ctl, NJ_CTL_FAILED);
    if (take_password(ctl, argv[1], argc > 2 ? argv[2] : NULL, &password)) {
        status = init_file(ctl, argv[0], argv[1], argc > 3 ? argv[3] : "admin", &password);
    }
    forget(&password);
    return status;
}

/* -f FILE dynsec setClientPassword USER PASSWORD [-i ITERATIONS] */
static bool take_iterations(int argc, char **argv, struct nj_hash_cost *cost)
{
    if (argc == 3) {
        return true;
    }
    char *end;
    errno = 0;
    unsigned long iterations = argc == 5 ? strtoul(argv[4], &end, 10) : 0;
    if (argc != 5 || strcmp(argv[3], "-i") != 0 || *end || errno || iterations == 0 ||
        iterations > 10000000) {
        return false;
    }
    *cost = (struct nj_hash_cost){NJ_HASH_PBKDF2, (uint32_t)iterations};
    return true;
}

int nj_ctl_edit_file(struct nj_ctl *ctl, int argc, char **argv)
{
    char error[512];
    struct nj_hash_cost cost = cost_of(ctl);
    if (strcasecmp(argv[0], "setClientPassword") != 0) {
        fprintf(stderr, "Command '%s' not recognised.\n", argv[0]);
        return NJ_CTL_NO_COMMAND;
    }
    if (argc < 3 || !argv[2][0] || !take_iterations(argc, argv, &cost)) {
        fprintf(stderr, "Error: Invalid function arguments provided.\n");
        return NJ_CTL_BAD_ARGS;
    }
    enum nj_err err = nj_dynsec_set_file_password(
        ctl->data_file, nj_bytes_of(argv[1]), nj_bytes_of(argv[2]), &cost, error, sizeof(error));
    if (err == NJ_OK) {
        return 0;
    }
    fprintf(stderr, "Error: %s.\n", error);
    return nj_ctl_status(ctl, NJ_CTL_FAILED);
}
