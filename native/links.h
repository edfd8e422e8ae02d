/* SPDX-License-Identifier: Apache-2.0
 *
 * Attaching the programs of a session, and detaching them; running one that hangs on nothing.
 */
#ifndef AGSIGHT_LINKS_H
#define AGSIGHT_LINKS_H

#include <node_api.h>

napi_value attach_tracepoint(napi_env env, napi_callback_info info);
napi_value run_program(napi_env env, napi_callback_info info);
napi_value attach_uprobe_multi(napi_env env, napi_callback_info info);
napi_value attach_uprobe_perf(napi_env env, napi_callback_info info);
napi_value detach_link(napi_env env, napi_callback_info info);
napi_value detach_in_thread(napi_env env, napi_callback_info info);

#endif
