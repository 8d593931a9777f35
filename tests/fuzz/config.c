/* Fuzzes the configuration file. The first byte chooses the mode.
 *
 * Oracles: what is refused has a reason and leaves nothing behind; what is loaded says the same
 * when it is printed and read again; a reload of the same file changes nothing; a reload of any
 * file over a fixed configuration keeps its listeners, whether they are local and whether they use
 * TLS. */
#include "config/config.h"

#include <sys/mman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define PATH_SIZE 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fixed[] = "acl_file a\npassword_file p\nlistener 1884\nlistener 8883\n"
                            "certfile c\nkeyfile k\ncafile ca\nrequire_certificate true\n";

static void swallow(void *arg, enum nj_log_type type, const char *line, size_t len)
{
    (void)arg;
    (void)type;
    if (strlen(line) != len || memchr(line, '\n', len)) {
        abort();
    }
}

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Files in memory, so that no disk is worn. */
static int make_file(const void *data, size_t size, char *path)
{
    int fd = memfd_create("conf", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, PATH_SIZE, "/proc/self/fd/%d", fd);
    return fd;
}

static void replace_file(int fd, const void *data, size_t size)
{
    check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
}

static struct nj_settings *load(const char *program, char *path)
{
    char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "-c", path, NULL};
    struct nj_config_result result;
    nj_config_load(3, argv, &result);
    if (result.action == NJ_CONFIG_RUN) {
        check(result.exit_status == 0 && result.settings && !result.error[0]);
    } else {
        check(result.exit_status == 3 && !result.settings);
        check(strncmp(result.error, "Error", 5) == 0);
    }
    return result.settings;
}

static char *print(const struct nj_settings *settings)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    check(out != NULL);
    nj_config_print_effective(settings, out);
    check(fclose(out) == 0);
    return text;
}

static void check_reads_the_same(const char *program, const char *text)
{
    char path[PATH_SIZE];
    int fd = make_file(text, strlen(text), path);
    struct nj_settings *again = load(program, path);
    check(again != NULL);
    char *second = print(again);
    check(strcmp(second, text) == 0);
    free(second);
    nj_settings_free(again);
    (void)close(fd);
}

static void check_loaded(const struct nj_settings *settings)
{
    char *text = print(settings);
    struct nj_settings *fresh = NULL;
    check(settings->listener_count > 0 && settings->bridge_count == 0);
    check(nj_config_reload(settings, &fresh) == NJ_OK);
    char *reloaded = print(fresh);
    check(strcmp(reloaded, text) == 0);
    free(reloaded);
    nj_settings_free(fresh);
    /* Local listeners are not what a `listener` line makes, and compat is chosen by name. */
    if (!settings->is_local_only) {
        check_reads_the_same(settings->mode.is_compat ? "mosquitto" : "nightjar", text);
    }
    free(text);
}

static void check_reload_over_fixed(const char *program, const void *data, size_t size)
{
    char path[PATH_SIZE];
    int fd = make_file(fixed, sizeof(fixed) - 1, path);
    struct nj_settings *old = load(program, path);
    struct nj_settings *fresh = NULL;
    check(old != NULL);
    replace_file(fd, data, size);
    if (nj_config_reload(old, &fresh) == NJ_OK) {
        check(fresh->listener_count == 2 && !fresh->is_local_only);
        check(fresh->listeners[0].port == 1884 && !nj_settings_uses_tls(&fresh->listeners[0]));
        check(fresh->listeners[1].port == 8883 && nj_settings_uses_tls(&fresh->listeners[1]));
        check(fresh->mode.is_compat == old->mode.is_compat);
        nj_settings_free(fresh);
    } else {
        check(fresh == NULL);
    }
    nj_settings_free(old);
    (void)close(fd);
}

static void start_once(void)
{
    static bool is_started;
    const struct nj_log_settings quiet = {
        .types = NJ_LOG_ALL, .to_topic = true, .topic_fn = swallow};
    if (!is_started) {
        is_started = true;
        check(nj_log_configure(&quiet) == NJ_OK && clearenv() == 0);
    }
}

/* No other file of this machine is to be read. */
static bool leaves_home(const uint8_t *data, size_t size)
{
    return memmem(data, size, "include_dir", 11) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[PATH_SIZE];
    if (size == 0 || leaves_home(data, size)) {
        return 0;
    }
    start_once();
    const char *program = data[0] & 1 ? "mosquitto" : "nightjar";
    int fd = make_file(data + 1, size - 1, path);
    struct nj_settings *settings = load(program, path);
    if (settings) {
        check_loaded(settings);
    }
    nj_settings_free(settings);
    (void)close(fd);
    check_reload_over_fixed(program, data + 1, size - 1);
    return 0;
}
