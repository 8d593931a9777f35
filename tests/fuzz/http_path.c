/* Fuzzes paths of HTTP requests: what they are unescaped to and which file they mean.
 *
 * Oracle: unescaping is what a naive reading makes of the text, and no text ends early; whatever
 * the path, only what lies below the folder is found, although a neighbour's name begins with the
 * folder's and symbolic links lead out of it. */
#include <sys/stat.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "http/path.h"

#define INPUT_MAX 1024

/* Owner: this file. base/www is served. */
static char base[64] = "/tmp/njfuzzXXXXXX";
static const char *const folders[] = {"/www", "/www/sub", "/www-other"};
static const char *const files[] = {"/www/index.html", "/www/app.js",       "/www/sub/index.html",
                                    "/www/sub/a b",    "/www-other/secret", "/secret"};
static const char *const links[][2] = {
    {"../secret", "/www/out"}, {"..", "/www/up"}, {"sub", "/www/in"}, {"loop", "/www/loop"}};
/* The first so many of the files are inside. */
#define INSIDE 4

static const char *at(const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s%s", base, name);
    return path;
}

static void remove_site(void)
{
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        (void)unlink(at(links[i][1]));
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)unlink(at(files[i]));
    }
    for (size_t i = sizeof(folders) / sizeof(folders[0]); i-- > 0;) {
        (void)rmdir(at(folders[i]));
    }
    (void)rmdir(base);
}

static void make_site(void)
{
    need(mkdtemp(base) != NULL && atexit(remove_site) == 0);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        need(mkdir(at(folders[i]), 0700) == 0);
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        int fd = open(at(files[i]), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        need(fd >= 0 && close(fd) == 0);
    }
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        need(symlink(links[i][0], at(links[i][1])) == 0);
    }
}

static bool is_inside(const char *real)
{
    bool is_known = strcmp(real, at("/www/sub")) == 0;
    for (size_t i = 0; i < INSIDE; i++) {
        is_known |= strcmp(real, at(files[i])) == 0;
    }
    return is_known;
}

static size_t unescape_naively(const char *text, char *out)
{
    size_t len = 0;
    while (*text) {
        char hex[3] = {text[0] == '%' ? text[1] : '\0', '\0', '\0'};
        hex[1] = hex[0] ? text[2] : '\0';
        if (isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1])) {
            char value = (char)strtol(hex, NULL, 16);
            out[len++] = value ? value : '\1';
            text += 3;
        } else {
            out[len++] = *text++;
        }
    }
    out[len] = '\0';
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char wanted[INPUT_MAX + 1];
    char real[PATH_MAX];
    char again[PATH_MAX];
    static bool is_made;
    if (!is_made) {
        make_site();
        is_made = true;
    }
    char *path = size <= INPUT_MAX ? fuzz_text(nj_bytes(data, size)) : NULL;
    if (!path) {
        return 0;
    }
    size_t wanted_len = unescape_naively(path, wanted);
    size_t len = nj_http_unescape(path);
    need(len == wanted_len && strlen(path) == len && memcmp(path, wanted, len) == 0);
    if (nj_http_path_find(at("/www"), path, real)) {
        need(path[0] == '/' && is_inside(real));
        need(realpath(real, again) != NULL && strcmp(real, again) == 0);
    }
    free(path);
    return 0;
}
