/* See bench_proc.h. /proc/<pid>/stat counts in ticks; /proc/<pid>/task/<tid>/schedstat begins with
 * the nanoseconds on a CPU, but forgets threads that have ended. */
#include "bench_proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static enum nj_err read_text(const char *path, char *out, size_t cap)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NJ_ENOENT;
    }
    size_t len = fread(out, 1, cap - 1, file);
    (void)fclose(file);
    out[len] = '\0';
    return len ? NJ_OK : NJ_ENOENT;
}

static enum nj_err read_stat(pid_t pid, struct nj_bench_usage *out)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    enum nj_err err = read_text(path, text, sizeof(text));
    if (err != NJ_OK) {
        return err;
    }
    /* The name may hold anything but ends at the last parenthesis. Behind it, counting the state
     * as field 3: 14 and 15 are user and system time, 24 the pages in memory. */
    const char *at = strrchr(text, ')');
    uint64_t fields[25] = {0};
    int field = 4;
    at = at == NULL ? NULL : strchr(at + 2, ' ');
    for (; at != NULL && field < 25; field++) {
        fields[field] = strtoull(at + 1, NULL, 10);
        at = strchr(at + 1, ' ');
    }
    if (field < 25) {
        return NJ_EMALFORMED;
    }
    uint64_t tick_ns = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
    out->user_ns = fields[14] * tick_ns;
    out->system_ns = fields[15] * tick_ns;
    out->cpu_ns = out->user_ns + out->system_ns;
    out->rss_bytes = fields[24] * (uint64_t)sysconf(_SC_PAGESIZE);
    return NJ_OK;
}

static void read_threads(pid_t pid, struct nj_bench_usage *out)
{
    char path[320];
    char text[128];
    out->exact_ns = 0;
    out->threads = 0;
    out->thread_mix = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        if (read_text(path, text, sizeof(text)) != NJ_OK) {
            continue;
        }
        out->exact_ns += strtoull(text, NULL, 10);
        out->threads++;
        out->thread_mix += strtoull(entry->d_name, NULL, 10) * 0x9e3779b97f4a7c15ull;
    }
    closedir(dir);
}

enum nj_err nj_bench_usage_read(pid_t pid, struct nj_bench_usage *out)
{
    enum nj_err err = read_stat(pid, out);
    if (err != NJ_OK) {
        return err;
    }
    read_threads(pid, out);
    out->at_ns = nj_clock_mono_ns();
    return NJ_OK;
}

uint64_t nj_bench_usage_cpu_ns(const struct nj_bench_usage *from, const struct nj_bench_usage *to)
{
    if (from->thread_mix == to->thread_mix && from->exact_ns && to->exact_ns > from->exact_ns) {
        return to->exact_ns - from->exact_ns;
    }
    return to->cpu_ns - from->cpu_ns;
}
