/* `$CONTROL/broker/v1`: what the broker is made of. */
#include "base/mem.h"
#include "config/settings.h"
#include "control/control_priv.h"
#include "front/front.h"

static const struct nj_settings *settings_of(const struct nj_control_call *call)
{
    const struct nj_control_host *host = nj_control_plane_host(nj_control_call_plane(call));
    return host->settings(host->arg);
}

/* ---- listPlugins: the modules that are built in and turned on */

static json_t *endpoints(const struct nj_control_api *api)
{
    char topic[128];
    json_t *list = json_array();
    (void)snprintf(topic, sizeof(topic), "$CONTROL/%s", api->name);
    (void)json_array_append_new(list, json_string(topic));
    return list;
}

static void list_plugins(struct nj_control_call *call)
{
    const struct nj_control_plane *plane = nj_control_call_plane(call);
    json_t *plugins = json_array();
    for (unsigned i = 0; i < plane->api_count; i++) {
        const struct nj_control_api *api = plane->apis[i].api;
        const char *slash = strchr(api->name, '/');
        if (!api->is_module || !nj_control_api_is_on(plane, api)) {
            continue;
        }
        json_t *plugin = json_object();
        (void)json_object_set_new(plugin, "name",
                                  json_stringn(api->name, (size_t)(slash - api->name)));
        (void)json_object_set_new(plugin, "version", json_string(NJ_VERSION));
        (void)json_object_set_new(plugin, "control-endpoints", endpoints(api));
        (void)json_array_append_new(plugins, plugin);
    }
    nj_control_call_done(call, json_pack("{s:o}", "plugins", plugins));
}

/* ---- listListeners */

static json_t *describe_listener(const struct nj_settings *settings, unsigned place,
                                 const struct nj_listener *listener)
{
    const struct nj_listener_settings *given = &settings->listeners[place];
    json_t *row = json_object();
    if (!settings->mode.control_as_original || given->certificate_management) {
        (void)json_object_set_new(row, "id", json_integer(place + 1));
        (void)json_object_set_new(row, "require-certificate",
                                  json_boolean(given->require_certificate));
    }
    (void)json_object_set_new(row, "port", json_integer(given->unix_path ? 0 : listener->port));
    static const char *const protocols[] = {"mqtt", "mqtt+websockets", "httpapi"};
    (void)json_object_set_new(row, "protocol", json_string(protocols[given->protocol]));
    (void)json_object_set_new(row, "tls", json_boolean(nj_settings_uses_tls(given)));
    if (given->host) {
        (void)json_object_set_new(row, "bind-address", json_string(given->host));
    }
    if (given->unix_path) {
        (void)json_object_set_new(row, "socket-path", json_string(given->unix_path));
    }
    return row;
}

static void list_listeners(struct nj_control_call *call)
{
    const struct nj_front *front = nj_control_plane_front(nj_control_call_plane(call));
    json_t *listeners = json_array();
    for (unsigned i = 0; i < front->listener_count; i++) {
        (void)json_array_append_new(listeners,
                                    describe_listener(settings_of(call), i, &front->listeners[i]));
    }
    nj_control_call_done(call, json_pack("{s:o}", "listeners", listeners));
}

static const struct nj_control_command commands[] = {
    {.name = "listPlugins",
     .handler = list_plugins,
     .doc = "The modules that are built in and turned on.",
     .answers = "plugins: [{name, version, control-endpoints: [topic]}]"},
    {.name = "listListeners",
     .handler = list_listeners,
     .doc = "The listeners, with the ids that certificate management asks for.",
     .answers = "listeners: [{id, port, protocol, tls, require-certificate, bind-address, "
                "socket-path}]"},
};

const struct nj_control_api nj_broker_api = {
    .name = "broker/v1",
    .doc = "What the broker is made of.",
    .is_on = nj_control_is_enabled,
    .commands = commands,
    .command_count = sizeof(commands) / sizeof(commands[0]),
};
