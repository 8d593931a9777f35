/* include_dir: the *.conf files of a directory, in the order A a B b. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config_priv.h"

/* Far above any use, and so few that a mistaken directory is refused at once (L-099). */
#define FILES_MAX 10000

struct names {
    char **list;
    size_t count;
    size_t room;
};

static int by_name(const void *left, const void *right)
{
    const char *a = *(char *const *)left;
    const char *b = *(char *const *)right;
    int order = strcasecmp(a, b);
    return order ? order : strcmp(a, b);
}

static bool is_conf(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".conf") == 0;
}

static void add_name(struct names *names, const char *name)
{
    if (names->count == names->room) {
        names->room = names->room ? names->room * 2 : 16;
        names->list = nj_realloc(names->list, names->room * sizeof(char *));
    }
    names->list[names->count++] = nj_strdup(name);
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        nj_free(names->list[i]);
    }
    nj_free(names->list);
}

/* NJ_ELIMIT: too many. NJ_ESYS: a directory that cannot be read to its end might hide the file that
 * closes the broker, so none of it is used. */
static enum nj_err list_conf(const char *path, struct names *names)
{
    DIR *dir = opendir(path);
    if (!dir) {
        return NJ_ESYS;
    }
    enum nj_err err = NJ_OK;
    const struct dirent *entry;
    /* Only this thread reads this stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (errno = 0, entry = readdir(dir), entry && err == NJ_OK) {
        if (!is_conf(entry->d_name)) {
            continue;
        }
        if (names->count == FILES_MAX) {
            err = NJ_ELIMIT;
        } else {
            add_name(names, entry->d_name);
        }
    }
    if (err == NJ_OK && errno != 0) {
        err = NJ_ESYS;
    }
    (void)closedir(dir);
    return err;
}

static enum nj_err read_one(struct nj_parser *parser, const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = nj_alloc(size);
    (void)snprintf(path, size, "%s/%s", dir, name);
    nj_log(NJ_LOG_INFO, "Loading config file '%s'", path);
    enum nj_err err = nj_parser_file(parser, path);
    nj_free(path);
    return err;
}

enum nj_err nj_parser_include(struct nj_parser *parser, const char *path)
{
    struct names names = {0};
    enum nj_err err = list_conf(path, &names);
    if (err == NJ_ELIMIT) {
        err = nj_parser_fail(parser, "Error: include_dir '%s' holds more than %d files.", path,
                             FILES_MAX);
    } else if (err != NJ_OK) {
        err = nj_parser_fail(parser, "Error: Unable to open include_dir '%s'.", path);
    }
    if (names.count) {
        qsort(names.list, names.count, sizeof(char *), by_name);
    }
    parser->is_included = true;
    for (size_t i = 0; i < names.count && err == NJ_OK; i++) {
        err = read_one(parser, path, names.list[i]);
    }
    parser->is_included = false;
    free_names(&names);
    return err;
}
