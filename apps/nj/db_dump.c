/* `nj db-dump` / mosquitto_db_dump: what is in a mosquitto.db, in the original's words. A directory
 * of our own store is dumped by `nj store dump`. */
#include <sys/stat.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "command.h"
#include "db_json.h"
#include "manual.h"
#include "store.h"
#include "store/mosquitto_db.h"

#define FILE_MAX ((size_t)1 << 36)

static const struct nj_option_text OPTIONS[] = {
    {NULL, "--stats", NULL, NULL, "What to print", "how many chunks of each kind there are", 1},
    {NULL, "--client-stats", NULL, NULL, "What to print",
     "subscriptions and messages of each client", 1},
    {NULL, "--json", NULL, NULL, "What to print", "all of it as one JSON object", 1},
    {NULL, "--help", NULL, NULL, "Other", "this text", 1},
};

static const struct nj_option_text *option_text(size_t index)
{
    return index < sizeof(OPTIONS) / sizeof(OPTIONS[0]) ? &OPTIONS[index] : NULL;
}

const struct nj_manual NJ_MANUAL_DB_DUMP = {
    .word = "db-dump",
    .program = "mosquitto_db_dump",
    .summary = "print what is in a mosquitto.db",
    .synopsis = {"[--stats | --client-stats | --json] FILE", "DIRECTORY"},
    .description = "Prints every chunk of the file in which Mosquitto keeps its state. For a "
                   "directory in which nightjar keeps its own, it does what nj store dump does.",
    .tool = 1,
    .option = option_text,
    .words = "<file>",
    .statuses = {{"0", "done"}, {"1", "the file cannot be read, or is damaged"}},
    .examples = {{"nj db-dump /var/lib/mosquitto/mosquitto.db", "all of it"}},
    .see_also = "nj(1), nj-store(1)",
};

enum mode {
    MODE_ALL,
    MODE_STATS,
    MODE_CLIENTS,
    MODE_JSON
};

struct client {
    struct nj_bytes id;
    uint64_t subs;
    uint64_t sub_bytes;
    uint64_t messages;
    uint64_t message_bytes;
};

struct dump {
    enum mode mode;
    uint64_t messages;
    uint64_t client_messages;
    uint64_t retained;
    uint64_t subs;
    uint64_t clients;
    struct client *list; /* of MODE_CLIENTS */
    size_t count;
    size_t cap;
};

static void print_text(const char *name, struct nj_bytes text)
{
    printf("\t%s: ", name);
    (void)fwrite(text.len ? text.ptr : (const uint8_t *)"", 1, text.len, stdout);
    (void)putchar('\n');
}

static struct client *client_of(struct dump *dump, struct nj_bytes id)
{
    /* Chunks of one client mostly stand together. */
    for (size_t i = dump->count; i-- > 0;) {
        if (nj_bytes_equal(dump->list[i].id, id)) {
            return &dump->list[i];
        }
    }
    if (dump->count == dump->cap) {
        dump->cap = dump->cap ? dump->cap * 2 : 64;
        dump->list = nj_realloc(dump->list, dump->cap * sizeof(*dump->list));
    }
    dump->list[dump->count] = (struct client){.id = id};
    return &dump->list[dump->count++];
}

static enum nj_err on_head(void *arg, const struct nj_mosquitto_head *head)
{
    const struct dump *dump = arg;
    if (dump->mode == MODE_ALL) {
        printf("Mosquitto DB dump\nCRC: %" PRIu32 "\nDB version: %" PRIu32 "\n", head->crc,
               head->version);
        printf(
            "DB_CHUNK_CFG:\n\tLength: %d\n\tShutdown: %d\n\tDB ID size: %u\n\tLast DB ID: %" PRIu64
            "\n",
            16, head->is_clean, head->id_bytes, head->last_id);
    }
    return NJ_OK;
}

static enum nj_err on_message(void *arg, const struct nj_mosquitto_message *message)
{
    struct dump *dump = arg;
    dump->messages++;
    if (dump->mode != MODE_ALL) {
        return NJ_OK;
    }
    printf("DB_CHUNK_MSG_STORE:\n\tLength: %" PRIu32 "\n\tStore ID: %" PRIu64 "\n",
           message->chunk_bytes, message->id);
    if (message->source_id.len) {
        print_text("Source ID", message->source_id);
    }
    if (message->source_user.len) {
        print_text("Source Username", message->source_user);
    }
    printf("\tSource Port: %u\n\tSource MID: %u\n", message->source_port, message->source_mid);
    print_text("Topic", message->topic);
    printf("\tQoS: %u\n\tRetain: %d\n\tPayload Length: %zu\n\tExpiry Time: %" PRId64 "\n",
           message->qos, message->is_retain, message->payload.len, message->expires_s);
    if (message->payload.len && message->payload.len < 256) {
        print_text("Payload", message->payload);
    }
    return NJ_OK;
}

static enum nj_err on_client(void *arg, const struct nj_mosquitto_client *client)
{
    struct dump *dump = arg;
    dump->clients++;
    if (dump->mode == MODE_CLIENTS) {
        (void)client_of(dump, client->client_id);
    }
    if (dump->mode != MODE_ALL) {
        return NJ_OK;
    }
    printf("DB_CHUNK_CLIENT:\n\tLength: %" PRIu32 "\n", client->chunk_bytes);
    print_text("Client ID", client->client_id);
    if (client->user.len) {
        print_text("Username", client->user);
    }
    if (client->port) {
        printf("\tListener port: %u\n", client->port);
    }
    printf("\tLast MID: %u\n\tSession expiry time: %" PRId64 "\n\tSession expiry interval: %" PRIu32
           "\n",
           client->last_mid, client->expires_s, client->expiry_s);
    return NJ_OK;
}

