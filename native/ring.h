/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring of a session: opening, draining, waiting.
 */
#ifndef AGSIGHT_RING_H
#define AGSIGHT_RING_H

#include <node_api.h>

napi_value open_ring(napi_env env, napi_callback_info info);
napi_value drain_ring(napi_env env, napi_callback_info info);
napi_value pending_in_ring(napi_env env, napi_callback_info info);
napi_value wait_for_ring(napi_env env, napi_callback_info info);

#endif
