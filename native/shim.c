/* SPDX-License-Identifier: Apache-2.0
 *
 * The N-API face of kernel.c and kernel-ring.c: what JavaScript may call. No policy: which skeleton, which functions,
 * which processes and what a record means is decided in src/capture. Arguments are checked there too; here only so far
 * that a wrong one cannot crash Node.
 */
#include <node_api.h>
#include <time.h>

#include "crc32c.h"
#include "kernel.h"
#include "links.h"
#include "elements.h"
#include "ring.h"
#include "session.h"
#include "trial.h"

/* clocks() → [CLOCK_MONOTONIC, CLOCK_REALTIME] of one instant, BigInt nanoseconds */
static napi_value clocks(napi_env env, napi_callback_info info)
{
	struct timespec monotonic, realtime;
	napi_value result, value;

	(void)info;
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	clock_gettime(CLOCK_REALTIME, &realtime);
	napi_create_array_with_length(env, 2, &result);
	napi_create_bigint_int64(env, monotonic.tv_sec * 1000000000ll + monotonic.tv_nsec, &value);
	napi_set_element(env, result, 0, value);
	napi_create_bigint_int64(env, realtime.tv_sec * 1000000000ll + realtime.tv_nsec, &value);
	napi_set_element(env, result, 1, value);
	return result;
}

/* hasUprobeMulti() → boolean */
static napi_value has_uprobe_multi(napi_env env, napi_callback_info info)
{
	napi_value result = NULL;

	(void)info;
	napi_get_boolean(env, kernel_has_uprobe_multi(), &result);
	return result;
}

NAPI_MODULE_INIT()
{
	static const struct {
		const char *name;
		napi_callback function;
	} functions[] = {
		{ "load", session_load },
		{ "close", session_close },
		{ "attachTracepoint", attach_tracepoint },
		{ "runProgram", run_program },
		{ "attachUprobeMulti", attach_uprobe_multi },
		{ "attachUprobePerf", attach_uprobe_perf },
		{ "detach", detach_link },
		{ "detachInThread", detach_in_thread },
		{ "setElement", set_element },
		{ "deleteElement", delete_element },
		{ "readCounter", read_counter },
		{ "readElements", read_elements },
		{ "openRing", open_ring },
		{ "drain", drain_ring },
		{ "pending", pending_in_ring },
		{ "wait", wait_for_ring },
		{ "clocks", clocks },
		{ "hasUprobeMulti", has_uprobe_multi },
		{ "loadFentry", load_fentry },
		{ "moveBytes", move_bytes },
		/* The last one, as it may be left out. */
		{ "crc32c", crc32c },
	};
	size_t count = sizeof(functions) / sizeof(functions[0]) - (has_crc32c() ? 0 : 1);

	for (size_t i = 0; i < count; i++) {
		napi_value function;

		if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function) != napi_ok ||
		    napi_set_named_property(env, exports, functions[i].name, function) != napi_ok)
			return NULL;
	}
	return exports;
}