static enum nj_err on_client_message(void *arg, const struct nj_mosquitto_client_message *message)
{
    struct dump *dump = arg;
    dump->client_messages++;
    if (dump->mode == MODE_CLIENTS) {
        struct client *client = client_of(dump, message->client_id);
        client->messages++;
        client->message_bytes += message->chunk_bytes;
    }
    if (dump->mode != MODE_ALL) {
        return NJ_OK;
    }
    printf("DB_CHUNK_CLIENT_MSG:\n\tLength: %" PRIu32 "\n", message->chunk_bytes);
    print_text("Client ID", message->client_id);
    printf("\tStore ID: %" PRIu64 "\n\tMID: %u\n\tQoS: %u\n\tRetain: %d\n\tDirection: %u\n"
           "\tState: %u\n\tDup: %d\n",
           message->message, message->mid, message->qos, message->is_retain, message->direction,
           message->raw_state, message->is_dup);
    if (message->sub_id) {
        printf("\tSubscription identifier: %" PRIu32 "\n", message->sub_id);
    }
    return NJ_OK;
}

static enum nj_err on_sub(void *arg, const struct nj_mosquitto_sub *sub)
{
    struct dump *dump = arg;
    dump->subs++;
    if (dump->mode == MODE_CLIENTS) {
        struct client *client = client_of(dump, sub->client_id);
        client->subs++;
        client->sub_bytes += sub->chunk_bytes;
    }
    if (dump->mode != MODE_ALL) {
        return NJ_OK;
    }
    printf("DB_CHUNK_SUB:\n\tLength: %" PRIu32 "\n", sub->chunk_bytes);
    print_text("Client ID", sub->client_id);
    print_text("Topic", sub->filter);
    printf("\tQoS: %u\n\tSubscription ID: %" PRIu32 "\n\tOptions: 0x%02X\n", sub->qos, sub->sub_id,
           sub->options);
    return NJ_OK;
}

static enum nj_err on_retained(void *arg, uint64_t message)
{
    struct dump *dump = arg;
    dump->retained++;
    if (dump->mode == MODE_ALL) {
        printf("DB_CHUNK_RETAIN:\n\tLength: %d\n\tStore ID: %" PRIu64 "\n", 8, message);
    }
    return NJ_OK;
}

static void print_end(const struct dump *dump)
{
    if (dump->mode == MODE_STATS) {
        printf("DB_CHUNK_CFG:        %d\nDB_CHUNK_MSG_STORE:  %" PRIu64
               "\nDB_CHUNK_CLIENT_MSG: %" PRIu64 "\nDB_CHUNK_RETAIN:     %" PRIu64
               "\nDB_CHUNK_SUB:        %" PRIu64 "\nDB_CHUNK_CLIENT:     %" PRIu64 "\n",
               1, dump->messages, dump->client_messages, dump->retained, dump->subs, dump->clients);
    }
    for (size_t i = 0; i < dump->count; i++) {
        const struct client *client = &dump->list[i];
        printf("SC: %" PRIu64 " SS: %" PRIu64 " MC: %" PRIu64 " MS: %" PRIu64 "   ", client->subs,
               client->sub_bytes, client->messages, client->message_bytes);
        (void)fwrite(client->id.ptr, 1, client->id.len, stdout);
        (void)putchar('\n');
    }
}

static int dump_file(const char *path, enum mode mode, bool is_compat)
{
    struct dump dump = {.mode = mode};
    struct nj_buf file;
    const struct nj_mosquitto_reader reader = {
        .arg = &dump,
        .head = on_head,
        .message = on_message,
        .client = on_client,
        .client_message = on_client_message,
        .sub = on_sub,
        .retained = on_retained,
    };
    nj_buf_init(&file);
    if (nj_file_read(path, FILE_MAX, false, &file) != NJ_OK) {
        fprintf(stderr,
                is_compat ? "Error: Unable to open %s\n" : "Error: Unable to open %s: %s.\n", path,
                strerror(errno));
        return 1;
    }
    enum nj_err err = mode == MODE_JSON ? nj_db_json_print(nj_buf_bytes(&file))
                                        : nj_mosquitto_db_read(nj_buf_bytes(&file), &reader);
    print_end(&dump);
    nj_buf_fini(&file);
    nj_free(dump.list);
    if (err != NJ_OK) {
        fprintf(stderr, "Error: %s\n",
                err == NJ_ENOTSUP ? "Unsupported persistent database format version."
                                  : "Unrecognised or corrupt file.");
    }
    return err == NJ_OK ? 0 : 1;
}

int nj_cmd_db_dump(const struct nj_command *command, int argc, char **argv)
{
    enum mode mode = MODE_ALL;
    const char *path = NULL;
    struct stat info;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            nj_manual_print_usage(&NJ_MANUAL_DB_DUMP, command, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--stats") == 0) {
            mode = MODE_STATS;
        } else if (strcmp(argv[i], "--client-stats") == 0) {
            mode = MODE_CLIENTS;
        } else if (strcmp(argv[i], "--json") == 0) {
            mode = MODE_JSON;
        } else if (argv[i][0] == '-') {
            fprintf(stderr, "Error: Unknown option '%s'.\n", argv[i]);
            return nj_manual_point_to_help(command);
        } else {
            path = argv[i];
        }
    }
    if (!path) {
        fprintf(stderr, "Usage: %s [--stats | --client-stats | --json] <mosquitto db filename>\n",
                command->name);
        return 1;
    }
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return nj_store_dump_run(path);
    }
    return dump_file(path, mode, command->is_compat);
}
