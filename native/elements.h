/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing the maps of a session.
 */
#ifndef AGSIGHT_MAP_ELEMENTS_H
#define AGSIGHT_MAP_ELEMENTS_H

#include <node_api.h>

napi_value set_element(napi_env env, napi_callback_info info);
napi_value delete_element(napi_env env, napi_callback_info info);
napi_value read_counter(napi_env env, napi_callback_info info);
napi_value read_elements(napi_env env, napi_callback_info info);

#endif
