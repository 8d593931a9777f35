#include "rig.h"

#include <sys/stat.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define LOG_MAX  (1u << 20)
#define ARGS_MAX 40

static char log_text[LOG_MAX];
static size_t log_len;
static char scratch[] = "/tmp/nj-config-XXXXXX";

static void on_line(void *arg, enum nj_log_type type, const char *line, size_t len)
{
    (void)arg;
    (void)type;
    if (log_len + len + 2 < LOG_MAX) {
        memcpy(log_text + log_len, line, len);
        log_len += len;
        log_text[log_len++] = '\n';
        log_text[log_len] = '\0';
    }
}

int rig_open(void **state)
{
    const struct nj_log_settings quiet = {
        .types = NJ_LOG_ALL, .to_topic = true, .topic_fn = on_line};
    (void)state;
    if (nj_log_configure(&quiet) != NJ_OK || !mkdtemp(scratch)) {
        return -1;
    }
    return chdir(scratch) | mkdir("empty.d", 0700);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

int rig_close(void **state)
{
    (void)state;
    return chdir("/") | nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void rig_write_bytes(const char *name, const void *data, size_t len)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

void rig_write(const char *name, const char *text)
{
    rig_write_bytes(name, text, strlen(text));
}

struct nj_config_result rig_run(const char *program, ...)
{
    char *argv[ARGS_MAX] = {(char *)(uintptr_t)program};
    int argc = 1;
    va_list args;
    va_start(args, program);
    for (char *arg = va_arg(args, char *); arg && argc < ARGS_MAX; arg = va_arg(args, char *)) {
        argv[argc++] = arg;
    }
    va_end(args);
    struct nj_config_result result;
    rig_log_clear();
    nj_config_load(argc, argv, &result);
    return result;
}

struct nj_config_result rig_load(const char *text)
{
    rig_write("c.conf", text);
    return rig_run("nightjar", "-c", "c.conf", NULL);
}

struct nj_settings *rig_good(const char *text)
{
    struct nj_config_result result = rig_load(text);
    if (result.action != NJ_CONFIG_RUN) {
        print_error("refused: %s\n%s", text, rig_log());
    }
    assert_int_equal(result.action, NJ_CONFIG_RUN);
    assert_int_equal(result.exit_status, 0);
    assert_string_equal(result.error, "");
    return result.settings;
}

void rig_bad(const char *text, const char *error, unsigned line)
{
    struct nj_config_result result = rig_load(text);
    char place[64];
    if (result.action != NJ_CONFIG_EXIT || strcmp(result.error, error) != 0) {
        print_error("for: %.300s\nexpected: %s\ngot: %s\n", text, error, rig_log());
    }
    assert_int_equal(result.action, NJ_CONFIG_EXIT);
    assert_int_equal(result.exit_status, 3);
    assert_null(result.settings);
    assert_string_equal(result.error, error);
    (void)snprintf(place, sizeof(place), "\nError found at c.conf:%u.\n", line);
    if (line && !strstr(rig_log(), place)) {
        print_error("for: %.300s\nexpected line %u\ngot: %s\n", text, line, rig_log());
    }
    assert_int_equal(line != 0, strstr(rig_log(), "Error found at") != NULL);
    assert_true(!line || strstr(rig_log(), place));
    assert_non_null(strstr(rig_log(), error));
}

const char *rig_log(void)
{
    return log_text;
}

void rig_log_clear(void)
{
    log_len = 0;
    log_text[0] = '\0';
}

bool rig_logged(const char *part)
{
    return strstr(log_text, part) != NULL;
}

char *rig_print(void (*print)(const struct nj_settings *settings, FILE *out),
                const struct nj_settings *settings)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(settings, out);
    assert_int_equal(fclose(out), 0);
    return text;
}
