/* The output of a connection: bytes come out as they went in, whatever is consumed and filtered. */
#include <sys/uio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "broker/message.h"
#include "broker/out.h"
#include "support/test.h"

#define FRAMES_MAX 4096

/* What has to come out. A frame is a PUBLISH whose body begins with its number. */
struct model_frame {
    uint32_t number;
    uint32_t len;
    uint8_t *bytes;
};

struct model {
    struct model_frame frames[FRAMES_MAX];
    uint32_t count;
    size_t written; /* of frames[0] */
    size_t pending;
};

static uint32_t put_header(uint8_t *at, uint32_t body)
{
    uint32_t n = 0;
    at[n++] = 0x30;
    do {
        at[n++] = (uint8_t)((body & 0x7f) | (body > 0x7f ? 0x80 : 0));
        body >>= 7;
    } while (body);
    return n;
}

static void model_add(struct model *model, const uint8_t *bytes, uint32_t len, uint32_t number)
{
    struct model_frame *frame = &model->frames[model->count++];
    assert_true(model->count < FRAMES_MAX);
    frame->bytes = malloc(len);
    memcpy(frame->bytes, bytes, len);
    frame->len = len;
    frame->number = number;
    model->pending += len;
}

static void model_drop(struct model *model, uint32_t place)
{
    model->pending -= model->frames[place].len;
    free(model->frames[place].bytes);
    model->count--;
    memmove(&model->frames[place], &model->frames[place + 1],
            (model->count - place) * sizeof(model->frames[0]));
}

static void model_consume(struct model *model, size_t len)
{
    while (len) {
        size_t left = model->frames[0].len - model->written;
        if (len < left) {
            model->written += len;
            model->pending -= len;
            return;
        }
        len -= left;
        model->pending += model->written;
        model->written = 0;
        model_drop(model, 0);
    }
}

static void add(struct nj_chunk_pool *pool, struct nj_out *out, struct model *model,
                uint32_t number)
{
    static uint8_t bytes[70000];
    bool is_split = rand() % 4 == 0;
    uint32_t body = 4 + (uint32_t)rand() % (rand() % 20 ? 300 : 60000);
    uint32_t head = put_header(bytes, body);
    memcpy(bytes + head, &number, 4);
    for (uint32_t i = 4; i < body; i++) {
        bytes[head + i] = (uint8_t)(number + i);
    }
    uint32_t contiguous = is_split ? head + 4 : head + body;
    assert_int_equal(nj_out_prepare(pool), NJ_OK);
    uint8_t *room = nj_out_frame(pool, out, contiguous);
    assert_non_null(room);
    memcpy(room, bytes, contiguous);
    if (is_split && body > 4) {
        const struct nj_message_view view = {.topic = NJ_BYTES_LIT("t"),
                                             .payload = nj_bytes(bytes + head + 4, body - 4)};
        struct nj_message *message = nj_message_new(&view);
        nj_out_reference(pool, out, message, nj_message_view(message).payload);
        nj_message_unref(message);
    }
    model_add(model, bytes, head + body, number);
}

static void check(const struct nj_out *out, const struct model *model)
{
    static struct iovec iov[FRAMES_MAX * 2];
    int n = nj_out_vectors(out, iov, FRAMES_MAX * 2);
    uint32_t frame = 0;
    size_t at = model->written;
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        const uint8_t *bytes = iov[i].iov_base;
        assert_true(iov[i].iov_len > 0);
        for (size_t b = 0; b < iov[i].iov_len;) {
            size_t left = model->frames[frame].len - at;
            size_t step = iov[i].iov_len - b;
            step = step < left ? step : left;
            assert_memory_equal(bytes + b, model->frames[frame].bytes + at, step);
            b += step;
            at += step;
            total += step;
            if (at == model->frames[frame].len) {
                frame++;
                at = 0;
            }
        }
    }
    assert_int_equal(total, model->pending);
    assert_int_equal(out->pending, model->pending);
    assert_int_equal(out->frames, model->count);
    assert_int_equal(out->begun_left, model->written ? model->frames[0].len - model->written : 0);
}

static bool keep_by_number(void *arg, struct nj_bytes header)
{
    uint32_t number;
    size_t at = 1;
    while (header.ptr[at++] & 0x80) {
    }
    assert_true(header.len >= at + 4);
    memcpy(&number, header.ptr + at, 4);
    return number % *(uint32_t *)arg != 0;
}

static void filter(struct nj_chunk_pool *pool, struct nj_out *out, struct model *model)
{
    uint32_t modulus = 1 + (uint32_t)rand() % 4;
    size_t committed = rand() % 3 && model->pending ? 0 : (size_t)rand() % (model->pending + 1);
    nj_out_filter(pool, out, committed, keep_by_number, &modulus);
    size_t passed = model->written ? model->frames[0].len - model->written : 0;
    for (uint32_t i = model->written ? 1 : 0; i < model->count;) {
        size_t len = model->frames[i].len;
        if (passed < committed || model->frames[i].number % modulus) {
            i++;
        } else {
            model_drop(model, i);
        }
        passed += len;
    }
}

static void comes_out_as_it_went_in(void **state)
{
    (void)state;
    static struct model model;
    struct nj_chunk_pool pool = {0};
    struct nj_out out = {0};
    srand(1);
    for (uint32_t i = 1; i < 30000; i++) {
        int what = rand() % 100;
        if (what < 55 && model.count < 200) {
            add(&pool, &out, &model, i);
        } else if (what < 92 && model.pending) {
            size_t len = (size_t)rand() % (model.pending + 1);
            len = rand() % 3 ? len % 700 : len;
            nj_out_consume(&pool, &out, len);
            model_consume(&model, len);
        } else if (what < 99) {
            filter(&pool, &out, &model);
        } else {
            nj_out_clear(&pool, &out);
            model_consume(&model, model.pending);
        }
        check(&out, &model);
    }
    nj_out_clear(&pool, &out);
    model_consume(&model, model.pending);
    assert_null(out.head);
    nj_chunk_pool_fini(&pool);
    assert_int_equal(nj_message_count(), 0);
}

static void says_so_without_memory(void **state)
{
    (void)state;
    struct nj_chunk_pool pool = {0};
    struct nj_out out = {0};
    for (size_t len = 1; len < 100000; len *= 7) {
        nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
        assert_null(nj_out_frame(&pool, &out, len));
        assert_int_equal(nj_out_prepare(&pool), NJ_ENOMEM);
        nj_fault_disarm();
        assert_int_equal(out.pending, 0);
        assert_int_equal(out.frames, 0);
    }
    nj_out_clear(&pool, &out);
}

static void reuses_chunks(void **state)
{
    (void)state;
    struct nj_chunk_pool pool = {0};
    struct nj_out out = {0};
    assert_non_null(nj_out_frame(&pool, &out, 100));
    nj_out_clear(&pool, &out);
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_non_null(nj_out_frame(&pool, &out, 100));
    nj_fault_disarm();
    nj_out_clear(&pool, &out);
    nj_chunk_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_as_it_went_in),
        cmocka_unit_test(says_so_without_memory),
        cmocka_unit_test(reuses_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
