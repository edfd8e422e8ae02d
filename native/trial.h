/* SPDX-License-Identifier: Apache-2.0
 *
 * What `agsight doctor` tries on the kernel: whether it takes a program of a kind that is not used otherwise, and a
 * function of our own to put a probe on.
 */
#ifndef AGSIGHT_TRIAL_H
#define AGSIGHT_TRIAL_H

#include <node_api.h>

napi_value load_fentry(napi_env env, napi_callback_info info);
napi_value move_bytes(napi_env env, napi_callback_info info);

#endif
