/* The client library against a broker that the test plays by hand, byte by byte. One thread: the
 * kernel's backlog takes the connection before anybody accepts it. */
#ifndef NJ_TESTS_UNIT_CLIENT_SCENE_H
#define NJ_TESTS_UNIT_CLIENT_SCENE_H

#include "client/client.h"
#include "support/test.h"

struct scene {
    char dir[32];
    char path[64];
    int listener;
    int peer;
    struct nj_client *client;
    struct nj_client_config config;
    /* what the callbacks saw */
    int connected;
    uint8_t connack_code;
    bool is_session_present;
    int messages;
    char topic[64];
    char payload[64];
    struct nj_client_prop prop;
    size_t props_count;
    int published;
    uint16_t published_id;
    uint8_t published_code;
    int subscribed;
    size_t codes;
    int unsubscribed;
    int kicked;
    bool disconnects_on_message;
};

/* Listens; `config` may be changed before connect_scene, which connects and accepts. */
void open_scene(struct scene *s, enum nj_mqtt_version version);
void connect_scene(struct scene *s);
void close_scene(struct scene *s);
/* Connected, with CONNECT read off. */
void up(struct scene *s, enum nj_mqtt_version version);
enum nj_err turn(struct scene *s);
uint16_t publish(struct scene *s, uint8_t qos);

void send_bytes(struct scene *s, const void *data, size_t len);
#define SEND(scene, literal) send_bytes(scene, literal, sizeof(literal) - 1)
/* What the client wrote; waits for at least `least` bytes. */
size_t receive(struct scene *s, uint8_t *out, size_t size, size_t least);
void expect_bytes(struct scene *s, const void *wanted, size_t len);
#define EXPECT(scene, literal) expect_bytes(scene, literal, sizeof(literal) - 1)

#endif
