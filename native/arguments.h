/* SPDX-License-Identifier: Apache-2.0
 *
 * What every function of the shim does with its arguments and its errors. A function that returns false has thrown.
 */
#ifndef AGSIGHT_ARGUMENTS_H
#define AGSIGHT_ARGUMENTS_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An Error with the name of `error` as its code. */
napi_value make_error(napi_env env, const char *what, int error);
/* Throws it; returns NULL. */
napi_value throw_errno(napi_env env, const char *what, int error);
bool throw_argument(napi_env env);
bool get_arguments(napi_env env, napi_callback_info info, napi_value *arguments, size_t wanted);
/* The memory of a typed array. */
bool get_bytes(napi_env env, napi_value value, void **bytes, size_t *length);
/* A number below `limit`. */
bool get_index(napi_env env, napi_value value, uint32_t limit, uint32_t *index);
bool get_string(napi_env env, napi_value value, char *text, size_t capacity);
napi_value make_number(napi_env env, double value);

#endif
