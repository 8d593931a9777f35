/* mosquitto.db files: reading must not run past them, whatever they say. */
#include <stdint.h>

#include "base/err.h"
#include "store/mosquitto_db.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every view that is handed out is looked at. */
static void touch(struct nj_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        (void)*(const volatile uint8_t *)&bytes.ptr[i];
    }
}

static enum nj_err on_message(void *arg, const struct nj_mosquitto_message *message)
{
    (void)arg;
    touch(message->topic);
    touch(message->payload);
    touch(message->props);
    touch(message->source_id);
    touch(message->source_user);
    return NJ_OK;
}

static enum nj_err on_client(void *arg, const struct nj_mosquitto_client *client)
{
    (void)arg;
    touch(client->client_id);
    touch(client->user);
    return NJ_OK;
}

static enum nj_err on_client_message(void *arg, const struct nj_mosquitto_client_message *message)
{
    (void)arg;
    touch(message->client_id);
    return NJ_OK;
}

static enum nj_err on_sub(void *arg, const struct nj_mosquitto_sub *sub)
{
    (void)arg;
    touch(sub->client_id);
    touch(sub->filter);
    return NJ_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct nj_mosquitto_reader reader = {
        .message = on_message,
        .client = on_client,
        .client_message = on_client_message,
        .sub = on_sub,
    };
    (void)!nj_mosquitto_db_read(nj_bytes(data, size), &reader);
    return 0;
}
