/* The one door to cmocka: its headers have to come in this order, which a formatter would break. */
#ifndef NJ_TESTS_SUPPORT_TEST_H
#define NJ_TESTS_SUPPORT_TEST_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
